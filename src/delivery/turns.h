/* Whose turn it is. What is claimed waits here, each webhook's deliveries in a line of their own, and a
 * request goes to the webhooks in turn, so that a long line or a slow receiver costs the others nothing:
 *
 * - a webhook's own throttle (throttle.h) has the first say;
 * - of the connections, and of the requests that all webhooks of one host may have together, a quarter is
 * kept for prompt webhooks: those that answer within LW_THROTTLE_SLOW as a rule, and have not been silent for
 *   longer now. The only request of another one may use half of that quarter: it may prove to be prompt;
 * - of what is open to it, a webhook with requests under way gets another one only while it has fewer than
 *   LW_TURNS_SHARE times what is still free there. Whoever comes next finds some, however many want all of
 *   it (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
 *
 * Lock: none of its own. The dispatcher's mutex guards it, except the fields of a line that are named as the
 * engine's. Times are ticks (base/clock.h). */
#ifndef LW_DELIVERY_TURNS_H
#define LW_DELIVERY_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "delivery/flight.h"
#include "delivery/throttle.h"

#define LW_TURNS_SHARE 4
#define LW_TURNS_FRESH                                                                                 \
  (INT64_C(60) * 1000 * 1000)                      /* ticks: older requests are to be made anew (their \
                                                       timestamps are signed) */
#define LW_TURNS_AHEAD (INT64_C(30) * 1000 * 1000) /* ticks: what may start in so long may be claimed */
#define LW_TURNS_BUCKETS 1024

struct lw_host;

/* What requests take up: the dispatcher's connections, or a host's share of them. */
struct lw_slots {
  int most;    /* at once */
  int running; /* requests under way */
  int slow;    /* of those: of webhooks that are not prompt */
};

struct lw_line {
  struct lw_id webhook_id;
  struct lw_limits limits;
  struct lw_throttle throttle;
  struct lw_host *host;
  struct lw_flight *first, **end; /* waiting */
  int waiting;
  enum { LW_LINE_RESTS, LW_LINE_READY, LW_LINE_SLEEPS } place;
  struct lw_line *next, *previous; /* among the ready ones, a ring; or among the sleeping ones */
  int64_t wake_at;                 /* of a sleeping one */
  int64_t silent_since;            /* ticks: when it last answered, or started its only request */
  bool prompt;
  struct lw_line *next_in_bucket;

  /* The engine's, without the lock. */
  int claims;         /* its flights, from the claim to the record; */
  size_t bytes;       /* of their bodies */
  bool slow;          /* it was not prompt when its room was looked at */
  bool routed;        /* its webhook is enabled */
  int64_t updated_at; /* its webhook's, as it was last looked at */
  bool settled;       /* the store knows that its deliveries go in order, where they do */
  bool backlog;       /* more is due in the store than is claimed */
  bool hungry;        /* in the list of those that are to claim */
  struct lw_line *next_hungry;
  bool failing;       /* its last attempt that was recorded failed */
  int64_t known_good; /* milliseconds since the epoch: when the store was last told that it works */
};

struct lw_turns {
  struct lw_slots slots;
  int per_host;
  int share;             /* dispatchers on this store: they share a webhook's rate */
  struct lw_line *ready; /* whose turn is next */
  int ready_count;
  struct lw_line *sleeping;
  struct lw_line *lines[LW_TURNS_BUCKETS];
  struct lw_host *hosts[LW_TURNS_BUCKETS];
};

void lw_turns_init(struct lw_turns *turns, int connections, int per_host);
void lw_turns_free(struct lw_turns *turns); /* when nothing waits or runs */

/* The webhook's line, made where there is none, with these limits from now on: a sleeping one looks anew.
 * `host`: "example.com:443". NULL: memory is out. */
struct lw_line *lw_turns_line(struct lw_turns *turns, const struct lw_id *webhook,
                              const struct lw_limits *limits, const char *host);
/* Calls `visit` for every line. */
void lw_turns_each(struct lw_turns *turns, void (*visit)(struct lw_line *line, void *context), void *context);
/* Frees the lines that have no flight and no webhook (`routed`) any more. */
void lw_turns_sweep(struct lw_turns *turns);

/* The flight waits in its line (flight->line). */
void lw_turns_add(struct lw_turns *turns, struct lw_flight *flight);
/* Takes all that may start now, in turn; chained by `next`, in order. They count as running. What waited too
 * long is chained to *stale instead: it is to be given back to the store. */
struct lw_flight *lw_turns_take(struct lw_turns *turns, int64_t now, struct lw_flight **stale);
/* When there may be something to take though nothing comes back until then; LW_THROTTLE_NEVER: not so. */
int64_t lw_turns_next(const struct lw_turns *turns);

/* What was taken is back: with a result, or without having been sent. */
void lw_turns_finish(struct lw_turns *turns, struct lw_flight *flight, int64_t now,
                     enum lw_throttle_result result);
void lw_turns_unsent(struct lw_turns *turns, struct lw_flight *flight, int64_t now);
/* What waits in the line leaves it; chained by `next`. */
struct lw_flight *lw_turns_withdraw(struct lw_turns *turns, struct lw_line *line);

/* How many webhooks fail so that they are called less. */
int lw_turns_broken(const struct lw_turns *turns);

/* How many deliveries the line should have claimed together, of `most` in the dispatcher of which `claimed`
 * are taken by all lines, and `slow` of these by lines that were not prompt: what can be sent soon, and never
 * all. Nothing when it may not start any for LW_TURNS_AHEAD. */
int lw_turns_allowance(const struct lw_turns *turns, const struct lw_line *line, int64_t most,
                       int64_t claimed, int64_t slow, int64_t now);

#endif
