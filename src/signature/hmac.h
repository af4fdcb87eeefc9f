/* HMAC (RFC 2104), keyed once per secret: the keyed context is reused for every body, which is about 2.5
 * times cheaper than a one-shot HMAC(). A key is used by one thread at a time. */
#ifndef LW_SIGNATURE_HMAC_H
#define LW_SIGNATURE_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LW_HMAC_SIZE 32 /* of HMAC-SHA256 */
#define LW_HMAC_HEX_SIZE (2 * LW_HMAC_SIZE + 1)
#define LW_HMAC_MAX_SIZE 64 /* of HMAC-SHA512 */

enum lw_hash { LW_SHA1, LW_SHA256, LW_SHA512 };

struct lw_hmac;

/* HMAC-SHA256. NULL for an empty secret or when OpenSSL fails. The secret is not kept outside OpenSSL's
 * context. */
struct lw_hmac *lw_hmac_new(const void *secret, size_t length);
/* The same with another hash. */
struct lw_hmac *lw_hmac_new_of(enum lw_hash hash, const void *secret, size_t length);
void lw_hmac_free(struct lw_hmac *hmac); /* wipes; NULL is fine */

/* HMAC-SHA256 of a whole body. */
bool lw_hmac_digest(struct lw_hmac *hmac, const void *body, size_t length, uint8_t digest[LW_HMAC_SIZE]);
bool lw_hmac_hex(struct lw_hmac *hmac, const void *body, size_t length, char hex[LW_HMAC_HEX_SIZE]);

/* Any hash, in pieces: begin, add each piece, end. *size becomes the digest's length. */
bool lw_hmac_begin(struct lw_hmac *hmac);
bool lw_hmac_add(struct lw_hmac *hmac, const void *bytes, size_t length);
bool lw_hmac_end(struct lw_hmac *hmac, uint8_t digest[LW_HMAC_MAX_SIZE], size_t *size);

#endif
