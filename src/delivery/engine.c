#include "delivery/engine.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/exit_gate.h"
#include "delivery/lines.h"
#include "delivery/mailbox.h"
#include "delivery/observe.h"
#include "delivery/outcomes.h"

enum {
  OUTCOME_BATCH = 512,    /* so many outcomes are worth a commit of their own, */
  OUTCOME_LINGER_MS = 16, /* fewer wait so long for company */
  FIRST_PAUSE_MS = 50,    /* after a transaction that failed, doubling */
  LONGEST_PAUSE_MS = 2000
};

static int64_t now_ms(const struct lw_dispatcher *d) {
  return d->clock->now(d->clock->context);
}

static int64_t now_ticks(const struct lw_dispatcher *d) {
  return d->clock->ticks(d->clock->context);
}

/* -- turns: under the lock, on the engine's thread and the sender's ----------------------------- */

static void come_back(struct lw_dispatcher *d, struct lw_flight *flight) {
  if (d->outcome_count == 0) d->outcomes_since = now_ticks(d);
  if (flight->line->limits.ordered) d->urgent = true;
  flight->next = d->outcomes;
  d->outcomes = flight;
  d->outcome_count++;
  if (d->outcome_count == 1 || d->outcome_count == OUTCOME_BATCH || d->urgent) d->news = true;
}

/* Ticks: they gather for a while, and are written together then. */
static int64_t outcomes_due(const struct lw_dispatcher *d) {
  if (d->urgent || d->outcome_count >= OUTCOME_BATCH) return 0;
  return d->outcomes_since + OUTCOME_LINGER_MS * 1000;
}

void lw_engine_withdraw(struct lw_dispatcher *d, struct lw_flight *flight) {
  while (flight) {
    struct lw_flight *next = flight->next;
    flight->withdrawn = true;
    come_back(d, flight);
    flight = next;
  }
}

/* What may start now, as the lane takes it. Nothing once the dispatcher closes. */
static struct lw_request *next_requests(struct lw_dispatcher *d) {
  if (d->closing) return NULL;
  struct lw_flight *stale = NULL;
  struct lw_flight *taken = lw_turns_take(&d->turns, now_ticks(d), &stale);
  struct lw_request *list = taken ? taken->request : NULL;
  for (; taken; taken = taken->next) taken->request->next = taken->next ? taken->next->request : NULL;
  lw_engine_withdraw(d, stale);
  return list;
}

static enum lw_throttle_result result_of(const struct lw_verdict *verdict) {
  if (verdict->kind == LW_VERDICT_SUCCESS) return LW_THROTTLE_GOOD;
  return verdict->kind == LW_VERDICT_AGAIN ? LW_THROTTLE_BAD : LW_THROTTLE_NEUTRAL;
}

/* What it says about its webhook. When that breaks, or wants to be left alone for long, what waits for it
 * goes back to the store. */
static void judge_line(struct lw_dispatcher *d, struct lw_flight *flight) {
  struct lw_line *line = flight->line;
  int64_t now = now_ticks(d);
  bool broken = lw_throttle_broken(&line->throttle);
  lw_turns_finish(&d->turns, flight, now, result_of(&flight->verdict));
  if (flight->verdict.pause > 0) lw_throttle_hold(&line->throttle, now + flight->verdict.pause * 1000);
  flight->broke = !broken && lw_throttle_broken(&line->throttle);
  flight->mended = broken && !lw_throttle_broken(&line->throttle);
  if (flight->broke || flight->verdict.pause * 1000 > LW_TURNS_AHEAD)
    lw_engine_withdraw(d, lw_turns_withdraw(&d->turns, line));
}

/* -- what the sender calls, on its thread ------------------------------------------------------- */

void lw_engine_done(struct lw_request *request, void *context) {
  struct lw_dispatcher *d = context;
  struct lw_flight *flight = request->context;
  bool unsent = lw_flight_unsent(flight);
  if (!unsent) lw_flight_judge(flight, now_ms(d));
  pthread_mutex_lock(&d->mutex);
  if (unsent)
    lw_turns_unsent(&d->turns, flight, now_ticks(d));
  else
    judge_line(d, flight);
  come_back(d, flight);
  pthread_mutex_unlock(&d->mutex);
}

