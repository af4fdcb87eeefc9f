#include "delivery/observe.h"

#include <stdio.h>
#include <string.h>

static int64_t now_ms(const struct lw_dispatcher *d) {
  return d->clock->now(d->clock->context);
}

static bool wanted(const struct lw_dispatcher *d, enum lw_record_event event) {
  return lw_records_wanted(d->options.records, event);
}

static void stage(struct lw_dispatcher *d, struct lw_record *record) {
  record->time = now_ms(d);
  lw_record_queue_push(&d->staged_records, record);
}

void lw_observe_begin(struct lw_dispatcher *d) {
  d->staged = (struct lw_metrics){0};
  lw_record_queue_clear(&d->staged_records);
  d->canceled_before = lw_store_canceled(d->store);
}

void lw_observe_events(struct lw_dispatcher *d, size_t count) {
  d->staged.events += (int64_t)count;
}

/* -- attempts ------------------------------------------------------------------------------------- */

/* The verdict has the last word on what a success is. */
static enum lw_attempt_kind kind_of(const struct lw_response *response, bool succeeded) {
  if (succeeded) return LW_ATTEMPT_SUCCESS;
  enum lw_attempt_kind kind = lw_attempt_kind_of(response->error_code, response->status);
  return kind == LW_ATTEMPT_SUCCESS ? LW_ATTEMPT_OTHER : kind;
}

/* A resent delivery waited for a person, not for us. */
static bool was_resent(const struct lw_flight *flight) {
  return flight->attempts != flight->tries;
}

static void count_attempt(struct lw_dispatcher *d, const struct lw_flight *flight,
                          const struct lw_outcome *outcome, enum lw_attempt_kind kind) {
  d->staged.attempts[kind]++;
  lw_histogram_observe(&d->staged.durations, &lw_attempt_bounds, outcome->duration);
  if (outcome->status == LW_FAILED) d->staged.given_up++;
  if (outcome->status != LW_SUCCEEDED) return;
  d->staged.succeeded++;
  if (was_resent(flight)) return;
  int64_t waited = outcome->sent_at - lw_id_time(&flight->id); /* milliseconds */
  lw_histogram_observe(&d->staged.latencies, &lw_latency_bounds, waited * 1000 + outcome->duration);
}

static void describe_attempt(struct lw_record *record, const struct lw_flight *flight,
                             const struct lw_outcome *outcome) {
  const struct lw_response *response = &flight->request->response;
  char what[sizeof response->error];
  if (response->error_code)
    snprintf(what, sizeof what, "%s", response->error);
  else
    snprintf(what, sizeof what, "the receiver answered %d", response->status);
  if (record->event == LW_RECORD_ATTEMPT_FAILED)
    snprintf(record->message, sizeof record->message, "attempt %d failed: %s; the next is due in %lld s",
             record->attempt, what, (long long)((outcome->due_at - record->time + 999) / 1000));
  else
    snprintf(record->message, sizeof record->message, "attempt %d failed: %s; given up: %s", record->attempt,
             what, record->reason);
}

static void tell_attempt(struct lw_dispatcher *d, const struct lw_flight *flight,
                         const struct lw_outcome *outcome, enum lw_attempt_kind kind) {
  bool final = outcome->status == LW_FAILED;
  struct lw_record record = {.event = final ? LW_RECORD_DELIVERY_FAILED : LW_RECORD_ATTEMPT_FAILED,
                             .time = now_ms(d),
                             .delivery_id = flight->id,
                             .webhook_id = flight->webhook_id,
                             .attempt = flight->attempts + 1,
                             .status = outcome->response_status_code};
  if (!wanted(d, record.event)) return;
  snprintf(record.error, sizeof record.error, "%s", lw_attempt_kind_name(kind));
  if (final && outcome->reason) snprintf(record.reason, sizeof record.reason, "%s", outcome->reason);
  describe_attempt(&record, flight, outcome);
  stage(d, &record);
}

void lw_observe_attempt(struct lw_dispatcher *d, const struct lw_flight *flight,
                        const struct lw_outcome *outcome) {
  enum lw_attempt_kind kind = kind_of(&flight->request->response, outcome->status == LW_SUCCEEDED);
  count_attempt(d, flight, outcome, kind);
  if (outcome->status != LW_SUCCEEDED) tell_attempt(d, flight, outcome, kind);
}

/* -- the rest of a transaction -------------------------------------------------------------------- */

