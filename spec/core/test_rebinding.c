/* Names whose addresses change, or are several. This program is its own resolver: it defines getaddrinfo, and
 * libcurl, which is linked dynamically, calls that one. 127.0.0.2 plays the public internet (the policy
 * allows it), 127.0.0.1 the private network. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above before it */
#include <cmocka.h>
/* clang-format on */

#include "transport/sender.h"

#define PUBLIC "127.0.0.2"
#define PRIVATE "127.0.0.1"
#define MAPPED_PRIVATE "::ffff:127.0.0.1"

/* -- the resolver ---------------------------------------------------------------------------------- */

enum { MAX_ANSWERS = 4, MAX_ADDRESSES = 4 };

/* One list for each lookup; guarded by the mutex. */
static struct {
  pthread_mutex_t mutex;
  const char *lists[MAX_ANSWERS][MAX_ADDRESSES];
  int lookups;
} resolver = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct answer {
  struct addrinfo info;
  struct sockaddr_storage address;
};

static struct addrinfo *new_answer(const char *text, const char *port) {
  struct answer *answer = calloc(1, sizeof *answer);
  if (answer == NULL) abort();
  struct sockaddr_in *v4 = (struct sockaddr_in *)&answer->address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&answer->address;
  in_port_t number = htons((uint16_t)strtoul(port, NULL, 10));
  bool is_v4 = inet_pton(AF_INET, text, &v4->sin_addr) == 1;
  if (is_v4)
    v4->sin_port = number;
  else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
    v6->sin6_port = number;
  else
    abort();
  answer->address.ss_family = is_v4 ? AF_INET : AF_INET6;
  answer->info = (struct addrinfo){.ai_family = answer->address.ss_family,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_protocol = IPPROTO_TCP,
                                   .ai_addrlen = is_v4 ? sizeof *v4 : sizeof *v6,
                                   .ai_addr = (struct sockaddr *)&answer->address};
  return &answer->info;
}

/* NOLINTNEXTLINE: the names are the C library's */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict found) {
  (void)hints;
  if (node == NULL || strcmp(node, "receiver.test") != 0 || service == NULL) return EAI_NONAME;
  struct addrinfo **end = found;
  *found = NULL;
  pthread_mutex_lock(&resolver.mutex);
  const char *const *list = resolver.lists[resolver.lookups++];
  for (int i = 0; i < MAX_ADDRESSES && list[i]; i++) {
    *end = new_answer(list[i], service);
    end = &(*end)->ai_next;
  }
  pthread_mutex_unlock(&resolver.mutex);
  return *found ? 0 : EAI_NONAME;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *list) {
  while (list) {
    struct addrinfo *next = list->ai_next;
    free((struct answer *)(void *)list);
    list = next;
  }
}

static void answer_lookup(int number, const char *first, const char *second) {
  pthread_mutex_lock(&resolver.mutex);
  resolver.lists[number][0] = first;
  resolver.lists[number][1] = second;
  pthread_mutex_unlock(&resolver.mutex);
}

static int lookups(void) {
  pthread_mutex_lock(&resolver.mutex);
  int count = resolver.lookups;
  pthread_mutex_unlock(&resolver.mutex);
  return count;
}

/* -- listeners ------------------------------------------------------------------------------------- */

enum { MAX_PEERS = 16, REQUEST_SIZE = 2048, PORT_TRIES = 50 };

struct listener {
  pthread_t thread;
  atomic_int connections, requests, bytes; /* that arrived */
  struct pollfd fds[1 + MAX_PEERS];        /* the listening one is the first */
  int count;
  char text[1 + MAX_PEERS][REQUEST_SIZE];
  size_t length[1 + MAX_PEERS];
};

