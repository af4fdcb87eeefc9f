/* What is seen of a dispatcher from outside: counts, the text for Prometheus, and records for a logger. */
#include <string.h>

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "lua/pending.h"

static void set_integer(lua_State *L, const char *name, int64_t value) {
  lwl_push_integer(L, value);
  lua_setfield(L, -2, name);
}

static void set_seconds(lua_State *L, const char *name, int64_t milliseconds) {
  lua_pushnumber(L, (lua_Number)milliseconds / 1000);
  lua_setfield(L, -2, name);
}

static void set_word(lua_State *L, const char *name, const char *text) {
  if (text[0] == '\0') return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* -- counts --------------------------------------------------------------------------------------- */

static void push_errors(lua_State *L, const struct lw_metrics *metrics) {
  lua_createtable(L, 0, LW_ATTEMPT_KINDS);
  for (int kind = 0; kind < LW_ATTEMPT_KINDS; kind++)
    if (kind != LW_ATTEMPT_SUCCESS)
      set_integer(L, lw_attempt_kind_name((enum lw_attempt_kind)kind), metrics->attempts[kind]);
}

struct counted {
  struct lw_dispatcher_stats stats;
  int64_t records_dropped;
};

static int push_stats(lua_State *L, void *work) {
  const struct counted *counted = work;
  const struct lw_dispatcher_stats *stats = &counted->stats;
  const struct lw_metrics *counts = &stats->since_open;
  int64_t attempts = lw_metrics_attempts(counts);
  lua_createtable(L, 0, 20);
  set_integer(L, "events", counts->events);
  set_integer(L, "attempts", attempts);
  set_integer(L, "succeeded", counts->attempts[LW_ATTEMPT_SUCCESS]);
  set_integer(L, "failed", attempts - counts->attempts[LW_ATTEMPT_SUCCESS]);
  push_errors(L, counts);
  lua_setfield(L, -2, "errors");
  set_integer(L, "given_up", counts->given_up);
  set_integer(L, "canceled", counts->canceled);
  set_integer(L, "webhooks_disabled", counts->webhooks_disabled);
  set_integer(L, "store_failures", counts->store_failures);
  set_integer(L, "leases_lost", counts->leases_lost);
  set_integer(L, "records_dropped", counted->records_dropped);
  set_integer(L, "queued", stats->now.queued);
  set_integer(L, "in_flight", stats->now.in_flight);
  set_integer(L, "requests", stats->now.requests);
  set_integer(L, "breakers_open", stats->now.broken);
  set_integer(L, "pending", stats->now.pending);
  set_integer(L, "due", stats->now.due);
  set_seconds(L, "oldest_due_seconds", stats->now.oldest_due);
  return 1;
}

static int count(lua_State *L, const struct lwl_kind *kind) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct counted *counted = lwl_new_work(L, kind);
  counted->stats.dispatcher = dispatcher;
  counted->records_dropped = lw_records_dropped(lwl_check_records(L));
  return lwl_do_command(L, dispatcher, lwl_completions(L));
}

/* handle:stats() -> { … } | nil, message, code */
static int stats(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct counted), .read = lw_dispatcher_stats_job, .push = push_stats};
  return count(L, &kind);
}

static int push_left(lua_State *L, void *work) {
  const struct counted *counted = work;
  lwl_push_integer(L, counted->stats.left);
  return 1;
}

/* handle:left() -> deliveries that are claimed or due, whoever sends them | nil, message, code */
static int left(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct counted), .read = lw_dispatcher_stats_job, .push = push_left};
  return count(L, &kind);
}

struct counting {
  int64_t now;
  struct lw_webhook_counts_list list;
};

static bool count_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct counting *counting = context;
  const struct lw_clock *clock = lw_system_clock();
  counting->now = clock->now(clock->context);
  return lw_store_webhook_counts(store, counting->now, &counting->list, error);
}

static void clear_counting(void *work) {
  struct counting *counting = work;
  lw_webhook_counts_free(&counting->list);
}

static int push_counting(lua_State *L, void *work) {
  struct counting *counting = work;
  lua_createtable(L, 0, (int)counting->list.count);
  for (size_t i = 0; i < counting->list.count; i++) {
    const struct lw_webhook_counts *counts = &counting->list.items[i];
    bool waits = counts->due > 0 && counts->next_due < counting->now;
    lwl_push_id(L, &counts->id);
    lua_createtable(L, 0, 5);
    set_integer(L, "pending", counts->pending);
    set_integer(L, "due", counts->due);
    set_seconds(L, "oldest_due_seconds", waits ? counting->now - counts->next_due : 0);
    set_integer(L, "succeeded", counts->succeeded);
    set_integer(L, "failed", counts->failed);
    lua_rawset(L, -3);
  }
  return 1;
}

/* handle:webhook_stats() -> { [id] = { … } } | nil, message, code */
static int webhook_stats(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct counting), .read = count_job, .push = push_counting, .clear = clear_counting};
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  lwl_new_work(L, &kind);
  return lwl_do_command(L, dispatcher, lwl_completions(L));
}

static int push_metrics(lua_State *L, void *work) {
  const struct counted *counted = work;
  struct lw_error error;
  struct lw_buffer text;
  lw_buffer_init(&text, LW_METRICS_MAX_TEXT);
  bool ok = lw_metrics_write(&counted->stats.since_open, &counted->stats.now, &text);
  if (ok)
    lua_pushlstring(L, text.data, text.length);
  else
    lw_fail(&error, "memory", "out of memory");
  lw_buffer_free(&text);
  return ok ? 1 : lwl_failure(L, &error);
}

/* handle:metrics() -> text | nil, message, code */
static int metrics(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct counted), .read = lw_dispatcher_stats_job, .push = push_metrics};
  return count(L, &kind);
}

/* -- records -------------------------------------------------------------------------------------- */

static void set_id(lua_State *L, const char *name, const struct lw_id *id) {
  static const struct lw_id none;
  if (lw_id_equal(id, &none)) return;
  lwl_push_id(L, id);
  lua_setfield(L, -2, name);
}

/* handle:next_record() -> a table | nil. Also after the dispatcher is closed. */
static int next_record(lua_State *L) {
  struct lw_record record;
  if (!lw_records_take(lwl_check_records(L), &record)) return 0;
  lua_createtable(L, 0, 11);
  set_integer(L, "time", record.time);
  set_word(L, "level", lw_record_level(record.event));
  set_word(L, "event", lw_record_event_name(record.event));
  set_id(L, "delivery_id", &record.delivery_id);
  set_id(L, "webhook_id", &record.webhook_id);
  if (record.attempt > 0) set_integer(L, "attempt", record.attempt);
  if (record.status > 0) set_integer(L, "status", record.status);
  if (record.count > 0) set_integer(L, "count", record.count);
  set_word(L, "error", record.error);
  set_word(L, "reason", record.reason);
  set_word(L, "message", record.message);
  return 1;
}

const luaL_Reg lwl_observe_methods[] = {
    {"stats", stats}, {"left", left}, {"webhook_stats", webhook_stats}, {"metrics", metrics}, {NULL, NULL}};
const luaL_Reg lwl_record_methods[] = {{"next_record", next_record}, {NULL, NULL}};
