#include "delivery/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "base/encoding.h"
#include "store/store.h"
#include "transport/url_credentials.h"

#define SCHEME "Basic "

/* The value of an Authorization header, or NULL (memory). */
static char *basic(const char *credentials) {
  size_t length = strlen(credentials), prefix = strlen(SCHEME), encoded = LW_BASE64_LENGTH(length);
  char *value = malloc(prefix + encoded + 1);
  if (value == NULL) return NULL;
  memcpy(value, SCHEME, prefix);
  lw_base64_encode((const uint8_t *)credentials, length, value + prefix);
  value[prefix + encoded] = '\0';
  return value;
}

bool lw_credentials_move(char **url, struct lw_settings *settings, struct lw_error *error) {
  char *plain, *credentials;
  if (!lw_url_split_credentials(*url, &plain, &credentials, error)) return false;
  if (credentials == NULL) return true;
  char *value = basic(credentials);
  lw_wipe_text(&credentials);
  bool ok = value != NULL && lw_settings_set_text(settings, LW_SET_AUTHORIZATION, value);
  lw_wipe_text(&value);
  if (!ok) {
    free(plain);
    return lw_fail(error, "memory", "out of memory");
  }
  lw_wipe_text(url);
  *url = plain;
  return true;
}
