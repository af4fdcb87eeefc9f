/* A Lua table becomes an event. Keys of an object go out in byte order; the data of a known event first in
 * the documented order, with null for what is absent. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"

enum { STACK_PER_LEVEL = 8 };

struct reader {
  struct lw_event *event;
  const void *open[LW_EVENT_MAX_DEPTH]; /* the tables we are inside of */
  int depth;
  int keys;      /* on the Lua stack: the table that holds the keys in use, or nil (see keep_key) */
  int keys_kept; /* so many */
};

struct key {
  const char *text;
  size_t length;
  int slot; /* its place in the reader's table of keys */
};

static bool read_value(lua_State *L, struct reader *reader, int index);

static bool encloses(const struct reader *reader, const void *table) {
  for (int i = 0; i < reader->depth; i++)
    if (reader->open[i] == table) return true;
  return false;
}

static bool is_marked_array(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  lua_getfield(L, LUA_REGISTRYINDEX, "webhook.array_mt");
  bool marked = !lua_isnil(L, -1) && lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return marked;
}

/* What a table's keys are: `texts` strings and `numbers` others, `highest` the largest integer key. */
struct shape {
  size_t texts, numbers;
  int64_t highest;
  const char *fault;
};

static struct shape look(lua_State *L, int index) {
  struct shape shape = {0};
  int64_t number;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
      shape.texts++;
    } else if (lwl_read_integer(L, -1, &number) && number >= 1) {
      shape.numbers++;
      if (number > shape.highest) shape.highest = number;
    } else {
      shape.fault = lua_type(L, -1) == LUA_TNUMBER ? "cannot encode a number key that is no positive integer"
                                                   : "cannot encode a key that is no string";
    }
  }
  if (shape.fault == NULL && shape.texts > 0 && shape.numbers > 0)
    shape.fault = "cannot encode a table with both integer and string keys";
  if (shape.fault == NULL && shape.highest != (int64_t)shape.numbers)
    shape.fault = "cannot encode an array with holes";
  return shape;
}

static bool read_array(lua_State *L, struct reader *reader, int index, int64_t count) {
  if (!lw_event_open(reader->event, LW_ARRAY)) return false;
  for (int64_t i = 1; i <= count; i++) {
    lua_rawgeti(L, index, (int)i);
    bool ok = read_value(L, reader, lua_gettop(L));
    lua_pop(L, 1);
    if (!ok) return false;
  }
  lw_event_close(reader->event);
  return true;
}

static int compare_keys(const void *a, const void *b) {
  const struct key *left = a, *right = b;
  size_t shorter = left->length < right->length ? left->length : right->length;
  int order = memcmp(left->text, right->text, shorter);
  if (order != 0) return order;
  return left->length < right->length ? -1 : left->length > right->length;
}

static bool read_field(lua_State *L, struct reader *reader, int index, int key_slot) {
  size_t length = 0;
  const char *text = lua_tolstring(L, key_slot, &length);
  if (!lw_event_key(reader->event, text, length)) return false;
  lua_pushvalue(L, key_slot);
  lua_rawget(L, index);
  bool ok = lua_isnil(L, -1) ? lw_event_null(reader->event) : read_value(L, reader, lua_gettop(L));
  lua_pop(L, 1);
  return ok;
}

static bool is_documented(lua_State *L, int order, int key_slot) {
  if (order == 0) return false;
  lua_pushvalue(L, key_slot);
  lua_rawget(L, order);
  bool documented = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return documented;
}

/* Keeps the key on top, which stays there, while it is used; returns its slot. Not on the stack: that of
 * Lua 5.1 and LuaJIT takes 8,000 values for one C function. */
static int keep_key(lua_State *L, struct reader *reader) {
  if (lua_isnil(L, reader->keys)) {
    lua_newtable(L);
    lua_replace(L, reader->keys);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, reader->keys, ++reader->keys_kept);
  return reader->keys_kept;
}

/* The keys that `order` (0: none) does not name, in byte order. The array of pointers to them is a userdata,
 * so that an error in Lua frees it. */
static bool read_sorted(lua_State *L, struct reader *reader, int index, int order, size_t count) {
  struct key *keys = lwl_new_userdata(L, (count ? count : 1) * sizeof *keys);
  int kept_before = reader->keys_kept;
  size_t found = 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (is_documented(L, order, lua_gettop(L))) continue;
    if (found == count) break; /* a finalizer that ran meanwhile added one */
    keys[found].text = lua_tolstring(L, -1, &keys[found].length);
    keys[found++].slot = keep_key(L, reader);
  }
  qsort(keys, found, sizeof *keys, compare_keys);
  bool ok = true;
  for (size_t i = 0; ok && i < found; i++) {
    lua_rawgeti(L, reader->keys, keys[i].slot);
    ok = read_field(L, reader, index, lua_gettop(L));
    lua_pop(L, 1);
  }
  reader->keys_kept = kept_before;
  return ok;
}

