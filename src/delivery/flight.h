/* A delivery on its way: what is kept in memory from its claim to the commit of its outcome. */
#ifndef LW_DELIVERY_FLIGHT_H
#define LW_DELIVERY_FLIGHT_H

#include "delivery/routing.h"
#include "delivery/verdict.h"
#include "store/store.h"
#include "transport/sender.h"

struct lw_line;

struct lw_flight {
  struct lw_flight *next;
  struct lw_id id, webhook_id;
  struct lw_line *line;         /* where it waits its turn, and whose it is until it is recorded */
  struct lw_settings *settings; /* as they were at the claim */
  const char *format;           /* static */
  int64_t prepared_at;          /* ticks: its timestamp is signed */
  int32_t attempts, tries;
  struct lw_request *request; /* owned by the sender while it is submitted */
  bool test;                  /* hooks:send_test made it */
  bool own_body;              /* the body is a chat format's, not the message's raw one */
  bool slow;                  /* it counts as a claim of a line that is not prompt */
  bool withdrawn;             /* it left its line without having been sent */
  bool broke, mended;         /* its outcome opened, closed the webhook's breaker */
  struct lw_verdict verdict;  /* once it is back */
  size_t body_length;
  char body[];
};

/* NULL when memory is out. */
struct lw_flight *lw_flight_new(const struct lw_id *id, const char *body, size_t length);
void lw_flight_free(struct lw_flight *flight); /* with its request */
/* Makes the request: URL, Webhook-Id, Content-Type, the webhook's own headers, and the signature made now; a
 * body that is no raw one, since the webhook's format was changed after the emit, is not signed. `now` is in
 * milliseconds since the epoch, `ticks` the same moment. */
bool lw_flight_prepare(struct lw_flight *flight, const struct lw_route *route, int64_t now, int64_t ticks);
/* It is back from the sender: what its answer means. */
void lw_flight_judge(struct lw_flight *flight, int64_t now);
/* What to record. Borrows from the flight. */
struct lw_outcome lw_flight_outcome(const struct lw_flight *flight, const struct lw_id *dispatcher,
                                    int64_t now, uint32_t random);
/* It came back without an attempt. */
bool lw_flight_unsent(const struct lw_flight *flight);

#endif
