/* The dispatcher: the running engine. Its thread owns the store's writing handle. Callers put commands into
 * a bounded mailbox; the thread takes all that wait, together with the outcomes that came back from the
 * sender, into one transaction (group commit), and then answers the callers and submits the claimed
 * deliveries.
 *
 * Whoever must not wait starts a command, and fetches its answer when it is told so (lw_dispatcher_start).
 * Its reads run on a thread of their own, the reader's, which begins with the first of them.
 *
 * Locks: `mutex` guards the mailbox, the outcomes, the flags and the answers of commands; it is
 * held for list operations only, never during a query, a commit or a request. The reader has its own
 * (delivery/reader.h), tasks theirs (base/task.h), which is the only one taken while `mutex` is held.
 * Leases: a dispatcher's claims hold while its row in `dispatchers` is renewed (every third of the lease);
 * when it dies, any other dispatcher frees them after the lease. Every function may be called from any
 * thread; while one closes it, no other may use it. After a fork every function fails with "forked". */
#ifndef LW_DELIVERY_DISPATCHER_H
#define LW_DELIVERY_DISPATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "delivery/command.h"
#include "delivery/metrics.h"
#include "delivery/records.h"
#include "delivery/settings.h"
#include "store/store.h"

/* Events that wait to be stored, and their bodies together; one larger batch may come alone. */
#define LW_MAILBOX_EVENTS 10000
#define LW_MAILBOX_BYTES (64 * 1024 * 1024)
/* Commands that were started and are not done; and the bytes of those events among them that wait in line for
 * room in the mailbox (one larger command may wait alone). */
#define LW_MAX_CALLS 16384
#define LW_LINE_BYTES (64 * 1024 * 1024)
/* Deliveries claimed by one dispatcher at a time; it claims no more once their bodies together pass the
 * second. */
#define LW_MAX_CLAIMS 5120
#define LW_MAX_CLAIM_BYTES (64 * 1024 * 1024)
#define LW_BATCH_EVENTS 1024 /* events taken into one transaction (one emit_all may be more) */
#define LW_POLL_MS 500       /* how often other processes' deliveries are looked for */
#define LW_CLOSE_GRACE_MS 500
/* Outcomes wait for the disk together with the next event or job, or after so long: until then a machine that
 * loses its power sends them once more. Events never wait: an emit returns when they are on disk. */
#define LW_SYNC_MS 1000

struct lw_dispatcher_options {
  struct lw_settings *settings; /* complete: what a webhook does not say itself. The dispatcher keeps it */
  int connections;              /* requests under way at once: 1 to 1024 */
  int max_in_flight_per_host;   /* 1 to 1024 */
  int64_t lease;                /* milliseconds */
  int64_t idempotency_window;   /* milliseconds */
  int64_t retention;            /* milliseconds that finished deliveries are kept; 0: for ever */
  struct lw_vault *vault;       /* NULL: the database is plain. Taken over, also when opening fails */
  struct lw_records *records;   /* where to tell what happens; NULL: nowhere. Must outlive the dispatcher */
  const struct lw_clock *clock; /* NULL: the system's. Must outlive the dispatcher */
};

struct lw_dispatcher;

struct lw_dispatcher *lw_dispatcher_open(const char *path, const struct lw_dispatcher_options *options,
                                         struct lw_error *error);

/* Stops taking events, stores what waits, lets running requests go on, gives every unsent claim back to the
 * store, joins the thread and frees. All of it within `timeout` milliseconds, except that a database that
 * another process has locked is waited for LW_CLOSE_GRACE_MS at least, before and after the requests' end:
 * a healthy process holds the lock for the time of a commit. False: something that was only queued could not
 * be stored (the message says what). Either way the dispatcher is gone. */
bool lw_dispatcher_close(struct lw_dispatcher *dispatcher, int64_t timeout, struct lw_error *error);

