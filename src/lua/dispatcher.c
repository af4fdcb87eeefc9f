#include "delivery/dispatcher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lua/encryption.h"
#include "lua/pending.h"

#define DISPATCHER "webhook.dispatcher"

/* Created closed (dispatcher NULL), opened afterwards: an error half-way is always collected. */
struct handle {
  struct lw_dispatcher *dispatcher;
  int64_t close_timeout;              /* milliseconds */
  struct lw_records *records;         /* what happened, for the application's functions; NULL: it gave none */
  struct lw_completions *completions; /* of what is started; NULL: nothing can be */
};

static int64_t milliseconds(double seconds) {
  return (int64_t)llround(seconds * 1000);
}

/* nil or absent: no limit (-1) */
static int64_t timeout_argument(lua_State *L, int index) {
  return lua_isnoneornil(L, index) ? -1 : milliseconds(luaL_checknumber(L, index));
}

static struct handle *check_handle(lua_State *L) {
  return luaL_checkudata(L, 1, DISPATCHER);
}

struct lw_dispatcher *lwl_check_dispatcher(lua_State *L) {
  struct handle *handle = check_handle(L);
  if (handle->dispatcher == NULL) luaL_error(L, "attempt to use a closed dispatcher");
  return handle->dispatcher;
}

struct lw_records *lwl_check_records(lua_State *L) {
  return check_handle(L)->records;
}

struct lw_completions *lwl_completions(lua_State *L) {
  return check_handle(L)->completions;
}

/* -- open ----------------------------------------------------------------------------------------- */

struct opening {
  struct handle made;
  struct lw_dispatcher_options options;
  char *path;
};

static void free_handle(struct handle *handle) {
  if (handle->dispatcher) lw_dispatcher_close(handle->dispatcher, 0, NULL);
  lw_records_drop(handle->records);
  lw_completions_drop(handle->completions);
  *handle = (struct handle){.dispatcher = NULL};
}

static void clear_opening(void *work) {
  struct opening *opening = work;
  free_handle(&opening->made); /* nobody came for it */
  lw_settings_drop(opening->options.settings);
  lw_vault_free(opening->options.vault);
  free(opening->path);
}

static bool has_function(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool found = lua_isfunction(L, -1);
  lua_pop(L, 1);
  return found;
}

/* The functions are called by the Lua side, which takes the records. */
static bool open_records(lua_State *L, int table, struct handle *handle, struct lw_error *error) {
  bool all = has_function(L, table, "logger");
  if (!all && !has_function(L, table, "on_disabled")) return true;
  handle->records = lw_records_new(all, handle->completions);
  return handle->records != NULL || lw_fail(error, "memory", "out of memory");
}

static bool run_opening(void *work, struct lw_error *error) {
  struct opening *opening = work;
  opening->made.dispatcher = lw_dispatcher_open(opening->path, &opening->options, error);
  opening->options.vault = NULL; /* the dispatcher has taken it over */
  return opening->made.dispatcher != NULL;
}

static int push_opened(lua_State *L, void *work) {
  struct opening *opening = work;
  struct handle *handle = lwl_new_userdata(L, sizeof *handle);
  *handle = (struct handle){.dispatcher = NULL};
  lwl_set_metatable(L, DISPATCHER);
  *handle = opening->made;
  opening->made = (struct handle){.dispatcher = NULL};
  return 1;
}

static struct lw_dispatcher_options read_options(lua_State *L, int table) {
  const double day = 86400;
  return (struct lw_dispatcher_options){
      .connections = (int)lwl_number_field(L, table, "connections", 256),
      .max_in_flight_per_host = (int)lwl_number_field(L, table, "max_in_flight_per_host", 64),
      .lease = milliseconds(lwl_number_field(L, table, "lease", 15)),
      .idempotency_window = milliseconds(lwl_number_field(L, table, "idempotency_window", day)),
      .retention = milliseconds(lwl_number_field(L, table, "retention", 0) * day)};
}

/* What the webhooks of the dispatcher do where they say nothing. */
static bool read_defaults(lua_State *L, int table, struct lw_settings **settings, struct lw_error *error) {
  *settings = lw_settings_default();
  if (*settings == NULL) return lw_fail(error, "memory", "out of memory");
  return lwl_read_settings(L, table, *settings, NULL, error) && lw_settings_check(*settings, error);
}

static bool read_opening(lua_State *L, struct opening *opening, struct lw_error *error) {
  struct lw_dispatcher_options *options = &opening->options;
  struct lw_completions *completions = lwl_to_completions(L, 4);
  *options = read_options(L, 2);
  opening->made.close_timeout = milliseconds(lwl_number_field(L, 2, "close_timeout", 10));
  if (completions) opening->made.completions = lw_completions_keep(completions);
  if (!read_defaults(L, 3, &options->settings, error) || !lwl_read_encryption(L, 2, &options->vault, error) ||
      !open_records(L, 2, &opening->made, error))
    return false;
  opening->path = lwl_copy_text(L, lua_tostring(L, 1));
  options->records = opening->made.records;
  return true;
}

