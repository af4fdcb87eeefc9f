/* What a dispatcher takes upon itself: events as they are stored, and from the store what waits there. On the
 * engine's thread, inside its transaction. What is claimed is planned (engine.h) and goes to its line when
 * the transaction is committed. */
#ifndef LW_DELIVERY_CLAIMS_H
#define LW_DELIVERY_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "delivery/dispatcher.h"
#include "delivery/routing.h"

struct lw_flight;
struct lw_line;
struct lw_load;

/* Where the walk through the lines in the store has come to. */
struct lw_walk {
  struct lw_id after; /* zero: at its beginning */
  bool ordered;       /* among those that go one at a time */
  int64_t next_due;   /* milliseconds since the epoch: the first that was seen to be due later */
};

/* Stores the item's delivery for that route, claimed where its line has room. */
bool lw_claims_insert(struct lw_dispatcher *dispatcher, struct lw_emit_item *item,
                      const struct lw_route *route, struct lw_error *error);
/* Claims what is due: for the lines that are hungry, and when a walk is due (claim_at), line by line. */
bool lw_claims_take(struct lw_dispatcher *dispatcher, struct lw_error *error);
/* When there is something to claim or to look for: milliseconds since the epoch, 0: now; INT64_MAX: not
 * before something comes back. */
int64_t lw_claims_next(const struct lw_dispatcher *dispatcher);
/* The flight is one more of those that are claimed, in `load` and in its line; or, with -1, one less. */
void lw_claims_count(struct lw_load *load, const struct lw_flight *flight, int sign);
/* A delivery of the line is no longer claimed by us, or is due in the store: it may claim again. */
void lw_claims_feed(struct lw_dispatcher *dispatcher, struct lw_line *line);
/* The webhooks changed in the middle of the transaction: what it planned is given back, to be claimed as they
 * are now. */
bool lw_claims_give_back(struct lw_dispatcher *dispatcher, struct lw_error *error);
/* The transaction did not come to be: what it planned is forgotten. */
void lw_claims_forget(struct lw_dispatcher *dispatcher);

#endif
