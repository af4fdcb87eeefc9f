#include "transport/url.h"

#include <curl/curl.h>
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
