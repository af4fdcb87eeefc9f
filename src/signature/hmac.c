#include "signature/hmac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/encoding.h"

enum { MAX_BLOCK_SIZE = 128 /* of SHA-512 */, INNER_PAD = 0x36, OUTER_PAD = 0x5c };

/* RFC 2104: H(key ^ opad, H(key ^ ipad, text)). The hashes of the two padded keys are kept, and copied for
 * each text. OpenSSL's own EVP_MAC does the same; going around it saves a tenth of a short signature. */
struct lw_hmac {
  EVP_MD_CTX *inner, *outer, *work;
};

static EVP_MD *sha1, *sha256, *sha512;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

/* Fetching walks OpenSSL's providers, which costs more than a signature: once per process. */
static void fetch(void) {
  sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
  sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
}

static const EVP_MD *hash_of(enum lw_hash hash) {
  pthread_once(&fetched, fetch);
  return hash == LW_SHA1 ? sha1 : hash == LW_SHA512 ? sha512 : sha256;
}

struct lw_hmac *lw_hmac_new(const void *secret, size_t length) {
  return lw_hmac_new_of(LW_SHA256, secret, length);
}

static bool start(EVP_MD_CTX *context, const EVP_MD *hash, const uint8_t key[MAX_BLOCK_SIZE], uint8_t pad) {
  uint8_t padded[MAX_BLOCK_SIZE];
  for (size_t i = 0; i < sizeof padded; i++) padded[i] = key[i] ^ pad;
  bool ok = context != NULL && EVP_DigestInit_ex(context, hash, NULL) &&
            EVP_DigestUpdate(context, padded, (size_t)EVP_MD_get_block_size(hash));
  OPENSSL_cleanse(padded, sizeof padded);
  return ok;
}

static bool set_key(struct lw_hmac *hmac, const EVP_MD *hash, const void *secret, size_t length) {
  uint8_t key[MAX_BLOCK_SIZE] = {0};
  bool ok = true;
  if (length > (size_t)EVP_MD_get_block_size(hash))
    ok = EVP_Digest(secret, length, key, NULL, hash, NULL);
  else
    memcpy(key, secret, length);
  ok = ok && start(hmac->inner, hash, key, INNER_PAD) && start(hmac->outer, hash, key, OUTER_PAD);
  OPENSSL_cleanse(key, sizeof key);
  return ok;
}

struct lw_hmac *lw_hmac_new_of(enum lw_hash name, const void *secret, size_t length) {
  const EVP_MD *hash = hash_of(name);
  if (length == 0 || hash == NULL) return NULL;
  struct lw_hmac *hmac = calloc(1, sizeof *hmac);
  if (hmac == NULL) return NULL;
  hmac->inner = EVP_MD_CTX_new();
  hmac->outer = EVP_MD_CTX_new();
  hmac->work = EVP_MD_CTX_new();
  if (hmac->work != NULL && set_key(hmac, hash, secret, length)) return hmac;
  lw_hmac_free(hmac);
  return NULL;
}

void lw_hmac_free(struct lw_hmac *hmac) {
  if (hmac == NULL) return;
  EVP_MD_CTX_free(hmac->inner);
  EVP_MD_CTX_free(hmac->outer);
  EVP_MD_CTX_free(hmac->work);
  free(hmac);
}

bool lw_hmac_begin(struct lw_hmac *hmac) {
  return EVP_MD_CTX_copy_ex(hmac->work, hmac->inner);
}

bool lw_hmac_add(struct lw_hmac *hmac, const void *bytes, size_t length) {
  return EVP_DigestUpdate(hmac->work, bytes, length);
}

bool lw_hmac_end(struct lw_hmac *hmac, uint8_t digest[LW_HMAC_MAX_SIZE], size_t *size) {
  unsigned written = 0;
  bool ok = EVP_DigestFinal_ex(hmac->work, digest, &written) && EVP_MD_CTX_copy_ex(hmac->work, hmac->outer) &&
            EVP_DigestUpdate(hmac->work, digest, written) && EVP_DigestFinal_ex(hmac->work, digest, &written);
  *size = written;
  return ok;
}

bool lw_hmac_digest(struct lw_hmac *hmac, const void *body, size_t length, uint8_t digest[LW_HMAC_SIZE]) {
  uint8_t whole[LW_HMAC_MAX_SIZE];
  size_t written = 0;
  bool ok = lw_hmac_begin(hmac) && lw_hmac_add(hmac, body, length) && lw_hmac_end(hmac, whole, &written) &&
            written == LW_HMAC_SIZE;
  if (ok) memcpy(digest, whole, LW_HMAC_SIZE);
  return ok;
}

bool lw_hmac_hex(struct lw_hmac *hmac, const void *body, size_t length, char hex[LW_HMAC_HEX_SIZE]) {
  uint8_t digest[LW_HMAC_SIZE];
  if (!lw_hmac_digest(hmac, body, length, digest)) return false;
  lw_hex_encode(digest, sizeof digest, hex);
  hex[LW_HEX_LENGTH(sizeof digest)] = '\0';
  return true;
}