void lw_engine_idle(void *context) {
  struct lw_dispatcher *d = context;
  pthread_mutex_lock(&d->mutex);
  struct lw_request *list = next_requests(d);
  if (d->news) pthread_cond_signal(&d->wake);
  d->news = false;
  pthread_mutex_unlock(&d->mutex);
  if (list) lw_lane_submit(d->lane, list);
}

/* -- inside a transaction ----------------------------------------------------------------------- */

static bool is_test(const struct lw_emit_item *item) {
  static const struct lw_id none;
  return !lw_id_equal(&item->webhook_id, &none);
}

/* Where it goes: into `chosen` of the routing. */
static size_t choose(struct lw_dispatcher *d, const struct lw_emit_item *item) {
  if (!is_test(item)) return lw_routing_choose(&d->routing, item);
  struct lw_route *route = lw_routing_find(&d->routing, &item->webhook_id);
  d->routing.chosen[0] = route;
  return route != NULL;
}

static bool store_item(struct lw_dispatcher *d, struct lw_emit_item *item, struct lw_error *error) {
  static const struct lw_id none;
  size_t count = choose(d, item);
  const struct lw_message_row row = {.id = item->id,
                                     .app_id = item->app_id,
                                     .event = item->event,
                                     .key = item->key,
                                     .keys_since = now_ms(d) - d->options.idempotency_window,
                                     .body = item->body,
                                     .body_length = item->body_length,
                                     .deliveries = (int64_t)count};
  struct lw_id existing = none;
  item->deliveries = 0;
  if (is_test(item) && count == 0) return true;
  if (!lw_store_insert_message(d->store, &row, &existing, error)) return false;
  item->duplicate = !lw_id_equal(&existing, &none);
  if (item->duplicate) {
    item->id = existing;
    return true;
  }
  lw_bodies_start(&d->bodies, item);
  for (size_t i = 0; i < count; i++)
    if (!lw_claims_insert(d, item, d->routing.chosen[i], error)) return false;
  return true;
}

/* It has written nothing, and the others in the transaction have nothing to do with it. */
static bool refuse(struct lw_command *command, const struct lw_error *error) {
  command->refused = strcmp(error->code, "key") == 0;
  command->error = *error;
  return command->refused;
}

static bool apply(struct lw_dispatcher *d, struct lw_command *command, struct lw_error *error) {
  for (size_t i = 0; i < command->count; i++)
    if (!store_item(d, &command->items[i], error)) return false;
  lw_observe_events(d, command->count);
  command->refused = false;
  bool reads = command->read != NULL && d->reader.store == NULL;
  if (reads && !command->read(d->store, command->context, error)) return refuse(command, error);
  if (command->write == NULL) return true;
  /* A job may make deliveries due: look at once. */
  d->claim_at = 0;
  if (!command->write(d->store, command->context, error)) return refuse(command, error);
  return lw_lines_refresh(d, error);
}

static void drop_waiting(struct lw_line *line, void *context) {
  struct lw_dispatcher *d = context;
  lw_engine_withdraw(d, lw_turns_withdraw(&d->turns, line));
}

static void drop_all_waiting(struct lw_dispatcher *d) {
  pthread_mutex_lock(&d->mutex);
  lw_turns_each(&d->turns, drop_waiting, d);
  pthread_mutex_unlock(&d->mutex);
}

static bool count_dispatchers(struct lw_dispatcher *d, struct lw_error *error) {
  int64_t count;
  if (!lw_store_dispatchers(d->store, &count, error)) return false;
  pthread_mutex_lock(&d->mutex);
  d->turns.share = count < INT_MAX ? (int)count : INT_MAX;
  pthread_mutex_unlock(&d->mutex);
  return true;
}

static int64_t sync_due(const struct lw_dispatcher *d) {
  return d->unsynced ? d->sync_at : INT64_MAX;
}

/* Other dispatchers took our claims while we were stalled: go on under a new name. What still waits is theirs
 * to send; what runs may end, and a success of it counts (lw_store_record). */
