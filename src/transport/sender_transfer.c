#include "transport/sender_transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "transport/request.h"

#define MESSAGE_SIZE sizeof(((struct lw_response *)0)->error)

static int64_t now_milliseconds(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->now(clock->context);
}

static int64_t now_ticks(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->ticks(clock->context);
}

static void fail(struct lw_request *request, const char *code, const char *text) {
  request->response.error_code = code;
  snprintf(request->response.error, MESSAGE_SIZE, "%s", text);
}

void lw_request_canceled(struct lw_request *request) {
  fail(request, "canceled", "canceled: the sender was closed");
}

void lw_request_out_of_memory(struct lw_request *request) {
  fail(request, "network", "out of memory");
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
  struct lw_transfer *transfer = context;
  (void)purpose;
  if (!lw_address_allowed(&transfer->options->addresses, &address->addr)) {
    lw_address_format(&address->addr, transfer->refused);
    return CURL_SOCKET_BAD;
  }
  int opened = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (opened >= 0) lw_sockets_opened(transfer->sockets, opened);
  return opened;
}

/* The connection may have outlived the transfer that opened it. */
static int close_socket(void *context, curl_socket_t socket) {
  lw_sockets_closed(context, socket);
  return close(socket);
}

/* A kept connection may have been opened for a lane whose policy allows more. */
static int before_request(void *context, char *remote, char *local, int remote_port, int local_port) {
  struct lw_transfer *transfer = context;
  (void)local, (void)remote_port, (void)local_port;
  if (lw_address_text_allowed(&transfer->options->addresses, remote)) return CURL_PREREQFUNC_OK;
  snprintf(transfer->refused, sizeof transfer->refused, "%s", remote ? remote : "?");
  return CURL_PREREQFUNC_ABORT;
}

static void keep_header(struct lw_transfer *transfer, const char *bytes, size_t length) {
  struct lw_buffer *kept = &transfer->request->answer_headers;
  size_t room = kept->maximum - kept->length;
  if (transfer->headers_cut) return;
  transfer->headers_cut = length > room;
  if (!lw_buffer_append(kept, bytes, length < room ? length : room)) transfer->headers_cut = true;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *context) {
  struct lw_transfer *transfer = context;
  struct lw_buffer *kept = &transfer->request->answer_headers;
  size_t length = size * count;
  transfer->header_bytes += length;
  if (transfer->header_bytes > LW_SENDER_HEADER_FLOOD) {
    transfer->flooded = true;
    return 0;
  }
  size_t end = length;
  while (end > 0 && (bytes[end - 1] == '\n' || bytes[end - 1] == '\r')) end--;
  if (end == 0) return length;
  if (end >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
    transfer->headers_cut = false;
    lw_buffer_clear(kept); /* an interim answer (1xx) came before this one */
    return length;
  }
  /* A folded line (RFC 9112, 5.2) goes on with the value of the line before it. */
  bool folded = bytes[0] == ' ' || bytes[0] == '\t';
  if (folded && !transfer->headers_cut && kept->length > 0 && kept->data[kept->length - 1] == '\n')
    kept->length--;
  keep_header(transfer, bytes, end);
  keep_header(transfer, "\n", 1);
  return length;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context) {
  struct lw_transfer *transfer = context;
  size_t length = size * count;
  struct lw_buffer *kept = &transfer->request->answer_body;
  size_t room = kept->maximum - kept->length;
  size_t keep = length < room ? length : room;
  if (keep > 0 && !lw_buffer_append(kept, bytes, keep)) keep = 0;
  if (keep == length) return length;
  transfer->cut = true;
  transfer->drained += length - keep;
  return transfer->drained > LW_SENDER_DRAIN ? 0 : length;
}

/* The first failure sticks, so that a list of options is checked once, at its end. */
#define SET(option, value) (result = result ? result : curl_easy_setopt(easy, option, value))

