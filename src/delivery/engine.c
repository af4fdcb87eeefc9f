#include "delivery/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/exit_gate.h"
#include "delivery/observe.h"

enum {
  OUTCOME_BATCH = 512,   /* so many outcomes are worth a commit of their own, */
  OUTCOME_LINGER_MS = 8, /* fewer wait so long for company */
  FIRST_PAUSE_MS = 50,   /* after a transaction that failed, doubling */
  LONGEST_PAUSE_MS = 2000,
  CLAIM_STEP = 256 /* deliveries claimed in one transaction */
};

static int64_t now_ms(const struct lw_dispatcher *d) {
  return d->clock->now(d->clock->context);
}

/* -- what the sender calls, on its thread ------------------------------------------------------- */

void lw_engine_done(struct lw_request *request, void *context) {
  struct lw_dispatcher *d = context;
  struct lw_flight *flight = request->context;
  pthread_mutex_lock(&d->mutex);
  flight->next = d->outcomes;
  d->outcomes = flight;
  d->outcome_count++;
  pthread_mutex_unlock(&d->mutex);
}

void lw_engine_idle(void *context) {
  struct lw_dispatcher *d = context;
  pthread_mutex_lock(&d->mutex);
  pthread_cond_signal(&d->wake);
  pthread_mutex_unlock(&d->mutex);
}

/* -- inside a transaction ----------------------------------------------------------------------- */

static void plan(struct lw_dispatcher *d, struct lw_flight *flight) {
  flight->next = d->planned;
  d->planned = flight;
  d->planning.count++;
  d->planning.bytes += flight->body_length;
}

/* How many deliveries may be claimed. */
static int64_t room(const struct lw_dispatcher *d) {
  if (d->claimed.bytes + d->planning.bytes >= LW_MAX_CLAIM_BYTES) return 0;
  return LW_MAX_CLAIMS - d->claimed.count - d->planning.count;
}

static bool may_claim(const struct lw_dispatcher *d) {
  return !d->winding_down && room(d) > 0;
}

static bool out_of_memory(struct lw_error *error) {
  return lw_fail(error, "memory", "out of memory");
}

/* A flight that is ready to go, or NULL (memory). */
static struct lw_flight *make_flight(struct lw_dispatcher *d, const struct lw_id *id,
                                     const struct lw_route *route, const char *body, size_t length,
                                     bool own_body) {
  struct lw_flight *flight = lw_flight_new(id, body, length);
  if (flight == NULL) return NULL;
  flight->own_body = own_body;
  if (lw_flight_prepare(flight, route, now_ms(d), &d->request_options)) return flight;
  lw_flight_free(flight);
  return NULL;
}

static bool is_test(const struct lw_emit_item *item) {
  static const struct lw_id none;
  return !lw_id_equal(&item->webhook_id, &none);
}

static bool store_delivery(struct lw_dispatcher *d, struct lw_emit_item *item, const struct lw_route *route,
                           struct lw_error *error) {
  struct lw_delivery_row row = {
      .message_id = item->id, .webhook_id = route->webhook->id, .due_at = now_ms(d), .test = is_test(item)};
  const char *body;
  size_t length;
  if (!lw_bodies_get(&d->bodies, route->format, &body, &length)) return out_of_memory(error);
  if (body != item->body) {
    row.body = body;
    row.body_length = length;
  }
  lw_id_next(&d->ids, &row.id);
  item->delivery_id = row.id;
  item->deliveries++;
  if (!may_claim(d)) {
    if (row.due_at < d->claim_at) d->claim_at = row.due_at;
    return lw_store_insert_delivery(d->store, &row, error);
  }
  row.claimed_by = &d->id;
  struct lw_flight *flight = make_flight(d, &row.id, route, body, length, row.body != NULL);
  if (flight == NULL) return out_of_memory(error);
  flight->test = row.test;
  plan(d, flight);
  return lw_store_insert_delivery(d->store, &row, error);
}

