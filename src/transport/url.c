#include "transport/url.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* curl would send such bytes as they are or change them; either way another URL than the one written. */
static bool plain_characters(const char *url) {
  for (const unsigned char *at = (const unsigned char *)url; *at; at++)
    if (*at <= ' ' || *at >= 0x7f) return false;
  return true;
}

static bool parse_failed(CURLUcode code, struct lw_error *error) {
  if (code == CURLUE_NO_HOST) return lw_fail(error, "invalid", "the URL has no host");
  if (code == CURLUE_BAD_SCHEME)
    return lw_fail(error, "invalid", "the URL must start with http:// or https://");
  if (code == CURLUE_OUT_OF_MEMORY) return lw_fail(error, "memory", "out of memory");
  return lw_fail(error, "invalid", "the URL is not valid: %s", curl_url_strerror(code));
}

static bool check_scheme(CURLU *parsed, struct lw_error *error) {
  char *scheme = NULL;
  CURLUcode code = curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
  if (code != CURLUE_OK) return parse_failed(code, error);
  bool good = strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0;
  if (!good) lw_fail(error, "invalid", "scheme '%.32s' is not allowed: use http or https", scheme);
  curl_free(scheme);
  return good;
}

/* curl reads "http:///path" as if "path" were the host. */
static bool slash_for_host(const char *url) {
  const char *authority = strstr(url, "://");
  return authority != NULL && authority[3] == '/';
}

static bool check_host(CURLU *parsed, const char *url, struct lw_error *error) {
  char *host = NULL;
  CURLUcode code = curl_url_get(parsed, CURLUPART_HOST, &host, 0);
  if (code != CURLUE_OK && code != CURLUE_NO_HOST) return parse_failed(code, error);
  bool good = !slash_for_host(url) && host != NULL && host[0] != '\0';
  curl_free(host);
  return good || parse_failed(CURLUE_NO_HOST, error);
}

bool lw_url_check(const char *url, struct lw_error *error) {
  if (url == NULL || url[0] == '\0') return lw_fail(error, "invalid", "the URL is empty");
  if (strnlen(url, LW_URL_MAX + 1) > LW_URL_MAX)
    return lw_fail(error, "invalid", "the URL is longer than %d bytes", LW_URL_MAX);
  if (!plain_characters(url))
    return lw_fail(error, "invalid",
                   "the URL has a space, a control character or a byte outside ASCII: percent-encode it");
  CURLU *parsed = curl_url();
  if (parsed == NULL) return parse_failed(CURLUE_OUT_OF_MEMORY, error);
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
  bool good = code == CURLUE_OK ? check_scheme(parsed, error) && check_host(parsed, url, error)
                                : parse_failed(code, error);
  curl_url_cleanup(parsed);
  return good;
}

/* -- credentials ------------------------------------------------------------------------------------ */

/* curl's own strings are freed by curl, and hold secrets. */
static void wipe(char *text) {
  if (text != NULL) OPENSSL_cleanse(text, strlen(text));
  curl_free(text);
}

/* *part: "" where there is none. */
static bool get_part(CURLU *parsed, CURLUPart which, CURLUcode none, char **part, struct lw_error *error) {
  CURLUcode code = curl_url_get(parsed, which, part, CURLU_URLDECODE);
  if (code == CURLUE_OK || code == none) return true;
  if (code == CURLUE_OUT_OF_MEMORY) return parse_failed(code, error);
  return lw_fail(error, "invalid",
                 "the URL's user or password holds a control character or cannot be decoded");
}

static bool join(const char *user, const char *password, char **credentials, struct lw_error *error) {
  if (user == NULL) user = "";
  if (password == NULL) password = "";
  if (strchr(user, ':') != NULL) return lw_fail(error, "invalid", "the URL's user holds a colon");
  size_t user_length = strlen(user), password_length = strlen(password);
  char *joined = malloc(user_length + password_length + 2);
  if (joined == NULL) return parse_failed(CURLUE_OUT_OF_MEMORY, error);
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
  if (code != CURLUE_OK) return parse_failed(code, error);
  *plain = strdup(text);
  curl_free(text);
  return *plain != NULL || parse_failed(CURLUE_OUT_OF_MEMORY, error);
}

bool lw_url_split_credentials(const char *url, char **plain, char **credentials, struct lw_error *error) {
  *plain = *credentials = NULL;
  if (strchr(url, '@') == NULL) return true;
  CURLU *parsed = curl_url();
  if (parsed == NULL) return parse_failed(CURLUE_OUT_OF_MEMORY, error);
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
  bool ok = code == CURLUE_OK || parse_failed(code, error);
  ok = ok && take_credentials(parsed, credentials, error) &&
       (*credentials == NULL || without_credentials(parsed, plain, error));
  curl_url_cleanup(parsed);
  if (ok) return true;
  if (*credentials != NULL) OPENSSL_cleanse(*credentials, strlen(*credentials));
  free(*credentials);
  *credentials = NULL;
  return false;
}
