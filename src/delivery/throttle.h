/* Whether a webhook's next request may start: rate, concurrency and breaker, as pure functions of what
 * happened and of the time that is passed in, so that hours are tested in microseconds.
 *
 * Times are ticks (microseconds of a monotonic clock, base/clock.h). A throttle is the state of one webhook
 * in one dispatcher; zeroed it is that of a webhook that was never called. */
#ifndef LW_DELIVERY_THROTTLE_H
#define LW_DELIVERY_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define LW_THROTTLE_NEVER INT64_MAX
#define LW_THROTTLE_SLOW (INT64_C(1000) * 1000) /* ticks: whose answers usually take longer is slow */

/* What goes beyond them is taken as they are: so nothing can overflow. */
#define LW_RATE_MAX_COUNT 1000000
#define LW_RATE_MAX_PERIOD (INT64_C(86400) * 1000 * 1000)
#define LW_RATE_MAX_SHARE 1000000
#define LW_BREAKER_MAX_PAUSE (INT64_C(86400) * 1000 * 1000)

struct lw_limits {
  int max_in_flight; /* 1 or more; `ordered` makes it 1 */
  bool ordered;      /* one at a time, in the order of the emits */
  /* A token bucket of rate_count, refilled evenly over rate_period; each request takes one. A dispatcher has
   * 1/share of it, and room for one token at least: so several that start at once may pass the limit by as
   * many as they are, once. 0: no limit. */
  int rate_count;
  int64_t rate_period;
  /* After so many failures in a row the breaker opens for breaker_pause. Then, and when all that was started
   * before is back, it lets one request through (half-open): its failure doubles the pause up to
   * breaker_max_pause, any answer that does not ask for another try closes the breaker. What comes back from
   * before it opened says nothing new, and changes nothing. 0 failures: no breaker. */
  int breaker_failures;
  int64_t breaker_pause, breaker_max_pause;
};

struct lw_throttle {
  int running;
  int share;               /* dispatchers that serve the same store, and so share the rate; 0 is as 1 */
  int64_t spent, spent_at; /* of the bucket, in parts of a token (throttle.c), at that time */
  int failures;            /* in a row */
  int64_t pause;           /* of the breaker; 0: it is closed */
  int64_t broken_until;    /* while it is open */
  bool probing;            /* half-open, and the one request runs */
  int64_t held_until;      /* the receiver asked to be left alone until then */
  int64_t usual;           /* smoothed duration of its requests; 0: none came back yet */
};

enum lw_throttle_result {
  LW_THROTTLE_GOOD,   /* a success */
  LW_THROTTLE_BAD,    /* no answer, or one that asks for another try: what a breaker counts */
  LW_THROTTLE_NEUTRAL /* an answer that is final: the receiver is alive, whatever it thinks of the message;
                         it neither counts as a failure nor ends a row of them */
};

/* When the next request may start: `now` or less: at once; LW_THROTTLE_NEVER: not before a running one is
 * back. */
int64_t lw_throttle_next(const struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now);
void lw_throttle_start(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now);
void lw_throttle_finish(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now,
                        enum lw_throttle_result result, int64_t duration);
/* What was started came back without having been sent: as if it had not been started. (One that was started
 * with other limits gives back a token of these.) */
void lw_throttle_unsent(struct lw_throttle *throttle, const struct lw_limits *limits);
/* Its owner changed the webhook: an open breaker lets its one request through now. */
void lw_throttle_probe(struct lw_throttle *throttle);
/* Nothing starts before `until`. An earlier hold that lasts longer stays. */
void lw_throttle_hold(struct lw_throttle *throttle, int64_t until);
/* The breaker is not closed: open, or half-open. */
bool lw_throttle_broken(const struct lw_throttle *throttle);

#endif