static bool store_item(struct lw_dispatcher *d, struct lw_emit_item *item, struct lw_error *error) {
  const struct lw_message_row row = {.id = item->id,
                                     .app_id = item->app_id,
                                     .event = item->event,
                                     .key = item->key,
                                     .keys_since = now_ms(d) - d->options.idempotency_window,
                                     .body = item->body,
                                     .body_length = item->body_length};
  static const struct lw_id none;
  struct lw_id existing = none;
  struct lw_route *route = NULL;
  item->deliveries = 0;
  if (is_test(item) && (route = lw_routing_find(&d->routing, &item->webhook_id)) == NULL) return true;
  if (!lw_store_insert_message(d->store, &row, &existing, error)) return false;
  item->duplicate = !lw_id_equal(&existing, &none);
  if (item->duplicate) {
    item->id = existing;
    return true;
  }
  lw_bodies_start(&d->bodies, item);
  if (route != NULL) return store_delivery(d, item, route, error);
  size_t at = 0;
  while ((route = lw_routing_next(&d->routing, item, &at)) != NULL)
    if (!store_delivery(d, item, route, error)) return false;
  return true;
}

static bool apply(struct lw_dispatcher *d, struct lw_command *command, struct lw_error *error) {
  for (size_t i = 0; i < command->count; i++)
    if (!store_item(d, &command->items[i], error)) return false;
  lw_observe_events(d, command->count);
  if (command->job == NULL) return true;
  /* A job may make deliveries due: look at once. */
  d->claim_at = 0;
  return command->job(d->store, command->context, error) && lw_routing_refresh(&d->routing, d->store, error);
}

/* Its owner can enable it again. What waits for it is canceled, as when the owner disables it. */
static bool disable(struct lw_dispatcher *d, const struct lw_id *webhook, const char *reason,
                    struct lw_error *error) {
  bool changed = false;
  if (!lw_store_disable_webhook(d->store, webhook, reason, now_ms(d), &changed, error)) return false;
  if (changed) lw_observe_disabled(d, webhook, reason);
  return lw_store_cancel_webhook(d->store, webhook, reason, error) &&
         lw_routing_refresh(&d->routing, d->store, error);
}

static bool record(struct lw_dispatcher *d, const struct lw_flight *flight, struct lw_error *error) {
  if (lw_flight_unsent(flight)) return lw_store_release(d->store, &flight->id, &d->id, error);
  struct lw_verdict verdict = lw_flight_verdict(flight, now_ms(d));
  uint32_t random = 0; /* for the delay of a retry */
  if (verdict.kind == LW_VERDICT_AGAIN) d->clock->random(d->clock->context, &random, sizeof random);
  struct lw_outcome outcome = lw_flight_outcome(flight, &d->id, &d->options.retry, now_ms(d), random);
  if (outcome.status == LW_PENDING && outcome.due_at < d->claim_at) d->claim_at = outcome.due_at;
  if (!lw_store_record(d->store, &outcome, error)) return false;
  lw_observe_attempt(d, flight, &outcome);
  return verdict.kind != LW_VERDICT_DISABLE || disable(d, &flight->webhook_id, verdict.reason, error);
}

/* Other dispatchers took our claims while we were stalled: go on under a new name. What still waits in the
 * sender's queue is theirs to send; what runs may end, and a success of it counts (lw_store_record). */
static bool keep_lease(struct lw_dispatcher *d, struct lw_error *error) {
  int64_t now = now_ms(d);
  if (now < d->heartbeat_at) return true;
  bool lost = false;
  int64_t freed = 0;
  if (!lw_store_heartbeat(d->store, &d->id, now + d->options.lease, d->renew, &lost, error)) return false;
  if (lost) {
    lw_observe_lease_lost(d);
    if (!d->winding_down) lw_lane_recall(d->lane); /* a closing lane starts nothing */
    lw_id_next(&d->ids, &d->id);
    if (!lw_store_heartbeat(d->store, &d->id, now + d->options.lease, false, &lost, error)) return false;
  }
  if (!lw_store_take_over(d->store, now, &freed, error)) return false;
  lw_observe_taken_over(d, freed);
  d->renew = true;
  d->heartbeat_at = now + d->options.lease / 3;
  if (freed > 0) d->claim_at = 0;
  return true;
}

static bool fly_claim(struct lw_dispatcher *d, const struct lw_claim *claim, struct lw_error *error) {
  struct lw_route *route = lw_routing_find(&d->routing, &claim->webhook_id);
  if (route == NULL)
    return lw_store_cancel_webhook(d->store, &claim->webhook_id, "the webhook is disabled or deleted", error);
  struct lw_flight *flight =
      make_flight(d, &claim->id, route, claim->body, claim->body_length, claim->own_body);
  if (flight == NULL) return out_of_memory(error);
  flight->attempts = claim->attempts;
  flight->tries = claim->tries;
  flight->test = claim->test;
  plan(d, flight);
  return true;
}

