#include "delivery/care.h"

#include "base/exit_gate.h"
#include "delivery/engine.h"

enum {
  FOUND_PAUSE_MS = 100, /* after a step that found something, */
  CALM_PAUSE_MS = 1000, /* and after one that did not */
  MAX_POSTPONED = 4,    /* by FOUND_PAUSE_MS each */
  FAILED_PAUSE_MS = 10000
};

int64_t lw_care_next(const struct lw_dispatcher *d) {
  return d->options.retention > 0 || lw_store_unsettled(d->store) ? d->care.at : INT64_MAX;
}

/* At the end of a walk the next one starts, at the oldest delivery again. */
static bool prune(struct lw_dispatcher *d, int64_t now, int64_t *pruned, struct lw_error *error) {
  struct lw_prune *walk = &d->care.walk;
  if (walk->done || walk->before == 0) *walk = (struct lw_prune){.before = now - d->options.retention};
  return lw_store_prune(d->store, walk, INT64_MAX, pruned, error);
}

static bool step(struct lw_dispatcher *d, int64_t now, bool *found, struct lw_error *error) {
  int64_t pruned = 0;
  *found = false;
  if (d->options.retention > 0 && !prune(d, now, &pruned, error)) return false;
  *found = pruned > 0;
  return *found || !lw_store_unsettled(d->store) || lw_store_shrink(d->store, found, error);
}

void lw_care_take(struct lw_dispatcher *d, bool busy) {
  int64_t now = d->clock->now(d->clock->context);
  int64_t due = lw_care_next(d);
  if (due == INT64_MAX || now < due) return;
  if (busy && d->care.postponed < MAX_POSTPONED) {
    d->care.postponed++;
    d->care.at = now + FOUND_PAUSE_MS;
    return;
  }
  struct lw_error ignored;
  bool found = false;
  lw_exit_gate_enter();
  bool ok = lw_store_begin(d->store, &ignored) && step(d, now, &found, &ignored) &&
            lw_store_commit(d->store, &ignored);
  if (!ok) {
    lw_store_rollback(d->store);
    d->care.walk.done = true; /* it may be ahead of what was rolled back: start again */
  } else if (!found && lw_store_unsettled(d->store)) {
    lw_store_settle(d->store);
  }
  lw_exit_gate_leave();
  d->care.postponed = 0;
  d->care.at = now + (!ok ? FAILED_PAUSE_MS : found ? FOUND_PAUSE_MS : CALM_PAUSE_MS);
}
