/* What the engine counts and tells. Between lw_observe_begin and lw_observe_commit it is staged: a
 * transaction that is rolled back has counted and told nothing, and counts again when it is tried again. All
 * of it on the engine's thread. */
#ifndef LW_DELIVERY_OBSERVE_H
#define LW_DELIVERY_OBSERVE_H

#include "delivery/engine.h"

void lw_observe_begin(struct lw_dispatcher *dispatcher);
void lw_observe_events(struct lw_dispatcher *dispatcher, size_t count);
void lw_observe_attempt(struct lw_dispatcher *dispatcher, const struct lw_flight *flight,
                        const struct lw_outcome *outcome);
/* `reason` is a text of ours. */
void lw_observe_disabled(struct lw_dispatcher *dispatcher, const struct lw_id *webhook, const char *reason);
/* The flight's outcome opened or closed its webhook's breaker. */
void lw_observe_breaker(struct lw_dispatcher *dispatcher, const struct lw_flight *flight);
void lw_observe_lease_lost(struct lw_dispatcher *dispatcher);
void lw_observe_taken_over(struct lw_dispatcher *dispatcher, int64_t deliveries);
/* Under the dispatcher's lock. Whoever says that it was not synced says why next (lw_observe_failure). */
void lw_observe_commit(struct lw_dispatcher *dispatcher, bool synced);
/* Under the dispatcher's lock: the transaction failed, or its sync. An error that is not the store's is not
 * counted. */
void lw_observe_failure(struct lw_dispatcher *dispatcher, const struct lw_error *error);

#endif
