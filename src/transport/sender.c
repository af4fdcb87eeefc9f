#include "transport/sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_gate.h"
#include "base/thread.h"
#include "transport/sender_loop.h"

enum { MAX_IN_FLIGHT = 1024 };

static pthread_mutex_t shared_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct lw_sender *shared;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool curl_ready;

static void lock_shared(void) {
  pthread_mutex_lock(&shared_mutex);
}
static void unlock_shared(void) {
  pthread_mutex_unlock(&shared_mutex);
}

static void initialize(void) {
  curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  lw_exit_gate_prepare();
  /* A fork while another thread holds the mutex would leave it locked in the child for ever. */
  pthread_atfork(lock_shared, unlock_shared, unlock_shared);
}

/* -- the shared instance --------------------------------------------------------------------------- */

static void free_sender(struct lw_sender *sender) {
  lw_sender_dispose(sender);
  pthread_mutex_destroy(&sender->mutex);
  free(sender);
}

static struct lw_sender *new_sender(struct lw_error *error) {
  struct lw_sender *sender = calloc(1, sizeof *sender);
  if (sender == NULL) {
    lw_fail(error, "memory", "the sender could not start: out of memory");
    return NULL;
  }
  pthread_mutex_init(&sender->mutex, NULL);
  sender->owner = getpid();
  bool prepared = lw_sender_prepare(sender, error);
  int failed = prepared ? lw_thread_start(&sender->thread, lw_sender_run, sender) : 0;
  if (failed) lw_fail(error, "network", "the sender's thread could not start: %s", strerror(failed));
  if (prepared && !failed) return sender;
  free_sender(sender);
  return NULL;
}

struct lw_sender *lw_sender_acquire(struct lw_error *error) {
  pthread_once(&once, initialize);
  if (!curl_ready) {
    lw_fail(error, "network", "libcurl could not be initialized");
    return NULL;
  }
  pthread_mutex_lock(&shared_mutex);
  /* After a fork the parent's sender has no thread here, and its sockets are the parent's. */
  if (shared == NULL || shared->owner != getpid()) shared = new_sender(error);
  if (shared) shared->users++;
  struct lw_sender *sender = shared;
  pthread_mutex_unlock(&shared_mutex);
  return sender;
}

void lw_sender_release(struct lw_sender *sender) {
  if (sender == NULL || sender->owner != getpid()) return;
  pthread_mutex_lock(&shared_mutex);
  bool last = --sender->users == 0;
  if (last && shared == sender) shared = NULL;
  pthread_mutex_unlock(&shared_mutex);
  if (!last) return;
  pthread_mutex_lock(&sender->mutex);
  sender->stopping = true;
  bool asleep = lw_sender_claim_wakeup(sender);
  pthread_mutex_unlock(&sender->mutex);
  if (asleep) lw_sender_wake(sender);
  pthread_join(sender->thread, NULL);
  free_sender(sender);
}

/* -- lanes ----------------------------------------------------------------------------------------- */

static void free_lane(struct lw_lane *lane) {
  while (lane->spare) {
    struct lw_transfer *transfer = lane->spare;
    lane->spare = transfer->next;
    lw_transfer_free(transfer);
  }
  pthread_cond_destroy(&lane->closed_changed);
  free(lane);
}

struct lw_lane *lw_lane_open(struct lw_sender *sender, const struct lw_lane_options *options,
                             lw_request_done *done, lw_lane_idle *idle, void *context,
                             struct lw_error *error) {
  if (options->max_in_flight < 1 || options->max_in_flight > MAX_IN_FLIGHT) {
    lw_fail(error, "invalid", "max_in_flight must be 1 to %d", MAX_IN_FLIGHT);
    return NULL;
  }
  struct lw_lane *lane = calloc(1, sizeof *lane);
  if (lane == NULL) {
    lw_fail(error, "memory", "a lane could not be opened: out of memory");
    return NULL;
  }
  pthread_cond_init(&lane->closed_changed, NULL);
  lane->max_in_flight = options->max_in_flight;
  lane->sender = sender;
  lane->done = done;
  lane->idle = idle;
  lane->context = context;
  return lane;
}

void lw_lane_submit(struct lw_lane *lane, struct lw_request *list) {
  struct lw_sender *sender = lane->sender;
  struct lw_request *last = NULL;
  size_t count = 0;
  for (struct lw_request *request = list; request; request = request->next) {
    request->lane = lane;
    last = request;
    count++;
  }
  if (count == 0) return;
  pthread_mutex_lock(&sender->mutex);
  for (struct lw_request *request = list; request; request = request->next) request->recalls = lane->recalls;
  lane->submitted += count;
  lw_request_list_append(&sender->inbox, list, last);
  bool asleep = lw_sender_claim_wakeup(sender);
  pthread_mutex_unlock(&sender->mutex);
  if (asleep) lw_sender_wake(sender);
}

void lw_lane_recall(struct lw_lane *lane) {
  struct lw_sender *sender = lane->sender;
  pthread_mutex_lock(&sender->mutex);
  lane->recalls++;
  if (!lane->recalling) {
    lane->recalling = true;
    lane->next_recalling = sender->recalling;
    sender->recalling = lane;
  }
  bool asleep = lw_sender_claim_wakeup(sender);
  pthread_mutex_unlock(&sender->mutex);
  if (asleep) lw_sender_wake(sender);
}

void lw_lane_close(struct lw_lane *lane, int64_t deadline_ms) {
  struct lw_sender *sender = lane->sender;
  const struct lw_clock *clock = lw_system_clock();
  int64_t now = clock->ticks(clock->context);
  if (sender->owner != getpid()) return; /* forked: the thread that would answer is the parent's */
  int64_t most = (LW_SENDER_NEVER - 1 - now) / 1000;
  if (deadline_ms < 0) deadline_ms = 0;
  pthread_mutex_lock(&sender->mutex);
  lane->deadline = now + (deadline_ms < most ? deadline_ms : most) * 1000;
  lane->next_closing = sender->closing;
  sender->closing = lane;
  bool asleep = lw_sender_claim_wakeup(sender);
  pthread_mutex_unlock(&sender->mutex);
  if (asleep) lw_sender_wake(sender);
  pthread_mutex_lock(&sender->mutex);
  while (!lane->closed) pthread_cond_wait(&lane->closed_changed, &sender->mutex);
  pthread_mutex_unlock(&sender->mutex);
  free_lane(lane);
}

int lw_lane_running(const struct lw_lane *lane) {
  return atomic_load_explicit(&lane->running, memory_order_relaxed);
}
