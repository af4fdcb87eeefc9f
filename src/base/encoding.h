/* Hex and base64 (RFC 4648) without branches or tables that depend on the bytes: secrets are written in them,
 * and digests made with secrets. Lengths are public. */
#ifndef LW_BASE_ENCODING_H
#define LW_BASE_ENCODING_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define LW_HEX_LENGTH(bytes) (2 * (bytes))
#define LW_BASE64_LENGTH(bytes) (((bytes) + 2) / 3 * 4)

/* Lower-case hex. Writes LW_HEX_LENGTH(length) characters, no zero after them. */
void lw_hex_encode(const uint8_t *bytes, size_t length, char *text);
/* With padding. Writes LW_BASE64_LENGTH(length) characters, no zero after them. */
void lw_base64_encode(const uint8_t *bytes, size_t length, char *text);

/* 1 when `text` is exactly `length` bytes in lower-case hex, 0 otherwise; `bytes` may be written either way.
 */
uint32_t lw_hex_decode(struct lw_bytes text, uint8_t *bytes, size_t length);
/* 1 when `text` is canonical base64 (with padding, unused bits zero) of 1 to `capacity` bytes, 0 otherwise;
 * `bytes` may be written either way. How many bytes they are is public, and in *length. */
uint32_t lw_base64_decode(struct lw_bytes text, uint8_t *bytes, size_t capacity, size_t *length);

#endif
