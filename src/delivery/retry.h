/* When an attempt is made again: pure functions of what happened, so that a schedule of days is tested in
 * milliseconds. */
#ifndef LW_DELIVERY_RETRY_H
#define LW_DELIVERY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define LW_RETRY_MAX_DELAYS 32

struct lw_retry_schedule {
  int count;                           /* 0: never again */
  int64_t delays[LW_RETRY_MAX_DELAYS]; /* milliseconds before the 2nd, 3rd, … attempt */
};

/* 1 s, 5 s, 30 s, 2 min. */
struct lw_retry_schedule lw_retry_default(void);

enum lw_verdict { LW_VERDICT_SUCCESS, LW_VERDICT_AGAIN };

/* 2xx is a success; anything else, and no answer (status 0), is tried again. */
enum lw_verdict lw_retry_verdict(int status);

/* Milliseconds until the next attempt after `tries` failed ones, with +-20 % jitter from `random` (any 32
 * random bits); -1 when the schedule is used up. */
int64_t lw_retry_delay(const struct lw_retry_schedule *schedule, int tries, uint32_t random);

#endif
