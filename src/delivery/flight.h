/* A delivery on its way: what is kept in memory from its claim to the commit of its outcome. */
#ifndef LW_DELIVERY_FLIGHT_H
#define LW_DELIVERY_FLIGHT_H

#include "delivery/retry.h"
#include "delivery/routing.h"
#include "delivery/verdict.h"
#include "store/store.h"
#include "transport/sender.h"

struct lw_flight {
  struct lw_flight *next;
  struct lw_id id, webhook_id;
  const char *format; /* static */
  int32_t attempts, tries;
  struct lw_request *request; /* owned by the sender while it is submitted */
  bool test;                  /* hooks:send_test made it */
  bool own_body;              /* the body is a chat format's, not the message's raw one */
  size_t body_length;
  char body[];
};

/* NULL when memory is out. */
struct lw_flight *lw_flight_new(const struct lw_id *id, const char *body, size_t length);
void lw_flight_free(struct lw_flight *flight); /* with its request */
/* Makes the request: URL, Webhook-Id, Content-Type, and the signature made now; a body that is no raw one,
 * since the webhook's format was changed after the emit, is not signed. The options are borrowed until the
 * flight is freed. */
bool lw_flight_prepare(struct lw_flight *flight, const struct lw_route *route, int64_t now,
                       const struct lw_request_options *options);
/* What to record. Borrows from the flight. */
struct lw_outcome lw_flight_outcome(const struct lw_flight *flight, const struct lw_id *dispatcher,
                                    const struct lw_retry_schedule *schedule, int64_t now, uint32_t random);
struct lw_verdict lw_flight_verdict(const struct lw_flight *flight, int64_t now);
/* The sender gave it back without an attempt. */
bool lw_flight_unsent(const struct lw_flight *flight);

#endif
