/* A small HTTP receiver on loopback for tests: one thread, which notes every request and answers as it is
 * told. Requests are sent with Content-Length, one at a time on a connection, as the sender does. */
#ifndef LW_SPEC_RECEIVER_H
#define LW_SPEC_RECEIVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVER_PEERS = 256, RECEIVER_TEXT = 4096, RECEIVER_REQUESTS = 20000 };

struct receiver_request {
  char path[24], id[40], body[32]; /* the body's beginning */
  int64_t timestamp;               /* of the header webhook-timestamp, in seconds; 0: none */
  const char *answer;              /* a whole response; NULL: not answered yet */
};

/* Under the mutex: the answer to the request, or NULL: ask again after receiver_wake. */
typedef const char *receiver_judge(const struct receiver_request *request, void *context);

#define RECEIVER_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define RECEIVER_NO "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"

struct receiver {
  int port, wakeup;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards what follows */
  receiver_judge *judge; /* NULL: 200 for everything */
  void *context;
  bool over;
  struct receiver_request requests[RECEIVER_REQUESTS];
  int count;

  struct pollfd fds[2 + RECEIVER_PEERS]; /* the thread's: wakeup, listener, peers (-1: none) */
  char text[RECEIVER_PEERS][RECEIVER_TEXT];
  size_t length[RECEIVER_PEERS]; /* of what came; of it, no more than fits into `text` is kept */
  int waiting[RECEIVER_PEERS];   /* the request that is to be answered, or -1 */
};

static inline void receiver_copy(char *to, size_t size, const char *from, const char *stop) {
  size_t length = strcspn(from, stop);
  if (length >= size) length = size - 1;
  memcpy(to, from, length);
  to[length] = '\0';
}

static inline void receiver_hang_up(struct receiver *r, int peer) {
  close(r->fds[2 + peer].fd);
  r->fds[2 + peer].fd = -1;
}

static inline void receiver_answer(struct receiver *r, int peer) {
  if (r->waiting[peer] < 0) return;
  struct receiver_request *request = &r->requests[r->waiting[peer]];
  request->answer = r->judge ? r->judge(request, r->context) : RECEIVER_OK;
  if (request->answer == NULL) return;
  r->waiting[peer] = -1;
  if (send(r->fds[2 + peer].fd, request->answer, strlen(request->answer), MSG_NOSIGNAL) < 0)
    receiver_hang_up(r, peer);
}

static inline void receiver_note(struct receiver *r, int peer) {
  char *text = r->text[peer];
  text[r->length[peer] < RECEIVER_TEXT ? r->length[peer] : RECEIVER_TEXT - 1] = '\0';
  const char *end = strstr(text, "\r\n\r\n");
  const char *size = strstr(text, "Content-Length: ");
  const char *id = strstr(text, "Webhook-Id: ");
  const char *timestamp = strstr(text, "webhook-timestamp: ");
  if (end == NULL || size == NULL || id == NULL) return;
  if (r->length[peer] < (size_t)(end + 4 - text) + strtoul(size + 16, NULL, 10)) return;
  if (r->count == RECEIVER_REQUESTS) abort();
  struct receiver_request *request = &r->requests[r->count];
  receiver_copy(request->path, sizeof request->path, strchr(text, '/'), " ");
  receiver_copy(request->id, sizeof request->id, id + 12, "\r");
  receiver_copy(request->body, sizeof request->body, end + 4, "");
  request->timestamp = timestamp ? strtoll(timestamp + 19, NULL, 10) : 0;
  request->answer = NULL;
  r->waiting[peer] = r->count++;
  r->length[peer] = 0;
}

static inline void receiver_read(struct receiver *r, int peer) {
  static char rest[65536];
  size_t *length = &r->length[peer];
  bool fits = *length < RECEIVER_TEXT - 1;
  char *to = fits ? r->text[peer] + *length : rest;
  ssize_t got = recv(r->fds[2 + peer].fd, to, fits ? RECEIVER_TEXT - 1 - *length : sizeof rest, 0);
  if (got <= 0) {
    r->waiting[peer] = -1;
    receiver_hang_up(r, peer);
    return;
  }
  *length += (size_t)got;
  receiver_note(r, peer);
}

static inline void receiver_accept(struct receiver *r) {
  int fd = accept(r->fds[1].fd, NULL, NULL);
  for (int i = 0; fd >= 0 && i < RECEIVER_PEERS; i++) {
    if (r->fds[2 + i].fd >= 0) continue;
    r->fds[2 + i] = (struct pollfd){.fd = fd, .events = POLLIN};
    r->length[i] = 0;
    r->waiting[i] = -1;
    return;
  }
  abort();
}

static inline void *receiver_run(void *argument) {
  struct receiver *r = argument;
  uint64_t ignored;
  for (bool over = false; !over;) {
    poll(r->fds, 2 + RECEIVER_PEERS, -1);
    pthread_mutex_lock(&r->mutex);
    if ((r->fds[0].revents & POLLIN) && read(r->wakeup, &ignored, sizeof ignored) < 0) abort();
    if (r->fds[1].revents & POLLIN) receiver_accept(r);
    for (int i = 0; i < RECEIVER_PEERS; i++)
      if (r->fds[2 + i].fd >= 0 && r->fds[2 + i].revents != 0) receiver_read(r, i);
    for (int i = 0; i < RECEIVER_PEERS; i++)
      if (r->fds[2 + i].fd >= 0) receiver_answer(r, i);
    over = r->over;
    pthread_mutex_unlock(&r->mutex);
  }
  return NULL;
}

/* `r` is large: static. */
static inline void receiver_start(struct receiver *r, receiver_judge *judge, void *context) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  memset(r, 0, sizeof *r);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &length) != 0)
    abort();
  r->port = ntohs(address.sin_port);
  r->wakeup = eventfd(0, EFD_CLOEXEC);
  r->judge = judge;
  r->context = context;
  for (int i = 0; i < RECEIVER_PEERS; i++) r->fds[2 + i].fd = -1;
  r->fds[0] = (struct pollfd){.fd = r->wakeup, .events = POLLIN};
  r->fds[1] = (struct pollfd){.fd = listener, .events = POLLIN};
  pthread_mutex_init(&r->mutex, NULL);
  pthread_create(&r->thread, NULL, receiver_run, r);
}

/* Its judge may say something else now. */
static inline void receiver_wake(struct receiver *r) {
  const uint64_t one = 1;
  if (write(r->wakeup, &one, sizeof one) < 0) abort();
}

static inline void receiver_stop(struct receiver *r) {
  pthread_mutex_lock(&r->mutex);
  r->over = true;
  pthread_mutex_unlock(&r->mutex);
  receiver_wake(r);
  pthread_join(r->thread, NULL);
  for (int i = 0; i < 2 + RECEIVER_PEERS; i++)
    if (r->fds[i].fd >= 0) close(r->fds[i].fd);
  pthread_mutex_destroy(&r->mutex);
}

static inline int receiver_count(struct receiver *r) {
  pthread_mutex_lock(&r->mutex);
  int count = r->count;
  pthread_mutex_unlock(&r->mutex);
  return count;
}

/* Forgets what it has noted, while nobody sends. */
static inline void receiver_forget(struct receiver *r) {
  pthread_mutex_lock(&r->mutex);
  r->count = 0;
  pthread_mutex_unlock(&r->mutex);
}

#endif
