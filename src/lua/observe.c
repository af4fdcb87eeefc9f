/* What is seen of a dispatcher from outside: counts, the text for Prometheus, and records for a logger. */
#include <string.h>

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "lua/binding.h"

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

static int stats(lua_State *L) {
  struct lw_dispatcher_stats stats;
  struct lw_error error;
  if (!lw_dispatcher_stats(lwl_check_dispatcher(L), &stats, &error)) return lwl_failure(L, &error);
  const struct lw_metrics *counts = &stats.since_open;
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
  set_integer(L, "records_dropped", lw_records_dropped(lwl_check_records(L)));
  set_integer(L, "queued", stats.now.queued);
  set_integer(L, "in_flight", stats.now.in_flight);
  set_integer(L, "pending", stats.now.pending);
  set_integer(L, "due", stats.now.due);
  set_seconds(L, "oldest_due_seconds", stats.now.oldest_due);
  return 1;
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

/* handle:webhook_stats() -> { [id] = { … } } | nil, message, code */
static int webhook_stats(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct counting counting = {.list.count = 0};
  struct lw_error error;
  if (!lw_dispatcher_read(dispatcher, count_job, &counting, &error)) return lwl_failure(L, &error);
  lua_createtable(L, 0, (int)counting.list.count);
  for (size_t i = 0; i < counting.list.count; i++) {
    const struct lw_webhook_counts *counts = &counting.list.items[i];
    bool waits = counts->due > 0 && counts->next_due < counting.now;
    lwl_push_id(L, &counts->id);
    lua_createtable(L, 0, 5);
    set_integer(L, "pending", counts->pending);
    set_integer(L, "due", counts->due);
    set_seconds(L, "oldest_due_seconds", waits ? counting.now - counts->next_due : 0);
    set_integer(L, "succeeded", counts->succeeded);
    set_integer(L, "failed", counts->failed);
    lua_rawset(L, -3);
  }
  lw_webhook_counts_free(&counting.list);
  return 1;
}

/* handle:metrics() -> text | nil, message, code */
static int metrics(lua_State *L) {
  struct lw_dispatcher_stats stats;
  struct lw_error error;
  struct lw_buffer text;
  if (!lw_dispatcher_stats(lwl_check_dispatcher(L), &stats, &error)) return lwl_failure(L, &error);
  lw_buffer_init(&text, LW_METRICS_MAX_TEXT);
  bool ok = lw_metrics_write(&stats.since_open, &stats.now, &text);
  if (ok)
    lua_pushlstring(L, text.data, text.length);
  else
    lw_fail(&error, "memory", "out of memory");
  lw_buffer_free(&text);
  return ok ? 1 : lwl_failure(L, &error);
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

const luaL_Reg lwl_observe_methods[] = {{"stats", stats},
                                        {"webhook_stats", webhook_stats},
                                        {"metrics", metrics},
                                        {"next_record", next_record},
                                        {NULL, NULL}};
