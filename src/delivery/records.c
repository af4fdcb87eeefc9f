#include "delivery/records.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

static const struct {
  const char *name, *level;
} events[] = {
    [LW_RECORD_ATTEMPT_FAILED] = {"attempt_failed", "warn"},
    [LW_RECORD_DELIVERY_FAILED] = {"delivery_failed", "error"},
    [LW_RECORD_WEBHOOK_DISABLED] = {"webhook_disabled", "error"},
    [LW_RECORD_WEBHOOK_FAILING] = {"webhook_failing", "warn"},
    [LW_RECORD_WEBHOOK_WORKS] = {"webhook_works", "info"},
    [LW_RECORD_STORE_FAILED] = {"store_failed", "error"},
    [LW_RECORD_STORE_RECOVERED] = {"store_recovered", "info"},
    [LW_RECORD_LEASE_LOST] = {"lease_lost", "warn"},
    [LW_RECORD_TAKEN_OVER] = {"taken_over", "info"},
    [LW_RECORD_WEBHOOKS_UNREADABLE] = {"webhooks_unreadable", "error"},
    [LW_RECORD_RECORDS_DROPPED] = {"records_dropped", "warn"},
};

const char *lw_record_event_name(enum lw_record_event event) {
  return events[event].name;
}

const char *lw_record_level(enum lw_record_event event) {
  return events[event].level;
}

/* -- a queue -------------------------------------------------------------------------------------- */

static struct lw_record *unlink_first(struct lw_record_queue *queue) {
  struct lw_record *record = queue->first;
  queue->first = record->next;
  if (queue->first == NULL) queue->last = NULL;
  queue->count--;
  return record;
}

static void link_last(struct lw_record_queue *queue, struct lw_record *record) {
  record->next = NULL;
  if (queue->last)
    queue->last->next = record;
  else
    queue->first = record;
  queue->last = record;
  queue->count++;
  if (queue->count <= LW_RECORDS_MAX) return;
  free(unlink_first(queue));
  queue->dropped++;
}

void lw_record_queue_push(struct lw_record_queue *queue, const struct lw_record *record) {
  struct lw_record *copy = malloc(sizeof *copy);
  if (copy == NULL) {
    queue->dropped++;
    return;
  }
  *copy = *record;
  link_last(queue, copy);
}

void lw_record_queue_append(struct lw_record_queue *queue, struct lw_record_queue *other) {
  queue->dropped += other->dropped;
  while (other->first) link_last(queue, unlink_first(other));
  other->dropped = 0;
}

bool lw_record_queue_pop(struct lw_record_queue *queue, struct lw_record *record) {
  if (queue->first == NULL) return false;
  struct lw_record *first = unlink_first(queue);
  *record = *first;
  record->next = NULL;
  free(first);
  return true;
}

void lw_record_queue_clear(struct lw_record_queue *queue) {
  while (queue->first) free(unlink_first(queue));
  queue->dropped = 0;
}

/* -- the queue between the threads ---------------------------------------------------------------- */

struct lw_records {
  pid_t pid;
  bool all;
  atomic_int references;
  struct lw_completions *completions;
  pthread_mutex_t mutex; /* guards what follows */
  struct lw_record_queue queue;
  int64_t told; /* of the dropped: `queue.dropped` is the rest */
};

struct lw_records *lw_records_new(bool all, struct lw_completions *completions) {
  struct lw_records *records = calloc(1, sizeof *records);
  if (records == NULL) return NULL;
  records->pid = getpid();
  records->all = all;
  records->references = 1;
  if (completions) records->completions = lw_completions_keep(completions);
  pthread_mutex_init(&records->mutex, NULL);
  return records;
}

struct lw_records *lw_records_keep(struct lw_records *records) {
  atomic_fetch_add(&records->references, 1);
  return records;
}

void lw_records_drop(struct lw_records *records) {
  if (records == NULL || atomic_fetch_sub(&records->references, 1) > 1) return;
  lw_record_queue_clear(&records->queue);
  lw_completions_drop(records->completions);
  pthread_mutex_destroy(&records->mutex);
  free(records);
}

bool lw_records_wanted(const struct lw_records *records, enum lw_record_event event) {
  return records != NULL && (records->all || event == LW_RECORD_WEBHOOK_DISABLED);
}

void lw_records_append(struct lw_records *records, struct lw_record_queue *queue) {
  pthread_mutex_lock(&records->mutex);
  lw_record_queue_append(&records->queue, queue);
  if (records->completions) lw_completions_attention(records->completions, true);
  pthread_mutex_unlock(&records->mutex);
}

/* Under the lock. */
static void tell_dropped(struct lw_records *records, struct lw_record *record) {
  const struct lw_clock *clock = lw_system_clock();
  *record = (struct lw_record){.event = LW_RECORD_RECORDS_DROPPED,
                               .time = clock->now(clock->context),
                               .count = records->queue.dropped};
  snprintf(record->message, sizeof record->message, "%lld records were dropped: more than %d waited",
           (long long)records->queue.dropped, LW_RECORDS_MAX);
  records->told += records->queue.dropped;
  records->queue.dropped = 0;
}

bool lw_records_take(struct lw_records *records, struct lw_record *record) {
  /* After a fork the mutex may be held by a thread that is not here. */
  if (records == NULL || records->pid != getpid()) return false;
  bool taken = true;
  pthread_mutex_lock(&records->mutex);
  if (records->queue.dropped > 0)
    tell_dropped(records, record);
  else
    taken = lw_record_queue_pop(&records->queue, record);
  if (!taken && records->completions) lw_completions_attention(records->completions, false);
  pthread_mutex_unlock(&records->mutex);
  return taken;
}

int64_t lw_records_dropped(struct lw_records *records) {
  if (records == NULL || records->pid != getpid()) return 0;
  pthread_mutex_lock(&records->mutex);
  int64_t dropped = records->told + records->queue.dropped;
  pthread_mutex_unlock(&records->mutex);
  return dropped;
}
