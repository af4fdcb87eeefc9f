/* Loads a web server on 127.0.0.1 at a steady rate, and says how long the answers took.
 *   load PORT PATH RATE SECONDS CONNECTIONS [FILE]
 * Open loop: request k is due at k / RATE seconds whatever became of those before, and its time counts from
 * then; so a server that stalls is charged for all that would have come meanwhile. The requests are GET
 * PATH?n=k, on connections that are kept. FILE: gets the body of each answer with status 200, a line each, as
 * soon as it comes. A connection that the server ends is made again; its request is `cut`, and not sent
 * again.
 * Prints one line: sent= ok= bad= cut= p50= p99= p999= max= (milliseconds, of the good answers) */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
  MOST_CONNECTIONS = 4096,
  ANSWER_SIZE = 16384, /* bytes of an answer, head and body */
  REQUEST_SIZE = 512,
  EVENTS = 256,
  PATIENCE = 30,   /* seconds for the last answers */
  RECONNECT_MS = 1 /* after a refused connection */
};

struct connection {
  int fd; /* -1: none */
  bool busy;
  int64_t due; /* nanoseconds, of its request */
  size_t length;
  char answer[ANSWER_SIZE];
};

struct load {
  struct sockaddr_in address;
  const char *path;
  FILE *file;
  int epoll;
  int64_t began, interval; /* nanoseconds */
  long total, sent, done, ok, bad, cut;
  double *milliseconds; /* of the good answers */
  struct connection *connections;
  int count;
  int *idle, idle_count; /* the newest last */
};

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* -- connections ----------------------------------------------------------------------------------- */

/* On loopback a connection is made or refused at once. */
static bool open_connection(struct load *load, struct connection *connection) {
  int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&load->address, sizeof load->address) != 0) {
    close(fd);
    return false;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = connection};
  if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  connection->fd = fd;
  return true;
}

static void close_connection(struct connection *connection) {
  close(connection->fd);
  connection->fd = -1;
}

static void set_idle(struct load *load, struct connection *connection) {
  connection->busy = false;
  connection->length = 0;
  load->idle[load->idle_count++] = (int)(connection - load->connections);
}

static bool send_request(struct load *load, struct connection *connection, long number) {
  char request[REQUEST_SIZE];
  int length =
      snprintf(request, sizeof request, "GET %s?n=%ld HTTP/1.1\r\nHost: load\r\n\r\n", load->path, number);
  if (length >= (int)sizeof request) die("the path is too long");
  return send(connection->fd, request, (size_t)length, MSG_NOSIGNAL) == length;
}

/* -- answers --------------------------------------------------------------------------------------- */

/* The length of a whole answer, or 0 while more has to come. */
static size_t whole(const struct connection *connection, const char **body, size_t *body_length) {
  const char *end = strstr(connection->answer, "\r\n\r\n");
  if (end == NULL) return 0;
  const char *field = strcasestr(connection->answer, "\r\ncontent-length:");
  if (field == NULL || field > end) die("an answer without Content-Length");
  *body = end + 4;
  *body_length = strtoul(field + 17, NULL, 10);
  size_t length = (size_t)(*body - connection->answer) + *body_length;
  return connection->length >= length ? length : 0;
}

static void count_answer(struct load *load, struct connection *connection, const char *body, size_t length) {
  bool good = strncmp(connection->answer, "HTTP/1.1 200", 12) == 0;
  load->done++;
  if (!good) {
    load->bad++;
    return;
  }
  double milliseconds = (double)(now() - connection->due) / 1e6;
  load->milliseconds[load->ok++] = milliseconds;
  if (load->file) {
    fprintf(load->file, "%.3f %.*s\n", milliseconds, (int)length, body);
    fflush(load->file);
  }
}

static void end(struct load *load, struct connection *connection) {
  if (connection->busy) {
    load->cut++;
    load->done++;
    close_connection(connection);
    set_idle(load, connection);
  } else {
    close_connection(connection); /* it is idle already, and made again when its turn comes */
  }
}