static CURLcode set_callbacks(struct lw_transfer *transfer) {
  CURL *easy = transfer->easy;
  CURLcode result = CURLE_OK;
  SET(CURLOPT_PRIVATE, (char *)transfer);
  SET(CURLOPT_ERRORBUFFER, transfer->detail);
  SET(CURLOPT_HEADERFUNCTION, take_header);
  SET(CURLOPT_HEADERDATA, transfer);
  SET(CURLOPT_WRITEFUNCTION, take_body);
  SET(CURLOPT_WRITEDATA, transfer);
  SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  SET(CURLOPT_OPENSOCKETDATA, transfer);
  SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
  SET(CURLOPT_CLOSESOCKETDATA, transfer->sockets);
  SET(CURLOPT_PREREQFUNCTION, before_request);
  SET(CURLOPT_PREREQDATA, transfer);
  return result;
}

static CURLcode set_protocols(CURL *easy) {
  CURLcode result = CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  SET(CURLOPT_HTTP09_ALLOWED, 0L);
  SET(CURLOPT_NOSIGNAL, 1L);
  /* A proxy would connect for us, to addresses the policy never sees. */
  SET(CURLOPT_PROXY, "");
  SET(CURLOPT_NOPROXY, "*");
  SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
#if LIBCURL_VERSION_NUM >= 0x075700
  SET(CURLOPT_QUICK_EXIT, 1L);
#endif
  return result;
}

static CURLcode set_lane_options(struct lw_transfer *transfer) {
  CURL *easy = transfer->easy;
  CURLcode result = CURLE_OK;
  SET(CURLOPT_USERAGENT, transfer->options->user_agent);
  if (transfer->options->ca_file) SET(CURLOPT_CAINFO, transfer->options->ca_file);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  SET(CURLOPT_POST, 1L);
  return result;
}

struct lw_transfer *lw_transfer_new(const struct lw_lane_options *options, struct lw_sockets *sockets) {
  struct lw_transfer *transfer = calloc(1, sizeof *transfer);
  if (transfer == NULL) return NULL;
  transfer->options = options;
  transfer->sockets = sockets;
  transfer->easy = curl_easy_init();
  if (transfer->easy != NULL && set_callbacks(transfer) == CURLE_OK &&
      set_protocols(transfer->easy) == CURLE_OK && set_lane_options(transfer) == CURLE_OK)
    return transfer;
  lw_transfer_free(transfer);
  return NULL;
}

void lw_transfer_free(struct lw_transfer *transfer) {
  if (transfer->easy) curl_easy_cleanup(transfer->easy);
  free(transfer);
}

bool lw_transfer_begin(struct lw_transfer *transfer, struct lw_request *request, CURLcode *outcome) {
  CURL *easy = transfer->easy;
  CURLcode result = CURLE_OK;
  transfer->request = request;
  request->answer_headers.maximum = LW_SENDER_MAX_RESPONSE_HEADERS;
  request->answer_body.maximum = transfer->options->max_response_body;
  transfer->started = now_ticks();
  transfer->header_bytes = transfer->drained = 0;
  transfer->flooded = transfer->cut = transfer->headers_cut = false;
  transfer->refused[0] = transfer->detail[0] = '\0';
  request->response.sent_at = now_milliseconds();
  /* Without this curl holds back a large body until the receiver agrees, or for a second. */
  if (!lw_request_leave_out_header(request, "Expect")) result = CURLE_OUT_OF_MEMORY;
  SET(CURLOPT_URL, request->url);
  SET(CURLOPT_HTTPHEADER, request->headers);
  SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
  SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body ? request->body_length : 0));
  SET(CURLOPT_TIMEOUT_MS, (long)request->timeout);
  SET(CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_timeout);
  SET(CURLOPT_PIPEWAIT, strncasecmp(request->url, "https:", 6) == 0 ? 1L : 0L);
  *outcome = result;
  return result == CURLE_OK;
}

#undef SET

