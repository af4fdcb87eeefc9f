#include "signature/key.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/encoding.h"
#include "base/secret.h"
#include "signature/hmac.h"

enum {
  SHA1_SIZE = 20,
  SHA256_SIZE = 32,
  SHA512_SIZE = 64,
  ED25519_KEY_SIZE = 32,
  ED25519_SIGNATURE_SIZE = 64,
  /* Standard Webhooks, "Signature scheme": a symmetric secret has 24 to 64 bytes. */
  STANDARD_MIN_SIZE = 24,
  STANDARD_MAX_SIZE = 64,
};

struct lw_key {
  enum lw_algorithm algorithm;
  struct lw_hmac *hmac;
  EVP_PKEY *pair;
  uint8_t token_hash[SHA256_SIZE];
};

enum lw_algorithm lw_key_algorithm(const struct lw_key *key) {
  return key->algorithm;
}

size_t lw_digest_size(enum lw_algorithm algorithm) {
  switch (algorithm) {
    case LW_HMAC_SHA1:
      return SHA1_SIZE;
    case LW_HMAC_SHA512:
      return SHA512_SIZE;
    case LW_ED25519:
      return ED25519_SIGNATURE_SIZE;
    case LW_HMAC_SHA256:
    case LW_TOKEN:
      break;
  }
  return SHA256_SIZE;
}

/* -- from text to key ------------------------------------------------------------------------------ */

static enum lw_hash hash_of(enum lw_algorithm algorithm) {
  return algorithm == LW_HMAC_SHA1 ? LW_SHA1 : algorithm == LW_HMAC_SHA512 ? LW_SHA512 : LW_SHA256;
}

static bool set_hmac(struct lw_key *key, enum lw_algorithm algorithm, struct lw_bytes secret,
                     struct lw_error *error) {
  key->algorithm = algorithm;
  key->hmac = lw_hmac_new_of(hash_of(algorithm), secret.data, secret.length);
  return key->hmac != NULL || lw_fail(error, "crypto", "OpenSSL could not key an HMAC");
}

bool lw_token_hash(struct lw_bytes token, uint8_t *hash) {
  return EVP_Digest(token.data, token.length, hash, NULL, EVP_sha256(), NULL);
}

static bool set_token(struct lw_key *key, struct lw_bytes secret, struct lw_error *error) {
  key->algorithm = LW_TOKEN;
  return lw_token_hash(secret, key->token_hash) || lw_fail(error, "crypto", "OpenSSL could not hash a token");
}

static bool set_private(struct lw_key *key, const uint8_t *seed, struct lw_error *error) {
  key->algorithm = LW_ED25519;
  key->pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_KEY_SIZE);
  return key->pair != NULL || lw_fail(error, "crypto", "OpenSSL could not make an ed25519 key");
}

static bool set_public(struct lw_key *key, const uint8_t *bytes, struct lw_error *error) {
  key->algorithm = LW_ED25519;
  key->pair = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, ED25519_KEY_SIZE);
  return key->pair != NULL || lw_fail(error, "crypto", "OpenSSL could not make an ed25519 key");
}

static bool starts_with(struct lw_bytes text, const char *prefix) {
  size_t length = strlen(prefix);
  return text.length >= length && lw_reveal(CRYPTO_memcmp(text.data, prefix, length) == 0);
}

static struct lw_bytes after(struct lw_bytes text, const char *prefix) {
  size_t length = strlen(prefix);
  return (struct lw_bytes){text.data + length, text.length - length};
}

/* Standard Webhooks, "Signature scheme": whsk_ is base64 of the seed and the public key. */
static bool read_private(struct lw_key *key, struct lw_bytes base64, struct lw_error *error) {
  uint8_t bytes[2 * ED25519_KEY_SIZE], own[ED25519_KEY_SIZE] = {0};
  size_t length, own_length = sizeof own;
  bool ok = lw_reveal(lw_base64_decode(base64, bytes, sizeof bytes, &length)) && length == sizeof bytes;
  if (!ok) lw_fail(error, "bad_secret", "a private key must be 'whsk_' and 64 bytes in base64");
  ok = ok && set_private(key, bytes, error);
  /* A signature under a public key that is not the seed's gives the seed away. */
  if (ok && (!EVP_PKEY_get_raw_public_key(key->pair, own, &own_length) ||
             !lw_reveal(CRYPTO_memcmp(own, bytes + ED25519_KEY_SIZE, sizeof own) == 0)))
    ok = lw_fail(error, "bad_secret", "the public half of a private key does not belong to its seed");
  OPENSSL_cleanse(bytes, sizeof bytes);
  return ok;
}

static bool read_public(struct lw_key *key, struct lw_bytes base64, struct lw_error *error) {
  uint8_t bytes[ED25519_KEY_SIZE];
  size_t length;
  if (!lw_reveal(lw_base64_decode(base64, bytes, sizeof bytes, &length)) || length != sizeof bytes)
    return lw_fail(error, "bad_secret", "a public key must be 'whpk_' and 32 bytes in base64");
  return set_public(key, bytes, error);
}

