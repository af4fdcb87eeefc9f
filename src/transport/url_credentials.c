#include "transport/url_credentials.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static bool failed(CURLUcode code, struct lw_error *error) {
  if (code == CURLUE_OUT_OF_MEMORY) return lw_fail(error, "memory", "out of memory");
  return lw_fail(error, "invalid", "the URL is not valid: %s", curl_url_strerror(code));
}

/* curl's own strings are freed by curl, and hold secrets. */
static void wipe(char *text) {
  if (text != NULL) OPENSSL_cleanse(text, strlen(text));
  curl_free(text);
}

/* *part: "" where there is none. */
static bool get_part(CURLU *parsed, CURLUPart which, CURLUcode none, char **part, struct lw_error *error) {
  CURLUcode code = curl_url_get(parsed, which, part, CURLU_URLDECODE);
  if (code == CURLUE_OK || code == none) return true;
  if (code == CURLUE_OUT_OF_MEMORY) return failed(code, error);
  return lw_fail(error, "invalid",
                 "the URL's user or password holds a control character or cannot be decoded");
}

static bool join(const char *user, const char *password, char **credentials, struct lw_error *error) {
  if (user == NULL) user = "";
  if (password == NULL) password = "";
  if (strchr(user, ':') != NULL) return lw_fail(error, "invalid", "the URL's user holds a colon");
  size_t user_length = strlen(user), password_length = strlen(password);
  char *joined = malloc(user_length + password_length + 2);
  if (joined == NULL) return failed(CURLUE_OUT_OF_MEMORY, error);
  memcpy(joined, user, user_length);
  joined[user_length] = ':';
  memcpy(joined + user_length + 1, password, password_length + 1);
  *credentials = joined;
  return true;
}

static bool take_credentials(CURLU *parsed, char **credentials, struct lw_error *error) {
  char *user = NULL, *password = NULL;
  bool ok = get_part(parsed, CURLUPART_USER, CURLUE_NO_USER, &user, error) &&
            get_part(parsed, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD, &password, error) &&
            ((user == NULL && password == NULL) || join(user, password, credentials, error));
  wipe(user);
  wipe(password);
  return ok;
}

static bool without_credentials(CURLU *parsed, char **plain, struct lw_error *error) {
  char *text = NULL;
  CURLUcode code = curl_url_set(parsed, CURLUPART_USER, NULL, 0);
  if (code == CURLUE_OK) code = curl_url_set(parsed, CURLUPART_PASSWORD, NULL, 0);
  if (code == CURLUE_OK) code = curl_url_get(parsed, CURLUPART_URL, &text, 0);
  if (code != CURLUE_OK) return failed(code, error);
  *plain = strdup(text);
  curl_free(text);
  return *plain != NULL || failed(CURLUE_OUT_OF_MEMORY, error);
}

bool lw_url_split_credentials(const char *url, char **plain, char **credentials, struct lw_error *error) {
  *plain = *credentials = NULL;
  if (strchr(url, '@') == NULL) return true;
  CURLU *parsed = curl_url();
  if (parsed == NULL) return failed(CURLUE_OUT_OF_MEMORY, error);
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
  bool ok = code == CURLUE_OK || failed(code, error);
  ok = ok && take_credentials(parsed, credentials, error) &&
       (*credentials == NULL || without_credentials(parsed, plain, error));
  curl_url_cleanup(parsed);
  if (ok) return true;
  if (*credentials != NULL) OPENSSL_cleanse(*credentials, strlen(*credentials));
  free(*credentials);
  *credentials = NULL;
  return false;
}
