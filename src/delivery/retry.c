#include "delivery/retry.h"

enum { JITTER_PERCENT = 20 };

struct lw_retry_schedule lw_retry_default(void) {
  return (struct lw_retry_schedule){.count = 4, .delays = {1000, 5000, 30000, 120000}};
}

enum lw_verdict lw_retry_verdict(int status) {
  return status >= 200 && status <= 299 ? LW_VERDICT_SUCCESS : LW_VERDICT_AGAIN;
}

int64_t lw_retry_delay(const struct lw_retry_schedule *schedule, int tries, uint32_t random) {
  if (tries < 1 || tries > schedule->count) return -1;
  int64_t delay = schedule->delays[tries - 1];
  int64_t spread = delay * JITTER_PERCENT / 100;
  return delay - spread + (2 * spread * (int64_t)random) / UINT32_MAX;
}