static void accept_peer(struct listener *listener) {
  int fd = accept(listener->fds[0].fd, NULL, NULL);
  if (fd < 0) return;
  if (listener->count == 1 + MAX_PEERS) abort();
  listener->length[listener->count] = 0;
  listener->fds[listener->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
  atomic_fetch_add(&listener->connections, 1);
}

/* False when the connection is over. The request's body is one byte. */
static bool serve_peer(struct listener *listener, int peer) {
  static const char answer[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
  char *text = listener->text[peer];
  size_t *length = &listener->length[peer];
  ssize_t got = recv(listener->fds[peer].fd, text + *length, REQUEST_SIZE - 1 - *length, 0);
  if (got <= 0) return false;
  atomic_fetch_add(&listener->bytes, (int)got);
  *length += (size_t)got;
  text[*length] = '\0';
  const char *end = strstr(text, "\r\n\r\n");
  if (end == NULL || end[4] == '\0') return true;
  *length = 0;
  atomic_fetch_add(&listener->requests, 1);
  send(listener->fds[peer].fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
  return strncmp(text, "POST /leave", 11) != 0;
}

static void *serve(void *argument) {
  struct listener *listener = argument;
  while (poll(listener->fds, (nfds_t)listener->count, -1) >= 0 && !(listener->fds[0].revents & POLLHUP)) {
    for (int i = 1; i < listener->count; i++) {
      if (listener->fds[i].revents == 0 || serve_peer(listener, i)) continue;
      close(listener->fds[i].fd);
      listener->fds[i].fd = -1; /* poll leaves it out */
    }
    if (listener->fds[0].revents & POLLIN) accept_peer(listener);
  }
  for (int i = 1; i < listener->count; i++)
    if (listener->fds[i].fd >= 0) close(listener->fds[i].fd);
  return NULL;
}

/* Binds; port 0: any. -1 when the port is taken. */
static int bind_to(const char *text, int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return -1;
  }
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static void listen_on(struct listener *listener, int fd) {
  *listener = (struct listener){.count = 1, .fds[0] = {.fd = fd, .events = POLLIN}};
  assert_int_equal(listen(fd, MAX_PEERS), 0);
  assert_int_equal(pthread_create(&listener->thread, NULL, serve, listener), 0);
}

static void stop_listening(struct listener *listener) {
  shutdown(listener->fds[0].fd, SHUT_RDWR);
  pthread_join(listener->thread, NULL);
  close(listener->fds[0].fd);
}

/* -- a user of the sender -------------------------------------------------------------------------- */

struct world {
  int port;
  int public_fd; /* bound; listening once public_listens was called */
  bool public_is_listening;
  struct listener public, private;
  struct lw_request_options strict, lenient;
  struct lw_sender *sender;
  struct lw_lane *lane;
  pthread_mutex_t mutex; /* guards `back` */
  pthread_cond_t changed;
  struct lw_request *back;
};

static void on_done(struct lw_request *request, void *context) {
  struct world *world = context;
  pthread_mutex_lock(&world->mutex);
  world->back = request;
  pthread_cond_signal(&world->changed);
  pthread_mutex_unlock(&world->mutex);
}

static void open_sender(struct world *world) {
  const struct lw_lane_options options = {.max_in_flight = 1};
  world->sender = lw_sender_acquire(NULL);
  assert_non_null(world->sender);
  world->lane = lw_lane_open(world->sender, &options, on_done, NULL, world, NULL);
  assert_non_null(world->lane);
}

static void close_sender(struct world *world) {
  lw_lane_close(world->lane, 0);
  lw_sender_release(world->sender);
}

static void set_policies(struct world *world) {
  world->strict = (struct lw_request_options){.serial = lw_request_options_serial(),
                                              .timeout = 20000,
                                              .connect_timeout = 20000,
                                              .max_response_body = 1024,
                                              .addresses.count = 1};
  assert_true(lw_network_parse(PUBLIC, &world->strict.addresses.allowed[0], NULL));
  world->lenient = world->strict;
  world->lenient.serial = lw_request_options_serial();
  assert_true(lw_network_parse("127.0.0.0/8", &world->lenient.addresses.allowed[0], NULL));
}

static int start(void **state) {
  struct world *world = *state = calloc(1, sizeof *world);
  if (world == NULL) return -1;
  int private_fd = -1;
  world->public_fd = -1;
  for (int i = 0; i < PORT_TRIES && world->public_fd < 0; i++) {
    if (private_fd >= 0) close(private_fd);
    world->port = 0;
    private_fd = bind_to(PRIVATE, &world->port);
    world->public_fd = bind_to(PUBLIC, &world->port);
  }
  if (world->public_fd < 0) return -1;
  pthread_mutex_init(&world->mutex, NULL);
  pthread_cond_init(&world->changed, NULL);
  listen_on(&world->private, private_fd);
  set_policies(world);
  open_sender(world);
  memset(resolver.lists, 0, sizeof resolver.lists);
  resolver.lookups = 0;
  return 0;
}

static void public_listens(struct world *world) {
  listen_on(&world->public, world->public_fd);
  world->public_is_listening = true;
}

static int stop(void **state) {
  struct world *world = *state;
  close_sender(world);
  stop_listening(&world->private);
  if (world->public_is_listening)
    stop_listening(&world->public);
  else
    close(world->public_fd);
  lw_request_free(world->back);
  pthread_mutex_destroy(&world->mutex);
  pthread_cond_destroy(&world->changed);
  free(world);
  return 0;
}

/* The response is the world's until the next call. */
static const struct lw_response *post(struct world *world, const char *path,
                                      const struct lw_request_options *options) {
  char url[100];
  snprintf(url, sizeof url, "http://receiver.test:%d%s", world->port, path);
  struct lw_request *request = lw_request_new(url);
  assert_non_null(request);
  request->options = options;
  request->body = "x";
  request->body_length = 1;
  lw_request_free(world->back);
  world->back = NULL;
  lw_lane_submit(world->lane, request);
  pthread_mutex_lock(&world->mutex);
  while (world->back == NULL) pthread_cond_wait(&world->changed, &world->mutex);
  pthread_mutex_unlock(&world->mutex);
  return &request->response;
}

static void assert_refused(const struct lw_response *response, const char *address) {
  char expected[200];
  snprintf(expected, sizeof expected, "address %s of receiver.test is not allowed", address);
  assert_int_equal(response->status, 0);
  assert_non_null(response->error_code);
  assert_string_equal(response->error_code, "refused_address");
  if (strstr(response->error, expected) != response->error) fail_msg("%s", response->error);
  assert_non_null(strstr(response->error, "allow_networks"));
}

static void assert_untouched(struct listener *listener) {
  assert_int_equal(atomic_load(&listener->connections), 0);
  assert_int_equal(atomic_load(&listener->bytes), 0);
}

/* -- cases ----------------------------------------------------------------------------------------- */

static void a_second_answer_is_judged_again(void **state) {
  struct world *world = *state;
  public_listens(world);
  answer_lookup(0, PUBLIC, NULL);
  answer_lookup(1, PRIVATE, NULL);
  assert_int_equal(post(world, "/leave", &world->strict)->status, 201);
  assert_int_equal(atomic_load(&world->public.requests), 1);
  close_sender(world); /* and with it curl's memory of names, which would serve for a minute */
  open_sender(world);
  assert_refused(post(world, "/", &world->strict), PRIVATE);
  assert_int_equal(lookups(), 2);
  assert_untouched(&world->private);
}

/* curl looks a name up again for each port. */
static void a_second_answer_is_judged_again_by_the_same_sender(void **state) {
  struct world *world = *state;
  struct listener other;
  int port = world->port, other_port = 0;
  public_listens(world);
  answer_lookup(0, PUBLIC, NULL);
  answer_lookup(1, PRIVATE, NULL);
  assert_int_equal(post(world, "/leave", &world->strict)->status, 201);
  listen_on(&other, bind_to(PRIVATE, &other_port));
  world->port = other_port;
  assert_refused(post(world, "/", &world->strict), PRIVATE);
  world->port = port;
  assert_int_equal(lookups(), 2);
  assert_untouched(&other);
  stop_listening(&other);
  assert_untouched(&world->private);
}

static void the_refused_address_is_no_way_out(void **state) {
  struct world *world = *state; /* nobody listens at the public one */
  answer_lookup(0, PUBLIC, PRIVATE);
  assert_refused(post(world, "/", &world->strict), PRIVATE);
  assert_int_equal(lookups(), 1);
  assert_untouched(&world->private);
}

static void the_allowed_address_is_used_though_it_comes_second(void **state) {
  struct world *world = *state;
  public_listens(world);
  answer_lookup(0, PRIVATE, PUBLIC);
  assert_int_equal(post(world, "/", &world->strict)->status, 201);
  assert_int_equal(lookups(), 1);
  assert_int_equal(atomic_load(&world->public.requests), 1);
  assert_untouched(&world->private);
}

static void a_mapped_address_is_the_address(void **state) {
  struct world *world = *state;
  answer_lookup(0, MAPPED_PRIVATE, NULL);
  assert_refused(post(world, "/", &world->strict), MAPPED_PRIVATE);
  assert_int_equal(lookups(), 1);
  assert_untouched(&world->private);
}

static void a_kept_connection_is_judged_again(void **state) {
  struct world *world = *state;
  answer_lookup(0, PRIVATE, NULL);
  answer_lookup(1, PRIVATE, NULL);
  assert_int_equal(post(world, "/", &world->lenient)->status, 201);
  assert_int_equal(post(world, "/", &world->lenient)->status, 201);
  assert_int_equal(atomic_load(&world->private.connections), 1); /* it is kept, and used again */
  int bytes = atomic_load(&world->private.bytes);
  assert_refused(post(world, "/", &world->strict), PRIVATE);
  assert_int_equal(post(world, "/", &world->lenient)->status, 201);
  assert_int_equal(atomic_load(&world->private.requests), 3);
  assert_int_equal(atomic_load(&world->private.bytes), bytes / 2 * 3);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_WORLD(a_second_answer_is_judged_again),
      IN_WORLD(a_second_answer_is_judged_again_by_the_same_sender),
      IN_WORLD(the_refused_address_is_no_way_out),
      IN_WORLD(the_allowed_address_is_used_though_it_comes_second),
      IN_WORLD(a_mapped_address_is_the_address),
      IN_WORLD(a_kept_connection_is_judged_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
