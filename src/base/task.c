#include "base/task.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct lw_completions {
  pid_t pid;
  atomic_int references;
  pthread_mutex_t mutex;        /* guards what follows */
  struct lw_task *first, *last; /* done and not released */
  struct lw_task *unasked;      /* the first of them that lw_completions_next has not told */
  uint64_t ids;                 /* given so far */
  int out, in;                  /* a byte goes in at `out`; `in` is ours, or -1: a peer's */
  int listener;                 /* -1: none */
  bool raised;                  /* a byte is on its way, or was read and next has not come to its end */
  bool attention;
  char path[LW_COMPLETIONS_PATH_SIZE]; /* of the listener; "": none */
};

_Static_assert(LW_COMPLETIONS_PATH_SIZE <= sizeof((struct sockaddr_un){0}.sun_path), "a path must fit");

/* -- its life -------------------------------------------------------------------------------------- */

struct lw_completions *lw_completions_new(struct lw_error *error) {
  struct lw_completions *c = calloc(1, sizeof *c);
  if (c == NULL) {
    lw_fail(error, "memory", "out of memory");
    return NULL;
  }
  c->pid = getpid();
  c->references = 1;
  c->out = c->in = c->listener = -1;
  pthread_mutex_init(&c->mutex, NULL);
  return c;
}

struct lw_completions *lw_completions_keep(struct lw_completions *c) {
  atomic_fetch_add(&c->references, 1);
  return c;
}

