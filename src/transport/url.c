#include "transport/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST_HOST = 255 }; /* RFC 1035, section 2.3.4 */

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
  /* Percent-encoded bytes have been decoded here. */
  bool plain = !good || plain_characters(host);
  curl_free(host);
  if (!good) return parse_failed(CURLUE_NO_HOST, error);
  return plain || lw_fail(error, "invalid", "the URL's host has a byte outside ASCII: write it as xn--…");
}

static bool check(const char *url, CURLU *parsed, struct lw_error *error) {
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) return parse_failed(code, error);
  return check_scheme(parsed, error) && check_host(parsed, url, error);
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
  bool good = check(url, parsed, error);
  curl_url_cleanup(parsed);
  return good;
}

void lw_url_host(const char *url, char host[LW_URL_HOST_SIZE]) {
  char *name = NULL, *port = NULL;
  CURLU *parsed = curl_url();
  bool found = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_url_get(parsed, CURLUPART_HOST, &name, 0) == CURLUE_OK &&
               curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
  host[0] = '\0';
  if (found) snprintf(host, LW_URL_HOST_SIZE, "%s:%s", name, port);
  for (char *at = host; *at; at++)
    if (*at >= 'A' && *at <= 'Z') *at = (char)(*at - 'A' + 'a');
  curl_free(name);
  curl_free(port);
  curl_url_cleanup(parsed);
}

static bool only_authority(const char *url) {
  const char *authority = strstr(url, "://");
  if (authority == NULL) return false;
  const char *end = authority + 3 + strcspn(authority + 3, "/?#");
  return end[0] == '\0' || strcmp(end, "/") == 0;
}

bool lw_url_check_proxy(const char *url, struct lw_error *error) {
  struct lw_error why;
  if (!lw_url_check(url, &why)) return lw_fail(error, "invalid", "proxy: %s", why.message);
  return only_authority(url) || lw_fail(error, "invalid", "proxy: the URL must end after its host and port");
}

/* inet_aton takes whatever a resolver takes: 127.1, 0x7f.1, 017700000001. */
static bool read_address(const char *host, char text[LW_ADDRESS_TEXT_SIZE]) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_aton(host, &v4) != 0) return inet_ntop(AF_INET, &v4, text, LW_ADDRESS_TEXT_SIZE) != NULL;
  return inet_pton(AF_INET6, host, &v6) == 1 && inet_ntop(AF_INET6, &v6, text, LW_ADDRESS_TEXT_SIZE) != NULL;
}

/* Without the brackets of an IPv6 address and the dot that may end a name. False: no host that is sent. */
static bool bare_host(const char *url, char bare[LONGEST_HOST + 1]) {
  char *host = NULL;
  CURLU *parsed = curl_url();
  bool found = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK;
  size_t start = found && host[0] == '[' ? 1 : 0;
  size_t length = found ? strlen(host + start) : 0;
  if (length > 0 && host[start + length - 1] == (start ? ']' : '.')) length--;
  bool fits = length > 0 && length <= LONGEST_HOST && plain_characters(host);
  if (fits) snprintf(bare, LONGEST_HOST + 1, "%.*s", (int)length, host + start);
  curl_free(host);
  curl_url_cleanup(parsed);
  return fits;
}

bool lw_url_host_allowed(const char *url, const struct lw_address_policy *policy,
                         char refused[LW_ADDRESS_TEXT_SIZE]) {
  char host[LONGEST_HOST + 1], address[LW_ADDRESS_TEXT_SIZE] = "?";
  if (policy->allow_all) return true;
  bool readable = bare_host(url, host);
  if (readable && !read_address(host, address)) return true;
  if (readable && lw_address_text_allowed(policy, address)) return true;
  snprintf(refused, LW_ADDRESS_TEXT_SIZE, "%s", address);
  return false;
}