static bool claim_due(struct lw_dispatcher *d, struct lw_error *error) {
  int64_t now = now_ms(d);
  if (now < d->claim_at || !may_claim(d)) return true;
  int limit = room(d) < CLAIM_STEP ? (int)room(d) : CLAIM_STEP;
  struct lw_claim_list list = {0};
  if (!lw_store_claim(d->store, &d->id, now, limit, &list, error)) return false;
  bool ok = true;
  for (size_t i = 0; ok && i < list.count; i++) ok = fly_claim(d, &list.items[i], error);
  if (list.count < (size_t)limit) d->claim_at = now + LW_POLL_MS;
  lw_claim_list_free(&list);
  return ok;
}

static bool transact(struct lw_dispatcher *d, struct lw_error *error) {
  lw_observe_begin(d);
  if (!lw_store_begin(d->store, error)) return false;
  bool ok = keep_lease(d, error) && lw_routing_refresh(&d->routing, d->store, error);
  for (struct lw_flight *flight = d->returned; ok && flight; flight = flight->next)
    ok = record(d, flight, error);
  struct lw_load before = d->claimed;
  for (struct lw_flight *flight = d->returned; flight; flight = flight->next) {
    d->claimed.count--;
    d->claimed.bytes -= flight->body_length;
  }
  for (struct lw_command *command = d->taken; ok && command; command = command->next)
    ok = apply(d, command, error);
  ok = ok && claim_due(d, error) && lw_store_commit(d->store, error);
  if (ok) return true;
  d->claimed = before;
  lw_store_rollback(d->store);
  d->routing.version = -1;
  return false;
}

/* -- around it ------------------------------------------------------------------------------------ */

static void free_flights(struct lw_flight *flight) {
  while (flight) {
    struct lw_flight *next = flight->next;
    lw_flight_free(flight);
    flight = next;
  }
}

static void forget_plan(struct lw_dispatcher *d) {
  d->planned = NULL;
  d->planning = (struct lw_load){.count = 0};
}

static void submit_planned(struct lw_dispatcher *d) {
  struct lw_request *list = NULL; /* planned is newest first: this turns it round */
  for (struct lw_flight *flight = d->planned; flight; flight = flight->next) {
    flight->request->next = list;
    list = flight->request;
  }
  d->claimed.count += d->planning.count;
  d->claimed.bytes += d->planning.bytes;
  forget_plan(d);
  if (list) lw_lane_submit(d->lane, list);
}

/* Under the lock: answers everyone in the transaction. Detached commands come back in a list to be freed. */
static struct lw_command *answer(struct lw_dispatcher *d, bool ok, const struct lw_error *error) {
  struct lw_command *garbage = NULL;
  while (d->taken) {
    struct lw_command *command = d->taken;
    d->taken = command->next;
    if (command->detached) {
      command->next = garbage;
      garbage = command;
      continue;
    }
    command->ok = ok;
    if (!ok) command->error = *error;
    command->done = true;
  }
  return garbage;
}

static void free_commands(struct lw_command *command) {
  while (command) {
    struct lw_command *next = command->next;
    free(command);
    command = next;
  }
}

static void after_commit(struct lw_dispatcher *d) {
  struct lw_error none = {0};
  int64_t claimed = d->claimed.count + d->planning.count;
  pthread_mutex_lock(&d->mutex);
  struct lw_command *garbage = answer(d, true, &none);
  lw_observe_commit(d);
  d->in_flight = claimed;
  pthread_cond_broadcast(&d->answered);
  pthread_mutex_unlock(&d->mutex);
  submit_planned(d);
  free_flights(d->returned);
  d->returned = NULL;
  d->retry_pause = 0;
  free_commands(garbage);
}