/* core.open(path, options, settings, completions|nil) -> handle | nil, message, code */
static int open_dispatcher(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct opening), .run = run_opening, .push = push_opened, .clear = clear_opening};
  luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  struct opening *opening = lwl_new_work(L, &kind);
  struct lw_error error;
  if (!read_opening(L, opening, &error)) return lwl_failure(L, &error);
  return lwl_do_run(L, opening->made.completions);
}

/* -- close ---------------------------------------------------------------------------------------- */

struct closing {
  struct lw_dispatcher *dispatcher;
  struct lw_records *records; /* it writes to them to its end */
  int64_t timeout;
};

static void clear_closing(void *work) {
  struct closing *closing = work;
  lw_records_drop(closing->records);
}

static bool run_closing(void *work, struct lw_error *error) {
  struct closing *closing = work;
  return lw_dispatcher_close(closing->dispatcher, closing->timeout, error);
}

static int push_true(lua_State *L, void *work) {
  (void)work;
  lua_pushboolean(L, true);
  return 1;
}

/* handle:close(timeout|nil); a second call does nothing. */
static int close_dispatcher(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct closing), .run = run_closing, .push = push_true, .clear = clear_closing};
  struct handle *handle = check_handle(L);
  if (handle->dispatcher == NULL) return push_true(L, NULL);
  struct closing *closing = lwl_new_work(L, &kind);
  closing->dispatcher = handle->dispatcher;
  if (handle->records) closing->records = lw_records_keep(handle->records);
  closing->timeout = lua_isnumber(L, 2) ? milliseconds(lua_tonumber(L, 2)) : handle->close_timeout;
  handle->dispatcher = NULL;
  int results = lwl_do_run(L, handle->completions);
  /* Not started: it is open as before. */
  if (lwl_starts(L) && results > 1) handle->dispatcher = closing->dispatcher;
  return results;
}

static int collect_dispatcher(lua_State *L) {
  struct handle *handle = check_handle(L);
  struct lw_dispatcher *dispatcher = handle->dispatcher;
  handle->dispatcher = NULL;
  if (dispatcher) lw_dispatcher_close(dispatcher, handle->close_timeout, NULL);
  free_handle(handle);
  return 0;
}

static int is_open(lua_State *L) {
  lua_pushboolean(L, check_handle(L)->dispatcher != NULL);
  return 1;
}

/* handle:retire(): nothing more is claimed. Also of a closed one. */
static int retire(lua_State *L) {
  struct handle *handle = check_handle(L);
  if (handle->dispatcher) lw_dispatcher_retire(handle->dispatcher);
  return 0;
}

/* -- waiting -------------------------------------------------------------------------------------- */

/* handle:flush(timeout) -> true | nil, message, code. Started: has no timeout of its own. */
static int flush(lua_State *L) {
  static const struct lwl_kind kind = {.push = push_true};
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct lw_error error;
  if (lwl_starts(L)) {
    lwl_new_work(L, &kind);
    return lwl_do_command(L, dispatcher, lwl_completions(L));
  }
  if (!lw_dispatcher_flush(dispatcher, timeout_argument(L, 2), &error)) return lwl_failure(L, &error);
  return push_true(L, NULL);
}

/* handle:drain(timeout) -> true | nil, code or message, what is left */
static int drain(lua_State *L) {
  struct lw_error error;
  int64_t left = 0;
  if (lw_dispatcher_drain(lwl_check_dispatcher(L), timeout_argument(L, 2), &left, &error))
    return push_true(L, NULL);
  if (strcmp(error.code, "timeout") != 0) return lwl_failure(L, &error);
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  lwl_push_integer(L, left);
  return 3;
}

static int is_idle(lua_State *L) {
  lua_pushboolean(L, lw_dispatcher_idle(lwl_check_dispatcher(L)));
  return 1;
}

static const luaL_Reg starters[] = {{"close", close_dispatcher}, {"flush", flush}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"close", close_dispatcher},
                                   {"flush", flush},
                                   {"is_open", is_open},
                                   {"is_idle", is_idle},
                                   {"drain", drain},
                                   {"retire", retire},
                                   {NULL, NULL}};

/* Fills the tables at `methods_at` and `starters_at`. */
static void add_methods(lua_State *L, int methods_at, int starters_at) {
  static const luaL_Reg *const shared[] = {lwl_webhook_methods, lwl_log_methods, lwl_observe_methods,
                                           lwl_care_methods};
  lua_settop(L, methods_at);
  lwl_set_methods(L, methods, 0);
  for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) lwl_set_methods(L, shared[i], 0);
  lwl_set_functions(L, lwl_record_methods);
  lua_pushvalue(L, starters_at);
  lwl_set_starters(L, starters, 0);
  for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) lwl_set_starters(L, shared[i], 0);
  lua_settop(L, methods_at);
  lwl_add_emit(L, methods_at, starters_at);
}

void lwl_open_dispatcher(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", open_dispatcher}, {NULL, NULL}};
  lwl_set_methods(L, functions, 0);
  lua_getfield(L, -1, "start");
  int starters_at = lua_gettop(L);
  lwl_set_starters(L, functions, 0);
  luaL_newmetatable(L, DISPATCHER);
  lua_pushcfunction(L, collect_dispatcher);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  add_methods(L, lua_gettop(L), starters_at);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
}
