#include "base/deadline.h"

struct timespec lw_deadline_in(int64_t milliseconds) {
  return lw_deadline_in_us(milliseconds * 1000);
}

struct timespec lw_deadline_in_us(int64_t microseconds) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += microseconds / 1000000;
  at.tv_nsec += (microseconds % 1000000) * 1000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000;
  }
  return at;
}
