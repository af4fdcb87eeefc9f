/* The signature schemes that receivers meet. Here: capawesome, X-Signature = lower-case hex HMAC-SHA256 of
 * the exact body bytes. */
#ifndef LW_SIGNATURE_SCHEMES_H
#define LW_SIGNATURE_SCHEMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define LW_SIGNATURE_HEADER "X-Signature"

/* `signature` is the header's value. Codes: "missing_secret", "bad_format", "mismatch". Takes the same
 * time for every mismatch, and never says which byte differed. */
bool lw_capawesome_verify(const char *secret, size_t secret_length, const char *signature, size_t length,
                          const void *body, size_t body_length, struct lw_error *error);

#endif
