#include "signature/hmac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#include "signature/encoding.h"

struct lw_hmac {
  EVP_MAC_CTX *context;
};

static EVP_MAC *algorithm;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

/* Fetching walks OpenSSL's providers, which costs more than a signature: once per process. */
static void fetch(void) {
  algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

struct lw_hmac *lw_hmac_new(const void *secret, size_t length) {
  return lw_hmac_new_of("SHA256", secret, length);
}

struct lw_hmac *lw_hmac_new_of(const char *hash, const void *secret, size_t length) {
  pthread_once(&fetched, fetch);
  if (length == 0 || algorithm == NULL) return NULL;
  struct lw_hmac *hmac = calloc(1, sizeof *hmac);
  if (hmac == NULL) return NULL;
  /* OpenSSL takes the name without const, and only reads it. */
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)hash, 0),
                             OSSL_PARAM_construct_end()};
  hmac->context = EVP_MAC_CTX_new(algorithm);
  if (hmac->context && EVP_MAC_init(hmac->context, secret, length, parameters)) return hmac;
  lw_hmac_free(hmac);
  return NULL;
}

void lw_hmac_free(struct lw_hmac *hmac) {
  if (hmac == NULL) return;
  EVP_MAC_CTX_free(hmac->context);
  free(hmac);
}

bool lw_hmac_begin(struct lw_hmac *hmac) {
  return EVP_MAC_init(hmac->context, NULL, 0, NULL);
}

bool lw_hmac_add(struct lw_hmac *hmac, const void *bytes, size_t length) {
  return EVP_MAC_update(hmac->context, bytes, length);
}

bool lw_hmac_end(struct lw_hmac *hmac, uint8_t digest[LW_HMAC_MAX_SIZE], size_t *size) {
  return EVP_MAC_final(hmac->context, digest, size, LW_HMAC_MAX_SIZE);
}

bool lw_hmac_digest(struct lw_hmac *hmac, const void *body, size_t length, uint8_t digest[LW_HMAC_SIZE]) {
  size_t written = 0;
  return lw_hmac_begin(hmac) && lw_hmac_add(hmac, body, length) &&
         EVP_MAC_final(hmac->context, digest, &written, LW_HMAC_SIZE) && written == LW_HMAC_SIZE;
}

bool lw_hmac_hex(struct lw_hmac *hmac, const void *body, size_t length, char hex[LW_HMAC_HEX_SIZE]) {
  uint8_t digest[LW_HMAC_SIZE];
  if (!lw_hmac_digest(hmac, body, length, digest)) return false;
  lw_hex_encode(digest, sizeof digest, hex);
  hex[LW_HEX_LENGTH(sizeof digest)] = '\0';
  return true;
}
