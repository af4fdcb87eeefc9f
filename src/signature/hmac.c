#include "signature/hmac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

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
  pthread_once(&fetched, fetch);
  if (length == 0 || algorithm == NULL) return NULL;
  struct lw_hmac *hmac = calloc(1, sizeof *hmac);
  if (hmac == NULL) return NULL;
  char digest_name[] = "SHA256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
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

bool lw_hmac_digest(struct lw_hmac *hmac, const void *body, size_t length, uint8_t digest[LW_HMAC_SIZE]) {
  size_t written = 0;
  return EVP_MAC_init(hmac->context, NULL, 0, NULL) && EVP_MAC_update(hmac->context, body, length) &&
         EVP_MAC_final(hmac->context, digest, &written, LW_HMAC_SIZE) && written == LW_HMAC_SIZE;
}

bool lw_hmac_hex(struct lw_hmac *hmac, const void *body, size_t length, char hex[LW_HMAC_HEX_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  uint8_t digest[LW_HMAC_SIZE];
  if (!lw_hmac_digest(hmac, body, length, digest)) return false;
  for (int i = 0; i < LW_HMAC_SIZE; i++) {
    hex[2 * i] = digits[digest[i] >> 4];
    hex[2 * i + 1] = digits[digest[i] & 15];
  }
  hex[2 * LW_HMAC_SIZE] = '\0';
  return true;
}
