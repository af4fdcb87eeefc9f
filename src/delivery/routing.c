#include "delivery/routing.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/choice.h"

void lw_routing_init(struct lw_routing *routing, struct lw_settings *defaults) {
  *routing = (struct lw_routing){.version = -1, .defaults = defaults};
}

void lw_routing_free(struct lw_routing *routing) {
  for (size_t i = 0; i < routing->count; i++) {
    lw_hmac_free(routing->by_app[i].hmac);
    lw_signer_free(routing->by_app[i].signer);
    lw_settings_drop(routing->by_app[i].settings);
    free(routing->by_app[i].filter);
  }
  free(routing->by_app);
  free(routing->by_id);
  free(routing->chosen);
  lw_webhook_list_free(&routing->list);
  lw_routing_init(routing, routing->defaults);
}

static const char *app_of(const struct lw_route *route) {
  return route->webhook->app_id ? route->webhook->app_id : "";
}

static int compare_apps(const void *a, const void *b) {
  return strcmp(app_of(a), app_of(b));
}

static int compare_ids(const void *a, const void *b) {
  const struct lw_route *const *left = a;
  const struct lw_route *const *right = b;
  return memcmp(&(*left)->webhook->id, &(*right)->webhook->id, sizeof(struct lw_id));
}

/* What is decided once, so that an event costs nothing where nothing was asked for. */
static bool compile_choice(struct lw_route *route, struct lw_error *error) {
  const struct lw_webhook *webhook = route->webhook;
  route->patterns = lw_events_have_patterns(webhook->events);
  route->choosy = webhook->channels != NULL || webhook->filter != NULL;
  if (webhook->filter == NULL) return true;
  route->filter = lw_filter_parse(webhook->filter, strlen(webhook->filter), error);
  return route->filter != NULL || strcmp(error->code, "memory") != 0;
}

static bool compile_signing(struct lw_route *route, struct lw_error *error) {
  const struct lw_webhook *webhook = route->webhook;
  if (webhook->signing_secret == NULL) return true;
  if (lw_signing_has(webhook->signing, "standard")) {
    route->signer = lw_signer_new(webhook, error);
    if (route->signer == NULL) return false;
  }
  if (!lw_signing_has(webhook->signing, LW_SIGNING_DEFAULT)) return true;
  route->hmac = lw_hmac_new(webhook->signing_secret, strlen(webhook->signing_secret));
  return route->hmac != NULL || lw_fail(error, "crypto", "OpenSSL could not key an HMAC");
}

/* What a newer version of us made, it serves. */
static bool is_ours(const struct lw_webhook *webhook, bool *ours, struct lw_error *error) {
  *ours = webhook->enabled && lw_format_find(webhook->format) != NULL;
  if (!*ours || webhook->url == NULL || lw_signing_check(webhook, error)) return true;
  *ours = false;
  return strcmp(error->code, "invalid") == 0;
}

/* *ours: false for settings that we cannot read. */
static bool merge_settings(struct lw_route *route, struct lw_settings *defaults, bool *ours,
                           struct lw_error *error) {
  struct lw_settings *own = lw_settings_parse(route->webhook->settings, error);
  *ours = own != NULL;
  if (own == NULL) return strcmp(error->code, "memory") != 0;
  /* The same for all that say nothing: a curl handle that goes from one to the other needs no setting anew.
   */
  route->settings = own->given == 0 ? lw_settings_keep(defaults) : lw_settings_merge(own, defaults);
  lw_settings_drop(own);
  return route->settings != NULL || lw_fail(error, "memory", "out of memory");
}

static bool add_route(struct lw_routing *routing, struct lw_webhook *webhook, struct lw_error *error) {
  struct lw_route *route = &routing->by_app[routing->count];
  bool ours;
  if (!is_ours(webhook, &ours, error)) return false;
  if (!ours) return true;
  *route = (struct lw_route){.webhook = webhook, .format = lw_format_find(webhook->format)};
  if (!merge_settings(route, routing->defaults, &ours, error)) return false;
  if (!ours) return true;
  routing->count++;
  return compile_choice(route, error) && compile_signing(route, error);
}

static bool index_list(struct lw_routing *routing, struct lw_error *error) {
  routing->by_app = calloc(routing->list.count + 1, sizeof *routing->by_app);
  routing->by_id = calloc(routing->list.count + 1, sizeof(struct lw_route *));
  routing->chosen = calloc(routing->list.count + 1, sizeof(struct lw_route *));
  if (routing->by_app == NULL || routing->by_id == NULL || routing->chosen == NULL)
    return lw_fail(error, "memory", "out of memory");
  for (size_t i = 0; i < routing->list.count; i++)
    if (!add_route(routing, &routing->list.items[i], error)) return false;
  qsort(routing->by_app, routing->count, sizeof *routing->by_app, compare_apps);
  for (size_t i = 0; i < routing->count; i++) routing->by_id[i] = &routing->by_app[i];
  qsort(routing->by_id, routing->count, sizeof(struct lw_route *), compare_ids);
  return true;
}

