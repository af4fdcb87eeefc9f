/* A key: what the text of a secret stands for in a scheme, ready to compute with. */
#ifndef LW_SIGNATURE_KEY_H
#define LW_SIGNATURE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "signature/content.h"
#include "signature/schemes.h"

#define LW_DIGEST_MAX_SIZE 64 /* HMAC-SHA512, ed25519 */

enum lw_key_use { LW_KEY_SIGNS, LW_KEY_VERIFIES };

struct lw_key;

/* NULL with "missing_secret", "bad_secret" (not in the scheme's form), "crypto" or "memory". */
struct lw_key *lw_key_new(const struct lw_scheme *scheme, struct lw_bytes secret, enum lw_key_use use,
                          struct lw_error *error);
void lw_key_free(struct lw_key *key); /* wipes; NULL is fine */

/* LW_KEY_STANDARD gives HMAC or ed25519, whatever the scheme's own algorithm is. */
enum lw_algorithm lw_key_algorithm(const struct lw_key *key);
size_t lw_digest_size(enum lw_algorithm algorithm); /* bytes of a signature, decoded; a token's hash */

/* What a right signature is: the HMAC of the content, or the hash of the token. Not for ed25519. */
bool lw_key_digest(struct lw_key *key, const struct lw_content *content, uint8_t digest[LW_DIGEST_MAX_SIZE]);
/* The ed25519 signature. `content` stands in one piece, because RFC 8032 reads it twice. */
bool lw_key_sign(struct lw_key *key, const struct lw_buffer *content, uint8_t signature[LW_DIGEST_MAX_SIZE]);
bool lw_key_accepts(struct lw_key *key, const struct lw_buffer *content, const uint8_t *signature);

/* SHA-256 of a token. Hashes are compared instead of tokens, so that the time tells nothing of the length. */
bool lw_token_hash(struct lw_bytes token, uint8_t *hash);

#endif
