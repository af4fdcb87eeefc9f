#include "delivery/retry.h"

enum { JITTER_PERCENT = 20 };

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

struct lw_retry_schedule lw_retry_default(void) {
  return (struct lw_retry_schedule){.count = 9,
                                    .delays = {5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR,
                                               10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR}};
}

int64_t lw_retry_delay(const struct lw_retry_schedule *schedule, int tries, uint32_t random) {
  if (tries < 1 || tries > schedule->count) return -1;
  int64_t delay = schedule->delays[tries - 1];
  int64_t spread = delay * JITTER_PERCENT / 100;
  return delay - spread + (2 * spread * (int64_t)random) / UINT32_MAX;
}
