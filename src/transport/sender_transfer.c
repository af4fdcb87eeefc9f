#include "transport/sender_transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "transport/request.h"
#include "transport/sender_options.h"
#include "transport/sender_outcome.h"
#include "transport/url.h"

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
  snprintf(request->response.error, LW_RESPONSE_ERROR_SIZE, "%s", text);
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
  bool to_proxy = transfer->request->options->proxy != NULL;
  if (!to_proxy && !lw_address_allowed(&transfer->request->options->addresses, &address->addr)) {
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

/* A kept connection may have been opened for a request whose policy allows more. A proxy's may be used: curl
 * keeps it for requests that name the same proxy. */
static int before_request(void *context, char *remote, char *local, int remote_port, int local_port) {
  struct lw_transfer *transfer = context;
  (void)local, (void)remote_port, (void)local_port;
  if (transfer->request->options->proxy) return CURL_PREREQFUNC_OK;
  if (lw_address_text_allowed(&transfer->request->options->addresses, remote)) return CURL_PREREQFUNC_OK;
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
  if (end == 0) {
    transfer->complete = true;
    return length;
  }
  if (end >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
    transfer->headers_cut = transfer->complete = false;
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

/* Setting all of it anew costs some microseconds: it is left out while requests of the same options follow
 * each other. */
static CURLcode set_up(struct lw_transfer *transfer, const struct lw_request_options *options) {
  if (transfer->serial == options->serial) return CURLE_OK;
  transfer->serial = 0;
  curl_easy_reset(transfer->easy);
  CURLcode result = set_callbacks(transfer);
  if (result == CURLE_OK) result = lw_sender_options_set(transfer->easy, options);
  if (result == CURLE_OK) transfer->serial = options->serial;
  return result;
}

struct lw_transfer *lw_transfer_new(struct lw_sockets *sockets) {
  struct lw_transfer *transfer = calloc(1, sizeof *transfer);
  if (transfer == NULL) return NULL;
  transfer->sockets = sockets;
  transfer->easy = curl_easy_init();
  if (transfer->easy != NULL) return transfer;
  free(transfer);
  return NULL;
}

void lw_transfer_free(struct lw_transfer *transfer) {
  curl_easy_cleanup(transfer->easy);
  free(transfer);
}

static void start_over(struct lw_transfer *transfer, struct lw_request *request) {
  transfer->request = request;
  request->answer_headers.maximum = LW_SENDER_MAX_RESPONSE_HEADERS;
  request->answer_body.maximum = request->options->max_response_body;
  request->response.sent_at = now_milliseconds();
  transfer->started = now_ticks();
  transfer->header_bytes = transfer->drained = 0;
  transfer->flooded = transfer->cut = transfer->headers_cut = transfer->complete = false;
  transfer->refused[0] = transfer->detail[0] = '\0';
}

/* A proxy connects for us: all that can be judged here is an address that stands in the URL itself. */
static bool host_allowed(struct lw_transfer *transfer) {
  const struct lw_request *request = transfer->request;
  return request->options->proxy == NULL ||
         lw_url_host_allowed(request->url, &request->options->addresses, transfer->refused);
}

static CURLcode set_request(struct lw_transfer *transfer) {
  struct lw_request *request = transfer->request;
  CURL *easy = transfer->easy;
  CURLcode result = CURLE_OK;
  bool tls = strncasecmp(request->url, "https:", 6) == 0;
  bool alone = tls && lw_sender_options_private_tunnel(request->options);
  SET(CURLOPT_URL, request->url);
  SET(CURLOPT_HTTPHEADER, request->headers);
  SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
  SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body ? request->body_length : 0));
  SET(CURLOPT_PIPEWAIT, tls && !alone ? 1L : 0L);
  SET(CURLOPT_FRESH_CONNECT, alone ? 1L : 0L);
  SET(CURLOPT_FORBID_REUSE, alone ? 1L : 0L);
  return result;
}

bool lw_transfer_begin(struct lw_transfer *transfer, struct lw_request *request, CURLcode *outcome) {
  start_over(transfer, request);
  *outcome = CURLE_COULDNT_CONNECT;
  if (!host_allowed(transfer)) return false;
  /* Without this curl holds back a large body until the receiver agrees, or for a second. */
  bool complete = lw_request_leave_out_header(request, "Expect");
  *outcome = complete ? set_up(transfer, request->options) : CURLE_OUT_OF_MEMORY;
  if (*outcome == CURLE_OK) *outcome = set_request(transfer);
  return *outcome == CURLE_OK;
}

#undef SET

static void let_go(struct lw_transfer *transfer) {
  transfer->request->response.duration = now_ticks() - transfer->started;
  transfer->request = NULL;
}

void lw_transfer_finish(struct lw_transfer *transfer, CURLcode result) {
  /* curl is content with an answer that ends before its headers do. */
  if (result == CURLE_OK && !transfer->complete) result = CURLE_PARTIAL_FILE;
  /* Once the cap is passed the answer has been read: how the rest of its body ends does not matter. */
  if (result == CURLE_OK || transfer->cut)
    lw_outcome_answer(transfer);
  else
    lw_outcome_failure(transfer, result);
  let_go(transfer);
}

void lw_transfer_cancel(struct lw_transfer *transfer) {
  lw_request_canceled(transfer->request);
  let_go(transfer);
}