static bool keep_lease(struct lw_dispatcher *d, struct lw_error *error) {
  int64_t now = now_ms(d);
  if (now < d->heartbeat_at) return true;
  bool lost = false;
  int64_t freed = 0;
  if (!lw_store_heartbeat(d->store, &d->id, now + d->options.lease, d->renew, &lost, error)) return false;
  if (lost) {
    lw_observe_lease_lost(d);
    drop_all_waiting(d);
    if (!d->winding_down) lw_lane_recall(d->lane); /* a closing lane starts nothing */
    lw_id_next(&d->ids, &d->id);
    if (!lw_store_heartbeat(d->store, &d->id, now + d->options.lease, false, &lost, error)) return false;
  }
  if (!lw_store_take_over(d->store, now, &freed, error)) return false;
  lw_observe_taken_over(d, freed);
  if (!count_dispatchers(d, error)) return false;
  d->heartbeat_at = now + d->options.lease / 3;
  if (freed > 0) d->claim_at = 0;
  return true;
}

static bool record_returned(struct lw_dispatcher *d, struct lw_error *error) {
  for (struct lw_flight *flight = d->returned; flight; flight = flight->next)
    if (!lw_outcomes_record(d, flight, error)) return false;
  for (struct lw_flight *flight = d->returned; flight; flight = flight->next) lw_claims_feed(d, flight->line);
  return true;
}

/* Those that returned are no longer claimed by us: by the transaction that says so, or not at all. */
static void count_returned(struct lw_dispatcher *d, int sign) {
  for (struct lw_flight *flight = d->returned; flight; flight = flight->next)
    lw_claims_count(&d->claimed, flight, sign);
}

/* What was noted in memory and has not come to be in the store. */
static void forget(struct lw_dispatcher *d) {
  count_returned(d, 1);
  for (struct lw_flight *flight = d->returned; flight; flight = flight->next) flight->line->known_good = 0;
  lw_lines_forget(d);
  lw_claims_forget(d);
  d->claim_at = 0; /* what it claimed waits in the store as before */
  d->heartbeat_at = 0;
  d->routing.version = -1;
}

static bool transact(struct lw_dispatcher *d, struct lw_error *error) {
  int64_t written = lw_store_written(d->store);
  lw_observe_begin(d);
  count_returned(d, -1);
  bool ok = lw_store_begin(d->store, error) && keep_lease(d, error) && lw_lines_refresh(d, error) &&
            record_returned(d, error);
  for (struct lw_command *command = d->taken; ok && command; command = command->next)
    ok = apply(d, command, error);
  ok = ok && lw_claims_take(d, error) && lw_store_commit(d->store, error);
  if (ok) {
    if (!d->unsynced) d->sync_at = now_ticks(d) + LW_SYNC_MS * 1000;
    if (lw_store_written(d->store) != written) d->unsynced = true;
    lw_keeper_tell(&d->keeper, d->store);
    d->renew = true; /* the first one that is committed makes the lease */
    return true;
  }
  lw_store_rollback(d->store);
  forget(d);
  return false;
}

/* After a commit: callers are told when their events are on disk. What nobody is told may come to it a little
 * later. */
static bool make_durable(struct lw_dispatcher *d, struct lw_error *error) {
  bool due = d->winding_down ? d->unsynced : sync_due(d) <= now_ticks(d);
  if (d->taken == NULL && !due) return true;
  d->unsynced = !lw_store_sync(d->store, error);
  return !d->unsynced;
}

/* -- around it ------------------------------------------------------------------------------------ */

static void free_flights(struct lw_flight *flight) {
  while (flight) {
    struct lw_flight *next = flight->next;
    lw_flight_free(flight);
    flight = next;
  }
}

/* What is planned is newest first. A webhook may have gone after that, in the same transaction. */
static void line_up(struct lw_dispatcher *d) {
  struct lw_flight *list = NULL;
  while (d->planned) {
    struct lw_flight *flight = d->planned;
    d->planned = flight->next;
    flight->next = list;
    list = flight;
  }
  while (list) {
    struct lw_flight *next = list->next;
    lw_turns_add(&d->turns, list);
    list = next;
  }
  d->claimed.count += d->planning.count;
  d->claimed.slow += d->planning.slow;
  d->claimed.bytes += d->planning.bytes;
  d->planning = (struct lw_load){.count = 0};
}

