#include "signature/sign.h"

#include <stdio.h>
#include <string.h>

#include "base/encoding.h"
#include "base/secret.h"
#include "signature/content.h"
#include "signature/twilio.h"

#define LONGEST_SIGNATURE (LW_MAX_PREFIX + 1 + LW_HEX_LENGTH(LW_DIGEST_MAX_SIZE))
_Static_assert(LW_SIGNATURE_TEXT_SIZE >= 2 + LW_TIMESTAMP_SIZE + LW_MAX_SECRETS * LONGEST_SIGNATURE,
               "every signature of a list must fit");

struct work {
  const struct lw_sign_request *request;
  struct lw_keyring *keyring;
  struct lw_content content;
  struct lw_buffer params; /* twilio's, joined */
  char *end;               /* of what is written so far, in the result's text */
};

static void write_text(struct work *work, const char *text, size_t length) {
  memcpy(work->end, text, length);
  work->end += length;
}

static void add_header(struct lw_signed *result, const char *name, struct lw_bytes value) {
  result->headers[result->count].name = name;
  result->headers[result->count++].value = value;
}

/* -- what is signed -------------------------------------------------------------------------------- */

static bool read_timestamp(const struct lw_sign_request *request, struct lw_signed *result,
                           struct lw_bytes *timestamp, struct lw_error *error) {
  if (!lw_scheme_has_timestamp(request->scheme)) return true;
  int length = snprintf(result->timestamp, sizeof result->timestamp, "%lld", (long long)request->timestamp);
  if (request->timestamp < 0)
    return lw_fail(error, "bad_timestamp", "the timestamp must be seconds since the epoch");
  *timestamp = (struct lw_bytes){result->timestamp, (size_t)length};
  const char *name = request->scheme->headers[0].timestamp;
  if (name != NULL) add_header(result, name, *timestamp);
  return true;
}

static bool read_id(const struct lw_sign_request *request, struct lw_signed *result, struct lw_bytes *id,
                    struct lw_error *error) {
  const char *name = request->scheme->headers[0].id;
  if (name == NULL) return true;
  *id = request->id;
  if (!lw_scheme_allows_id(request->scheme, *id))
    return lw_fail(error, "bad_id",
                   "the id must have 1 to %d bytes, without the separator of the signed content", LW_MAX_ID);
  add_header(result, name, *id);
  return true;
}

static bool read_url(struct work *work, struct lw_content_fields *fields, struct lw_error *error) {
  const struct lw_sign_request *request = work->request;
  if (!request->scheme->signs_url) return true;
  struct lw_twilio_request twilio = {request->url, request->body, request->params, request->param_count};
  if (!lw_twilio_params(&twilio, &work->params, error)) return false;
  fields->params = (struct lw_bytes){work->params.data, work->params.length};
  fields->url.front = request->url;
  return true;
}

static bool prepare_content(struct work *work, struct lw_signed *result, struct lw_bytes *timestamp,
                            struct lw_error *error) {
  struct lw_content_fields fields = {.body = work->request->body};
  if (!read_id(work->request, result, &fields.id, error) ||
      !read_timestamp(work->request, result, &fields.timestamp, error) || !read_url(work, &fields, error))
    return false;
  *timestamp = fields.timestamp;
  return lw_content_fill(&work->content, work->request->scheme->content, &fields) ||
         lw_fail(error, "invalid", "the scheme's content names an unknown field");
}

/* -- the signature --------------------------------------------------------------------------------- */

static bool sign_ed25519(struct work *work, struct lw_key *key, uint8_t *digest) {
  struct lw_buffer joined;
  lw_buffer_init(&joined, SIZE_MAX / 2);
  bool ok = lw_content_join(&work->content, &joined) && lw_key_sign(key, &joined, digest);
  lw_buffer_free(&joined);
  return ok;
}

static void write_prefix(struct work *work, enum lw_algorithm algorithm) {
  const struct lw_scheme *scheme = work->request->scheme;
  if (scheme->layout == LW_LIST && algorithm == LW_ED25519)
    write_text(work, "v1a,", 4);
  else
    write_text(work, scheme->prefix, strlen(scheme->prefix));
}

