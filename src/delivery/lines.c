#include "delivery/lines.h"

#include "delivery/engine.h"
#include "transport/url.h"

static void unroute(struct lw_line *line, void *context) {
  (void)context;
  line->routed = false;
}

static void drop_unrouted(struct lw_line *line, void *context) {
  struct lw_dispatcher *d = context;
  if (!line->routed) lw_engine_withdraw(d, lw_turns_withdraw(&d->turns, line));
}

/* What waits was made with what the webhook said before: it goes back, to be made anew. */
static void renew(struct lw_dispatcher *d, struct lw_line *line, int64_t updated_at) {
  line->routed = true;
  if (line->updated_at == updated_at) return;
  line->updated_at = updated_at;
  line->settled = false;
  lw_throttle_probe(&line->throttle);
  lw_engine_withdraw(d, lw_turns_withdraw(&d->turns, line));
}

/* Each route that we can serve gets its line, and what waits in another line leaves it. */
static bool form_lines(struct lw_dispatcher *d, struct lw_error *error) {
  bool ok = true;
  pthread_mutex_lock(&d->mutex);
  lw_turns_each(&d->turns, unroute, NULL);
  for (size_t i = 0; ok && i < d->routing.count; i++) {
    struct lw_route *route = &d->routing.by_app[i];
    if (lw_route_unreadable(route)) continue;
    char host[LW_URL_HOST_SIZE];
    lw_url_host(route->webhook->url, host);
    route->line = lw_turns_line(&d->turns, &route->webhook->id, &route->settings->limits, host);
    ok = route->line != NULL;
    if (ok) renew(d, route->line, route->webhook->updated_at);
  }
  if (ok) lw_turns_each(&d->turns, drop_unrouted, d);
  d->sweeping = true;
  pthread_mutex_unlock(&d->mutex);
  return ok || lw_fail(error, "memory", "out of memory");
}

/* What was stored before its webhook was ordered waits its turn too, though it may be due much later than
 * what follows. (What was ordered and is no longer is found by the walk, since some of it is due.) */
static bool order_lines(struct lw_dispatcher *d, struct lw_error *error) {
  for (size_t i = 0; i < d->routing.count; i++) {
    struct lw_route *route = &d->routing.by_app[i];
    if (route->line == NULL || route->line->settled || !route->settings->limits.ordered) continue;
    if (!lw_store_order_line(d->store, &route->webhook->id, true, error)) return false;
    route->line->settled = true;
  }
  return true;
}

bool lw_lines_refresh(struct lw_dispatcher *d, struct lw_error *error) {
  bool reloaded;
  if (!lw_routing_refresh(&d->routing, d->store, &reloaded, error)) return false;
  return !reloaded || (form_lines(d, error) && lw_claims_give_back(d, error) && order_lines(d, error));
}

static void unsettle(struct lw_line *line, void *context) {
  (void)context;
  line->settled = false;
}

void lw_lines_forget(struct lw_dispatcher *d) {
  pthread_mutex_lock(&d->mutex);
  lw_turns_each(&d->turns, unsettle, NULL);
  pthread_mutex_unlock(&d->mutex);
}