/* What nobody waits for goes back to the head of the mailbox, in its order; the rest is told. */
static void after_failure(struct lw_dispatcher *d, const struct lw_error *error) {
  free_flights(d->planned);
  forget_plan(d);
  struct lw_command *kept = NULL, **kept_end = &kept, *told = NULL;
  while (d->taken) {
    struct lw_command *command = d->taken, *next = command->next;
    if (command->detached) {
      *kept_end = command;
      kept_end = &command->next;
      command->next = NULL;
    } else {
      command->next = told;
      told = command;
    }
    d->taken = next;
  }
  pthread_mutex_lock(&d->mutex);
  lw_observe_failure(d, error);
  d->taken = told;
  answer(d, false, error);
  if (kept) {
    for (struct lw_command *command = kept; command; command = command->next) {
      d->queued_events += command->count;
      d->queued_bytes += command->bytes;
    }
    *kept_end = d->mailbox;
    if (d->mailbox == NULL) d->mailbox_end = kept_end;
    d->mailbox = kept;
  }
  pthread_cond_broadcast(&d->answered);
  pthread_mutex_unlock(&d->mutex);
  d->retry_pause = d->retry_pause ? d->retry_pause * 2 : FIRST_PAUSE_MS;
  if (d->retry_pause > LONGEST_PAUSE_MS) d->retry_pause = LONGEST_PAUSE_MS;
}

/* Under the lock. Outcomes that failed to be written before stay in `returned` and lead. */
static void take(struct lw_dispatcher *d) {
  size_t events = 0;
  struct lw_command **end = &d->taken;
  while (d->mailbox && events < LW_BATCH_EVENTS) {
    struct lw_command *command = d->mailbox;
    d->mailbox = command->next;
    if (d->mailbox == NULL) d->mailbox_end = &d->mailbox;
    events += command->count;
    d->queued_events -= command->count;
    d->queued_bytes -= command->bytes;
    *end = command;
    end = &command->next;
    *end = NULL;
  }
  while (d->outcomes) {
    struct lw_flight *flight = d->outcomes;
    d->outcomes = flight->next;
    flight->next = d->returned;
    d->returned = flight;
  }
  d->outcome_count = 0;
}

static void wait_for(struct lw_dispatcher *d, int64_t milliseconds) {
  struct timespec until = lw_deadline_in(milliseconds);
  pthread_cond_timedwait(&d->wake, &d->mutex, &until);
}

/* Milliseconds that the engine may sleep when nobody wakes it. */
static int64_t time_to_next(const struct lw_dispatcher *d) {
  int64_t next = d->heartbeat_at;
  if (!d->closing && room(d) > 0 && d->claim_at < next) next = d->claim_at;
  int64_t care_at = d->closing ? next : lw_care_next(d);
  if (care_at < next) next = care_at;
  int64_t left = next - now_ms(d);
  if (left < 0) return 0;
  return left > LW_POLL_MS ? LW_POLL_MS : left;
}

/* Under the lock: sleeps until there is something to write. */
static void wait_for_work(struct lw_dispatcher *d) {
  if (d->retry_pause > 0 && !d->stop) wait_for(d, d->retry_pause);
  while (!d->mailbox && !d->stop && d->outcome_count < OUTCOME_BATCH) {
    if (d->closing && !d->quiet) return;
    int64_t left = time_to_next(d);
    if (d->outcome_count > 0) {
      if (left > OUTCOME_LINGER_MS) wait_for(d, OUTCOME_LINGER_MS);
      return;
    }
    if (left <= 0) return;
    wait_for(d, left);
  }
}

static bool write_down(struct lw_dispatcher *d) {
  struct lw_error error = {0};
  lw_exit_gate_enter();
  bool ok = transact(d, &error);
  if (ok)
    after_commit(d);
  else
    after_failure(d, &error);
  lw_exit_gate_leave();
  return ok;
}

/* One turn: sleep, take, write, answer. False at the end of the engine's life. */
static bool turn(struct lw_dispatcher *d, int *final_tries) {
  pthread_mutex_lock(&d->mutex);
  wait_for_work(d);
  take(d);
  d->writing = true;
  bool stop = d->stop;
  bool closing = d->winding_down = d->closing;
  bool busy = d->taken != NULL || d->returned != NULL;
  pthread_mutex_unlock(&d->mutex);
  bool ok = write_down(d);
  if (ok && !closing) lw_care_take(d, busy);
  pthread_mutex_lock(&d->mutex);
  d->writing = false;
  bool empty = d->mailbox == NULL;
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
