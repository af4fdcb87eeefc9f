#include "transport/sender_outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *word_for(CURLcode result) {
  switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
      return "timeout";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "dns";
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
      return "connect";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return "tls";
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return "reset";
    default:
      return "network";
  }
}

enum { HOST_SIZE = 100, DURATION_SIZE = 32 };

static bool url_part(const char *url, CURLUPart which, unsigned flags, char *text, size_t size) {
  char *part = NULL;
  CURLU *parsed = curl_url();
  bool found = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_url_get(parsed, which, &part, flags) == CURLUE_OK;
  if (found) snprintf(text, size, "%s", part);
  curl_free(part);
  curl_url_cleanup(parsed);
  return found;
}

static bool repeats(const char *detail, const char *url, CURLUPart which) {
  char part[LW_ERROR_MESSAGE_SIZE];
  for (unsigned flags = 0; flags <= CURLU_URLDECODE; flags += CURLU_URLDECODE)
    if (url_part(url, which, flags, part, sizeof part) && strlen(part) > 1 && strstr(detail, part))
      return true;
  return false;
}

/* Paths, queries and credentials are often the secret of a webhook: no message may repeat them. */
static bool safe_beside(const char *detail, const char *url) {
  static const CURLUPart secret[] = {CURLUPART_PATH, CURLUPART_QUERY, CURLUPART_USER, CURLUPART_PASSWORD};
  char host[HOST_SIZE];
  if (strstr(detail, url) != NULL || !url_part(url, CURLUPART_HOST, 0, host, sizeof host)) return false;
  for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
    if (repeats(detail, url, secret[i])) return false;
  return true;
}

static bool detail_is_safe(const struct lw_transfer *transfer) {
  const char *detail = transfer->detail, *proxy = transfer->request->options->proxy;
  return detail[0] != '\0' && safe_beside(detail, transfer->request->url) &&
         (proxy == NULL || safe_beside(detail, proxy));
}

static void describe_duration(int64_t milliseconds, char text[DURATION_SIZE]) {
  bool whole = milliseconds % 1000 == 0;
  snprintf(text, DURATION_SIZE, "%lld %s", (long long)(whole ? milliseconds / 1000 : milliseconds),
           whole ? "s" : "ms");
}

static void describe_timeout(struct lw_transfer *transfer, const char *host) {
  struct lw_request *request = transfer->request;
  curl_off_t connected = 0;
  char duration[DURATION_SIZE];
  curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
  int64_t limit = request->options->timeout, to_connect = request->options->connect_timeout;
  if (connected <= 0 && to_connect > 0 && (limit <= 0 || to_connect < limit)) limit = to_connect;
  describe_duration(limit, duration);
  if (connected > 0)
    snprintf(request->response.error, LW_RESPONSE_ERROR_SIZE, "timeout: no complete answer from %s within %s",
             host, duration);
  else
    snprintf(request->response.error, LW_RESPONSE_ERROR_SIZE, "timeout: could not connect to %s within %s",
             host, duration);
}

static void describe(struct lw_transfer *transfer, CURLcode result, const char *host) {
  const char *text = detail_is_safe(transfer) ? transfer->detail : curl_easy_strerror(result);
  char *message = transfer->request->response.error;
  snprintf(message, LW_RESPONSE_ERROR_SIZE, "request to %s failed: %.120s", host, text);
  for (char *at = message; *at; at++) /* a certificate's names are the other side's bytes */
    if ((unsigned char)*at < ' ' || (unsigned char)*at > '~') *at = '?';
}

/* 0 when it can be read now; else errno. */
static int trouble_with(const char *path) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return errno;
  close(file);
  return 0;
}

static void describe_unreadable(char *message, const char *what, const char *path, int trouble) {
  snprintf(message, LW_RESPONSE_ERROR_SIZE, "%s %.120s cannot be read: %s", what, path, strerror(trouble));
}

static void describe_client_cert(char *message, const struct lw_request_options *options) {
  const char *cert = options->client_cert, *key = options->client_key;
  int cert_trouble = trouble_with(cert), key_trouble = key ? trouble_with(key) : 0;
  if (cert_trouble)
    describe_unreadable(message, "client_cert", cert, cert_trouble);
  else if (key_trouble)
    describe_unreadable(message, "client_key", key, key_trouble);
  else if (key)
    snprintf(
        message, LW_RESPONSE_ERROR_SIZE,
        "client_cert %.80s and client_key %.80s do not fit each other, or are not PEM without a passphrase",
        cert, key);
  else
    snprintf(message, LW_RESPONSE_ERROR_SIZE,
             "client_cert %.120s is not PEM with a certificate and its key without a passphrase", cert);
}

