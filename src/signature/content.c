#include "signature/content.h"

#include <openssl/evp.h>
#include <string.h>

static bool add(struct lw_content *content, struct lw_bytes piece) {
  if (piece.length == 0) return true;
  if (content->count == LW_CONTENT_PIECES) return false;
  content->pieces[content->count++] = piece;
  return true;
}

static bool is(const char *name, size_t length, const char *wanted) {
  return strlen(wanted) == length && memcmp(name, wanted, length) == 0;
}

static bool add_field(struct lw_content *content, const char *name, size_t length,
                      const struct lw_content_fields *fields) {
  if (is(name, length, "body")) return add(content, fields->body);
  if (is(name, length, "timestamp")) return add(content, fields->timestamp);
  if (is(name, length, "id")) return add(content, fields->id);
  if (is(name, length, "params")) return add(content, fields->params);
  if (!is(name, length, "url")) return false;
  return add(content, fields->url.front) && add(content, fields->url.port) && add(content, fields->url.rest);
}

bool lw_content_fill(struct lw_content *content, const char *text, const struct lw_content_fields *fields) {
  content->count = 0;
  while (*text != '\0') {
    if (*text != '{') {
      size_t length = strcspn(text, "{");
      if (!add(content, (struct lw_bytes){text, length})) return false;
      text += length;
      continue;
    }
    const char *end = strchr(++text, '}');
    if (end == NULL || !add_field(content, text, (size_t)(end - text), fields)) return false;
    text = end + 1;
  }
  return true;
}

bool lw_content_join(const struct lw_content *content, struct lw_buffer *joined) {
  for (size_t i = 0; i < content->count; i++)
    lw_buffer_append(joined, content->pieces[i].data, content->pieces[i].length);
  return !joined->failed;
}

bool lw_content_hash(const struct lw_content *content, uint8_t hash[LW_CONTENT_HASH_SIZE]) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool ok = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
  for (size_t i = 0; ok && i < content->count; i++)
    ok = EVP_DigestUpdate(context, content->pieces[i].data, content->pieces[i].length);
  ok = ok && EVP_DigestFinal_ex(context, hash, NULL);
  EVP_MD_CTX_free(context);
  return ok;
}
