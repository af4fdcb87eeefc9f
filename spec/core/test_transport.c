#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above before it */
#include <cmocka.h>
/* clang-format on */

#include "transport/sender.h"

/* -- a small HTTP server --------------------------------------------------------------------------- */

enum {
  MAX_PEERS = 64,
  TLS_HANDSHAKE = 22, /* RFC 8446, 5.1: the first byte of a client that speaks TLS */
  REQUEST_SIZE = 8192,
  BIG_BODY = 64 * 1024 * 1024,
  FLOOD_HEADERS = 300 * 1024,
  CUT_HEADERS = 10 * 1024
};

struct server {
  int listener, port;
  pthread_t thread, handlers[MAX_PEERS];
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int peers, hanging;
  int fds[MAX_PEERS];
  char last[REQUEST_SIZE];
};

struct peer {
  struct server *server;
  int fd;
};

static bool send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes += sent;
    length -= (size_t)sent;
  }
  return true;
}

static bool send_text(int fd, const char *text) {
  return send_all(fd, text, strlen(text));
}

static bool read_request(int fd, char *text) {
  size_t length = 0;
  for (;;) {
    text[length] = '\0';
    if (text[0] == TLS_HANDSHAKE) return false;
    const char *end = strstr(text, "\r\n\r\n");
    const char *size = strstr(text, "Content-Length: ");
    if (end && size && length >= (size_t)(end + 4 - text) + strtoul(size + 16, NULL, 10)) return true;
    ssize_t got = recv(fd, text + length, REQUEST_SIZE - 1 - length, 0);
    if (got <= 0) return false;
    length += (size_t)got;
  }
}

static bool send_repeated(int fd, const char *line, size_t total) {
  for (size_t sent = 0; sent < total; sent += strlen(line))
    if (!send_text(fd, line)) return false;
  return true;
}

static bool send_big(int fd) {
  static const char block[65536];
  char head[100];
  snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG_BODY);
  bool good = send_text(fd, head);
  for (size_t sent = 0; good && sent < BIG_BODY; sent += sizeof block)
    good = send_all(fd, block, sizeof block);
  return good;
}

static void hang(struct server *server, int fd) {
  char byte;
  pthread_mutex_lock(&server->mutex);
  server->hanging++;
  pthread_cond_broadcast(&server->changed);
  pthread_mutex_unlock(&server->mutex);
  while (recv(fd, &byte, 1, 0) > 0) continue;
}

static bool answer(struct server *server, int fd, const char *text) {
  if (strncmp(text, "POST /hang", 10) == 0) return hang(server, fd), false;
  if (strncmp(text, "POST /big", 9) == 0) return send_big(fd);
  if (strncmp(text, "POST /flood", 11) == 0)
    return send_text(fd, "HTTP/1.1 200 OK\r\n") &&
           send_repeated(fd, "X-Flood: 0123456789\r\n", FLOOD_HEADERS);
  if (strncmp(text, "POST /headers", 13) == 0)
    return send_text(fd, "HTTP/1.1 103 Early Hints\r\n") &&
           send_repeated(fd, "X-Early: 0123456789\r\n", CUT_HEADERS) &&
           send_text(fd, "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n") &&
           send_repeated(fd, "X-Many: 0123456789\r\n", strstr(text, "?few") ? 100 : CUT_HEADERS) &&
           send_text(fd, "X-Last: 1\r\n folded\r\n\r\n");
  if (strncmp(text, "POST /reset", 11) == 0) {
    struct linger linger = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return false;
  }
  if (strncmp(text, "POST /leave", 11) == 0)
    return send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), false;
  return send_text(fd,
                   "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
                   "HTTP/1.1 201 Created\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello");
}

