#include "transport/request_options.h"

#include <stdatomic.h>

uint64_t lw_request_options_serial(void) {
  static atomic_uint_fast64_t last;
  return atomic_fetch_add(&last, 1) + 1; /* 0 is never one */
}
