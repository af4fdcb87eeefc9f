#include "base/clock.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <time.h>

static int64_t read_clock(clockid_t which, int64_t per_second) {
  struct timespec time;
  clock_gettime(which, &time);
  return (int64_t)time.tv_sec * per_second + time.tv_nsec / (1000000000 / per_second);
}

static int64_t system_now(void *context) {
  (void)context;
  return read_clock(CLOCK_REALTIME, 1000);
}

static int64_t system_ticks(void *context) {
  (void)context;
  return read_clock(CLOCK_MONOTONIC, 1000000);
}

/* Without random bytes ids would collide and deliveries would be lost: stopping is the safer end. */
static void system_random(void *context, void *bytes, size_t length) {
  (void)context;
  if (RAND_bytes(bytes, (int)length) != 1) abort();
}

const struct lw_clock *lw_system_clock(void) {
  static const struct lw_clock clock = {system_now, system_ticks, system_random, NULL};
  return &clock;
}
