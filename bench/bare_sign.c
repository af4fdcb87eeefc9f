/* What signing costs at the least: a keyed EVP_MAC context, re-initialised for each body, and hex. Prints
 * nanoseconds a signature. Usage: bare_sign BYTES ROUNDS */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* CPU time, as os.clock in bench/sign.lua. */
static double nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static EVP_MAC_CTX *keyed_context(void) {
  static const unsigned char key[] = "It's a Secret to Everybody";
  char hash[] = "SHA256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
                             OSSL_PARAM_construct_end()};
  EVP_MAC_CTX *context = EVP_MAC_CTX_new(EVP_MAC_fetch(NULL, "HMAC", NULL));
  if (context == NULL || !EVP_MAC_init(context, key, sizeof key - 1, parameters)) exit(1);
  return context;
}

int main(int count, char **arguments) {
  size_t length = count > 1 ? strtoul(arguments[1], NULL, 10) : 655;
  long rounds = count > 2 ? strtol(arguments[2], NULL, 10) : 1000000;
  EVP_MAC_CTX *context = keyed_context();
  unsigned char *body = malloc(length), digest[32];
  size_t written;
  memset(body, 'x', length);
  double start = nanoseconds();
  for (long i = 0; i < rounds; i++) {
    body[0] = (unsigned char)i;
    if (!EVP_MAC_init(context, NULL, 0, NULL) || !EVP_MAC_update(context, body, length) ||
        !EVP_MAC_final(context, digest, &written, sizeof digest))
      return 1;
  }
  printf("%.1f\n", (nanoseconds() - start) / (double)rounds);
  free(body);
  EVP_MAC_CTX_free(context);
  return 0;
}
