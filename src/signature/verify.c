#include "signature/verify.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/secret.h"
#include "signature/content.h"
#include "signature/received.h"
#include "signature/twilio.h"

/* Twilio's URL is tried with a port and without. */
enum { MAX_CONTENTS = 2 };

struct check {
  const struct lw_verify_request *request;
  struct lw_keyring *keyring;
  struct lw_key *keys[LW_MAX_SECRETS];
  struct lw_received received;
  struct lw_buffer params; /* twilio's, joined */
  struct lw_content contents[MAX_CONTENTS];
  size_t content_count;
};

static bool get_keys(struct check *check, struct lw_error *error) {
  const struct lw_verify_request *request = check->request;
  if (request->secret_count == 0) return lw_fail(error, "missing_secret", "no secret is given");
  if (request->secret_count > LW_MAX_SECRETS)
    return lw_fail(error, "bad_secret", "more than %d secrets", LW_MAX_SECRETS);
  for (size_t i = 0; i < request->secret_count; i++) {
    check->keys[i] =
        lw_keyring_get(check->keyring, request->scheme, request->secrets[i], LW_KEY_VERIFIES, error);
    if (check->keys[i] == NULL) return false;
  }
  return true;
}

static bool check_age(const struct check *check, struct lw_error *error) {
  const struct lw_verify_request *request = check->request;
  int64_t tolerance = request->tolerance == LW_USUAL_TIME ? request->scheme->tolerance : request->tolerance;
  if (tolerance < 0 || !lw_scheme_has_timestamp(request->scheme)) return true;
  /* The caller's `now` may be any number: without the distance overflowing. */
  int64_t now = request->now < 0 ? 0 : request->now;
  int64_t age = now - check->received.seconds;
  if (age > tolerance)
    return lw_fail(error, "stale", "the timestamp is more than %lld s old", (long long)tolerance);
  return age >= -tolerance ||
         lw_fail(error, "stale", "the timestamp is more than %lld s in the future", (long long)tolerance);
}

/* -- what was signed ------------------------------------------------------------------------------- */

static bool add_content(struct check *check, const struct lw_content_fields *fields, struct lw_error *error) {
  return lw_content_fill(&check->contents[check->content_count++], check->request->scheme->content, fields) ||
         lw_fail(error, "invalid", "the scheme's content names an unknown field");
}

static bool add_url_contents(struct check *check, struct lw_content_fields *fields, struct lw_error *error) {
  const struct lw_verify_request *request = check->request;
  struct lw_twilio_request twilio = {request->url, request->body, request->params, request->param_count};
  if (!lw_twilio_params(&twilio, &check->params, error)) return false;
  fields->params = (struct lw_bytes){check->params.data, check->params.length};
  fields->url = lw_url_cut(request->url);
  struct lw_bytes port = fields->url.port;
  if (port.length == 0) port = lw_url_default_port(request->url);
  fields->url.port = (struct lw_bytes){NULL, 0};
  if (!add_content(check, fields, error)) return false;
  fields->url.port = port;
  return add_content(check, fields, error);
}

static bool prepare_contents(struct check *check, struct lw_error *error) {
  struct lw_content_fields fields = {
      .id = check->received.id, .timestamp = check->received.timestamp, .body = check->request->body};
  if (check->request->scheme->signs_url) return add_url_contents(check, &fields, error);
  return add_content(check, &fields, error);
}

/* -- comparing ------------------------------------------------------------------------------------- */

/* 1 or 0 without a branch. */
static uint32_t equal(const uint8_t *a, const uint8_t *b, size_t length) {
  return ((uint32_t)CRYPTO_memcmp(a, b, length) - 1) >> 31;
}

/* Sets *match to 1 when the HMAC of the content, or the token's hash, is among the signatures. */
static bool match_digest(const struct check *check, struct lw_key *key, const struct lw_content *content,
                         uint32_t *match) {
  uint8_t expected[LW_DIGEST_MAX_SIZE];
  bool ok = lw_key_digest(key, content, expected);
  for (size_t i = 0; ok && i < check->received.count; i++) {
    const struct lw_received_signature *signature = &check->received.signatures[i];
    if (signature->algorithm == lw_key_algorithm(key))
      *match |= equal(expected, signature->digest, lw_digest_size(signature->algorithm));
  }
  OPENSSL_cleanse(expected, sizeof expected);
  return ok;
}

static bool match_ed25519(const struct check *check, struct lw_key *key, const struct lw_content *content,
                          uint32_t *match) {
  struct lw_buffer joined;
  lw_buffer_init(&joined, SIZE_MAX / 2);
  bool ok = lw_content_join(content, &joined);
  for (size_t i = 0; ok && i < check->received.count; i++) {
    const struct lw_received_signature *signature = &check->received.signatures[i];
    if (signature->algorithm == LW_ED25519) *match |= lw_key_accepts(key, &joined, signature->digest);
  }
  lw_buffer_free(&joined);
  return ok;
}

static bool match_key(const struct check *check, struct lw_key *key, uint32_t *match) {
  bool ok = true;
  for (size_t i = 0; ok && i < check->content_count; i++)
    ok = lw_key_algorithm(key) == LW_ED25519 ? match_ed25519(check, key, &check->contents[i], match)
                                             : match_digest(check, key, &check->contents[i], match);
  return ok;
}

/* Every secret is tried, whatever the ones before it gave, and the first that matched is kept by masks. */
static bool compare(const struct check *check, size_t *secret_index, struct lw_error *error) {
  uint32_t found = 0, index = 0;
  for (uint32_t i = 0; i < check->request->secret_count; i++) {
    uint32_t match = 0;
    if (!match_key(check, check->keys[i], &match))
      return lw_fail(error, "crypto", "OpenSSL could not compute the signature");
    index |= (0U - (match & ~found)) & i;
    found |= match;
  }
  if (!lw_reveal(found)) return lw_fail(error, "mismatch", "the signature does not match");
  *secret_index = lw_reveal(index);
  return true;
}

/* -------------------------------------------------------------------------------------------------- */

static bool prove(struct check *check, struct lw_proof *proof, struct lw_error *error) {
  *proof = (struct lw_proof){.id = {NULL, 0}};
  if (!get_keys(check, error) ||
      !lw_receive(check->request->scheme, check->request->headers, check->request->header_count,
                  &check->received, error) ||
      !check_age(check, error) || !prepare_contents(check, error) ||
      !compare(check, &proof->secret_index, error))
    return false;
  proof->id = check->received.id;
  proof->has_timestamp = lw_scheme_has_timestamp(check->request->scheme);
  proof->timestamp = check->received.seconds;
  return !check->request->wants_content_hash || lw_content_hash(&check->contents[0], proof->content_hash) ||
         lw_fail(error, "crypto", "OpenSSL could not hash the signed content");
}

bool lw_verify(const struct lw_verify_request *request, struct lw_proof *proof, struct lw_error *error) {
  struct lw_keyring *own = request->keyring == NULL ? lw_keyring_new() : NULL;
  struct check check = {.request = request, .keyring = own != NULL ? own : request->keyring};
  lw_buffer_init(&check.params, SIZE_MAX / 2);
  bool ok = check.keyring != NULL ? prove(&check, proof, error)
                                  : lw_fail(error, "memory", "out of memory verifying a signature");
  lw_buffer_free(&check.params);
  lw_keyring_free(own);
  return ok;
}
