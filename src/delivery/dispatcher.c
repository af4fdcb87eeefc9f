#include "delivery/dispatcher.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/deadline.h"
#include "delivery/engine.h"

enum { DRAIN_LOOK_MS = 20 };

static bool usable(const struct lw_dispatcher *d, struct lw_error *error) {
  if (d->pid == getpid()) return true;
  return lw_fail(error, "forked", "the dispatcher was opened before a fork: open it in this process");
}

/* -- open ----------------------------------------------------------------------------------------- */

static bool open_store(struct lw_dispatcher *d, const char *path, struct lw_error *error) {
  d->store = lw_store_open(path, error);
  if (d->store == NULL) return false;
  if (lw_store_is_private(d->store)) return true;
  d->reader = lw_store_open(path, error);
  return d->reader != NULL;
}

static bool copy_text(const char *text, const char **copy) {
  *copy = text ? strdup(text) : NULL;
  return text == NULL || *copy != NULL;
}

static bool copy_request_options(struct lw_dispatcher *d, struct lw_error *error) {
  d->request_options = (struct lw_request_options){.serial = lw_request_options_serial(),
                                                   .timeout = d->options.timeout,
                                                   .connect_timeout = d->options.connect_timeout,
                                                   .max_response_body = d->options.max_response_body,
                                                   .addresses = d->options.addresses};
  return (copy_text(d->options.user_agent, &d->request_options.user_agent) &&
          copy_text(d->options.ca_file, &d->request_options.ca_file)) ||
         lw_fail(error, "memory", "out of memory");
}

static bool open_lane(struct lw_dispatcher *d, struct lw_error *error) {
  d->sender = lw_sender_acquire(error);
  if (d->sender == NULL) return false;
  struct lw_lane_options lane = {.max_in_flight = d->options.connections};
  d->lane = lw_lane_open(d->sender, &lane, lw_engine_done, lw_engine_idle, d, error);
  return d->lane != NULL;
}

/* Signals belong to the host program: our thread blocks them all. */
static bool start_thread(struct lw_dispatcher *d, struct lw_error *error) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&d->thread, NULL, lw_engine_run, d);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed == 0 ||
         lw_fail(error, "thread", "cannot start the dispatcher's thread: %s", strerror(failed));
}