/* What returned has been recorded: no flight points to a line that is nobody's any more. */
static void sweep_lines(struct lw_dispatcher *d) {
  pthread_mutex_lock(&d->mutex);
  lw_turns_sweep(&d->turns);
  pthread_mutex_unlock(&d->mutex);
  d->sweeping = false;
}

/* Without a sync it is all stored and will be sent; only nobody may be told that it is safe. */
static void after_commit(struct lw_dispatcher *d, bool synced, const struct lw_error *error) {
  int64_t claimed = d->claimed.count + d->planning.count;
  pthread_mutex_lock(&d->mutex);
  if (d->taken) d->answered_at = now_ticks(d);
  struct lw_command *finished = lw_mailbox_answer(d, synced ? LW_STORED : LW_UNSYNCED, error);
  lw_observe_commit(d, synced);
  if (!synced) lw_observe_failure(d, error);
  d->in_flight = claimed;
  d->writing = false; /* before anybody hears of it: a drain that looks at once finds it so */
  line_up(d);
  struct lw_request *list = next_requests(d);
  pthread_cond_broadcast(&d->answered);
  pthread_mutex_unlock(&d->mutex);
  lw_mailbox_finish(finished); /* first: waking the sender may cost this thread its processor */
  if (list) lw_lane_submit(d->lane, list);
  free_flights(d->returned);
  d->returned = NULL;
  if (d->sweeping) sweep_lines(d);
}

static void after_failure(struct lw_dispatcher *d, const struct lw_error *error) {
  pthread_mutex_lock(&d->mutex);
  lw_observe_failure(d, error);
  struct lw_command *finished = lw_mailbox_answer(d, LW_NOT_STORED, error);
  d->writing = false;
  pthread_cond_broadcast(&d->answered);
  pthread_mutex_unlock(&d->mutex);
  lw_mailbox_finish(finished);
}

static void back_off(struct lw_dispatcher *d) {
  d->retry_pause = d->retry_pause ? d->retry_pause * 2 : FIRST_PAUSE_MS;
  if (d->retry_pause > LONGEST_PAUSE_MS) d->retry_pause = LONGEST_PAUSE_MS;
}

static bool events_only(const struct lw_command *command) {
  while (command && command->count > 0) command = command->next;
  return command == NULL;
}

/* Under the lock. Outcomes that gather do not keep events waiting; a job (a flush, a look at the store) sees
 * them all. Those that failed to be written before stay in `returned` and lead. */
static void take(struct lw_dispatcher *d) {
  lw_mailbox_take(d);
  bool hurry = d->taken && events_only(d->taken);
  if (hurry && !d->closing && outcomes_due(d) > now_ticks(d)) return;
  while (d->outcomes) {
    struct lw_flight *flight = d->outcomes;
    d->outcomes = flight->next;
    flight->next = d->returned;
    d->returned = flight;
  }
  d->outcome_count = 0;
  d->urgent = false;
}

static void wait_for(struct lw_dispatcher *d, int64_t milliseconds) {
  struct timespec until = lw_deadline_in(milliseconds);
  pthread_cond_timedwait(&d->wake, &d->mutex, &until);
}

/* Milliseconds, rounded up. */
static int64_t ticks_left(const struct lw_dispatcher *d, int64_t until) {
  return (until - now_ticks(d) + 999) / 1000;
}

/* Milliseconds that the engine may sleep when nobody wakes it. */
static int64_t time_to_next(const struct lw_dispatcher *d) {
  int64_t next = d->heartbeat_at;
  if (lw_claims_next(d) < next) next = lw_claims_next(d);
  int64_t care_at = d->closing ? next : lw_care_next(d);
  if (care_at < next) next = care_at;
  int64_t left = next - now_ms(d);
  if (d->unsynced && ticks_left(d, sync_due(d)) < left) left = ticks_left(d, sync_due(d));
  if (left < 0) return 0;
  return left > LW_POLL_MS ? LW_POLL_MS : left;
}

/* Under the lock, and let go meanwhile: starts what its line may start now though nothing came back. */
static void start_sleepers(struct lw_dispatcher *d) {
  if (lw_turns_next(&d->turns) > now_ticks(d)) return;
  struct lw_request *list = next_requests(d);
  if (list == NULL) return;
  pthread_mutex_unlock(&d->mutex);
  lw_lane_submit(d->lane, list);
  pthread_mutex_lock(&d->mutex);
}

