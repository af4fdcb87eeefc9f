/* The binding: Lua values in, core calls out. Only files in this folder include Lua's headers. */
#ifndef LW_LUA_BINDING_H
#define LW_LUA_BINDING_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/id.h"
#include "delivery/settings.h"
#include "lua/compat.h"
#include "payload/event.h"

/* nil, message, code */
int lwl_failure(lua_State *L, const struct lw_error *error);
void lwl_new_id(struct lw_id *id);
void lwl_push_id(lua_State *L, const struct lw_id *id);
/* False when the value is no id. */
bool lwl_read_id(lua_State *L, int index, struct lw_id *id);
/* Fields of an options table: NULL or the fallback where the field is nil. The string stays in the table. */
const char *lwl_string_field(lua_State *L, int table, const char *name);
bool lwl_boolean_field(lua_State *L, int table, const char *name);
double lwl_number_field(lua_State *L, int table, const char *name, double fallback);
/* Fields of the table on top: nothing is set where the text is NULL (or a filter that cannot be read). */
void lwl_set_filter(lua_State *L, const char *name, const char *filter);
void lwl_set_names(lua_State *L, const char *name, const char *names);                /* joined by ',' */
void lwl_set_bytes(lua_State *L, const char *name, const char *bytes, size_t length); /* NULL: nothing set */

/* An integer that a Lua number may not hold: webhook.integer's, or a 64-bit integer among LuaJIT's cdata. */
struct lwl_wide {
  bool negative;
  uint64_t magnitude;
};
/* False when the value is neither. */
bool lwl_read_wide(lua_State *L, int index, struct lwl_wide *wide);
void lwl_push_wide(lua_State *L, const struct lwl_wide *wide); /* as webhook.integer's */

/* Builds `event` from the table { event = name, data = {…} } at `index`. The registry's order table gives the
 * documented keys of data for that name. False: event->error says why. */
bool lwl_read_event(lua_State *L, int index, struct lw_event *event);
/* Adds what the table at `index` says about how the event reads (read_presentation.c). */
bool lwl_read_presentation(lua_State *L, int index, struct lw_event *event);

/* Settings as lua/webhook/settings.lua makes them, from the table at the absolute index `table`, are added to
 * `settings`; *cleared (may be NULL): those that are webhook.null. They are still to be checked. False: the
 * error says why, and `settings` is only good to be dropped. */
bool lwl_read_settings(lua_State *L, int table, struct lw_settings *settings, unsigned *cleared,
                       struct lw_error *error);
/* Sets fields of the table on top from the text in the store, without its secrets; none where it is NULL or a
 * newer version's. */
void lwl_set_settings(lua_State *L, const char *text);

/* The parts of the module; each adds its functions to the table on top of the stack. */
void lwl_open_integer(lua_State *L);
void lwl_open_choice(lua_State *L);
void lwl_open_payload(lua_State *L);
void lwl_open_signature(lua_State *L);
void lwl_open_seen(lua_State *L);
void lwl_open_pending(lua_State *L); /* also `start`, a table of what starts */
void lwl_open_dispatcher(lua_State *L);
void lwl_open_send(lua_State *L);

/* Methods of the dispatcher that stand in files of their own. */
struct lw_dispatcher *lwl_check_dispatcher(lua_State *L);
struct lw_completions *lwl_completions(lua_State *L); /* of the dispatcher at 1; NULL: none */
struct lw_records *lwl_check_records(lua_State *L);   /* also of a closed one; NULL: nobody wants records */
extern const luaL_Reg lwl_webhook_methods[];
extern const luaL_Reg lwl_log_methods[];
extern const luaL_Reg lwl_observe_methods[];
extern const luaL_Reg lwl_care_methods[];
extern const luaL_Reg lwl_record_methods[];                 /* never wait */
void lwl_add_emit(lua_State *L, int methods, int starters); /* to the tables at these indices */

#endif