static const char *word_for(CURLcode result) {
  switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
      return "timeout";
    case CURLE_COULDNT_RESOLVE_HOST:
      return "dns";
    case CURLE_COULDNT_CONNECT:
      return "connect";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
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

static bool url_part(const char *url, CURLUPart which, char *text, size_t size) {
  char *part = NULL;
  CURLU *parsed = curl_url();
  bool found = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_url_get(parsed, which, &part, 0) == CURLUE_OK;
  if (found) snprintf(text, size, "%s", part);
  curl_free(part);
  curl_url_cleanup(parsed);
  return found;
}

/* Paths, queries and credentials are often the secret of a webhook: no message may repeat them. */
static bool detail_is_safe(const struct lw_transfer *transfer) {
  static const CURLUPart secret[] = {CURLUPART_PATH, CURLUPART_QUERY, CURLUPART_USER, CURLUPART_PASSWORD};
  const char *detail = transfer->detail;
  const char *url = transfer->request->url;
  char part[LW_ERROR_MESSAGE_SIZE];
  if (detail[0] == '\0' || strstr(detail, url) != NULL) return false;
  if (!url_part(url, CURLUPART_HOST, part, sizeof part)) return false;
  for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
    if (url_part(url, secret[i], part, sizeof part) && strlen(part) > 1 && strstr(detail, part)) return false;
  return true;
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
  int64_t limit = request->timeout;
  if (connected <= 0 && request->connect_timeout > 0 && (limit <= 0 || request->connect_timeout < limit))
    limit = request->connect_timeout;
  describe_duration(limit, duration);
  if (connected > 0)
    snprintf(request->response.error, MESSAGE_SIZE, "timeout: no complete answer from %s within %s", host,
             duration);
  else
    snprintf(request->response.error, MESSAGE_SIZE, "timeout: could not connect to %s within %s", host,
             duration);
}

static void describe(struct lw_transfer *transfer, CURLcode result, const char *host) {
  const char *text = detail_is_safe(transfer) ? transfer->detail : curl_easy_strerror(result);
  char *message = transfer->request->response.error;
  snprintf(message, MESSAGE_SIZE, "request to %s failed: %.120s", host, text);
  for (char *at = message; *at; at++) /* a certificate's names are the other side's bytes */
    if ((unsigned char)*at < ' ' || (unsigned char)*at > '~') *at = '?';
}

static void fill_failure(struct lw_transfer *transfer, CURLcode result) {
  struct lw_response *response = &transfer->request->response;
  char host[HOST_SIZE] = "the host";
  url_part(transfer->request->url, CURLUPART_HOST, host, sizeof host);
  bool refused = result == CURLE_COULDNT_CONNECT || result == CURLE_ABORTED_BY_CALLBACK;
  if (transfer->flooded) {
    response->error_code = "too_large";
    snprintf(response->error, MESSAGE_SIZE, "%s sent more than %d KB of headers", host,
             LW_SENDER_HEADER_FLOOD / 1024);
  } else if (refused && transfer->refused[0]) {
    response->error_code = "refused_address";
    snprintf(response->error, MESSAGE_SIZE,
             "address %.45s of %.80s is not allowed (private, loopback and link-local addresses are refused; "
             "list it in allow_networks to allow it)",
             transfer->refused, host);
  } else {
    response->error_code = word_for(result);
    if (result == CURLE_OPERATION_TIMEDOUT)
      describe_timeout(transfer, host);
    else
      describe(transfer, result, host);
  }
}

static void fill_answer(struct lw_transfer *transfer) {
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

static void let_go(struct lw_transfer *transfer) {
  transfer->request->response.duration = now_ticks() - transfer->started;
  transfer->request = NULL;
}

void lw_transfer_finish(struct lw_transfer *transfer, CURLcode result) {
  /* Once the cap is passed the answer has been read: how the rest of its body ends does not matter. */
  if (result == CURLE_OK || transfer->cut)
    fill_answer(transfer);
  else
    fill_failure(transfer, result);
  let_go(transfer);
}

void lw_transfer_cancel(struct lw_transfer *transfer) {
  lw_request_canceled(transfer->request);
  let_go(transfer);
}
