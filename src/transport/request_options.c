#include "transport/request_options.h"

#include <stdatomic.h>

uint64_t lw_request_options_serial(void) {
  static atomic_uint_least64_t last;
  return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}
