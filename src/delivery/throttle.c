#include "delivery/throttle.h"

enum { SMOOTHING = 4 }; /* a duration's weight in the usual one is 1/4 */

/* -- rate ------------------------------------------------------------------------------------------- */

/* Exact in integers: a tick gives back `rate_count` parts, and a request costs `rate_period * share` of them,
 * so that `rate_count` requests are earned in a period of all that share. What was spent is counted, not what
 * is left: zero is a full bucket. */
struct bucket {
  int64_t per_tick, cost, size;
};

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
  if (value < low) return low;
  return value > high ? high : value;
}

static bool is_limited(const struct lw_limits *limits) {
  return limits->rate_count > 0;
}

static struct bucket bucket_of(const struct lw_throttle *throttle, const struct lw_limits *limits) {
  int64_t count = clamp(limits->rate_count, 1, LW_RATE_MAX_COUNT);
  int64_t period = clamp(limits->rate_period, 1, LW_RATE_MAX_PERIOD);
  int64_t share = clamp(throttle->share, 1, LW_RATE_MAX_SHARE);
  return (struct bucket){
      .per_tick = count, .cost = period * share, .size = period * (count > share ? count : share)};
}

/* What is spent at `now`. Never more than the bucket holds: the limits may have changed meanwhile. */
static int64_t spent_at(const struct lw_throttle *throttle, const struct bucket *bucket, int64_t now) {
  int64_t spent = clamp(throttle->spent, 0, bucket->size);
  int64_t passed = now > throttle->spent_at ? now - throttle->spent_at : 0;
  if (passed > spent / bucket->per_tick) return 0;
  return spent - passed * bucket->per_tick;
}

static int64_t next_token(const struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now) {
  if (!is_limited(limits)) return now;
  struct bucket bucket = bucket_of(throttle, limits);
  int64_t missing = spent_at(throttle, &bucket, now) + bucket.cost - bucket.size;
  if (missing <= 0) return now;
  return now + (missing + bucket.per_tick - 1) / bucket.per_tick;
}

static void take_token(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now) {
  if (!is_limited(limits)) return;
  struct bucket bucket = bucket_of(throttle, limits);
  throttle->spent = clamp(spent_at(throttle, &bucket, now) + bucket.cost, 0, bucket.size);
  throttle->spent_at = now;
}

static void return_token(struct lw_throttle *throttle, const struct lw_limits *limits) {
  if (!is_limited(limits)) return;
  struct bucket bucket = bucket_of(throttle, limits);
  throttle->spent = clamp(throttle->spent - bucket.cost, 0, bucket.size);
}

/* -- breaker ---------------------------------------------------------------------------------------- */

static void close_breaker(struct lw_throttle *throttle) {
  throttle->failures = 0;
  throttle->pause = 0;
  throttle->probing = false;
}

static void open_breaker(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t pause,
                         int64_t now) {
  throttle->pause = clamp(pause, 1, clamp(limits->breaker_max_pause, 1, LW_BREAKER_MAX_PAUSE));
  throttle->broken_until = now + throttle->pause;
  throttle->probing = false;
}

static void judge_probe(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now,
                        enum lw_throttle_result result) {
  if (result == LW_THROTTLE_BAD)
    open_breaker(throttle, limits, 2 * throttle->pause, now);
  else
    close_breaker(throttle);
}

static void judge(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now,
                  enum lw_throttle_result result) {
  if (limits->breaker_failures <= 0) {
    close_breaker(throttle);
  } else if (throttle->probing) {
    judge_probe(throttle, limits, now, result);
  } else if (throttle->pause > 0) {
    return; /* from before it opened */
  } else if (result == LW_THROTTLE_GOOD) {
    throttle->failures = 0;
  } else if (result == LW_THROTTLE_BAD && ++throttle->failures >= limits->breaker_failures) {
    open_breaker(throttle, limits, limits->breaker_pause, now);
  }
}

/* -- concurrency and all together ------------------------------------------------------------------- */

static bool is_broken(const struct lw_throttle *throttle, const struct lw_limits *limits) {
  return throttle->pause > 0 && limits->breaker_failures > 0;
}

static int room(const struct lw_throttle *throttle, const struct lw_limits *limits) {
  bool single = limits->ordered || limits->max_in_flight < 1 || is_broken(throttle, limits);
  return (single ? 1 : limits->max_in_flight) - throttle->running;
}

static int64_t later(int64_t a, int64_t b) {
  return a > b ? a : b;
}

int64_t lw_throttle_next(const struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now) {
  if (room(throttle, limits) <= 0) return LW_THROTTLE_NEVER;
  int64_t next = later(throttle->held_until, next_token(throttle, limits, now));
  return is_broken(throttle, limits) ? later(next, throttle->broken_until) : next;
}

void lw_throttle_start(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now) {
  take_token(throttle, limits, now);
  throttle->running++;
  throttle->probing = is_broken(throttle, limits);
}

static void smooth(struct lw_throttle *throttle, int64_t duration) {
  if (duration < 1) duration = 1; /* 0 would mean that none came back yet */
  throttle->usual =
      throttle->usual == 0 ? duration : throttle->usual + (duration - throttle->usual) / SMOOTHING;
}

static void end_one(struct lw_throttle *throttle) {
  if (throttle->running > 0) throttle->running--;
}

void lw_throttle_finish(struct lw_throttle *throttle, const struct lw_limits *limits, int64_t now,
                        enum lw_throttle_result result, int64_t duration) {
  end_one(throttle);
  smooth(throttle, duration);
  judge(throttle, limits, now, result);
}

void lw_throttle_unsent(struct lw_throttle *throttle, const struct lw_limits *limits) {
  end_one(throttle);
  return_token(throttle, limits);
  throttle->probing = false;
}

void lw_throttle_probe(struct lw_throttle *throttle) {
  throttle->broken_until = 0;
}

void lw_throttle_hold(struct lw_throttle *throttle, int64_t until) {
  throttle->held_until = later(throttle->held_until, until);
}

bool lw_throttle_broken(const struct lw_throttle *throttle) {
  return throttle->pause > 0;
}
