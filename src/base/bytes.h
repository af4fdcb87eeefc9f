/* A run of bytes that belongs to someone else. Nothing ends it: zero bytes are bytes. */
#ifndef LW_BASE_BYTES_H
#define LW_BASE_BYTES_H

#include <stddef.h>

struct lw_bytes {
  const char *data; /* NULL: not given, which is not the same as empty */
  size_t length;
};

/* A header or a parameter. */
struct lw_field {
  struct lw_bytes name, value;
};

#endif
