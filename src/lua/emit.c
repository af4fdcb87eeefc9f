/* handle:emit: events out of Lua tables, into the dispatcher's mailbox. */
#include <stdlib.h>
#include <string.h>

#include "delivery/dispatcher.h"
#include "lua/pending.h"
#include "payload/format_raw.h"

#define BATCH "webhook.batch"

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
  struct batch *batch = lua_touserdata(L, lua_upvalueindex(2));
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

static int push_messages(lua_State *L, const struct lw_emit_item *items, size_t count, bool durable) {
  static const struct lw_id none;
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_message(L, &items[i], durable, !lw_id_equal(&items[i].webhook_id, &none));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int push_stored(lua_State *L, void *command) {
  const struct lw_command *emitted = command;
  return push_messages(L, emitted->items, emitted->count, true);
}

/* Reads the events at 2, with what belongs to each. 0, or the number of the one that cannot be. */
static size_t read_events(lua_State *L, struct batch *batch, size_t count) {
  struct lw_emit_item shared = {.key = luaL_optstring(L, 4, NULL), .channels = luaL_optstring(L, 7, NULL)};
  int top = lua_gettop(L);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    lua_rawgeti(L, 6, (lua_Integer)i + 1);
    bool ok = add_event(L, batch, i, top + 1, &shared);
    lua_settop(L, top);
    if (!ok) return i + 1;
  }
  place(batch, count);
  struct lw_id webhook;
  bool test = lwl_read_id(L, 8, &webhook);
  for (size_t i = 0; test && i < count; i++) batch->items[i].webhook_id = webhook;
  return 0;
}

static int start(lua_State *L, struct lw_dispatcher *dispatcher, struct batch *batch, size_t count) {
  struct lw_command *command = lw_command_copy(batch->items, count);
  if (command == NULL) return luaL_error(L, "out of memory");
  return lwl_start_emit(L, dispatcher, lwl_completions(L), command, push_stored);
}

/* handle:emit(events, apps, key|nil, durable, presentations, channels|nil, webhook id|nil) -> { message… } |
 * nil, message, code, index. presentations: the table for each event, or false; a webhook's id makes it a
 * test of just that one */
static int emit(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 6, LUA_TTABLE);
  bool durable = lua_toboolean(L, 5);
  size_t count = lwl_raw_length(L, 2);
  struct batch *batch = get_batch(L, count);
  size_t bad = read_events(L, batch, count);
  if (bad > 0) {
    lwl_failure(L, &batch->event.error);
    lua_pushinteger(L, (lua_Integer)bad);
    return 4;
  }
  if (durable && lwl_starts(L)) return start(L, dispatcher, batch, count);
  struct lw_error error;
  bool ok = durable ? lw_dispatcher_emit(dispatcher, batch->items, count, &error)
                    : lw_dispatcher_enqueue(dispatcher, batch->items, count, &error);
  return ok ? push_messages(L, batch->items, count, durable) : lwl_failure(L, &error);
}

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

void lwl_add_emit(lua_State *L, int methods, int starters) {
  static const luaL_Reg functions[] = {{"emit", emit}, {NULL, NULL}};
  push_batch(L);
  int batch = lua_gettop(L);
  lua_pushvalue(L, methods);
  lwl_set_methods(L, functions, batch);
  lua_pushvalue(L, starters);
  lwl_set_starters(L, functions, batch);
  lua_settop(L, batch - 1);
}
