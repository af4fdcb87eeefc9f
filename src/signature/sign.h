/* Signing, the reverse of lw_verify, for every scheme. */
#ifndef LW_SIGNATURE_SIGN_H
#define LW_SIGNATURE_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "signature/keyring.h"
#include "signature/schemes.h"

#define LW_SIGNED_HEADERS 3
#define LW_TIMESTAMP_SIZE 21 /* any int64_t in decimal, and the final zero */
#define LW_SIGNATURE_TEXT_SIZE 4096

struct lw_sign_request {
  const struct lw_scheme *scheme;
  /* All sign where the scheme has a list (standard, svix, stripe); elsewhere the first does. */
  const struct lw_bytes *secrets;
  size_t secret_count;
  struct lw_bytes body;
  struct lw_bytes id; /* where the scheme has one */
  int64_t timestamp;  /* seconds since the epoch, where the scheme has one */

  struct lw_bytes url; /* for twilio, as in struct lw_verify_request */
  const struct lw_field *params;
  size_t param_count;

  struct lw_keyring *keyring; /* may be NULL */
};

/* Values end nowhere but at their length. They point into this struct, or are the request's own bytes (an id,
 * a token): copying the struct does not carry them along. */
struct lw_signed {
  struct {
    const char *name; /* the scheme's */
    struct lw_bytes value;
  } headers[LW_SIGNED_HEADERS];
  size_t count;
  char timestamp[LW_TIMESTAMP_SIZE];
  char text[LW_SIGNATURE_TEXT_SIZE];
};

/* Codes: missing_secret, bad_secret, bad_id (missing, too long, or with the character that parts it from what
 * follows), bad_timestamp (negative), missing_url, missing_params, mismatch (twilio: the URL's bodySHA256 is
 * not the body's), crypto, memory. */
bool lw_sign(const struct lw_sign_request *request, struct lw_signed *result, struct lw_error *error);

#endif
