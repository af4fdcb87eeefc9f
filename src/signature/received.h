/* What came in claims: the headers that a scheme reads, and the signatures in them, decoded. All of it is
 * public. */
#ifndef LW_SIGNATURE_RECEIVED_H
#define LW_SIGNATURE_RECEIVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "signature/key.h"
#include "signature/schemes.h"

#define LW_MAX_SIGNATURES 32 /* of one header */

struct lw_received_signature {
  enum lw_algorithm algorithm;
  uint8_t digest[LW_DIGEST_MAX_SIZE]; /* lw_digest_size(algorithm) bytes of it */
};

struct lw_received {
  struct lw_bytes id, timestamp; /* the headers' own bytes; data is NULL where the scheme has none */
  int64_t seconds;               /* the timestamp */
  struct lw_received_signature signatures[LW_MAX_SIGNATURES];
  size_t count; /* at least 1 */
};

/* Codes: missing_header, duplicate_header, bad_format, crypto. */
bool lw_receive(const struct lw_scheme *scheme, const struct lw_field *headers, size_t count,
                struct lw_received *received, struct lw_error *error);

#endif
