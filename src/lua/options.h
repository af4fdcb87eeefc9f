/* Reading the options that `webhook.open` and `webhook.send` share. Types were checked by the Lua side. */
#ifndef LW_LUA_OPTIONS_H
#define LW_LUA_OPTIONS_H

#include "delivery/dispatcher.h"
#include "lua/binding.h"

/* Strings stay in the table at `table`: keep it on the stack. */
bool lwl_read_options(lua_State *L, int table, struct lw_dispatcher_options *options, struct lw_error *error);

#endif