static bool read_symmetric(struct lw_key *key, struct lw_bytes base64, struct lw_error *error) {
  uint8_t bytes[STANDARD_MAX_SIZE];
  size_t length;
  bool ok = lw_reveal(lw_base64_decode(base64, bytes, sizeof bytes, &length)) && length >= STANDARD_MIN_SIZE;
  if (!ok)
    lw_fail(error, "bad_secret", "a secret must be 'whsec_' and %d to %d bytes in base64", STANDARD_MIN_SIZE,
            STANDARD_MAX_SIZE);
  ok = ok && set_hmac(key, LW_HMAC_SHA256, (struct lw_bytes){(const char *)bytes, length}, error);
  OPENSSL_cleanse(bytes, sizeof bytes);
  return ok;
}

static bool read_standard(struct lw_key *key, struct lw_bytes secret, enum lw_key_use use,
                          struct lw_error *error) {
  if (starts_with(secret, "whsk_")) return read_private(key, after(secret, "whsk_"), error);
  if (starts_with(secret, "whpk_")) {
    if (use == LW_KEY_SIGNS) return lw_fail(error, "bad_secret", "a public key (whpk_) cannot sign");
    return read_public(key, after(secret, "whpk_"), error);
  }
  return read_symmetric(key, starts_with(secret, "whsec_") ? after(secret, "whsec_") : secret, error);
}

static bool read_hex(struct lw_key *key, struct lw_bytes secret, enum lw_key_use use,
                     struct lw_error *error) {
  uint8_t bytes[ED25519_KEY_SIZE];
  bool ok = lw_reveal(lw_hex_decode(secret, bytes, sizeof bytes));
  if (!ok)
    lw_fail(error, "bad_secret", "a %s must be 64 lower-case hex digits",
            use == LW_KEY_SIGNS ? "private seed" : "public key");
  ok = ok && (use == LW_KEY_SIGNS ? set_private(key, bytes, error) : set_public(key, bytes, error));
  OPENSSL_cleanse(bytes, sizeof bytes);
  return ok;
}

static bool read_secret(struct lw_key *key, const struct lw_scheme *scheme, struct lw_bytes secret,
                        enum lw_key_use use, struct lw_error *error) {
  if (scheme->key == LW_KEY_STANDARD) return read_standard(key, secret, use, error);
  if (scheme->key == LW_KEY_HEX) return read_hex(key, secret, use, error);
  if (scheme->algorithm == LW_TOKEN) return set_token(key, secret, error);
  return set_hmac(key, scheme->algorithm, secret, error);
}

struct lw_key *lw_key_new(const struct lw_scheme *scheme, struct lw_bytes secret, enum lw_key_use use,
                          struct lw_error *error) {
  if (secret.length == 0) {
    lw_fail(error, "missing_secret", "the secret is empty");
    return NULL;
  }
  struct lw_key *key = calloc(1, sizeof *key);
  if (key == NULL) {
    lw_fail(error, "memory", "out of memory making a key");
    return NULL;
  }
  ERR_set_mark();
  bool ok = read_secret(key, scheme, secret, use, error);
  ERR_pop_to_mark();
  if (ok) return key;
  lw_key_free(key);
  return NULL;
}

void lw_key_free(struct lw_key *key) {
  if (key == NULL) return;
  lw_hmac_free(key->hmac);
  EVP_PKEY_free(key->pair);
  OPENSSL_cleanse(key, sizeof *key);
  free(key);
}

/* -- computing ------------------------------------------------------------------------------------- */

bool lw_key_digest(struct lw_key *key, const struct lw_content *content, uint8_t digest[LW_DIGEST_MAX_SIZE]) {
  if (key->algorithm == LW_TOKEN) {
    memcpy(digest, key->token_hash, sizeof key->token_hash);
    return true;
  }
  size_t size = 0;
  bool ok = lw_hmac_begin(key->hmac);
  for (size_t i = 0; ok && i < content->count; i++)
    ok = lw_hmac_add(key->hmac, content->pieces[i].data, content->pieces[i].length);
  return ok && lw_hmac_end(key->hmac, digest, &size) && size == lw_digest_size(key->algorithm);
}

bool lw_key_sign(struct lw_key *key, const struct lw_buffer *content, uint8_t signature[LW_DIGEST_MAX_SIZE]) {
  size_t size = ED25519_SIGNATURE_SIZE;
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  ERR_set_mark();
  bool ok = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key->pair) == 1 &&
            EVP_DigestSign(context, signature, &size, (const uint8_t *)content->data, content->length) == 1;
  ERR_pop_to_mark();
  EVP_MD_CTX_free(context);
  return ok;
}

/* A wrong signature leaves entries in OpenSSL's error queue, where a host (nginx) would find them: hence the
 * marks. */
bool lw_key_accepts(struct lw_key *key, const struct lw_buffer *content, const uint8_t *signature) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  ERR_set_mark();
  bool ok = context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pair) == 1 &&
            EVP_DigestVerify(context, signature, ED25519_SIGNATURE_SIZE, (const uint8_t *)content->data,
                             content->length) == 1;
  ERR_pop_to_mark();
  EVP_MD_CTX_free(context);
  return ok;
}