static void *serve_peer(void *argument) {
  struct peer *peer = argument;
  char text[REQUEST_SIZE];
  while (read_request(peer->fd, text)) {
    pthread_mutex_lock(&peer->server->mutex);
    memcpy(peer->server->last, text, sizeof text);
    pthread_mutex_unlock(&peer->server->mutex);
    if (!answer(peer->server, peer->fd, text)) break;
  }
  pthread_mutex_lock(&peer->server->mutex);
  for (int i = 0; i < peer->server->peers; i++)
    if (peer->server->fds[i] == peer->fd) peer->server->fds[i] = -1;
  close(peer->fd);
  pthread_mutex_unlock(&peer->server->mutex);
  free(peer);
  return NULL;
}

static void *serve(void *argument) {
  struct server *server = argument;
  int fd;
  while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
    struct peer *peer = malloc(sizeof *peer);
    if (peer == NULL || server->peers == MAX_PEERS) abort();
    *peer = (struct peer){server, fd};
    pthread_mutex_lock(&server->mutex);
    server->fds[server->peers] = fd;
    pthread_create(&server->handlers[server->peers++], NULL, serve_peer, peer);
    pthread_mutex_unlock(&server->mutex);
  }
  return NULL;
}

static int listen_anywhere(int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static struct server *start_server(void) {
  struct server *server = calloc(1, sizeof *server);
  assert_non_null(server);
  pthread_mutex_init(&server->mutex, NULL);
  pthread_cond_init(&server->changed, NULL);
  server->listener = listen_anywhere(&server->port);
  assert_int_equal(listen(server->listener, MAX_PEERS), 0);
  pthread_create(&server->thread, NULL, serve, server);
  return server;
}

static void stop_server(struct server *server) {
  shutdown(server->listener, SHUT_RDWR);
  pthread_join(server->thread, NULL);
  close(server->listener);
  pthread_mutex_lock(&server->mutex);
  for (int i = 0; i < server->peers; i++)
    if (server->fds[i] >= 0) shutdown(server->fds[i], SHUT_RDWR);
  pthread_mutex_unlock(&server->mutex);
  for (int i = 0; i < server->peers; i++) pthread_join(server->handlers[i], NULL);
  pthread_mutex_destroy(&server->mutex);
  pthread_cond_destroy(&server->changed);
  free(server);
}

static void wait_hanging(struct server *server, int count) {
  pthread_mutex_lock(&server->mutex);
  while (server->hanging < count) pthread_cond_wait(&server->changed, &server->mutex);
  pthread_mutex_unlock(&server->mutex);
}

/* -- a user of the sender -------------------------------------------------------------------------- */

struct user {
  struct lw_sender *sender;
  struct lw_lane *lane;
  struct lw_request_options options; /* of the next request */
  struct server *server;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  struct lw_request *back; /* newest first */
  int count, idles;
};

static void on_done(struct lw_request *request, void *context) {
  struct user *user = context;
  pthread_mutex_lock(&user->mutex);
  request->next = user->back;
  user->back = request;
  user->count++;
  pthread_mutex_unlock(&user->mutex);
}

static void on_idle(void *context) {
  struct user *user = context;
  pthread_mutex_lock(&user->mutex);
  user->idles++;
  pthread_cond_broadcast(&user->changed);
  pthread_mutex_unlock(&user->mutex);
}

static void open_user(struct user *user, struct server *server, int max_in_flight, bool allow) {
  struct lw_lane_options options = {.max_in_flight = max_in_flight};
  *user = (struct user){.server = server,
                        .options = {.serial = lw_request_options_serial(),
                                    .timeout = 20000,
                                    .connect_timeout = 5000,
                                    .max_response_body = 1024,
                                    .addresses.allow_all = allow}};
  pthread_mutex_init(&user->mutex, NULL);
  pthread_cond_init(&user->changed, NULL);
  user->sender = lw_sender_acquire(NULL);
  assert_non_null(user->sender);
  user->lane = lw_lane_open(user->sender, &options, on_done, on_idle, user, NULL);
  assert_non_null(user->lane);
}

static void free_back(struct user *user) {
  while (user->back) {
    struct lw_request *request = user->back;
    user->back = request->next;
    lw_request_free(request);
  }
}

static void close_user(struct user *user) {
  if (user->lane) lw_lane_close(user->lane, 0);
  lw_sender_release(user->sender);
  free_back(user);
  pthread_mutex_destroy(&user->mutex);
  pthread_cond_destroy(&user->changed);
}

static struct lw_request *make_for(struct user *user, const char *url) {
  struct lw_request *request = lw_request_new(url);
  assert_non_null(request);
  request->options = &user->options;
  request->body = "a\"body";
  request->body_length = 6;
  return request;
}

static struct lw_request *make_at(struct user *user, int port, const char *path) {
  char url[100];
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
  return make_for(user, url);
}

static struct lw_request *make(struct user *user, const char *path) {
  return make_at(user, user->server->port, path);
}

/* Idle comes after done, so having seen it means the batch is complete. */
static void wait_back(struct user *user, int count) {
  pthread_mutex_lock(&user->mutex);
  while (user->count < count || user->idles == 0) pthread_cond_wait(&user->changed, &user->mutex);
  pthread_mutex_unlock(&user->mutex);
}

static const struct lw_response *exchange(struct user *user, struct lw_request *request) {
  int before = user->count;
  lw_lane_submit(user->lane, request);
  wait_back(user, before + 1);
  return &request->response;
}

static int start_user(void **state) {
  struct user *user = calloc(1, sizeof *user);
  if (user == NULL) return -1;
  open_user(user, start_server(), 2, true);
  *state = user;
  return 0;
}

static int stop_user(void **state) {
  struct user *user = *state;
  close_user(user);
  stop_server(user->server);
  free(user);
  return 0;
}

static void posts_and_reads_the_answer(void **state) {
  struct user *user = *state;
  struct lw_request *request = make(user, "/ok?x=1");
  assert_true(lw_request_add_header(request, "Content-Type", "application/json"));
  assert_true(lw_request_add_header(request, "X-Empty", ""));
  assert_false(lw_request_add_header(request, "X-Bad", "a\r\nb"));
  const struct lw_response *response = exchange(user, request);
  assert_null(response->error_code);
  assert_string_equal(response->error, "");
  assert_int_equal(response->status, 201);
  assert_int_equal(response->body_length, 5);
  assert_memory_equal(response->body, "hello", 5);
  assert_false(response->body_cut);
  assert_int_equal(response->headers_length, strlen("X-One: 1\nContent-Length: 5\n"));
  assert_memory_equal(response->headers, "X-One: 1\nContent-Length: 5\n", response->headers_length);
  assert_true(response->sent_at > 0 && response->duration > 0);
  char expected[512];
  snprintf(
      expected, sizeof expected,
      "POST /ok?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: lua-webhook/" LW_VERSION
      "\r\nAccept: */*\r\nContent-Type: application/json\r\nX-Empty:\r\nContent-Length: 6\r\n\r\na\"body",
      user->server->port);
  assert_string_equal(user->server->last, expected);
}

static void reuses_connections(void **state) {
  struct user *user = *state;
  for (int i = 0; i < 5; i++) assert_int_equal(exchange(user, make(user, "/ok"))->status, 201);
  assert_int_equal(user->server->peers, 1);
}

static int64_t processor_ms(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* The socket of an idle connection stays in the epoll: its end must be reported once, not for ever. */
static void a_peer_that_leaves_does_not_keep_us_busy(void **state) {
  struct user *user = *state;
  for (int i = 1; i <= 3; i++) {
    assert_int_equal(exchange(user, make(user, "/leave"))->status, 200);
    usleep(5000);
    assert_int_equal(exchange(user, make(user, "/ok"))->status, 201);
    assert_int_equal(exchange(user, make(user, "/leave"))->status, 200);
    usleep(5000);
  }
  int64_t before = processor_ms();
  usleep(300000);
  assert_true(processor_ms() - before < 150);
}

static void many_requests_all_come_back(void **state) {
  struct user *user = *state;
  struct lw_request *list = NULL;
  for (int i = 0; i < 500; i++) {
    struct lw_request *request = make(user, "/ok");
    request->next = list;
    list = request;
  }
  lw_lane_submit(user->lane, list);
  wait_back(user, 500);
  for (struct lw_request *request = user->back; request; request = request->next)
    assert_int_equal(request->response.status, 201);
  assert_true(user->server->peers <= 2);
}

static void timeout_is_called_timeout(void **state) {
  struct user *user = *state;
  struct lw_request *request = make(user, "/hang?secret");
  user->options.timeout = 50;
  const struct lw_response *response = exchange(user, request);
  assert_string_equal(response->error_code, "timeout");
  assert_string_equal(response->error, "timeout: no complete answer from 127.0.0.1 within 50 ms");
  assert_int_equal(response->status, 0);
}

static void loopback_is_refused(void **state) {
  struct user *user = *state;
  struct user strict;
  assert_int_equal(exchange(user, make(user, "/ok"))->status, 201);
  open_user(&strict, user->server, 2, false);
  /* The first lane left a connection open: the strict lane must not ride on it. */
  const struct lw_response *response = exchange(&strict, make(&strict, "/ok"));
  assert_string_equal(response->error_code, "refused_address");
  assert_non_null(strstr(response->error, "address 127.0.0.1 of 127.0.0.1 is not allowed"));
  assert_non_null(strstr(response->error, "allow_networks"));
  struct lw_request *request = make_at(&strict, 1, "/ok");
  assert_string_equal(exchange(&strict, request)->error_code, "refused_address");
  close_user(&strict);
}

static void connect_refused(void **state) {
  struct user *user = *state;
  int port;
  int fd = listen_anywhere(&port); /* bound, not listening */
  const struct lw_response *response = exchange(user, make_at(user, port, "/token-in-path"));
  assert_string_equal(response->error_code, "connect");
  assert_null(strstr(response->error, "token-in-path"));
  close(fd);
}

static void reset_and_bad_url(void **state) {
  struct user *user = *state;
  assert_string_equal(exchange(user, make(user, "/reset"))->error_code, "reset");
  struct lw_request *request = make_for(user, "file:///etc/passwd");
  assert_string_equal(exchange(user, request)->error_code, "network");
  assert_null(strstr(request->response.error, "passwd"));
  assert_string_equal(exchange(user, make_for(user, "http://a b/"))->error_code, "network");
}

static void large_body_is_capped(void **state) {
  struct user *user = *state;
  const struct lw_response *response = exchange(user, make(user, "/big"));
  assert_null(response->error_code);
  assert_int_equal(response->status, 200);
  assert_int_equal(response->body_length, 1024);
  assert_true(response->body_cut);
}

static void many_headers_are_cut_and_marked(void **state) {
  struct user *user = *state;
  const struct lw_response *response = exchange(user, make(user, "/headers"));
  assert_null(response->error_code);
  assert_int_equal(response->status, 200);
  assert_int_equal(response->headers_length, LW_SENDER_MAX_RESPONSE_HEADERS);
  assert_true(response->headers_cut);
  assert_memory_equal(response->headers, "Content-Length: 0\nX-Many: 0123456789\n", 37);
  assert_false(response->body_cut);
  /* those of an interim answer do not count, nor those of the answer before on the same connection */
  response = exchange(user, make(user, "/headers?few"));
  assert_false(response->headers_cut);
  const char *end = "X-Last: 1 folded\n";
  assert_memory_equal(response->headers + response->headers_length - strlen(end), end, strlen(end));
}

static void header_flood_is_given_up(void **state) {
  struct user *user = *state;
  const struct lw_response *response = exchange(user, make(user, "/flood"));
  assert_string_equal(response->error_code, "too_large");
  assert_int_equal(response->status, 0);
}

static void close_cancels_running_and_queued(void **state) {
  struct user *user = *state;
  struct lw_request *list = NULL;
  for (int i = 0; i < 5; i++) {
    struct lw_request *request = make(user, "/hang");
    request->next = list;
    list = request;
  }
  lw_lane_submit(user->lane, list);
  wait_hanging(user->server, 2);
  assert_int_equal(lw_lane_running(user->lane), 2);
  lw_lane_close(user->lane, 30);
  user->lane = NULL;
  assert_int_equal(user->count, 5);
  assert_true(user->idles >= 1);
  for (struct lw_request *request = user->back; request; request = request->next)
    assert_string_equal(request->response.error_code, "canceled");
}

static void recall_cancels_what_is_queued(void **state) {
  struct user *user = *state;
  for (int i = 0; i < 5; i++) lw_lane_submit(user->lane, make(user, "/hang"));
  wait_hanging(user->server, 2);
  lw_lane_recall(user->lane);
  lw_lane_submit(user->lane, make(user, "/hang"));
  wait_back(user, 3);
  assert_int_equal(lw_lane_running(user->lane), 2);
  for (struct lw_request *request = user->back; request; request = request->next)
    assert_string_equal(request->response.error_code, "canceled");
  lw_lane_close(user->lane, 0);
  user->lane = NULL;
  assert_int_equal(user->count, 6);
}

static void lanes_do_not_wait_for_each_other(void **state) {
  struct user *user = *state;
  struct user other;
  lw_lane_submit(user->lane, make(user, "/hang"));
  open_user(&other, user->server, 1, true);
  assert_ptr_equal(other.sender, user->sender);
  wait_hanging(user->server, 1);
  for (int i = 0; i < 3; i++) assert_int_equal(exchange(&other, make(&other, "/ok"))->status, 201);
  assert_int_equal(lw_lane_running(user->lane), 1);
  assert_int_equal(lw_lane_running(other.lane), 0);
  close_user(&other);
  lw_lane_close(user->lane, 0);
  user->lane = NULL;
  assert_string_equal(user->back->response.error_code, "canceled");
}

/* -- what the options say, request by request ------------------------------------------------------ */

static void each_request_has_its_own_options(void **state) {
  struct user *user = *state;
  struct lw_request_options named = user->options;
  named.serial = lw_request_options_serial();
  named.user_agent = "other/1";
  named.max_response_body = 2;
  for (int i = 0; i < 2; i++) { /* the second time the handle has been used with the other options */
    const struct lw_response *response = exchange(user, make(user, "/ok"));
    assert_int_equal(response->body_length, 5);
    assert_non_null(strstr(user->server->last, "User-Agent: lua-webhook/" LW_VERSION "\r\n"));
    struct lw_request *request = make(user, "/ok");
    request->options = &named;
    response = exchange(user, request);
    assert_int_equal(response->body_length, 2);
    assert_true(response->body_cut);
    assert_non_null(strstr(user->server->last, "User-Agent: other/1\r\n"));
  }
  assert_int_equal(user->server->peers, 1);
}

static void serials_differ(void **state) {
  (void)state;
  uint64_t first = lw_request_options_serial();
  assert_true(first > 0 && lw_request_options_serial() > first);
}

/* -- proxies --------------------------------------------------------------------------------------- */

/* A strict user whose requests go through the server, as through a proxy. */
static void open_proxied(struct user *user, struct server *server, char url[100]) {
  open_user(user, server, 2, false);
  snprintf(url, 100, "http://someone:geheim@127.0.0.1:%d", server->port);
  user->options.proxy = url;
}

static void a_proxy_may_have_any_address(void **state) {
  struct user *user = *state;
  struct user proxied;
  char proxy[100];
  open_proxied(&proxied, user->server, proxy);
  for (int i = 0; i < 2; i++) { /* the second request finds a kept connection */
    struct lw_request *request = make_for(&proxied, "http://receiver.example/path");
    assert_int_equal(exchange(&proxied, request)->status, 201);
    assert_memory_equal(user->server->last, "POST http://receiver.example/path HTTP/1.1\r\n", 44);
    assert_non_null(strstr(user->server->last, "Proxy-Authorization: Basic c29tZW9uZTpnZWhlaW0=\r\n"));
  }
  assert_int_equal(user->server->peers, 1);
  close_user(&proxied);
}

/* As well as the handle, which keeps nothing of the proxy for the next request. */
static void the_environment_names_no_proxy(void **state) {
  struct user *user = *state;
  char proxy[100];
  snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", user->server->port);
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("all_proxy", "http://127.0.0.1:1", 1);
  setenv("no_proxy", "receiver.example,127.0.0.1", 1);
  struct lw_request_options direct = user->options;
  user->options.proxy = proxy;
  user->options.serial = lw_request_options_serial();
  for (int i = 0; i < 2; i++) {
    assert_int_equal(exchange(user, make_for(user, "http://receiver.example/"))->status, 201);
    assert_memory_equal(user->server->last, "POST http://receiver.example/ HTTP/1.1\r\n", 40);
    struct lw_request *request = make(user, "/ok");
    request->options = &direct;
    assert_int_equal(exchange(user, request)->status, 201);
    assert_memory_equal(user->server->last, "POST /ok HTTP/1.1\r\n", 19);
    assert_null(strstr(user->server->last, "Proxy-"));
  }
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  unsetenv("no_proxy");
}

static void a_proxy_is_not_asked_for_a_refused_address(void **state) {
  static const char *const urls[][2] = {
      {"http://127.0.0.1/", "127.0.0.1"},
      {"http://127.1/", "127.0.0.1"},
      {"http://0x7f.1/", "127.0.0.1"},
      {"http://2130706433/", "127.0.0.1"},
      {"http://017700000001/", "127.0.0.1"},
      {"http://0x7f000001/", "127.0.0.1"},
      {"http://%31%32%37.0.0.1/", "127.0.0.1"},
      {"http://%30x7f.1/", "127.0.0.1"},
      {"http://127.0.0.1./", "127.0.0.1"},
      {"http://0/", "0.0.0.0"},
      {"http://[::1]/", "::1"},
      {"http://[::ffff:10.0.0.1]/", "::ffff:10.0.0.1"},
      {"http://[fe80::1%25lo]/", "fe80::1"},
      {"http://169.254.169.254/latest", "169.254.169.254"},
      {"http://%ef%bc%91%ef%bc%92%ef%bc%97.1/", "?"}, /* full-width digits, which IDNA turns into 127 */
  };
  struct user *user = *state;
  struct user proxied;
  char proxy[100], expected[100];
  open_proxied(&proxied, user->server, proxy);
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    const struct lw_response *response = exchange(&proxied, make_for(&proxied, urls[i][0]));
    snprintf(expected, sizeof expected, "address %s of ", urls[i][1]);
    if (response->error_code == NULL || strcmp(response->error_code, "refused_address") != 0 ||
        strstr(response->error, expected) != response->error || !strstr(response->error, "allow_networks"))
      fail_msg("%s: %s", urls[i][0], response->error);
  }
  assert_int_equal(user->server->peers, 0);
  close_user(&proxied);
}

static void a_failing_proxy_keeps_its_secrets(void **state) {
  static const struct {
    const char *proxy, *code;
  } bad[] = {{"http://someone:geheim@127.0.0.1:%d", "connect"},
             {"http://someone:ge%%68eim@127.0.0.1:%d", "connect"},
             {"http://someone:geheim@127.0.0.1:%d:x", NULL}};
  struct user *user = *state;
  int port;
  int fd = listen_anywhere(&port); /* bound, not listening */
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct user proxied;
    char proxy[100];
    open_user(&proxied, user->server, 1, false);
    snprintf(proxy, sizeof proxy, i == 1 ? "http://someone:ge%%68eim@127.0.0.1:%d" : bad[i].proxy, port);
    proxied.options.proxy = proxy;
    const struct lw_response *response = exchange(&proxied, make_for(&proxied, "http://receiver.example/"));
    assert_non_null(response->error_code);
    if (bad[i].code) assert_string_equal(response->error_code, bad[i].code);
    assert_null(strstr(response->error, "geheim"));
    assert_null(strstr(response->error, "ge%68eim"));
    assert_null(strstr(response->error, "someone"));
    close_user(&proxied);
  }
  close(fd);
}

