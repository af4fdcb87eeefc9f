#include "signature/schemes.h"

#include <openssl/crypto.h>
#include <string.h>

#include "signature/hmac.h"

static bool lower_hex(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    bool letter = text[i] >= 'a' && text[i] <= 'f';
    if (!digit && !letter) return false;
  }
  return true;
}

bool lw_capawesome_verify(const char *secret, size_t secret_length, const char *signature, size_t length,
                          const void *body, size_t body_length, struct lw_error *error) {
  if (secret_length == 0) return lw_fail(error, "missing_secret", "the secret is empty");
  if (length != LW_HMAC_HEX_SIZE - 1)
    return lw_fail(error, "bad_format", "the signature must be 64 hex digits, got %zu characters", length);
  if (!lower_hex(signature, length))
    return lw_fail(error, "bad_format", "the signature must be lower-case hex");
  struct lw_hmac *hmac = lw_hmac_new(secret, secret_length);
  char expected[LW_HMAC_HEX_SIZE];
  bool made = hmac != NULL && lw_hmac_hex(hmac, body, body_length, expected);
  lw_hmac_free(hmac);
  if (!made) return lw_fail(error, "crypto", "OpenSSL could not compute the HMAC");
  bool equal = CRYPTO_memcmp(expected, signature, length) == 0;
  OPENSSL_cleanse(expected, sizeof expected);
  return equal || lw_fail(error, "mismatch", "the signature does not match the body");
}
