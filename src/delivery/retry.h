/* When a failed attempt is made again: pure functions of what happened, so that a schedule of days is tested
 * in milliseconds. */
#ifndef LW_DELIVERY_RETRY_H
#define LW_DELIVERY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define LW_RETRY_MAX_DELAYS 32

struct lw_retry_schedule {
  int count;                           /* 0: never again */
  int64_t delays[LW_RETRY_MAX_DELAYS]; /* milliseconds before the 2nd, 3rd, … attempt */
};

/* 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: more than three days, as Standard Webhooks asks. */
struct lw_retry_schedule lw_retry_default(void);

/* Milliseconds until the next attempt after `tries` failed ones, with +-20 % jitter from `random` (any 32
 * random bits); -1 when the schedule is used up. */
int64_t lw_retry_delay(const struct lw_retry_schedule *schedule, int tries, uint32_t random);

#endif