static int compare_webhooks(const void *a, const void *b) {
  return memcmp(&((const struct lw_webhook *)a)->id, &((const struct lw_webhook *)b)->id,
                sizeof(struct lw_id));
}

static const struct lw_webhook *find_webhook(const struct lw_webhook_list *list, const struct lw_id *id) {
  struct lw_webhook key = {.id = *id};
  if (list->count == 0) return NULL;
  return bsearch(&key, list->items, list->count, sizeof *list->items, compare_webhooks);
}

/* What was known of a webhook, which was not changed since, or NULL. */
static const struct lw_webhook *find_known(const struct lw_webhook_list *known,
                                           const struct lw_webhook *webhook) {
  const struct lw_webhook *found = find_webhook(known, &webhook->id);
  return found != NULL && found->url != NULL && found->updated_at == webhook->updated_at ? found : NULL;
}

static bool keep_known(struct lw_routing *routing, const struct lw_webhook_list *known,
                       struct lw_error *error) {
  for (size_t i = 0; i < routing->list.count; i++) {
    struct lw_webhook *webhook = &routing->list.items[i];
    if (webhook->problem == NULL) continue;
    routing->unreadable++;
    const struct lw_webhook *before = find_known(known, webhook);
    if (before != NULL && !lw_webhook_copy_sealed(webhook, before))
      return lw_fail(error, "memory", "out of memory");
  }
  return true;
}

bool lw_routing_refresh(struct lw_routing *routing, struct lw_store *store, bool *reloaded,
                        struct lw_error *error) {
  int64_t version = 0;
  *reloaded = false;
  if (!lw_store_webhooks_version(store, &version, error)) return false;
  if (version == routing->version) return true;
  struct lw_routing fresh;
  lw_routing_init(&fresh, routing->defaults);
  struct lw_webhook_filter all = {.limit = INT64_MAX};
  if (!lw_store_list_webhooks(store, &all, &fresh.list, error)) return false;
  if (!keep_known(&fresh, &routing->list, error) || !index_list(&fresh, error)) {
    lw_routing_free(&fresh);
    return false;
  }
  lw_routing_free(routing);
  *routing = fresh;
  routing->version = version;
  *reloaded = true;
  return true;
}

static size_t first_of_app(const struct lw_routing *routing, const char *app_id) {
  size_t low = 0;
  size_t high = routing->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(app_of(&routing->by_app[middle]), app_id) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static bool admits(const struct lw_route *route, const struct lw_emit_item *item) {
  const struct lw_webhook *webhook = route->webhook;
  if (!lw_channels_admit(webhook->channels, item->channels)) return false;
  if (webhook->filter == NULL) return true;
  if (route->filter == NULL) return false;
  struct lw_event_view event = lw_event_unpack(item->packed);
  return lw_filter_matches(route->filter, &event);
}

static bool wants(const struct lw_route *route, const struct lw_emit_item *item) {
  const char *events = route->webhook->events;
  bool named = route->patterns ? lw_events_match(events, item->event) : lw_events_name(events, item->event);
  return named && (!route->choosy || admits(route, item));
}

size_t lw_routing_choose(struct lw_routing *routing, const struct lw_emit_item *item) {
  size_t count = 0;
  for (size_t i = first_of_app(routing, item->app_id); i < routing->count; i++) {
    struct lw_route *route = &routing->by_app[i];
    if (strcmp(app_of(route), item->app_id) != 0) break;
    if (wants(route, item)) routing->chosen[count++] = route;
  }
  return count;
}

bool lw_route_unreadable(const struct lw_route *route) {
  return route->webhook->url == NULL;
}

struct lw_route *lw_routing_find(struct lw_routing *routing, const struct lw_id *webhook_id) {
  struct lw_webhook wanted = {.id = *webhook_id};
  struct lw_route key = {.webhook = &wanted};
  struct lw_route *pointer = &key;
  struct lw_route **found =
      bsearch(&pointer, routing->by_id, routing->count, sizeof(struct lw_route *), compare_ids);
  return found ? *found : NULL;
}

bool lw_routing_enabled(const struct lw_routing *routing, const struct lw_id *webhook_id) {
  const struct lw_webhook *found = find_webhook(&routing->list, webhook_id);
  return found != NULL && found->enabled;
}