static void close_descriptor(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* The socket's name and its folder. */
static void remove_path(struct lw_completions *c) {
  if (c->path[0] == '\0') return;
  unlink(c->path);
  *strrchr(c->path, '/') = '\0';
  rmdir(c->path);
  c->path[0] = '\0';
}

void lw_completions_drop(struct lw_completions *c) {
  if (c == NULL || atomic_fetch_sub(&c->references, 1) > 1) return;
  close_descriptor(&c->listener);
  close_descriptor(&c->out);
  close_descriptor(&c->in);
  if (!lw_completions_forked(c)) remove_path(c);
  pthread_mutex_destroy(&c->mutex);
  free(c);
}

bool lw_completions_forked(const struct lw_completions *c) {
  return c->pid != getpid();
}

/* -- the descriptor -------------------------------------------------------------------------------- */

/* Under the lock. A peer that is gone is no matter: nobody waits there. */
static void raise_flag(struct lw_completions *c) {
  if (c->raised || c->out < 0) return;
  c->raised = send(c->out, "!", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* Under the lock. */
static void lower_flag(struct lw_completions *c) {
  char byte;
  if (c->in < 0 || !c->raised || c->first != NULL || c->attention) return;
  c->raised = recv(c->in, &byte, 1, MSG_DONTWAIT) != 1;
}

static void start_telling(struct lw_completions *c) {
  c->raised = false;
  if (c->first != NULL || c->attention) raise_flag(c);
}

int lw_completions_fd(struct lw_completions *c, struct lw_error *error) {
  int pair[2];
  pthread_mutex_lock(&c->mutex);
  if (c->in < 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) {
    close_descriptor(&c->out);
    c->in = pair[0];
    c->out = pair[1];
    start_telling(c);
  } else if (c->in < 0) {
    lw_fail(error, "descriptor", "cannot make a descriptor to wait for: %s", strerror(errno));
  }
  int fd = c->in;
  pthread_mutex_unlock(&c->mutex);
  return fd;
}

/* Under the lock. */
static bool make_listener(struct lw_completions *c) {
  const char *parent = getenv("TMPDIR");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(c->path, sizeof c->path - 2, "%s/lua-webhook-XXXXXX", parent ? parent : "/tmp");
  if (length >= (int)sizeof c->path - 2) snprintf(c->path, sizeof c->path - 2, "/tmp/lua-webhook-XXXXXX");
  if (mkdtemp(c->path) == NULL) { /* mode 0700 */
    c->path[0] = '\0';
    return false;
  }
  size_t end = strlen(c->path);
  memcpy(c->path + end, "/s", 3);
  memcpy(address.sun_path, c->path, end + 3);
  c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return c->listener >= 0 && bind(c->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
         listen(c->listener, 1) == 0;
}

bool lw_completions_listen(struct lw_completions *c, char path[LW_COMPLETIONS_PATH_SIZE],
                           struct lw_error *error) {
  pthread_mutex_lock(&c->mutex);
  close_descriptor(&c->listener);
  remove_path(c);
  bool ok = make_listener(c);
  int number = errno;
  if (ok) {
    memcpy(path, c->path, sizeof c->path);
  } else {
    close_descriptor(&c->listener);
    remove_path(c);
  }
  pthread_mutex_unlock(&c->mutex);
  return ok || lw_fail(error, "descriptor", "cannot make a socket to wait for: %s", strerror(number));
}

static bool is_ours(int fd) {
  struct ucred peer = {0};
  socklen_t length = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid == getpid();
}

bool lw_completions_accept(struct lw_completions *c) {
  pthread_mutex_lock(&c->mutex);
  int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  close_descriptor(&c->listener);
  remove_path(c);
  bool ok = fd >= 0 && is_ours(fd);
  if (ok) {
    close_descriptor(&c->out);
    close_descriptor(&c->in);
    c->out = fd;
    start_telling(c);
  } else {
    close_descriptor(&fd);
  }
  pthread_mutex_unlock(&c->mutex);
  return ok;
}

void lw_completions_hang_up(struct lw_completions *c) {
  pthread_mutex_lock(&c->mutex);
  close_descriptor(&c->listener);
  remove_path(c);
  if (c->in < 0) close_descriptor(&c->out);
  pthread_mutex_unlock(&c->mutex);
}

bool lw_completions_next(struct lw_completions *c, uint64_t *id) {
  pthread_mutex_lock(&c->mutex);
  bool found = c->unasked != NULL;
  if (found) {
    *id = c->unasked->id;
    c->unasked = c->unasked->next;
  } else if (c->in < 0) {
    c->raised = false;
  }
  pthread_mutex_unlock(&c->mutex);
  return found;
}

void lw_completions_attention(struct lw_completions *c, bool wanted) {
  pthread_mutex_lock(&c->mutex);
  c->attention = wanted;
  if (wanted)
    raise_flag(c);
  else
    lower_flag(c);
  pthread_mutex_unlock(&c->mutex);
}

/* -- tasks ----------------------------------------------------------------------------------------- */

void lw_task_start(struct lw_task *task, struct lw_completions *c, void (*free)(struct lw_task *)) {
  task->completions = lw_completions_keep(c);
  task->free = free;
  task->done = task->released = false;
  pthread_mutex_lock(&c->mutex);
  task->id = ++c->ids;
  pthread_mutex_unlock(&c->mutex);
}

void lw_task_cancel_start(struct lw_task *task) {
  lw_completions_drop(task->completions);
  task->completions = NULL;
}

static void dispose(struct lw_task *task) {
  struct lw_completions *c = task->completions;
  task->free(task);
  lw_completions_drop(c);
}

/* Under the lock. */
static void append(struct lw_completions *c, struct lw_task *task) {
  task->next = NULL;
  task->previous = c->last;
  if (c->last)
    c->last->next = task;
  else
    c->first = task;
  c->last = task;
  if (c->unasked == NULL) c->unasked = task;
}

/* Under the lock. */
static void take_out(struct lw_completions *c, struct lw_task *task) {
  if (c->unasked == task) c->unasked = task->next;
  if (task->previous)
    task->previous->next = task->next;
  else
    c->first = task->next;
  if (task->next)
    task->next->previous = task->previous;
  else
    c->last = task->previous;
}

void lw_task_finish(struct lw_task *task) {
  struct lw_completions *c = task->completions;
  pthread_mutex_lock(&c->mutex);
  bool released = task->released;
  task->done = true;
  if (!released) {
    append(c, task);
    raise_flag(c);
  }
  pthread_mutex_unlock(&c->mutex);
  if (released) dispose(task);
}

void lw_task_release(struct lw_task *task) {
  struct lw_completions *c = task->completions;
  if (lw_completions_forked(c)) return; /* its worker and the lock are in the parent */
  pthread_mutex_lock(&c->mutex);
  bool done = task->done;
  task->released = true;
  if (done) {
    take_out(c, task);
    lower_flag(c);
  }
  pthread_mutex_unlock(&c->mutex);
  if (done) dispose(task);
}

bool lw_task_done(struct lw_task *task) {
  struct lw_completions *c = task->completions;
  if (lw_completions_forked(c)) return true;
  pthread_mutex_lock(&c->mutex);
  bool done = task->done;
  pthread_mutex_unlock(&c->mutex);
  return done;
}

bool lw_task_released(struct lw_task *task) {
  struct lw_completions *c = task->completions;
  pthread_mutex_lock(&c->mutex);
  bool released = task->released;
  pthread_mutex_unlock(&c->mutex);
  return released;
}

/* -- helpers --------------------------------------------------------------------------------------- */

static atomic_int helpers;

static void *help(void *argument) {
  struct lw_task *task = argument;
  task->run(task);
  lw_task_finish(task);
  atomic_fetch_sub(&helpers, 1);
  return NULL;
}

bool lw_task_spawn(struct lw_task *task, void (*run)(struct lw_task *), struct lw_error *error) {
  if (atomic_fetch_add(&helpers, 1) >= LW_MAX_HELPERS) {
    atomic_fetch_sub(&helpers, 1);
    return lw_fail(error, "busy", "more than %d calls of this kind run already: try later", LW_MAX_HELPERS);
  }
  task->run = run;
  pthread_t thread;
  int failed = lw_thread_start(&thread, help, task);
  if (failed == 0) return pthread_detach(thread) == 0;
  atomic_fetch_sub(&helpers, 1);
  return lw_fail(error, "thread", "cannot start a thread: %s", strerror(failed));
}
