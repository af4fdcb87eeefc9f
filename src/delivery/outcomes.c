#include "delivery/outcomes.h"

#include <stdio.h>

#include "delivery/engine.h"
#include "delivery/lines.h"
#include "delivery/observe.h"

static int64_t now_ms(const struct lw_dispatcher *d) {
  return d->clock->now(d->clock->context);
}

/* Its owner can enable it again. What waits for it is canceled, as when the owner disables it. */
static bool disable(struct lw_dispatcher *d, const struct lw_id *webhook, const char *reason,
                    struct lw_error *error) {
  bool changed = false;
  if (!lw_store_disable_webhook(d->store, webhook, reason, now_ms(d), &changed, error)) return false;
  if (changed) lw_observe_disabled(d, webhook, reason);
  return lw_store_cancel_webhook(d->store, webhook, reason, error) && lw_lines_refresh(d, error);
}

/* "no success for 5 days" */
static void describe_failing(int64_t failing, char *text, size_t size) {
  enum { SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR };
  int64_t unit = failing >= 2 * DAY ? DAY : failing >= 2 * HOUR ? HOUR : SECOND;
  snprintf(text, size, "every attempt failed for %lld %s", (long long)(failing / unit),
           unit == DAY    ? "days"
           : unit == HOUR ? "hours"
                          : "seconds");
}

static bool note_failure(struct lw_dispatcher *d, struct lw_flight *flight, struct lw_error *error) {
  int64_t since, limit = flight->settings->disable_after;
  char reason[64];
  flight->line->failing = true;
  if (!lw_store_webhook_fails(d->store, &flight->webhook_id, now_ms(d), &since, error)) return false;
  if (limit <= 0 || since == 0 || now_ms(d) - since < limit) return true;
  describe_failing(now_ms(d) - since, reason, sizeof reason);
  return disable(d, &flight->webhook_id, reason, error);
}

static bool note_success(struct lw_dispatcher *d, struct lw_flight *flight, struct lw_error *error) {
  struct lw_line *line = flight->line;
  if (!line->failing && now_ms(d) - line->known_good < LW_WORKS_EVERY_MS) return true;
  if (!lw_store_webhook_works(d->store, &flight->webhook_id, error)) return false;
  line->failing = false;
  line->known_good = now_ms(d);
  return true;
}

static bool note(struct lw_dispatcher *d, struct lw_flight *flight, struct lw_error *error) {
  if (flight->broke || flight->mended) lw_observe_breaker(d, flight);
  switch (flight->verdict.kind) {
    case LW_VERDICT_SUCCESS:
      return note_success(d, flight, error);
    case LW_VERDICT_DISABLE:
      return disable(d, &flight->webhook_id, flight->verdict.reason, error);
    default:
      return note_failure(d, flight, error);
  }
}

static bool give_back(struct lw_dispatcher *d, const struct lw_flight *flight, struct lw_error *error) {
  flight->line->backlog = true;
  return lw_store_release(d->store, &flight->id, &d->id, error);
}

bool lw_outcomes_record(struct lw_dispatcher *d, struct lw_flight *flight, struct lw_error *error) {
  if (lw_flight_unsent(flight)) return give_back(d, flight, error);
  uint32_t random = 0; /* for the delay of a retry */
  if (flight->verdict.kind == LW_VERDICT_AGAIN) d->clock->random(d->clock->context, &random, sizeof random);
  struct lw_outcome outcome = lw_flight_outcome(flight, &d->id, now_ms(d), random);
  if (outcome.status == LW_PENDING && outcome.due_at < d->claim_at) d->claim_at = outcome.due_at;
  if (!lw_store_record(d->store, &outcome, error)) return false;
  lw_observe_attempt(d, flight, &outcome);
  return note(d, flight, error);
}
