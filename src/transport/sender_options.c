#include "transport/sender_options.h"

#include <string.h>

#define DEFAULT_USER_AGENT "lua-webhook/" LW_VERSION

enum { TUNNELS_MATCH_CREDENTIALS = 0x081300 }; /* the libcurl from which on they do */

/* The first failure sticks, so that a list of options is checked once, at its end. */
#define SET(option, value) (result = result ? result : curl_easy_setopt(easy, option, value))

static CURLcode set_protocols(CURL *easy, const struct lw_request_options *options) {
  CURLcode result = CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  bool newest = options->http_version == LW_HTTP_2;
  SET(CURLOPT_HTTP_VERSION, (long)(newest ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  SET(CURLOPT_POST, 1L);
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_HTTP09_ALLOWED, 0L);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
#if LIBCURL_VERSION_NUM >= 0x075700
  SET(CURLOPT_QUICK_EXIT, 1L);
#endif
  return result;
}

/* Both options are always set, or curl would look into the environment (http_proxy, no_proxy, …): a proxy
 * that nobody here chose connects to addresses the policy never sees, and a request that is kept from its
 * proxy connects by itself. */
static CURLcode set_proxy(CURL *easy, const struct lw_request_options *options) {
  CURLcode result = CURLE_OK;
  SET(CURLOPT_PROXY, options->proxy ? options->proxy : "");
  SET(CURLOPT_NOPROXY, options->proxy ? "" : "*");
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (options->proxy == NULL || options->ca_file == NULL) return result;
  SET(CURLOPT_PROXY_CAINFO, options->ca_file);
  SET(CURLOPT_PROXY_CAPATH, NULL);
  return result;
}

/* The authorities of a ca_file replace the system's, which may stand in a file and in a folder. */
static CURLcode set_authorities(CURL *easy, const struct lw_request_options *options) {
  CURLcode result = CURLE_OK;
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
  if (options->ca_file == NULL) return result;
  SET(CURLOPT_CAINFO, options->ca_file);
  SET(CURLOPT_CAPATH, NULL);
  return result;
}

/* A kept connection serves whoever names the same certificate: curl before 8.21.0 does not compare the keys
 * (CVE-2026-8932), of which only one fits. */
static CURLcode set_client_certificate(CURL *easy, const struct lw_request_options *options) {
  CURLcode result = CURLE_OK;
  if (options->client_cert == NULL) return result;
  SET(CURLOPT_SSLCERT, options->client_cert);
  SET(CURLOPT_SSLKEY, options->client_key ? options->client_key : options->client_cert);
  SET(CURLOPT_KEYPASSWD, ""); /* or OpenSSL asks for it on the terminal, and waits */
  return result;
}

CURLcode lw_sender_options_set(CURL *easy, const struct lw_request_options *options) {
  CURLcode result = set_protocols(easy, options);
  if (result == CURLE_OK) result = set_proxy(easy, options);
  if (result == CURLE_OK) result = set_authorities(easy, options);
  if (result == CURLE_OK) result = set_client_certificate(easy, options);
  SET(CURLOPT_USERAGENT, options->user_agent ? options->user_agent : DEFAULT_USER_AGENT);
  SET(CURLOPT_TIMEOUT_MS, (long)options->timeout);
  SET(CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout);
  return result;
}

bool lw_sender_options_private_tunnel(const struct lw_request_options *options) {
  if (options->proxy == NULL || strchr(options->proxy, '@') == NULL) return false;
  return curl_version_info(CURLVERSION_NOW)->version_num < TUNNELS_MATCH_CREDENTIALS;
}