void lw_observe_disabled(struct lw_dispatcher *d, const struct lw_id *webhook, const char *reason) {
  d->staged.webhooks_disabled++;
  struct lw_record record = {.event = LW_RECORD_WEBHOOK_DISABLED, .webhook_id = *webhook};
  if (!wanted(d, record.event)) return;
  snprintf(record.reason, sizeof record.reason, "%s", reason);
  snprintf(record.message, sizeof record.message, "the webhook is disabled: %s", reason);
  stage(d, &record);
}

void lw_observe_breaker(struct lw_dispatcher *d, const struct lw_flight *flight) {
  struct lw_record record = {
      .event = flight->broke ? LW_RECORD_WEBHOOK_FAILING : LW_RECORD_WEBHOOK_WORKS,
      .webhook_id = flight->webhook_id,
  };
  if (!wanted(d, record.event)) return;
  snprintf(record.message, sizeof record.message, "%s",
           flight->broke
               ? "attempt after attempt fails: the webhook is called less and less until one succeeds"
               : "the webhook answers again");
  stage(d, &record);
}

void lw_observe_lease_lost(struct lw_dispatcher *d) {
  d->staged.leases_lost++;
  struct lw_record record = {.event = LW_RECORD_LEASE_LOST};
  if (!wanted(d, record.event)) return;
  snprintf(record.message, sizeof record.message,
           "this dispatcher was stalled for longer than its lease: others took over its deliveries");
  stage(d, &record);
}

void lw_observe_taken_over(struct lw_dispatcher *d, int64_t deliveries) {
  struct lw_record record = {.event = LW_RECORD_TAKEN_OVER, .count = deliveries};
  if (deliveries == 0 || !wanted(d, record.event)) return;
  snprintf(record.message, sizeof record.message,
           "%lld deliveries of a dispatcher whose lease ended are free again", (long long)deliveries);
  stage(d, &record);
}

/* -- its end -------------------------------------------------------------------------------------- */

/* Once for each number of them. */
static void tell_unreadable(struct lw_dispatcher *d) {
  size_t count = d->routing.unreadable;
  struct lw_record record = {.event = LW_RECORD_WEBHOOKS_UNREADABLE, .count = (int64_t)count};
  bool told = count == d->unreadable_told;
  d->unreadable_told = count;
  if (count == 0 || told || !wanted(d, record.event)) return;
  const struct lw_webhook *webhook = d->routing.list.items;
  while (webhook->problem == NULL) webhook++;
  record.webhook_id = webhook->id;
  snprintf(record.message, sizeof record.message,
           "%zu webhooks cannot be decrypted, the first of them: %.300s", count, webhook->problem);
  stage(d, &record);
}

static void tell_staged(struct lw_dispatcher *d) {
  if (d->staged_records.count > 0 || d->staged_records.dropped > 0)
    lw_records_append(d->options.records, &d->staged_records);
}

void lw_observe_commit(struct lw_dispatcher *d, bool synced) {
  d->staged.canceled = lw_store_canceled(d->store) - d->canceled_before;
  lw_metrics_add(&d->metrics, &d->staged);
  struct lw_record record = {.event = LW_RECORD_STORE_RECOVERED};
  if (synced && d->store_failing && wanted(d, record.event)) {
    snprintf(record.message, sizeof record.message, "the store works again");
    stage(d, &record);
  }
  if (synced) d->store_failing = false;
  tell_unreadable(d);
  tell_staged(d);
}

/* A job may fail for a reason of its own. */
static bool is_stores(const struct lw_error *error) {
  static const char *const codes[] = {"full", "corrupt", "unwritable", "locked", "store", "memory"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strcmp(error->code, codes[i]) == 0) return true;
  return false;
}

void lw_observe_failure(struct lw_dispatcher *d, const struct lw_error *error) {
  lw_record_queue_clear(&d->staged_records);
  if (!is_stores(error)) return;
  d->metrics.store_failures++;
  bool told = d->store_failing;
  d->store_failing = true;
  struct lw_record record = {.event = LW_RECORD_STORE_FAILED};
  if (told || !wanted(d, record.event)) return;
  snprintf(record.error, sizeof record.error, "%s", error->code);
  snprintf(record.message, sizeof record.message, "%.*s", LW_RECORD_TEXT_SIZE - 1, error->message);
  stage(d, &record);
  tell_staged(d);
}
