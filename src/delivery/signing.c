#include "delivery/signing.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/webhook_rules.h"
#include "signature/key.h"
#include "signature/keyring.h"

/* The schemes that a delivery can be signed by. */
static const char *const names[] = {LW_SIGNING_DEFAULT, "standard"};

enum {
  MAX_OLD = LW_MAX_SECRETS - 1,
  MAX_ENTRY = LW_WEBHOOK_MAX_SECRET + LW_TIMESTAMP_SIZE + 2,
};

static const struct lw_scheme *standard(void) {
  return lw_scheme_find("standard");
}

bool lw_signing_has(const char *signing, const char *scheme) {
  const char *at = signing ? signing : LW_SIGNING_DEFAULT;
  size_t length = strlen(scheme);
  while (*at) {
    size_t span = strcspn(at, ",");
    if (span == length && memcmp(at, scheme, length) == 0) return true;
    at += span + (at[span] == ',');
  }
  return false;
}

/* -- checking ------------------------------------------------------------------------------------------ */

static bool is_known(const char *name, size_t length) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) return true;
  return false;
}

static bool check_names(const char *signing, struct lw_error *error) {
  if (signing == NULL) return true;
  if (*signing == '\0') return lw_fail(error, "invalid", "signing: the list is empty");
  for (const char *at = signing; *at;) {
    size_t span = strcspn(at, ",");
    if (!is_known(at, span))
      return lw_fail(error, "invalid", "signing: unknown scheme '%.*s': use capawesome or standard",
                     (int)(span > 40 ? 40 : span), at);
    at += span + (at[span] == ',');
  }
  return true;
}

static bool check_standard(const char *secret, struct lw_error *error) {
  struct lw_error cause;
  struct lw_key *key =
      lw_key_new(standard(), (struct lw_bytes){secret, strlen(secret)}, LW_KEY_SIGNS, &cause);
  lw_key_free(key);
  if (key != NULL) return true;
  bool bad = strcmp(cause.code, "bad_secret") == 0 || strcmp(cause.code, "missing_secret") == 0;
  return lw_fail(error, bad ? "invalid" : cause.code, "signing_secret: %.200s (standard)", cause.message);
}

bool lw_signing_check(const struct lw_webhook *webhook, struct lw_error *error) {
  if (!check_names(webhook->signing, error)) return false;
  if (webhook->signing_secret == NULL || !lw_signing_has(webhook->signing, "standard")) return true;
  return check_standard(webhook->signing_secret, error);
}

/* -- old secrets --------------------------------------------------------------------------------------- */

/* Their text is "until secret,until secret", the newest first; until: milliseconds since the epoch. Only
 * standard's secrets are kept, in which neither ',' nor ' ' can stand. */
struct old_secret {
  int64_t until;
  struct lw_bytes entry, secret;
};

static bool next_old(const char **at, struct old_secret *old) {
  while (*at != NULL && **at != '\0') {
    const char *entry = *at;
    size_t span = strcspn(entry, ",");
    *at += span + (entry[span] == ',');
    char *end;
    old->until = strtoll(entry, &end, 10);
    if (end == entry || *end != ' ' || end + 1 >= entry + span) continue;
    old->entry = (struct lw_bytes){entry, span};
    old->secret = (struct lw_bytes){end + 1, (size_t)(entry + span - end - 1)};
    return true;
  }
  return false;
}

static bool is_text(struct lw_bytes bytes, const char *text) {
  return strlen(text) == bytes.length && memcmp(bytes.data, text, bytes.length) == 0;
}

/* Writes `first` (may be empty) and the entries that still sign at `now`, without `except`. */
static void write_old(char *out, const char *first, const char *text, const char *except, int64_t now) {
  char *end = stpcpy(out, first);
  struct old_secret old;
  while (next_old(&text, &old)) {
    if (old.until <= now || is_text(old.secret, except)) continue;
    if (end > out) *end++ = ',';
    memcpy(end, old.entry.data, old.entry.length);
    end += old.entry.length;
  }
  *end = '\0';
}

/* Puts `first` before what is left of the old secrets. */
static bool rewrite_old(struct lw_webhook *webhook, const char *first, const char *except, int64_t now,
                        struct lw_error *error) {
  const char *text = webhook->old_secrets ? webhook->old_secrets : "";
  char *written = malloc(strlen(first) + strlen(text) + 2);
  if (written == NULL) return lw_fail(error, "memory", "out of memory");
  write_old(written, first, text, except, now);
  lw_wipe_text(&webhook->old_secrets);
  if (*written == '\0') lw_wipe_text(&written);
  webhook->old_secrets = written;
  return true;
}