static void init_locks(struct lw_dispatcher *d) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&d->mutex, NULL);
  pthread_cond_init(&d->wake, &monotonic);
  pthread_cond_init(&d->answered, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

static void dispose(struct lw_dispatcher *d) {
  if (d->lane) lw_lane_close(d->lane, 0);
  if (d->sender) lw_sender_release(d->sender);
  free((char *)d->request_options.user_agent);
  free((char *)d->request_options.ca_file);
  lw_routing_free(&d->routing);
  lw_bodies_free(&d->bodies);
  lw_record_queue_clear(&d->staged_records);
  lw_store_close(d->reader);
  lw_store_close(d->store);
  pthread_mutex_destroy(&d->mutex);
  pthread_cond_destroy(&d->wake);
  pthread_cond_destroy(&d->answered);
  free(d);
}

struct lw_dispatcher *lw_dispatcher_open(const char *path, const struct lw_dispatcher_options *options,
                                         struct lw_error *error) {
  struct lw_dispatcher *d = calloc(1, sizeof *d);
  if (d == NULL) {
    lw_fail(error, "memory", "out of memory");
    return NULL;
  }
  d->pid = getpid();
  d->clock = lw_system_clock();
  d->options = *options;
  d->mailbox_end = &d->mailbox;
  d->ids.clock = d->message_ids.clock = d->clock;
  lw_id_next(&d->ids, &d->id);
  lw_routing_init(&d->routing);
  lw_bodies_init(&d->bodies);
  init_locks(d);
  if (copy_request_options(d, error) && open_store(d, path, error) && open_lane(d, error) &&
      start_thread(d, error))
    return d;
  dispose(d);
  return NULL;
}

/* -- the mailbox ---------------------------------------------------------------------------------- */

/* A batch larger than the mailbox may come when it is empty, alone. */
static bool has_room(const struct lw_dispatcher *d, const struct lw_command *command) {
  if (d->queued_events == 0) return true;
  return d->queued_events + command->count <= LW_MAILBOX_EVENTS &&
         d->queued_bytes + command->bytes <= LW_MAILBOX_BYTES;
}

/* Under the lock. */
static void post(struct lw_dispatcher *d, struct lw_command *command) {
  for (size_t i = 0; i < command->count; i++) lw_id_next(&d->message_ids, &command->items[i].id);
  command->next = NULL;
  *d->mailbox_end = command;
  d->mailbox_end = &command->next;
  d->queued_events += command->count;
  d->queued_bytes += command->bytes;
  pthread_cond_signal(&d->wake);
}

static bool closed(struct lw_error *error) {
  return lw_fail(error, "closed", "the dispatcher is closed");
}

static bool run(struct lw_dispatcher *d, struct lw_command *command, struct lw_error *error) {
  if (!usable(d, error)) return false;
  pthread_mutex_lock(&d->mutex);
  while (!d->closing && !has_room(d, command)) pthread_cond_wait(&d->answered, &d->mutex);
  bool accepted = !d->closing;
  if (accepted) post(d, command);
  while (accepted && !command->done) pthread_cond_wait(&d->answered, &d->mutex);
  pthread_mutex_unlock(&d->mutex);
  if (!accepted) return closed(error);
  if (!command->ok && error) *error = command->error;
  return command->ok;
}

static size_t total_bytes(const struct lw_emit_item *items, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += items[i].body_length + items[i].packed_length;
  return bytes;
}

bool lw_dispatcher_emit(struct lw_dispatcher *d, struct lw_emit_item *items, size_t count,
                        struct lw_error *error) {
  struct lw_command command = {.items = items, .count = count, .bytes = total_bytes(items, count)};
  return run(d, &command, error);
}

static size_t text_size(const char *text) {
  return text ? strlen(text) + 1 : 0;
}

static const char *copy_bytes(char **at, const char *bytes, size_t size) {
  if (bytes == NULL) return NULL;
  char *copy = *at;
  memcpy(copy, bytes, size);
  *at += size;
  return copy;
}

/* One block: the command, its items, their packed events (first, since they are aligned), and all their
 * strings. */
static struct lw_command *copy_command(const struct lw_emit_item *items, size_t count) {
  size_t size = sizeof(struct lw_command) + count * sizeof *items;
  for (size_t i = 0; i < count; i++)
    size += text_size(items[i].app_id) + text_size(items[i].event) + text_size(items[i].key) +
            text_size(items[i].channels) + items[i].body_length + items[i].packed_length;
  struct lw_command *command = calloc(1, size);
  if (command == NULL) return NULL;
  command->items = (struct lw_emit_item *)(command + 1);
  command->count = count;
  command->bytes = total_bytes(items, count);
  command->detached = true;
  char *at = (char *)(command->items + count);
  for (size_t i = 0; i < count; i++) {
    command->items[i] = items[i];
    command->items[i].packed = copy_bytes(&at, items[i].packed, items[i].packed_length);
  }
  for (size_t i = 0; i < count; i++) {
    struct lw_emit_item *item = &command->items[i];
    item->app_id = copy_bytes(&at, item->app_id, text_size(item->app_id));
    item->event = copy_bytes(&at, item->event, text_size(item->event));
    item->key = copy_bytes(&at, item->key, text_size(item->key));
    item->channels = copy_bytes(&at, item->channels, text_size(item->channels));
    item->body = copy_bytes(&at, item->body, item->body_length);
  }
  return command;
}

bool lw_dispatcher_enqueue(struct lw_dispatcher *d, struct lw_emit_item *items, size_t count,
                           struct lw_error *error) {
  if (!usable(d, error)) return false;
  struct lw_command *command = copy_command(items, count);
  if (command == NULL) return lw_fail(error, "memory", "out of memory");
  pthread_mutex_lock(&d->mutex);
  bool closing = d->closing;
  bool accepted = !closing && has_room(d, command);
  if (accepted) {
    post(d, command);
    for (size_t i = 0; i < count; i++) items[i].id = command->items[i].id;
  }
  pthread_mutex_unlock(&d->mutex);
  if (accepted) return true;
  free(command);
  if (closing) return closed(error);
  return lw_fail(error, "busy",
                 "the mailbox is full (%d events or %d MiB wait to be stored): flush, or try later",
                 LW_MAILBOX_EVENTS, LW_MAILBOX_BYTES / (1024 * 1024));
}

/* -- waiting -------------------------------------------------------------------------------------- */

static bool queue_empty(struct lw_dispatcher *d) {
  return d->queued_events == 0 && d->mailbox == NULL;
}

bool lw_dispatcher_flush(struct lw_dispatcher *d, int64_t timeout, struct lw_error *error) {
  if (!usable(d, error)) return false;
  struct lw_command *barrier = calloc(1, sizeof *barrier);
  if (barrier == NULL) return lw_fail(error, "memory", "out of memory");
  struct timespec until = lw_deadline_in(timeout < 0 ? 0 : timeout);
  pthread_mutex_lock(&d->mutex);
  bool late = false;
  bool open = !d->closing;
  if (open) post(d, barrier);
  while (open && !late && !(barrier->done && (barrier->ok || queue_empty(d)))) {
    if (barrier->done) { /* what was queued before it could not be stored yet: line up again */
      barrier->done = false;
      post(d, barrier);
    }
    if (timeout < 0)
      pthread_cond_wait(&d->answered, &d->mutex);
    else
      late = pthread_cond_timedwait(&d->answered, &d->mutex, &until) == ETIMEDOUT;
  }
  bool done = barrier->done;
  if (late && !done) barrier->detached = true; /* the engine frees it */
  pthread_mutex_unlock(&d->mutex);
  if (done || !open) free(barrier);
  if (!open) return closed(error);
  return done || lw_fail(error, "timeout", "not all events are on disk yet; they stay queued");
}

static bool count_left(struct lw_store *store, void *context, struct lw_error *error) {
  const struct lw_clock *clock = lw_system_clock();
  return lw_store_counts(store, clock->now(clock->context), context, error);
}

static bool locally_idle(struct lw_dispatcher *d) {
  pthread_mutex_lock(&d->mutex);
  bool idle = queue_empty(d) && !d->writing && d->in_flight == 0 && d->outcomes == NULL;
  pthread_mutex_unlock(&d->mutex);
  return idle;
}

static void wait_a_little(struct lw_dispatcher *d) {
  struct timespec until = lw_deadline_in(DRAIN_LOOK_MS);
  pthread_mutex_lock(&d->mutex);
  pthread_cond_timedwait(&d->answered, &d->mutex, &until);
  pthread_mutex_unlock(&d->mutex);
}

bool lw_dispatcher_drain(struct lw_dispatcher *d, int64_t timeout, int64_t *left, struct lw_error *error) {
  if (!usable(d, error)) return false;
  int64_t end = d->clock->ticks(d->clock->context) + timeout * 1000;
  for (;;) {
    bool late = timeout >= 0 && d->clock->ticks(d->clock->context) >= end;
    if (late || locally_idle(d)) {
      struct lw_store_counts counts = {0};
      if (!lw_dispatcher_read(d, count_left, &counts, error)) return false;
      *left = counts.claimed + counts.due;
      if (*left == 0 && locally_idle(d)) return true;
      if (late)
        return lw_fail(error, "timeout", "%lld deliveries are still in flight or due", (long long)*left);
    }
    wait_a_little(d);
  }
}

/* -- work on the store ---------------------------------------------------------------------------- */

bool lw_dispatcher_write(struct lw_dispatcher *d, lw_store_job *job, void *context, struct lw_error *error) {
  struct lw_command command = {.job = job, .context = context};
  return run(d, &command, error);
}

bool lw_dispatcher_read(struct lw_dispatcher *d, lw_store_job *job, void *context, struct lw_error *error) {
  if (!usable(d, error)) return false;
  if (d->reader) return job(d->reader, context, error);
  return lw_dispatcher_write(d, job, context, error);
}

bool lw_dispatcher_stats(struct lw_dispatcher *d, struct lw_dispatcher_stats *stats, struct lw_error *error) {
  struct lw_store_counts counts = {0};
  if (!lw_dispatcher_read(d, count_left, &counts, error)) return false;
  int64_t now = d->clock->now(d->clock->context);
  stats->now = (struct lw_gauges){.pending = counts.pending, .due = counts.due};
  if (counts.due > 0 && counts.next_due < now) stats->now.oldest_due = now - counts.next_due;
  pthread_mutex_lock(&d->mutex);
  stats->since_open = d->metrics;
  stats->now.queued = (int64_t)d->queued_events;
  stats->now.in_flight = d->in_flight;
  pthread_mutex_unlock(&d->mutex);
  return true;
}

/* -- close ---------------------------------------------------------------------------------------- */

/* Frees what could not be stored and counts its events. */
static size_t discard_mailbox(struct lw_dispatcher *d) {
  size_t lost = 0;
  while (d->mailbox) {
    struct lw_command *command = d->mailbox;
    d->mailbox = command->next;
    lost += command->count;
    if (command->detached) free(command);
  }
  return lost;
}

/* Ticks until `end`, or the grace if that is later. */
static void limit_store(struct lw_dispatcher *d, int64_t end) {
  int64_t grace = d->clock->ticks(d->clock->context) + LW_CLOSE_GRACE_MS * 1000;
  lw_store_limit_wait(d->store, end > grace ? end : grace);
}

bool lw_dispatcher_close(struct lw_dispatcher *d, int64_t timeout, struct lw_error *error) {
  if (!usable(d, error)) return false; /* the parent's threads are not here: nothing can be joined */
  int64_t end = d->clock->ticks(d->clock->context) + timeout * 1000;
  limit_store(d, end);
  pthread_mutex_lock(&d->mutex);
  d->closing = true;
  pthread_cond_broadcast(&d->answered);
  pthread_cond_signal(&d->wake);
  while (!d->quiet) pthread_cond_wait(&d->answered, &d->mutex);
  pthread_mutex_unlock(&d->mutex);
  lw_lane_close(d->lane, (end - d->clock->ticks(d->clock->context)) / 1000);
  d->lane = NULL;
  limit_store(d, end);
  pthread_mutex_lock(&d->mutex);
  d->stop = true;
  pthread_cond_signal(&d->wake);
  pthread_mutex_unlock(&d->mutex);
  pthread_join(d->thread, NULL);
  size_t lost = discard_mailbox(d);
  dispose(d);
  if (lost == 0) return true;
  return lw_fail(error, "store", "%zu queued events could not be stored and are lost", lost);
}
