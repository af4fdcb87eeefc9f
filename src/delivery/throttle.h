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

struct lw_limits {
  int max_in_flight; /* 1 or more; `ordered` makes it 1 */
  bool ordered;      /* one at a time, in the order of the emits */
  int rate_count;    /* requests in rate_period at most, as a token bucket of that size; 0: no limit */
  int64_t rate_period;
  /* After so many failures in a row the breaker opens for breaker_pause, then lets one request through
   * (half-open): its failure doubles the pause up to breaker_max_pause, its success closes the breaker.
   * 0 failures: no breaker. */
  int breaker_failures;
  int64_t breaker_pause, breaker_max_pause;
};

struct lw_throttle {
  int running;
  int share; /* dispatchers that serve the same store, and so share the rate; 0 is as 1 */
  int64_t tokens, tokens_at;
  int failures;         /* in a row */
  int64_t pause;        /* of the breaker; 0: it is closed */
  int64_t broken_until; /* while it is open */
  int64_t held_until;   /* the receiver asked to be left alone until then */
  int64_t usual;        /* smoothed duration of its answers; 0: none came yet */
};

enum lw_throttle_result {
  LW_THROTTLE_GOOD,   /* a success */
  LW_THROTTLE_BAD,    /* no answer, or one that asks for another try: what a breaker counts */
  LW_THROTTLE_NEUTRAL /* an answer that is final: the receiver is alive, whatever it thinks of the message */
};

/* When the next request may start: `now` or less: at once; LW_THROTTLE_NEVER: not before a running one is
 * back. */
int64_t lw_throttle_next(const struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now);
void lw_throttle_start(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now);
void lw_throttle_finish(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now,
                        enum lw_throttle_result result, int64_t duration);
/* What was started came back without having been sent: as if it had not been started. */
void lw_throttle_unsent(struct lw_throttle *throttle, const struct lw_limits *limits);
/* Nothing starts before `until`. An earlier hold that lasts longer stays. */
void lw_throttle_hold(struct lw_throttle *throttle, int64_t until);
/* The breaker is not closed: open, or half-open. */
bool lw_throttle_broken(const struct lw_throttle *throttle);

#endif
