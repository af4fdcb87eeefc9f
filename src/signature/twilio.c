#include "signature/twilio.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/encoding.h"

/* -- the URL --------------------------------------------------------------------------------------- */

static size_t find(struct lw_bytes text, size_t from, size_t to, char wanted) {
  const char *found = from < to ? memchr(text.data + from, wanted, to - from) : NULL;
  return found != NULL ? (size_t)(found - text.data) : to;
}

static size_t start_of_authority(struct lw_bytes url) {
  for (size_t i = 0; i + 3 <= url.length; i++)
    if (memcmp(url.data + i, "://", 3) == 0) return i + 3;
  return url.length;
}

static size_t end_of_authority(struct lw_bytes url, size_t start) {
  size_t end = find(url, start, url.length, '#');
  return find(url, start, find(url, start, end, '?'), '/');
}

/* RFC 3986, section 3.2: user information ends at '@', and an IPv6 address stands in brackets. */
static size_t start_of_port(struct lw_bytes url, size_t start, size_t end) {
  size_t at = end;
  while (at > start && url.data[at - 1] != ':' && url.data[at - 1] != ']' && url.data[at - 1] != '@') at--;
  bool found = at > start && url.data[at - 1] == ':';
  return found ? at - 1 : end;
}

struct lw_url lw_url_cut(struct lw_bytes url) {
  size_t start = start_of_authority(url), end = end_of_authority(url, start);
  size_t port = start_of_port(url, start, end);
  return (struct lw_url){.front = {url.data, port},
                         .port = {url.data + port, end - port},
                         .rest = {url.data + end, url.length - end}};
}

struct lw_bytes lw_url_default_port(struct lw_bytes url) {
  bool secure = url.length >= 8 && strncasecmp(url.data, "https://", 8) == 0;
  return secure ? (struct lw_bytes){":443", 4} : (struct lw_bytes){":80", 3};
}

/* -- the body's hash in the URL -------------------------------------------------------------------- */

#define HASH_NAME "bodySHA256="

/* False when it stands there twice. `value.data` is NULL when it is not there. */
static bool find_hash(struct lw_bytes url, struct lw_bytes *value, struct lw_error *error) {
  size_t end = find(url, 0, url.length, '#'), at = find(url, 0, end, '?');
  *value = (struct lw_bytes){NULL, 0};
  while (at < end) {
    size_t next = find(url, ++at, end, '&'), name = strlen(HASH_NAME);
    if (next - at >= name && memcmp(url.data + at, HASH_NAME, name) == 0) {
      if (value->data != NULL) return lw_fail(error, "bad_format", "the URL has bodySHA256 twice");
      *value = (struct lw_bytes){url.data + at + name, next - at - name};
    }
    at = next;
  }
  return true;
}

static bool check_hash(struct lw_bytes hex, struct lw_bytes body, struct lw_error *error) {
  uint8_t given[LW_CONTENT_HASH_SIZE], own[LW_CONTENT_HASH_SIZE];
  if (!lw_hex_decode(hex, given, sizeof given))
    return lw_fail(error, "bad_format", "bodySHA256 in the URL must be 64 lower-case hex digits");
  struct lw_content content = {.pieces = {body}, .count = 1};
  if (!lw_content_hash(&content, own)) return lw_fail(error, "crypto", "OpenSSL could not hash the body");
  return CRYPTO_memcmp(given, own, sizeof own) == 0 ||
         lw_fail(error, "mismatch", "the body is not the one whose hash the URL holds");
}

/* -- the parameters -------------------------------------------------------------------------------- */

static int compare_bytes(struct lw_bytes a, struct lw_bytes b) {
  size_t shorter = a.length < b.length ? a.length : b.length;
  int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
  return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_fields(const void *left, const void *right) {
  const struct lw_field *a = left, *b = right;
  int order = compare_bytes(a->name, b->name);
  return order != 0 ? order : compare_bytes(a->value, b->value);
}

static bool append_sorted(const struct lw_twilio_request *request, struct lw_buffer *out,
                          struct lw_error *error) {
  if (request->param_count > LW_MAX_PARAMS)
    return lw_fail(error, "bad_format", "more than %d parameters", LW_MAX_PARAMS);
  if (request->param_count == 0) return true;
  size_t size = request->param_count * sizeof *request->params;
  struct lw_field *sorted = malloc(size);
  if (sorted == NULL) return lw_fail(error, "memory", "out of memory sorting parameters");
  memcpy(sorted, request->params, size);
  qsort(sorted, request->param_count, sizeof *sorted, compare_fields);
  for (size_t i = 0; i < request->param_count; i++) {
    if (i > 0 && compare_fields(&sorted[i - 1], &sorted[i]) == 0) continue;
    lw_buffer_append(out, sorted[i].name.data, sorted[i].name.length);
    lw_buffer_append(out, sorted[i].value.data, sorted[i].value.length);
  }
  free(sorted);
  return !out->failed || lw_fail(error, "memory", "out of memory joining parameters");
}

bool lw_twilio_params(const struct lw_twilio_request *request, struct lw_buffer *params,
                      struct lw_error *error) {
  if (request->url.length == 0)
    return lw_fail(error, "missing_url", "the full URL of the request is needed: twilio signs it");
  if (request->params != NULL) return append_sorted(request, params, error);
  struct lw_bytes hash;
  if (!find_hash(request->url, &hash, error)) return false;
  if (hash.data != NULL) return check_hash(hash, request->body, error);
  return request->body.length == 0 ||
         lw_fail(error, "missing_params",
                 "a body whose hash is not in the URL is a form: its parameters are needed, decoded");
}
