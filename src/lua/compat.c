#include "lua/compat.h"

#include <math.h>

#if LUA_VERSION_NUM >= 504
void *lwl_new_userdata(lua_State *L, size_t size) {
  return lua_newuserdatauv(L, size, 0);
}
#else
void *lwl_new_userdata(lua_State *L, size_t size) {
  return lua_newuserdata(L, size);
}
#endif

#if LUA_VERSION_NUM >= 502
void lwl_set_functions(lua_State *L, const luaL_Reg *functions) {
  luaL_setfuncs(L, functions, 0);
}

size_t lwl_raw_length(lua_State *L, int index) {
  return lua_rawlen(L, index);
}
#else
void lwl_set_functions(lua_State *L, const luaL_Reg *functions) {
  luaL_register(L, NULL, functions);
}

size_t lwl_raw_length(lua_State *L, int index) {
  return lua_objlen(L, index);
}
#endif

#if LUA_VERSION_NUM >= 503
bool lwl_read_integer(lua_State *L, int index, int64_t *value) {
  if (!lua_isinteger(L, index)) return false;
  *value = lua_tointeger(L, index);
  return true;
}

void lwl_push_integer(lua_State *L, int64_t value) {
  lua_pushinteger(L, value);
}

bool lwl_number_holds(int64_t value) {
  (void)value;
  return true;
}
#else
bool lwl_read_integer(lua_State *L, int index, int64_t *value) {
  if (lua_type(L, index) != LUA_TNUMBER) return false;
  double number = lua_tonumber(L, index);
  if (!(fabs(number) <= 9007199254740992.0) || number != floor(number)) return false;
  *value = (int64_t)number;
  return true;
}

void lwl_push_integer(lua_State *L, int64_t value) {
  lua_pushnumber(L, (lua_Number)value);
}

bool lwl_number_holds(int64_t value) {
  return value >= -(INT64_C(1) << 53) && value <= INT64_C(1) << 53;
}
#endif

/* Lua 5.1 has no such function, and shares its binary with LuaJIT, which has: a weak symbol is NULL where
 * there is none. */
LUA_API int lua_isyieldable(lua_State *L);
#pragma weak lua_isyieldable

bool lwl_may_yield(lua_State *L) {
  return lua_isyieldable == NULL || lua_isyieldable(L) != 0;
}

void lwl_set_metatable(lua_State *L, const char *name) {
  luaL_getmetatable(L, name);
  lua_setmetatable(L, -2);
}

void *lwl_test_userdata(lua_State *L, int index, const char *name) {
  void *userdata = lua_touserdata(L, index);
  if (userdata == NULL || !lua_getmetatable(L, index)) return NULL;
  luaL_getmetatable(L, name);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? userdata : NULL;
}