/* -- files ----------------------------------------------------------------------------------------- */

static void files_that_fail_are_named(void **state) {
  static const struct {
    const char *ca_file, *client_cert, *client_key, *part;
  } bad[] = {
      {"/nowhere/ca.pem", NULL, NULL, "ca_file /nowhere/ca.pem cannot be read: No such file or directory"},
      {"/dev/null", NULL, NULL, "ca_file /dev/null holds no certificate in PEM"},
      {NULL, "/nowhere/c.pem", NULL, "client_cert /nowhere/c.pem cannot be read: No such file or directory"},
      {NULL, "/dev/null", NULL, "client_cert /dev/null is not PEM with a certificate and its key"},
      {NULL, "/dev/null", "/nowhere/k", "client_key /nowhere/k cannot be read: No such file or directory"},
      {NULL, "/dev/null", "/dev/null", "client_cert /dev/null and client_key /dev/null do not fit"},
  };
  struct user *user = *state;
  char url[100];
  snprintf(url, sizeof url, "https://127.0.0.1:%d/", user->server->port);
  const struct lw_request_options plain = user->options;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    user->options.serial = lw_request_options_serial();
    user->options.ca_file = bad[i].ca_file;
    user->options.client_cert = bad[i].client_cert;
    user->options.client_key = bad[i].client_key;
    const struct lw_response *response = exchange(user, make_for(user, url));
    assert_string_equal(response->error_code, "tls");
    if (strstr(response->error, bad[i].part) != response->error) fail_msg("%s", response->error);
    /* The handle keeps nothing of them: the next request fails because the server speaks no TLS. */
    user->options = plain;
    response = exchange(user, make_for(user, url));
    assert_string_equal(response->error_code, "tls");
    if (strstr(response->error, "/dev/null") || strstr(response->error, "/nowhere") ||
        strstr(response->error, "certificate"))
      fail_msg("%s", response->error);
  }
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start_user, stop_user)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_SERVER(posts_and_reads_the_answer),
      WITH_SERVER(reuses_connections),
      WITH_SERVER(a_peer_that_leaves_does_not_keep_us_busy),
      WITH_SERVER(many_requests_all_come_back),
      WITH_SERVER(timeout_is_called_timeout),
      WITH_SERVER(loopback_is_refused),
      WITH_SERVER(connect_refused),
      WITH_SERVER(reset_and_bad_url),
      WITH_SERVER(large_body_is_capped),
      WITH_SERVER(many_headers_are_cut_and_marked),
      WITH_SERVER(header_flood_is_given_up),
      WITH_SERVER(close_cancels_running_and_queued),
      WITH_SERVER(recall_cancels_what_is_queued),
      WITH_SERVER(lanes_do_not_wait_for_each_other),
      cmocka_unit_test(serials_differ),
      WITH_SERVER(each_request_has_its_own_options),
      WITH_SERVER(a_proxy_may_have_any_address),
      WITH_SERVER(the_environment_names_no_proxy),
      WITH_SERVER(a_proxy_is_not_asked_for_a_refused_address),
      WITH_SERVER(a_failing_proxy_keeps_its_secrets),
      WITH_SERVER(files_that_fail_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
