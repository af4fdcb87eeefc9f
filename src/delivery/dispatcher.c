#include "delivery/dispatcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/thread.h"
#include "delivery/mailbox.h"
#include "store/vault.h"

enum { DRAIN_LOOK_MS = 20 };

static bool usable(const struct lw_dispatcher *d, struct lw_error *error) {
  if (d->pid == getpid()) return true;
  return lw_fail(error, "forked", "the dispatcher was opened before a fork: open it in this process");
}

/* -- open ----------------------------------------------------------------------------------------- */

static bool open_store(struct lw_dispatcher *d, const char *path, struct lw_error *error) {
  d->store = lw_store_open_sealed(path, d->options.vault, error);
  if (d->store == NULL) return false;
  if (lw_store_is_private(d->store)) return true;
  if (!lw_store_sync_later(d->store, error)) return false;
  lw_keeper_start(&d->keeper, path, d->options.vault, d->store);
  d->reader.store = lw_store_open_sealed(path, d->options.vault, error);
  return d->reader.store != NULL;
}

static bool open_lane(struct lw_dispatcher *d, struct lw_error *error) {
  d->sender = lw_sender_acquire(error);
  if (d->sender == NULL) return false;
  struct lw_lane_options lane = {.max_in_flight = d->options.connections};
  d->lane = lw_lane_open(d->sender, &lane, lw_engine_done, lw_engine_idle, d, error);
  return d->lane != NULL;
}

static bool start_thread(struct lw_dispatcher *d, struct lw_error *error) {
  int failed = lw_thread_start(&d->thread, lw_engine_run, d);
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
  lw_reader_init(d);
  pthread_condattr_destroy(&monotonic);
}

static void dispose(struct lw_dispatcher *d) {
  if (d->lane) lw_lane_close(d->lane, 0);
  if (d->sender) lw_sender_release(d->sender);
  lw_turns_free(&d->turns);
  lw_routing_free(&d->routing);
  lw_settings_drop(d->options.settings);
  lw_bodies_free(&d->bodies);
  lw_record_queue_clear(&d->staged_records);
  lw_reader_dispose(d);
  lw_keeper_stop(&d->keeper);
  lw_store_close(d->store);
  lw_vault_free(d->options.vault);
  pthread_mutex_destroy(&d->mutex);
  pthread_cond_destroy(&d->wake);
  pthread_cond_destroy(&d->answered);
  free(d);
}

struct lw_dispatcher *lw_dispatcher_open(const char *path, const struct lw_dispatcher_options *options,
                                         struct lw_error *error) {
  struct lw_dispatcher *d = calloc(1, sizeof *d);
  if (d == NULL) {
    lw_vault_free(options->vault);
    lw_fail(error, "memory", "out of memory");
    return NULL;
  }
  d->pid = getpid();
  d->clock = options->clock ? options->clock : lw_system_clock();
  d->options = *options;
  lw_settings_keep(d->options.settings);
  d->ids.clock = d->message_ids.clock = d->clock;
  lw_id_next(&d->ids, &d->id);
  lw_routing_init(&d->routing, d->options.settings);
  lw_turns_init(&d->turns, d->options.connections, d->options.max_in_flight_per_host);
  lw_bodies_init(&d->bodies);
  init_locks(d);
  if (open_store(d, path, error) && open_lane(d, error) && start_thread(d, error)) return d;
  dispose(d);
  return NULL;
}

/* -- the mailbox ---------------------------------------------------------------------------------- */

static bool closed(struct lw_error *error) {
  return lw_fail(error, "closed", "the dispatcher is closed");
}

static bool run(struct lw_dispatcher *d, struct lw_command *command, struct lw_error *error) {
  if (!usable(d, error)) return false;
  pthread_mutex_lock(&d->mutex);
  while (!d->closing && !lw_mailbox_has_room(d, command)) pthread_cond_wait(&d->answered, &d->mutex);
  bool accepted = !d->closing;
  if (accepted) lw_mailbox_post(d, command);
  while (accepted && !command->done) pthread_cond_wait(&d->answered, &d->mutex);
  pthread_mutex_unlock(&d->mutex);
  if (!accepted) return closed(error);
  if (!command->ok && error) *error = command->error;
  return command->ok;
}

bool lw_dispatcher_emit(struct lw_dispatcher *d, struct lw_emit_item *items, size_t count,
                        struct lw_error *error) {
  struct lw_command command = {.items = items, .count = count, .bytes = lw_items_bytes(items, count)};
  return run(d, &command, error);
}

static bool busy(struct lw_error *error) {
  return lw_fail(error, "busy",
                 "the mailbox is full (%d events or %d MiB wait to be stored): flush, or try later",
                 LW_MAILBOX_EVENTS, LW_MAILBOX_BYTES / (1024 * 1024));
}

bool lw_dispatcher_enqueue(struct lw_dispatcher *d, struct lw_emit_item *items, size_t count,
                           struct lw_error *error) {
  if (!usable(d, error)) return false;
  struct lw_command *command = lw_command_copy(items, count);
  if (command == NULL) return lw_fail(error, "memory", "out of memory");
  command->detached = true;
  pthread_mutex_lock(&d->mutex);
  bool closing = d->closing;
  bool accepted = !closing && lw_mailbox_has_room(d, command);
  if (accepted) {
    lw_mailbox_post(d, command);
    for (size_t i = 0; i < count; i++) items[i].id = command->items[i].id;
  }
  pthread_mutex_unlock(&d->mutex);
  if (accepted) return true;
  free(command);
  return closing ? closed(error) : busy(error);
}

