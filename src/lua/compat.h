/* What Lua 5.4, 5.3, 5.1 and LuaJIT do differently, in one place. The names are our own: LuaJIT's headers
 * declare some of the functions that came with 5.2 (luaL_setfuncs …), and a module that used those would not
 * load in Lua 5.1. With 5.1 headers only the C API of 5.1 is called, so one binary serves Lua 5.1 and LuaJIT.
 */
#ifndef LW_LUA_COMPAT_H
#define LW_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The type of LuaJIT's cdata; no other Lua has a type of that number. */
enum { LWL_TCDATA = 10 };

/* A full userdata without user values. */
void *lwl_new_userdata(lua_State *L, size_t size);
/* Gives the userdata on top the metatable that luaL_newmetatable registered. */
void lwl_set_metatable(lua_State *L, const char *name);
/* NULL unless the value is a userdata with that metatable. */
void *lwl_test_userdata(lua_State *L, int index, const char *name);
/* Adds the functions to the table on top. */
void lwl_set_functions(lua_State *L, const luaL_Reg *functions);
/* The length of a table, without metamethods. */
size_t lwl_raw_length(lua_State *L, int index);

/* Whether the running coroutine can yield here: not where a C function's callback runs (string.gsub,
 * require). Lua 5.1 does not know: true. */
bool lwl_may_yield(lua_State *L);

/* True for a number that is an integer. 5.4 and 5.3 know (3.0 is none); 5.1 and LuaJIT have doubles only,
 * where every whole number up to 2^53 either way is one (so -0.0 is 0). */
bool lwl_read_integer(lua_State *L, int index, int64_t *value);
/* On 5.1 and LuaJIT exact up to 2^53, also where lua_Integer has 32 bits. */
void lwl_push_integer(lua_State *L, int64_t value);
/* Whether lwl_push_integer keeps every digit of it. */
bool lwl_number_holds(int64_t value);

#endif
