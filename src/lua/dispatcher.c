#include "delivery/dispatcher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"
#include "lua/encryption.h"
#include "lua/options.h"
#include "payload/format_raw.h"

#define DISPATCHER "webhook.dispatcher"
#define BATCH "webhook.batch"

/* Created closed (dispatcher NULL), opened afterwards: an error half-way is always collected. */
struct handle {
  struct lw_dispatcher *dispatcher;
  int64_t close_timeout;      /* milliseconds */
  struct lw_records *records; /* what happened, for the application's functions; NULL: it gave none */
  struct lw_vault *vault;     /* the encryption keys; NULL: none, or the dispatcher is gone */
};

static int64_t milliseconds(double seconds) {
  return (int64_t)llround(seconds * 1000);
}

/* nil or absent: no limit (-1) */
static int64_t timeout_argument(lua_State *L, int index) {
  return lua_isnoneornil(L, index) ? -1 : milliseconds(luaL_checknumber(L, index));
}

struct lw_dispatcher *lwl_check_dispatcher(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, DISPATCHER);
  if (handle->dispatcher == NULL) luaL_error(L, "attempt to use a closed dispatcher");
  return handle->dispatcher;
}

struct lw_records *lwl_check_records(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, DISPATCHER);
  return handle->records;
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
  handle->records = lw_records_new(all);
  return handle->records != NULL || lw_fail(error, "memory", "out of memory");
}

static void forget_keys(struct handle *handle) {
  lw_vault_free(handle->vault);
  handle->vault = NULL;
}

/* core.open(path, options) -> handle | nil, message, code */
static int open_dispatcher(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct lw_dispatcher_options options;
  struct lw_error error;
  struct handle *handle = lwl_new_userdata(L, sizeof *handle);
  *handle = (struct handle){.close_timeout = milliseconds(lwl_number_field(L, 2, "close_timeout", 10))};
  lwl_set_metatable(L, DISPATCHER);
  if (!lwl_read_encryption(L, 2, &handle->vault, &error) || !open_records(L, 2, handle, &error) ||
      !lwl_read_options(L, 2, &options, &error))
    return lwl_failure(L, &error);
  options.records = handle->records;
  options.vault = handle->vault;
  handle->dispatcher = lw_dispatcher_open(path, &options, &error);
  lw_settings_drop(options.settings);
  if (handle->dispatcher) return 1;
  forget_keys(handle);
  return lwl_failure(L, &error);
}

/* Serves close and __gc; a second call does nothing. */
static int close_dispatcher(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, DISPATCHER);
  struct lw_dispatcher *dispatcher = handle->dispatcher;
  handle->dispatcher = NULL;
  struct lw_error error;
  int64_t timeout = lua_isnumber(L, 2) ? milliseconds(lua_tonumber(L, 2)) : handle->close_timeout;
  bool closed = dispatcher == NULL || lw_dispatcher_close(dispatcher, timeout, &error);
  forget_keys(handle);
  if (!closed) return lwl_failure(L, &error);
  lua_pushboolean(L, true);
  return 1;
}

static int collect_dispatcher(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, DISPATCHER);
  lua_settop(L, 1);
  close_dispatcher(L);
  lw_records_free(handle->records);
  handle->records = NULL;
  return 0;
}

static int is_open(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, DISPATCHER);
  lua_pushboolean(L, handle->dispatcher != NULL);
  return 1;
}

/* -- emit ----------------------------------------------------------------------------------------- */

/* All that an emit builds, owned by a userdata. The bodies and the packed events stand in buffers that move
 * as they grow: items get their pointers when all is complete. */
struct batch {
  struct lw_event event;
  struct lw_buffer bodies, events;
  struct lw_emit_item *items;
  size_t capacity;
};

static int free_batch(lua_State *L) {
  struct batch *batch = luaL_checkudata(L, 1, BATCH);
  lw_event_free(&batch->event);
  lw_buffer_free(&batch->bodies);
  lw_buffer_free(&batch->events);
  free(batch->items);
  return 0;
}

static struct batch *get_batch(lua_State *L, size_t count) {
  struct batch *batch = lua_touserdata(L, lua_upvalueindex(1));
  lw_buffer_clear(&batch->bodies);
  lw_buffer_clear(&batch->events);
  if (count <= batch->capacity) return batch;
  struct lw_emit_item *items = realloc(batch->items, count * sizeof *items);
  if (items == NULL) luaL_error(L, "out of memory");
  batch->items = items;
  batch->capacity = count;
  return batch;
}

static bool read_event(lua_State *L, int index, int presentation, struct lw_event *event) {
  return lwl_read_event(L, index, event) &&
         (!lua_istable(L, presentation) || lwl_read_presentation(L, presentation, event));
}

/* The event at stack index `event`; its app (a string) and how it reads (a table or not) follow it. `shared`
 * is what all events of the call have. */