static bool write_signature(struct work *work, struct lw_bytes secret, struct lw_error *error) {
  const struct lw_scheme *scheme = work->request->scheme;
  struct lw_key *key = lw_keyring_get(work->keyring, scheme, secret, LW_KEY_SIGNS, error);
  if (key == NULL) return false;
  uint8_t digest[LW_DIGEST_MAX_SIZE];
  enum lw_algorithm algorithm = lw_key_algorithm(key);
  bool ok =
      algorithm == LW_ED25519 ? sign_ed25519(work, key, digest) : lw_key_digest(key, &work->content, digest);
  if (!ok) return lw_fail(error, "crypto", "OpenSSL could not compute the signature");
  size_t size = lw_digest_size(algorithm);
  write_prefix(work, algorithm);
  if (scheme->encoding == LW_HEX) {
    lw_hex_encode(digest, size, work->end);
    work->end += LW_HEX_LENGTH(size);
  } else {
    lw_base64_encode(digest, size, work->end);
    work->end += LW_BASE64_LENGTH(size);
  }
  return true;
}

static bool write_signatures(struct work *work, struct lw_bytes timestamp, struct lw_error *error) {
  const struct lw_sign_request *request = work->request;
  if (request->scheme->layout == LW_PLAIN) return write_signature(work, request->secrets[0], error);
  char separator = request->scheme->layout == LW_PAIRS ? ',' : ' ';
  if (request->scheme->layout == LW_PAIRS) {
    write_text(work, "t=", 2);
    write_text(work, timestamp.data, timestamp.length);
  }
  for (size_t i = 0; i < request->secret_count; i++) {
    if (i > 0 || request->scheme->layout == LW_PAIRS) write_text(work, &separator, 1);
    if (!write_signature(work, request->secrets[i], error)) return false;
  }
  return true;
}

/* A token becomes a header as it is: a control character in it would end the header. */
static bool check_token(struct lw_bytes token, struct lw_error *error) {
  uint32_t bad = 0;
  for (size_t i = 0; i < token.length; i++) {
    uint32_t c = (uint8_t)token.data[i];
    bad |= ((c - 0x20) | ((c ^ 0x7f) - 1)) >> 31;
  }
  return !lw_reveal(bad) || lw_fail(error, "bad_secret", "a token cannot hold control characters");
}

static bool check_secrets(const struct lw_sign_request *request, struct lw_error *error) {
  if (request->secret_count == 0) return lw_fail(error, "missing_secret", "no secret is given");
  if (request->secret_count > LW_MAX_SECRETS)
    return lw_fail(error, "bad_secret", "more than %d secrets", LW_MAX_SECRETS);
  for (size_t i = 0; i < request->secret_count; i++)
    if (request->secrets[i].length == 0) return lw_fail(error, "missing_secret", "a secret is empty");
  return true;
}

static bool sign(struct work *work, struct lw_signed *result, struct lw_error *error) {
  const struct lw_sign_request *request = work->request;
  struct lw_bytes timestamp = {NULL, 0}, value = {result->text, 0};
  if (!check_secrets(request, error)) return false;
  if (request->scheme->algorithm == LW_TOKEN) {
    if (!check_token(request->secrets[0], error)) return false;
    value = request->secrets[0];
  } else {
    if (!prepare_content(work, result, &timestamp, error) || !write_signatures(work, timestamp, error))
      return false;
    value.length = (size_t)(work->end - result->text);
  }
  add_header(result, request->scheme->headers[0].signature, value);
  return true;
}

bool lw_sign(const struct lw_sign_request *request, struct lw_signed *result, struct lw_error *error) {
  struct lw_keyring *own = request->keyring == NULL ? lw_keyring_new() : NULL;
  struct work work = {.request = request, .keyring = own != NULL ? own : request->keyring};
  /* cppcheck-suppress ctuuninitvar ; `result` is only written to */
  work.end = result->text;
  lw_buffer_init(&work.params, SIZE_MAX / 2);
  result->count = 0;
  bool ok =
      work.keyring != NULL ? sign(&work, result, error) : lw_fail(error, "memory", "out of memory signing");
  lw_buffer_free(&work.params);
  lw_keyring_free(own);
  return ok;
}
