/* A webhook's filter, channels and event patterns: between Lua tables and the texts of the core. Types were
 * checked by the Lua side. */
#include "delivery/choice.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/filter.h"
#include "lua/binding.h"

/* -- filters ------------------------------------------------------------------------------------------- */

/* The value on top of the stack, which is popped. */
static void write_value(lua_State *L, struct lw_buffer *out) {
  int64_t integer;
  size_t length;
  struct lwl_wide wide;
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *text = lua_tolstring(L, -1, &length);
    lw_filter_text(out, text, length);
  } else if (lua_type(L, -1) == LUA_TBOOLEAN) {
    lw_filter_boolean(out, lua_toboolean(L, -1));
  } else if (lua_type(L, -1) != LUA_TNUMBER) {
    if (!lwl_read_wide(L, lua_gettop(L), &wide))
      lw_filter_null(out);
    else if (wide.negative)
      lw_filter_integer(out, (int64_t)(0 - wide.magnitude));
    else
      lw_filter_unsigned(out, wide.magnitude);
  } else if (lwl_read_integer(L, -1, &integer)) {
    lw_filter_integer(out, integer);
  } else {
    lw_filter_double(out, lua_tonumber(L, -1));
  }
  lua_pop(L, 1);
}

/* The list on top of the stack. */
static void write_list(lua_State *L, struct lw_buffer *out) {
  size_t count = lwl_raw_length(L, -1);
  for (size_t i = 1; i <= count && !out->failed; i++) {
    lw_filter_test(out, LW_FILTER_ANY);
    lua_rawgeti(L, -1, (int)i);
    write_value(L, out);
  }
}

/* { path = …, value = … or list = { … } or exists = … }, on top of the stack, which is popped. */
static void write_entry(lua_State *L, struct lw_buffer *out) {
  int entry = lua_gettop(L);
  size_t length;
  lua_getfield(L, entry, "path");
  const char *path = luaL_checklstring(L, -1, &length);
  lw_filter_field(out, path, length);
  lua_getfield(L, entry, "exists");
  lua_getfield(L, entry, "list");
  if (lua_isboolean(L, -2)) {
    lw_filter_test(out, lua_toboolean(L, -2) ? LW_FILTER_EXISTS : LW_FILTER_MISSING);
  } else if (lua_istable(L, -1)) {
    write_list(L, out);
  } else {
    lw_filter_test(out, LW_FILTER_IS);
    lua_getfield(L, entry, "value");
    write_value(L, out);
  }
  lua_settop(L, entry - 1);
}

/* core.filter(entries) -> text | nil, message, code */
static int make_filter(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct lw_error error;
  struct lw_buffer out;
  lw_buffer_init(&out, LW_FILTER_MAX_BYTES);
  lw_filter_start(&out);
  size_t count = lwl_raw_length(L, 1);
  for (size_t i = 1; i <= count && !out.failed; i++) {
    lua_rawgeti(L, 1, (int)i);
    write_entry(L, &out);
  }
  bool ok = !out.failed || lw_fail(&error, "invalid", "filter: longer than %d bytes", LW_FILTER_MAX_BYTES);
  struct lw_filter *filter = ok ? lw_filter_parse(out.data, out.length, &error) : NULL;
  if (filter != NULL) lua_pushlstring(L, out.data, out.length);
  free(filter);
  lw_buffer_free(&out);
  return filter != NULL ? 1 : lwl_failure(L, &error);
}

static void push_integer(lua_State *L, int64_t value) {
  struct lwl_wide wide = {.negative = value < 0, .magnitude = (uint64_t)value};
  if (wide.negative) wide.magnitude = 0 - wide.magnitude;
  if (lwl_number_holds(value))
    lwl_push_integer(L, value);
  else
    lwl_push_wide(L, &wide);
}

static void push_value(lua_State *L, const struct lw_node *value, const char *text) {
  switch (value->kind) {
    case LW_TEXT:
      lua_pushlstring(L, text + value->as.text.offset, value->as.text.length);
      break;
    case LW_INTEGER:
      push_integer(L, value->as.integer);
      break;
    case LW_UNSIGNED:
      lwl_push_wide(L, &(struct lwl_wide){.magnitude = value->as.wide});
      break;
    case LW_DOUBLE:
      lua_pushnumber(L, value->as.number);
      break;
    case LW_TRUE:
    case LW_FALSE:
      lua_pushboolean(L, value->kind == LW_TRUE);
      break;
    default:
      lua_pushlightuserdata(L, NULL);
  }
}

static void push_test(lua_State *L, const struct lw_filter_entry *entry, const char *text) {
  if (entry->test == LW_FILTER_IS) {
    push_value(L, entry->values, text);
    return;
  }
  lua_newtable(L);
  if (entry->test == LW_FILTER_ANY) {
    for (size_t i = 0; i < entry->count; i++) {
      push_value(L, &entry->values[i], text);
      lua_rawseti(L, -2, (int)i + 1);
    }
  } else {
    lua_pushboolean(L, entry->test == LW_FILTER_EXISTS);
    lua_setfield(L, -2, "exists");
  }
}

void lwl_set_filter(lua_State *L, const char *name, const char *text) {
  struct lw_filter *filter = text ? lw_filter_parse(text, strlen(text), NULL) : NULL;
  if (filter == NULL) return;
  lua_createtable(L, 0, (int)filter->count);
  for (size_t i = 0; i < filter->count; i++) {
    const struct lw_filter_entry *entry = &filter->entries[i];
    lua_pushlstring(L, entry->path, entry->path_length);
    push_test(L, entry, filter->text);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, name);
  free(filter);
}

/* -- lists of names ------------------------------------------------------------------------------------ */

void lwl_set_names(lua_State *L, const char *name, const char *names) {
  if (names == NULL) return;
  lua_newtable(L);
  for (int i = 1; *names; i++) {
    size_t span = strcspn(names, ",");
    lua_pushlstring(L, names, span);
    lua_rawseti(L, -2, i);
    names += span + (names[span] == ',');
  }
  lua_setfield(L, -2, name);
}

/* core.channels(list) -> text | nil, message, code */
static int make_channels(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  char text[LW_MAX_CHANNELS * (LW_CHANNEL_MAX_NAME + 1)];
  size_t used = 0, count = lwl_raw_length(L, 1), length;
  struct lw_error error;
  if (!lw_channels_check_count(count, &error)) return lwl_failure(L, &error);
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, (int)i);
    const char *name = luaL_checklstring(L, -1, &length);
    if (!lw_channel_check(name, length, &error)) return lwl_failure(L, &error);
    memcpy(text + used, name, length);
    used += length;
    text[used++] = ',';
    lua_pop(L, 1);
  }
  lua_pushlstring(L, text, used - 1);
  return 1;
}

/* core.is_pattern(text): an event's name in which stars may stand */
static int is_pattern(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_pushboolean(L, lw_pattern_valid(text, length));
  return 1;
}

void lwl_open_choice(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"filter", make_filter}, {"channels", make_channels}, {"is_pattern", is_pattern}, {NULL, NULL}};
  lwl_set_functions(L, functions);
}