static bool add_event(lua_State *L, struct batch *batch, size_t at, int event,
                      const struct lw_emit_item *shared) {
  size_t body = batch->bodies.length, packed = batch->events.length;
  if (!read_event(L, event, event + 2, &batch->event)) return false;
  struct lw_event_view view = lw_event_view(&batch->event);
  if (!lw_format_raw(&view, &batch->bodies) || !lw_event_pack(&batch->event, &batch->events))
    return lw_fail(&batch->event.error, "invalid_event", "the events of one call are too large (%d MiB)",
                   LW_MAILBOX_BYTES / (1024 * 1024));
  lua_getfield(L, event, "event");
  batch->items[at] = (struct lw_emit_item){.app_id = lua_tostring(L, event + 1),
                                           .event = lua_tostring(L, -1),
                                           .key = shared->key,
                                           .channels = shared->channels,
                                           .body_length = batch->bodies.length - body,
                                           .packed_length = batch->events.length - packed};
  lua_pop(L, 1);
  return true;
}

static void push_message(lua_State *L, const struct lw_emit_item *item, bool durable, bool test) {
  lua_createtable(L, 0, 6);
  lwl_push_id(L, &item->id);
  lua_setfield(L, -2, "id");
  lua_pushstring(L, item->event);
  lua_setfield(L, -2, "event");
  lua_pushstring(L, item->app_id);
  lua_setfield(L, -2, "app_id");
  lua_pushboolean(L, durable);
  lua_setfield(L, -2, "durable");
  if (!durable) return;
  lua_pushinteger(L, item->deliveries);
  lua_setfield(L, -2, "deliveries");
  lua_pushboolean(L, item->duplicate);
  lua_setfield(L, -2, "duplicate");
  if (!test) return;
  lwl_push_id(L, &item->delivery_id);
  lua_setfield(L, -2, "delivery_id");
}

static void place(struct batch *batch, size_t count) {
  const char *body = batch->bodies.data, *packed = batch->events.data;
  for (size_t i = 0; i < count; i++) {
    batch->items[i].body = body;
    batch->items[i].packed = packed;
    body += batch->items[i].body_length;
    packed += batch->items[i].packed_length;
  }
}

/* handle:emit(events, apps, key|nil, durable, presentations, channels|nil, webhook id|nil) -> { message… } |
 * nil, message, code, index. presentations: the table for each event, or false; a webhook's id makes it a
 * test of just that one */
static int emit(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 6, LUA_TTABLE);
  struct lw_emit_item shared = {.key = luaL_optstring(L, 4, NULL), .channels = luaL_optstring(L, 7, NULL)};
  bool durable = lua_toboolean(L, 5);
  size_t count = lwl_raw_length(L, 2);
  struct batch *batch = get_batch(L, count);
  int top = lua_gettop(L);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    lua_rawgeti(L, 6, (lua_Integer)i + 1);
    bool ok = add_event(L, batch, i, top + 1, &shared);
    lua_settop(L, top);
    if (ok) continue;
    lwl_failure(L, &batch->event.error);
    lua_pushinteger(L, (lua_Integer)i + 1);
    return 4;
  }
  place(batch, count);
  struct lw_id webhook;
  bool test = lwl_read_id(L, 7, &webhook);
  for (size_t i = 0; test && i < count; i++) batch->items[i].webhook_id = webhook;
  struct lw_error error;
  bool ok = durable ? lw_dispatcher_emit(dispatcher, batch->items, count, &error)
                    : lw_dispatcher_enqueue(dispatcher, batch->items, count, &error);
  if (!ok) return lwl_failure(L, &error);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_message(L, &batch->items[i], durable, test);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* -- waiting -------------------------------------------------------------------------------------- */

static int flush(lua_State *L) {
  struct lw_error error;
  if (!lw_dispatcher_flush(lwl_check_dispatcher(L), timeout_argument(L, 2), &error))
    return lwl_failure(L, &error);
  lua_pushboolean(L, true);
  return 1;
}

/* handle:drain(timeout) -> true | nil, code or message, what is left */
static int drain(lua_State *L) {
  struct lw_error error;
  int64_t left = 0;
  if (lw_dispatcher_drain(lwl_check_dispatcher(L), timeout_argument(L, 2), &left, &error)) {
    lua_pushboolean(L, true);
    return 1;
  }
  if (strcmp(error.code, "timeout") != 0) return lwl_failure(L, &error);
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  lwl_push_integer(L, left);
  return 3;
}

static const luaL_Reg methods[] = {
    {"close", close_dispatcher}, {"is_open", is_open}, {"flush", flush}, {"drain", drain}, {NULL, NULL}};

static void push_batch(lua_State *L) {
  struct batch *batch = lwl_new_userdata(L, sizeof *batch);
  memset(batch, 0, sizeof *batch);
  lw_event_init(&batch->event);
  lw_buffer_init(&batch->bodies, LW_MAILBOX_BYTES);
  lw_buffer_init(&batch->events, LW_MAILBOX_BYTES);
  luaL_newmetatable(L, BATCH);
  lua_pushcfunction(L, free_batch);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

void lwl_open_dispatcher(lua_State *L) {
  luaL_newmetatable(L, DISPATCHER);
  lua_newtable(L);
  lwl_set_functions(L, methods);
  lwl_set_functions(L, lwl_webhook_methods);
  lwl_set_functions(L, lwl_log_methods);
  lwl_set_functions(L, lwl_observe_methods);
  lwl_set_functions(L, lwl_care_methods);
  push_batch(L);
  lua_pushcclosure(L, emit, 1);
  lua_setfield(L, -2, "emit");
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, collect_dispatcher);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  lua_pushcfunction(L, open_dispatcher);
  lua_setfield(L, -2, "open");
}