struct lw_emit_item {
  const char *app_id, *event, *key; /* key: NULL or the idempotency key */
  const char *channels;             /* NULL: none; or names joined by ',' */
  const char *body;                 /* the raw payload */
  size_t body_length;
  const char *packed; /* the event (lw_event_pack, aligned to 8): chat formats are written from it */
  size_t packed_length;
  struct lw_id webhook_id; /* zero: all that want it; else a test for just this one. If that is gone or
                              disabled nothing is stored, and `deliveries` is 0 */
  /* answers */
  struct lw_id id;
  struct lw_id delivery_id; /* the last one's */
  int32_t deliveries;
  bool duplicate; /* the key was used before: `id` is the first message */
};

/* All items in one commit, or none. Returns once they are on disk; waits while the mailbox is full. When only
 * the sync fails ("store") they are stored, and sent, but may be lost when the machine stops. So with the
 * others below. */
bool lw_dispatcher_emit(struct lw_dispatcher *dispatcher, struct lw_emit_item *items, size_t count,
                        struct lw_error *error);
/* Returns once they are in the mailbox (copied); code "busy" when it is full. `id` is set, the rest is not.
 */
bool lw_dispatcher_enqueue(struct lw_dispatcher *dispatcher, struct lw_emit_item *items, size_t count,
                           struct lw_error *error);
/* Waits until all that was enqueued before is on disk; code "timeout". Negative: no limit. */
bool lw_dispatcher_flush(struct lw_dispatcher *dispatcher, int64_t timeout, struct lw_error *error);

/* Waits until no delivery is claimed by anyone or due; *left says how many are when the time is up
 * ("timeout"). */
bool lw_dispatcher_drain(struct lw_dispatcher *dispatcher, int64_t timeout, int64_t *left,
                         struct lw_error *error);

/* Runs it on the dispatcher's thread inside a transaction; returns after the commit. */
bool lw_dispatcher_write(struct lw_dispatcher *dispatcher, lw_store_job *job, void *context,
                         struct lw_error *error);
/* Runs it on the caller's thread with the reading handle (":memory:": as a write). */
bool lw_dispatcher_read(struct lw_dispatcher *dispatcher, lw_store_job *job, void *context,
                        struct lw_error *error);

/* Starts a command and returns at once. It becomes the task that `completions` tell of, which `free` frees
 * with all it owns; its `ok` and `error` are the answer. What its owner releases before it is done happens
 * nevertheless, and an emit so also when the store fails meanwhile: it is tried again like what was enqueued.
 * False: code "busy" (too many wait already), "closed", "forked", "thread"; it was not taken. */
bool lw_dispatcher_start(struct lw_dispatcher *dispatcher, struct lw_command *command,
                         struct lw_completions *completions, void (*free)(struct lw_task *),
                         struct lw_error *error);
/* A copy of the events, for lw_dispatcher_start with the C library's free; the answers stand in its items.
 * NULL when memory is out. */
struct lw_command *lw_command_copy(const struct lw_emit_item *items, size_t count);
/* Nothing waits to be stored or is in flight here. Others' deliveries, and those that nobody has claimed, are
 * counted in the store. */
bool lw_dispatcher_idle(struct lw_dispatcher *dispatcher);

/* From now on it claims nothing: what is not on its way yet is given back, what comes is stored for others to
 * claim. For a process that is about to end while its successor runs. */
void lw_dispatcher_retire(struct lw_dispatcher *dispatcher);

struct lw_dispatcher_stats {
  struct lw_dispatcher *dispatcher; /* of which */
  struct lw_metrics since_open;     /* of this dispatcher */
  struct lw_gauges now;
  int64_t left; /* deliveries that are claimed or due, whoever sends them */
};
bool lw_dispatcher_stats(struct lw_dispatcher *dispatcher, struct lw_dispatcher_stats *stats,
                         struct lw_error *error);
/* The same as a job to be read; its context are the stats, with the dispatcher set. */
lw_store_job lw_dispatcher_stats_job;

#endif
