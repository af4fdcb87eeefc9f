#include "signature/keyring.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

/* What decides how a secret is read, and the secret. */
struct entry {
  enum lw_algorithm algorithm;
  enum lw_key_form form;
  enum lw_key_use use;
  uint8_t *secret;
  size_t length;
  struct lw_key *key; /* NULL: the entry is empty */
};

/* The most recently used entry stands first. */
struct lw_keyring {
  struct entry entries[LW_KEYRING_SIZE];
};

struct lw_keyring *lw_keyring_new(void) {
  return calloc(1, sizeof(struct lw_keyring));
}

static void forget(struct entry *entry) {
  lw_key_free(entry->key);
  if (entry->secret != NULL) OPENSSL_cleanse(entry->secret, entry->length);
  free(entry->secret);
}

void lw_keyring_free(struct lw_keyring *keyring) {
  if (keyring == NULL) return;
  for (int i = 0; i < LW_KEYRING_SIZE; i++) forget(&keyring->entries[i]);
  free(keyring);
}

/* CRYPTO_memcmp goes byte by byte; this is the signer's fast path. */
static bool equal(const uint8_t *a, const char *b, size_t length) {
  uint64_t difference = 0, left, right;
  for (; length >= sizeof left; length -= sizeof left, a += sizeof left, b += sizeof left) {
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    difference |= left ^ right;
  }
  for (size_t i = 0; i < length; i++) difference |= (uint64_t)(a[i] ^ (uint8_t)b[i]);
  return lw_reveal((uint32_t)((difference | (0 - difference)) >> 63)) == 0;
}

static bool matches(const struct entry *entry, const struct lw_scheme *scheme, struct lw_bytes secret,
                    enum lw_key_use use) {
  return entry->key != NULL && entry->length == secret.length && entry->algorithm == scheme->algorithm &&
         entry->form == scheme->key && entry->use == use && equal(entry->secret, secret.data, secret.length);
}

static bool fill(struct entry *entry, const struct lw_scheme *scheme, struct lw_bytes secret,
                 enum lw_key_use use, struct lw_error *error) {
  *entry = (struct entry){.algorithm = scheme->algorithm, .form = scheme->key, .use = use};
  entry->key = lw_key_new(scheme, secret, use, error);
  if (entry->key == NULL) return false;
  entry->secret = malloc(secret.length);
  if (entry->secret == NULL) {
    lw_key_free(entry->key);
    return lw_fail(error, "memory", "out of memory keeping a key");
  }
  memcpy(entry->secret, secret.data, secret.length);
  entry->length = secret.length;
  return true;
}

static void put_first(struct lw_keyring *keyring, int place, struct entry entry) {
  memmove(&keyring->entries[1], &keyring->entries[0], (size_t)place * sizeof entry);
  keyring->entries[0] = entry;
}

struct lw_key *lw_keyring_get(struct lw_keyring *keyring, const struct lw_scheme *scheme,
                              struct lw_bytes secret, enum lw_key_use use, struct lw_error *error) {
  for (int i = 0; i < LW_KEYRING_SIZE && keyring->entries[i].key != NULL; i++) {
    if (!matches(&keyring->entries[i], scheme, secret, use)) continue;
    if (i > 0) put_first(keyring, i, keyring->entries[i]);
    return keyring->entries[0].key;
  }
  struct entry made;
  if (!fill(&made, scheme, secret, use, error)) return NULL;
  forget(&keyring->entries[LW_KEYRING_SIZE - 1]);
  put_first(keyring, LW_KEYRING_SIZE - 1, made);
  return made.key;
}