/* `milliseconds`, or less where a line wakes up before. */
static int64_t until_next_turn(const struct lw_dispatcher *d, int64_t milliseconds) {
  int64_t next = d->closing ? LW_THROTTLE_NEVER : lw_turns_next(&d->turns);
  if (next == LW_THROTTLE_NEVER) return milliseconds;
  int64_t left = (next - now_ticks(d) + 999) / 1000;
  if (left < 1) left = 1; /* it is ready, and waits for a connection */
  return left < milliseconds ? left : milliseconds;
}

/* Under the lock: sleeps until there is something to write. */
static void wait_for_work(struct lw_dispatcher *d) {
  if (d->retry_pause > 0 && !d->stop) wait_for(d, d->retry_pause);
  while (!d->mailbox.first && !d->stop && d->outcome_count < OUTCOME_BATCH) {
    if ((d->closing && !d->quiet) || d->retiring != d->retired) return;
    int64_t left = time_to_next(d);
    if (d->outcome_count > 0 && ticks_left(d, outcomes_due(d)) < left) left = ticks_left(d, outcomes_due(d));
    if (left <= 0) return;
    wait_for(d, until_next_turn(d, left));
    start_sleepers(d);
  }
  lw_mailbox_gather(d);
}

static bool write_down(struct lw_dispatcher *d) {
  struct lw_error error = {0};
  lw_exit_gate_enter();
  bool stored = transact(d, &error);
  bool synced = stored && make_durable(d, &error);
  if (stored)
    after_commit(d, synced, &error);
  else
    after_failure(d, &error);
  if (synced)
    d->retry_pause = 0;
  else
    back_off(d);
  lw_exit_gate_leave();
  return synced;
}

/* What waits for its turn is given back with the next outcomes. */
static void retire(struct lw_dispatcher *d) {
  d->retired = true;
  drop_all_waiting(d);
  if (!d->winding_down) lw_lane_recall(d->lane);
}

/* One turn: sleep, take, write, answer. False at the end of the engine's life. */
static bool turn(struct lw_dispatcher *d, int *final_tries) {
  pthread_mutex_lock(&d->mutex);
  wait_for_work(d);
  if (d->closing) lw_turns_each(&d->turns, drop_waiting, d);
  take(d);
  d->writing = true;
  bool stop = d->stop;
  bool closing = d->winding_down = d->closing;
  bool busy = d->taken != NULL || d->returned != NULL;
  bool retiring = d->retiring;
  pthread_mutex_unlock(&d->mutex);
  if (retiring && !d->retired) retire(d);
  bool ok = write_down(d);
  if (ok && !closing) lw_care_take(d, busy);
  pthread_mutex_lock(&d->mutex);
  bool empty = lw_mailbox_empty(d);
  if (closing && !ok) ++*final_tries;
  bool given_up = *final_tries >= LW_FINAL_TRIES;
  if (closing && (empty || given_up)) {
    d->quiet = true;
    pthread_cond_broadcast(&d->answered);
  }
  bool more = !stop || (d->outcomes != NULL && !given_up) || (!ok && !given_up);
  pthread_mutex_unlock(&d->mutex);
  return more;
}

static void give_back_claims(struct lw_dispatcher *d) {
  struct lw_error ignored; /* the lease ends by itself if this fails */
  bool ok = lw_store_begin(d->store, &ignored) && lw_store_release_all(d->store, &d->id, &ignored) &&
            lw_store_forget_dispatcher(d->store, &d->id, &ignored) && lw_store_commit(d->store, &ignored);
  if (!ok) lw_store_rollback(d->store);
  d->unsynced = !lw_store_sync(d->store, &ignored);
}

void *lw_engine_run(void *context) {
  struct lw_dispatcher *d = context;
  int final_tries = 0;
  pthread_setname_np(pthread_self(), "webhook-engine");
  while (turn(d, &final_tries)) continue;
  give_back_claims(d);
  free_flights(d->returned);
  d->returned = NULL;
  return NULL;
}