static bool read_object(lua_State *L, struct reader *reader, int index, int order, size_t count) {
  int top = lua_gettop(L);
  if (!lw_event_open(reader->event, LW_OBJECT)) return false;
  size_t documented = order ? lwl_raw_length(L, order) : 0;
  bool ok = true;
  for (size_t i = 1; ok && i <= documented; i++) {
    lua_rawgeti(L, order, (lua_Integer)i);
    ok = read_field(L, reader, index, lua_gettop(L));
    lua_settop(L, top);
  }
  ok = ok && read_sorted(L, reader, index, order, count);
  lua_settop(L, top);
  if (ok) lw_event_close(reader->event);
  return ok;
}

static bool read_table(lua_State *L, struct reader *reader, int index, int order) {
  const void *table = lua_topointer(L, index);
  if (encloses(reader, table))
    return lw_event_refuse(reader->event, "cannot encode a table that contains itself");
  luaL_checkstack(L, STACK_PER_LEVEL, "nested too deeply");
  struct shape shape = look(L, index);
  if (shape.fault) return lw_event_refuse(reader->event, shape.fault);
  if (reader->depth < LW_EVENT_MAX_DEPTH) reader->open[reader->depth] = table;
  reader->depth++;
  bool array = shape.numbers > 0 || (shape.texts == 0 && is_marked_array(L, index));
  bool ok =
      array ? read_array(L, reader, index, shape.highest) : read_object(L, reader, index, order, shape.texts);
  reader->depth--;
  return ok;
}

static bool is_empty_array(lua_State *L, int index) {
  lua_getfield(L, LUA_REGISTRYINDEX, "webhook.empty_array");
  bool same = !lua_isnil(L, -1) && lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return same;
}

static bool read_light(lua_State *L, struct reader *reader, int index) {
  if (lua_touserdata(L, index) == NULL) return lw_event_null(reader->event);
  if (!is_empty_array(L, index)) return lw_event_refuse(reader->event, "cannot encode a light userdata");
  if (!lw_event_open(reader->event, LW_ARRAY)) return false;
  lw_event_close(reader->event);
  return true;
}

static bool refuse_type(lua_State *L, struct reader *reader, int index) {
  const char *what = lua_pushfstring(L, "cannot encode a %s", luaL_typename(L, index));
  lw_event_refuse(reader->event, what);
  lua_pop(L, 1);
  return false;
}

static bool read_other(lua_State *L, struct reader *reader, int index) {
  struct lwl_wide wide;
  if (!lwl_read_wide(L, index, &wide)) return refuse_type(L, reader, index);
  if (wide.negative) return lw_event_integer(reader->event, (int64_t)(0 - wide.magnitude));
  return lw_event_unsigned(reader->event, wide.magnitude);
}

static bool read_value(lua_State *L, struct reader *reader, int index) {
  size_t length = 0;
  int64_t integer;
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      return lw_event_null(reader->event);
    case LUA_TBOOLEAN:
      return lw_event_boolean(reader->event, lua_toboolean(L, index));
    case LUA_TNUMBER:
      if (lwl_read_integer(L, index, &integer)) return lw_event_integer(reader->event, integer);
      return lw_event_double(reader->event, lua_tonumber(L, index));
    case LUA_TSTRING: {
      const char *text = lua_tolstring(L, index, &length);
      return lw_event_text(reader->event, text, length);
    }
    case LUA_TLIGHTUSERDATA:
      return read_light(L, reader, index);
    case LUA_TTABLE:
      return read_table(L, reader, index, 0);
    default:
      return read_other(L, reader, index);
  }
}

bool lwl_read_event(lua_State *L, int index, struct lw_event *event) {
  struct reader reader = {.event = event};
  int top = lua_gettop(L);
  size_t length = 0;
  lua_getfield(L, index, "event");
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : "";
  if (!lw_event_start(event, name, length)) return false;
  lua_pushnil(L);
  reader.keys = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "webhook.orders");
  lua_getfield(L, -1, name);
  int order = lua_istable(L, -1) ? lua_gettop(L) : 0;
  lua_getfield(L, index, "data");
  int data = lua_gettop(L);
  bool ok = lua_istable(L, data) ? read_table(L, &reader, data, order) : read_value(L, &reader, data);
  lua_settop(L, top);
  return ok;
}