static void take_answer(struct load *load, struct connection *connection) {
  const char *body;
  size_t body_length;
  ssize_t got = recv(connection->fd, connection->answer + connection->length,
                     sizeof connection->answer - 1 - connection->length, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0 || !connection->busy) {
    end(load, connection);
    return;
  }
  connection->length += (size_t)got;
  connection->answer[connection->length] = '\0';
  if (whole(connection, &body, &body_length) == 0) return;
  count_answer(load, connection, body, body_length);
  set_idle(load, connection);
}

/* -- the loop -------------------------------------------------------------------------------------- */

static int64_t due(const struct load *load, long number) {
  return load->began + number * load->interval;
}

/* Sends what is due, as far as there are connections. False: the server refuses connections. */
static bool send_due(struct load *load) {
  while (load->sent < load->total && load->idle_count > 0 && due(load, load->sent) <= now()) {
    struct connection *connection = &load->connections[load->idle[load->idle_count - 1]];
    if (connection->fd < 0 && !open_connection(load, connection)) return false;
    load->idle_count--;
    connection->busy = true;
    connection->due = due(load, load->sent);
    if (!send_request(load, connection, load->sent++)) end(load, connection);
  }
  return true;
}

/* Until the next request is due or an answer comes. */
static void wait_for_events(struct load *load, bool refused) {
  struct epoll_event events[EVENTS];
  int64_t left =
      load->sent < load->total && load->idle_count > 0 ? due(load, load->sent) - now() : 1000000000;
  if (refused) left = RECONNECT_MS * 1000000;
  if (left < 0) left = 0;
  struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
  int count = epoll_pwait2(load->epoll, events, EVENTS, &timeout, NULL);
  for (int i = 0; i < count; i++) take_answer(load, events[i].data.ptr);
}

static void run(struct load *load) {
  load->began = now();
  int64_t end_at = due(load, load->total) + PATIENCE * INT64_C(1000000000);
  while (load->done < load->total && now() < end_at) wait_for_events(load, !send_due(load));
}

/* -- the result ------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static double percentile(const struct load *load, double part) {
  if (load->ok == 0) return 0;
  long at = (long)((double)load->ok * part);
  return load->milliseconds[at < load->ok ? at : load->ok - 1];
}

static void report(struct load *load) {
  qsort(load->milliseconds, (size_t)load->ok, sizeof *load->milliseconds, compare);
  printf("sent=%ld ok=%ld bad=%ld cut=%ld p50=%.3f p99=%.3f p999=%.3f max=%.3f\n", load->sent, load->ok,
         load->bad, load->cut + load->sent - load->done, percentile(load, 0.5), percentile(load, 0.99),
         percentile(load, 0.999), percentile(load, 1));
}

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory == NULL) die("memory");
  return memory;
}

int main(int count, char **arguments) {
  if (count < 6 || count > 7) {
    fprintf(stderr, "usage: load PORT PATH RATE SECONDS CONNECTIONS [FILE]\n");
    return 2;
  }
  struct load load = {.path = arguments[2]};
  load.address.sin_family = AF_INET;
  load.address.sin_port = htons((uint16_t)strtoul(arguments[1], NULL, 10));
  load.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  double rate = strtod(arguments[3], NULL), seconds = strtod(arguments[4], NULL);
  load.count = (int)strtol(arguments[5], NULL, 10);
  if (rate <= 0 || seconds <= 0 || load.count < 1 || load.count > MOST_CONNECTIONS) {
    errno = EINVAL;
    die("arguments");
  }
  load.interval = (int64_t)(1e9 / rate);
  load.total = (long)(rate * seconds);
  load.milliseconds = allocate((size_t)load.total + 1, sizeof *load.milliseconds);
  load.connections = allocate((size_t)load.count, sizeof *load.connections);
  load.idle = allocate((size_t)load.count, sizeof *load.idle);
  if (count == 7 && (load.file = fopen(arguments[6], "w")) == NULL) die(arguments[6]);
  load.epoll = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < load.count; i++) {
    load.connections[i].fd = -1;
    if (!open_connection(&load, &load.connections[i])) die("connect");
    set_idle(&load, &load.connections[i]);
  }
  run(&load);
  report(&load);
  return 0;
}