static void describe_ca_file(char *message, const char *path) {
  int trouble = trouble_with(path);
  if (trouble)
    describe_unreadable(message, "ca_file", path, trouble);
  else
    snprintf(message, LW_RESPONSE_ERROR_SIZE, "ca_file %.120s holds no certificate in PEM", path);
}

/* curl's own words name the file too, but at the end of a long line. */
static bool describe_file(const struct lw_transfer *transfer, CURLcode result) {
  const struct lw_request_options *options = transfer->request->options;
  char *message = transfer->request->response.error;
  if (result == CURLE_SSL_CERTPROBLEM && options->client_cert)
    describe_client_cert(message, options);
  else if (result == CURLE_SSL_CACERT_BADFILE && options->ca_file)
    describe_ca_file(message, options->ca_file);
  else
    return false;
  return true;
}

static void describe_refusal(const struct lw_transfer *transfer, const char *host) {
  struct lw_response *response = &transfer->request->response;
  response->error_code = "refused_address";
  snprintf(response->error, LW_RESPONSE_ERROR_SIZE,
           "address %.45s of %.80s is not allowed (private, loopback and link-local addresses are refused; "
           "list it in allow_networks to allow it)",
           transfer->refused, host);
}

/* Of a CONNECT; a proxy's answer to any other request cannot be told from the receiver's. */
static bool refused_by_proxy(const struct lw_transfer *transfer, const char *host) {
  struct lw_response *response = &transfer->request->response;
  long status = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
  if (status < 300) return false;
  response->error_code = "connect";
  snprintf(response->error, LW_RESPONSE_ERROR_SIZE, "the proxy did not connect to %s: it answered %ld", host,
           status);
  return true;
}

/* curl takes a header line of some 100 KB at most; before 8.6.0 it calls a longer one "out of memory". */
static bool line_too_long(const struct lw_transfer *transfer, CURLcode result) {
  curl_off_t connected = 0;
#if LIBCURL_VERSION_NUM >= 0x080600
  if (result == CURLE_TOO_LARGE) return true;
#endif
  curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
  return connected > 0 &&
         (result == CURLE_OUT_OF_MEMORY || strncmp(transfer->detail, "Out of memory", 13) == 0);
}

static void describe_flood(const struct lw_transfer *transfer, const char *host) {
  struct lw_response *response = &transfer->request->response;
  response->error_code = "too_large";
  if (transfer->flooded)
    snprintf(response->error, LW_RESPONSE_ERROR_SIZE, "%s sent more than %d KB of headers", host,
             LW_SENDER_HEADER_FLOOD / 1024);
  else
    snprintf(response->error, LW_RESPONSE_ERROR_SIZE, "%s sent a header line that is too long", host);
}

void lw_outcome_failure(struct lw_transfer *transfer, CURLcode result) {
  struct lw_response *response = &transfer->request->response;
  char host[HOST_SIZE] = "the host";
  url_part(transfer->request->url, CURLUPART_HOST, 0, host, sizeof host);
  bool refused = result == CURLE_COULDNT_CONNECT || result == CURLE_ABORTED_BY_CALLBACK;
  if (transfer->flooded || line_too_long(transfer, result)) return describe_flood(transfer, host);
  if (refused && transfer->refused[0]) return describe_refusal(transfer, host);
  if (refused_by_proxy(transfer, host)) return;
  response->error_code = word_for(result);
  if (result == CURLE_OPERATION_TIMEDOUT)
    describe_timeout(transfer, host);
  else if (!describe_file(transfer, result))
    describe(transfer, result, host);
}

void lw_outcome_answer(struct lw_transfer *transfer) {
  struct lw_response *response = &transfer->request->response;
  long status = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  response->status = (int)status;
  const struct lw_request *request = transfer->request;
  response->headers = request->answer_headers.data;
  response->headers_length = request->answer_headers.length;
  response->headers_cut = transfer->headers_cut;
  response->body = request->answer_body.data;
  response->body_length = request->answer_body.length;
  response->body_cut = transfer->cut;
}