static int count_old(const char *text) {
  struct old_secret old;
  int count = 0;
  while (next_old(&text, &old)) count++;
  return count;
}

bool lw_signing_expire(struct lw_webhook *webhook, int64_t now, struct lw_error *error) {
  if (webhook->old_secrets == NULL) return true;
  bool listed = webhook->signing_secret != NULL && lw_signing_has(webhook->signing, "standard");
  return rewrite_old(webhook, "", "", listed ? now : INT64_MAX, error);
}

bool lw_signing_rotate(struct lw_webhook *webhook, const char *secret, int64_t until, int64_t now,
                       struct lw_error *error) {
  char first[MAX_ENTRY] = "";
  if (webhook->signing_secret == NULL)
    return lw_fail(error, "invalid", "rotate_secret: the webhook has no signing_secret to replace");
  if (strcmp(webhook->signing_secret, secret) == 0)
    return lw_fail(error, "invalid", "signing_secret: the new one is the one in use");
  if (lw_signing_has(webhook->signing, "standard") && until > now)
    snprintf(first, sizeof first, "%" PRId64 " %s", until, webhook->signing_secret);
  bool ok = lw_signing_expire(webhook, now, error) && rewrite_old(webhook, first, secret, now, error);
  OPENSSL_cleanse(first, sizeof first);
  if (!ok) return false;
  if (count_old(webhook->old_secrets) > MAX_OLD)
    return lw_fail(error, "invalid", "rotate_secret: %d old secrets still sign, no more can", MAX_OLD);
  char *copy = strdup(secret);
  if (copy == NULL) return lw_fail(error, "memory", "out of memory");
  lw_wipe_text(&webhook->signing_secret);
  webhook->signing_secret = copy;
  return true;
}

/* -- signing ------------------------------------------------------------------------------------------- */

/* A keyring of its own: many webhooks would push each other's keys out of a common one. */
struct lw_signer {
  struct lw_keyring *keyring;
  struct lw_bytes secrets[LW_MAX_SECRETS]; /* the webhook's own, then the old ones */
  int64_t until[LW_MAX_SECRETS];
  size_t count;
};

/* An old secret that is in no form (nobody but us should write there) does not keep the others from signing.
 */
static bool add_secret(struct lw_signer *signer, struct lw_bytes secret, int64_t until,
                       struct lw_error *error) {
  if (lw_keyring_get(signer->keyring, standard(), secret, LW_KEY_SIGNS, error) == NULL)
    return signer->count > 0 && strcmp(error->code, "bad_secret") == 0;
  signer->secrets[signer->count] = secret;
  signer->until[signer->count++] = until;
  return true;
}

struct lw_signer *lw_signer_new(const struct lw_webhook *webhook, struct lw_error *error) {
  struct lw_signer *signer = calloc(1, sizeof *signer);
  if (signer != NULL) signer->keyring = lw_keyring_new();
  if (signer == NULL || signer->keyring == NULL) {
    lw_signer_free(signer);
    lw_fail(error, "memory", "out of memory");
    return NULL;
  }
  const char *at = webhook->old_secrets;
  struct lw_bytes secret = {webhook->signing_secret, strlen(webhook->signing_secret)};
  struct old_secret old;
  bool ok = add_secret(signer, secret, INT64_MAX, error);
  while (ok && signer->count < LW_MAX_SECRETS && next_old(&at, &old))
    ok = add_secret(signer, old.secret, old.until, error);
  if (ok) return signer;
  lw_signer_free(signer);
  return NULL;
}

void lw_signer_free(struct lw_signer *signer) {
  if (signer == NULL) return;
  lw_keyring_free(signer->keyring);
  free(signer);
}

bool lw_signer_sign(struct lw_signer *signer, struct lw_bytes id, struct lw_bytes body, int64_t now,
                    struct lw_signed *result) {
  struct lw_bytes secrets[LW_MAX_SECRETS];
  struct lw_sign_request request = {.scheme = standard(),
                                    .secrets = secrets,
                                    .body = body,
                                    .id = id,
                                    .timestamp = now > 0 ? now / 1000 : 0,
                                    .keyring = signer->keyring};
  for (size_t i = 0; i < signer->count; i++)
    if (signer->until[i] > now) secrets[request.secret_count++] = signer->secrets[i];
  struct lw_error error;
  return lw_sign(&request, result, &error);
}
