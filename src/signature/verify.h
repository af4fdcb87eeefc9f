/* Verifying the signature of a webhook that came in.
 *
 * Constant time: every signature of the header is compared with every secret's, with CRYPTO_memcmp on decoded
 * bytes, whatever matched before. No branch and no index depends on a secret or on the digest it gives; what
 * is learned from them passes through lw_reveal (base/secret.h). Lengths, the prefix of a secret and
 * everything that came in are public. */
#ifndef LW_SIGNATURE_VERIFY_H
#define LW_SIGNATURE_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "signature/keyring.h"
#include "signature/schemes.h"

#define LW_USUAL_TIME (-2) /* a tolerance: the scheme's own */

/* Nothing is kept or changed; any field may hold any bytes. */
struct lw_verify_request {
  const struct lw_scheme *scheme;
  const struct lw_bytes *secrets;
  size_t secret_count;
  const struct lw_field *headers; /* names in any case; a header that came twice stands here twice */
  size_t header_count;
  struct lw_bytes body;
  int64_t now;       /* seconds since the epoch */
  int64_t tolerance; /* seconds that a timestamp may be off, LW_ANY_TIME or LW_USUAL_TIME */

  /* For twilio. `params` are the POST parameters, decoded; a name with several values stands several times.
   * NULL says "not given": then the body must be empty, or the URL must hold its hash (bodySHA256). */
  struct lw_bytes url;
  const struct lw_field *params;
  size_t param_count;

  struct lw_keyring *keyring; /* keeps keyed contexts between calls; NULL: keys are made and wiped here */
  bool wants_content_hash;
};

/* What was proven. `id` points into the request's headers. */
struct lw_proof {
  struct lw_bytes id; /* data is NULL where the scheme signs none */
  bool has_timestamp;
  int64_t timestamp;   /* seconds since the epoch */
  size_t secret_index; /* the first secret that matched, from 0 */
  /* SHA-256 of the signed content (the body, for a scheme that signs nothing), when it was wanted. Unlike the
   * signature it stays the same when one of several signatures is taken out of the header. */
  uint8_t content_hash[LW_CONTENT_HASH_SIZE];
};

/* Codes, in the order in which they are looked for:
 *   missing_secret    no secret, or an empty one
 *   bad_secret        a secret is not in the scheme's form, or there are more than LW_MAX_SECRETS
 *   missing_header, duplicate_header    (an empty header is a missing one)
 *   bad_format        a header is not written as the scheme wants it; no signature of a known version in a
 * list stale             the timestamp is more than `tolerance` away from `now`, in the past or in the future
 *   missing_url, missing_params         (twilio)
 *   mismatch          no signature of the header was made with one of the secrets over these bytes
 *   crypto, memory    OpenSSL or the machine failed
 * In a list of signatures, unknown versions and badly written ones are skipped beside a good one. */
bool lw_verify(const struct lw_verify_request *request, struct lw_proof *proof, struct lw_error *error);

#endif
