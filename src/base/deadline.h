/* A moment to wait until, for pthread_cond_timedwait on a condition whose clock is CLOCK_MONOTONIC. */
#ifndef LW_BASE_DEADLINE_H
#define LW_BASE_DEADLINE_H

#include <stdint.h>
#include <time.h>

/* So long (not negative) from now. */
struct timespec lw_deadline_in(int64_t milliseconds);
struct timespec lw_deadline_in_us(int64_t microseconds);

#endif
