/* The signed content: a row's text with its fields put in, as a list of pieces. Nothing is copied, so a body
 * of any size is hashed where it lies. */
#ifndef LW_SIGNATURE_CONTENT_H
#define LW_SIGNATURE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"

#define LW_CONTENT_PIECES 16
#define LW_CONTENT_HASH_SIZE 32

/* A URL in three, because a proxy may have added or taken away the port that was signed. */
struct lw_url {
  struct lw_bytes front, port, rest;
};

struct lw_content_fields {
  struct lw_bytes id, timestamp, body, params;
  struct lw_url url;
};

struct lw_content {
  struct lw_bytes pieces[LW_CONTENT_PIECES];
  size_t count;
};

/* False when the text names an unknown field or gives more than LW_CONTENT_PIECES pieces, which lw_scheme_new
 * and the tests see to. */
bool lw_content_fill(struct lw_content *content, const char *text, const struct lw_content_fields *fields);
/* Appends all pieces. False without memory; `joined` is the caller's to free either way. */
bool lw_content_join(const struct lw_content *content, struct lw_buffer *joined);
/* SHA-256. False when OpenSSL fails. */
bool lw_content_hash(const struct lw_content *content, uint8_t hash[LW_CONTENT_HASH_SIZE]);

#endif
