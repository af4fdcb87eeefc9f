/* webhook.integer: an integer of any Lua, exact from -2^63 to 2^64 - 1. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lua/binding.h"

#define INTEGER "webhook.integer"

enum { TEXT_SIZE = 24 };

/* JSON's integers (RFC 8259, 6): no plus, no leading zeros. */
static bool parse(const char *text, size_t length, struct lwl_wide *wide) {
  const char *at = text, *end = text + length;
  *wide = (struct lwl_wide){.negative = at < end && *at == '-'};
  if (wide->negative) at++;
  if (at == end || (*at == '0' && at + 1 < end)) return false;
  for (; at < end; at++) {
    if (*at < '0' || *at > '9') return false;
    uint64_t digit = (uint64_t)(*at - '0');
    if (wide->magnitude > (UINT64_MAX - digit) / 10) return false;
    wide->magnitude = wide->magnitude * 10 + digit;
  }
  if (wide->magnitude == 0) wide->negative = false;
  return !wide->negative || wide->magnitude <= (uint64_t)INT64_MAX + 1;
}

void lwl_push_wide(lua_State *L, const struct lwl_wide *wide) {
  *(struct lwl_wide *)lwl_new_userdata(L, sizeof *wide) = *wide;
  lwl_set_metatable(L, INTEGER);
}

/* core.integer(text) -> integer | nil, message, "invalid" */
static int new_integer(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  struct lwl_wide wide;
  struct lw_error error;
  if (!parse(text, length, &wide)) {
    lw_fail(&error, "invalid", "integer: decimal digits expected, from %" PRId64 " to %" PRIu64, INT64_MIN,
            UINT64_MAX);
    return lwl_failure(L, &error);
  }
  lwl_push_wide(L, &wide);
  return 1;
}

static int is_integer(lua_State *L) {
  lua_pushboolean(L, lwl_test_userdata(L, 1, INTEGER) != NULL);
  return 1;
}

static int to_string(lua_State *L) {
  const struct lwl_wide *wide = luaL_checkudata(L, 1, INTEGER);
  char text[TEXT_SIZE];
  snprintf(text, sizeof text, "%s%" PRIu64, wide->negative ? "-" : "", wide->magnitude);
  lua_pushstring(L, text);
  return 1;
}

/* Less than 0, 0 or more, as memcmp has it. */
static int compare(lua_State *L) {
  const struct lwl_wide *left = luaL_checkudata(L, 1, INTEGER), *right = luaL_checkudata(L, 2, INTEGER);
  if (left->negative != right->negative) return left->negative ? -1 : 1;
  int order = left->magnitude < right->magnitude ? -1 : left->magnitude > right->magnitude;
  return left->negative ? -order : order;
}

static int equal(lua_State *L) {
  const struct lwl_wide *left = lwl_test_userdata(L, 1, INTEGER), *right = lwl_test_userdata(L, 2, INTEGER);
  lua_pushboolean(L, left != NULL && right != NULL && compare(L) == 0);
  return 1;
}

static int less(lua_State *L) {
  lua_pushboolean(L, compare(L) < 0);
  return 1;
}

static int less_or_equal(lua_State *L) {
  lua_pushboolean(L, compare(L) <= 0);
  return 1;
}

/* core.read_cdata_with(f): f makes an integer of LuaJIT's cdata, or returns nil. Only Lua code can ask safely
 * what a cdata is. */
static int read_cdata_with(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "webhook.read_cdata");
  return 0;
}

bool lwl_read_wide(lua_State *L, int index, struct lwl_wide *wide) {
  int top = lua_gettop(L);
  if (lua_type(L, index) == LWL_TCDATA) {
    lua_getfield(L, LUA_REGISTRYINDEX, "webhook.read_cdata");
    lua_pushvalue(L, index);
    lua_call(L, 1, 1);
    index = top + 1;
  }
  const struct lwl_wide *found = lwl_test_userdata(L, index, INTEGER);
  if (found != NULL) *wide = *found;
  lua_settop(L, top);
  return found != NULL;
}

void lwl_open_integer(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__tostring", to_string}, {"__eq", equal}, {"__lt", less}, {"__le", less_or_equal}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"integer", new_integer},
                                       {"is_integer", is_integer},
                                       {"read_cdata_with", read_cdata_with},
                                       {NULL, NULL}};
  luaL_newmetatable(L, INTEGER);
  lwl_set_functions(L, meta);
  lua_pop(L, 1);
  lwl_set_functions(L, functions);
}
