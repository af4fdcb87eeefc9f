/* Time and randomness reach the core through these pointers, so that tests can drive them. */
#ifndef LW_BASE_CLOCK_H
#define LW_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct lw_clock {
  int64_t (*now)(void *context);   /* wall clock: milliseconds since the epoch */
  int64_t (*ticks)(void *context); /* monotonic: microseconds since some start */
  void (*random)(void *context, void *bytes, size_t length);
  void *context;
};

/* The machine's own clock and OpenSSL's random bytes. Static; never freed. */
const struct lw_clock *lw_system_clock(void);

#endif