/* Under the lock: whether one more may wait. */
static bool may_start(const struct lw_dispatcher *d, const struct lw_command *command) {
  if (d->calls >= LW_MAX_CALLS) return false;
  return d->line.first == NULL || d->line.bytes + command->bytes <= LW_LINE_BYTES;
}

bool lw_dispatcher_start(struct lw_dispatcher *d, struct lw_command *command,
                         struct lw_completions *completions, void (*free)(struct lw_task *),
                         struct lw_error *error) {
  if (!usable(d, error)) return false;
  lw_task_start(&command->task, completions, free);
  bool reads = command->read != NULL && d->reader.store != NULL;
  pthread_mutex_lock(&d->mutex);
  bool closing = d->closing;
  bool accepted = !closing && may_start(d, command);
  if (accepted) {
    d->calls++;
    if (!reads) lw_mailbox_post(d, command);
  }
  pthread_mutex_unlock(&d->mutex);
  if (accepted && (!reads || lw_reader_start(d, command, error))) return true;
  lw_task_cancel_start(&command->task);
  if (accepted) { /* the reader's thread could not be made, and the error is set */
    pthread_mutex_lock(&d->mutex);
    d->calls--;
    pthread_mutex_unlock(&d->mutex);
    return false;
  }
  return closing ? closed(error) : busy(error);
}

/* -- waiting -------------------------------------------------------------------------------------- */

bool lw_dispatcher_flush(struct lw_dispatcher *d, int64_t timeout, struct lw_error *error) {
  if (!usable(d, error)) return false;
  struct lw_command *barrier = calloc(1, sizeof *barrier);
  if (barrier == NULL) return lw_fail(error, "memory", "out of memory");
  barrier->barrier = true;
  struct timespec until = lw_deadline_in(timeout < 0 ? 0 : timeout);
  pthread_mutex_lock(&d->mutex);
  bool late = false;
  bool open = !d->closing;
  if (open) lw_mailbox_post(d, barrier);
  while (open && !late && !barrier->done) {
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

bool lw_dispatcher_idle(struct lw_dispatcher *d) {
  pthread_mutex_lock(&d->mutex);
  bool idle = lw_mailbox_empty(d) && !d->writing && d->in_flight == 0 && d->outcomes == NULL;
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
    if (late || lw_dispatcher_idle(d)) {
      struct lw_store_counts counts = {0};
      if (!lw_dispatcher_read(d, count_left, &counts, error)) return false;
      *left = counts.claimed + counts.due;
      if (*left == 0 && lw_dispatcher_idle(d)) return true;
      if (late)
        return lw_fail(error, "timeout", "%lld deliveries are still in flight or due", (long long)*left);
    }
    wait_a_little(d);
  }
}

/* -- work on the store ---------------------------------------------------------------------------- */

bool lw_dispatcher_write(struct lw_dispatcher *d, lw_store_job *job, void *context, struct lw_error *error) {
  struct lw_command command = {.write = job, .context = context};
  return run(d, &command, error);
}

bool lw_dispatcher_read(struct lw_dispatcher *d, lw_store_job *job, void *context, struct lw_error *error) {
  if (!usable(d, error)) return false;
  if (d->reader.store) return lw_reader_run(d, job, context, error);
  return lw_dispatcher_write(d, job, context, error);
}

bool lw_dispatcher_stats_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct lw_dispatcher_stats *stats = context;
  struct lw_dispatcher *d = stats->dispatcher;
  struct lw_store_counts counts = {0};
  if (!count_left(store, &counts, error)) return false;
  int64_t now = d->clock->now(d->clock->context);
  stats->left = counts.claimed + counts.due;
  stats->now = (struct lw_gauges){.pending = counts.pending, .due = counts.due};
  if (counts.due > 0 && counts.next_due < now) stats->now.oldest_due = now - counts.next_due;
  pthread_mutex_lock(&d->mutex);
  stats->since_open = d->metrics;
  stats->now.queued = (int64_t)(d->mailbox.events + d->line.events);
  stats->now.in_flight = d->in_flight;
  stats->now.requests = d->turns.slots.running;
  stats->now.broken = lw_turns_broken(&d->turns);
  pthread_mutex_unlock(&d->mutex);
  return true;
}

bool lw_dispatcher_stats(struct lw_dispatcher *d, struct lw_dispatcher_stats *stats, struct lw_error *error) {
  stats->dispatcher = d;
  return lw_dispatcher_read(d, lw_dispatcher_stats_job, stats, error);
}

/* -- close ---------------------------------------------------------------------------------------- */

void lw_dispatcher_retire(struct lw_dispatcher *d) {
  struct lw_error ignored;
  if (!usable(d, &ignored)) return;
  pthread_mutex_lock(&d->mutex);
  d->retiring = true;
  pthread_cond_signal(&d->wake);
  pthread_mutex_unlock(&d->mutex);
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
  pthread_mutex_unlock(&d->mutex);
  lw_reader_stop(d);
  pthread_mutex_lock(&d->mutex);
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
  size_t lost = lw_mailbox_discard(d);
  bool unsynced = d->unsynced;
  dispose(d);
  if (lost > 0) return lw_fail(error, "store", "%zu queued events could not be stored and are lost", lost);
  return !unsynced ||
         lw_fail(error, "store",
                 "the disk refused to sync: what was stored last may be lost if the machine stops");
}
