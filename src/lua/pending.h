/* Calls that may take a while, and two ways to make them. Each is split into reading what the caller passed
 * (Lua), a job (no Lua, on any thread), and pushing what came of it (Lua). A function that is bound as usual
 * does all three; bound by lwl_set_starters it returns after the first, with a pending call:
 *
 *   pending:ready()    whether there are results
 *   pending:results()  pushes them, once; raises before it is ready
 *   pending:id()       by which the completions' `next` tells that it is ready
 *
 * A pending call that nobody has a name for any more is collected; its job goes on, and what belongs to it is
 * freed when that is done. */
#ifndef LW_LUA_PENDING_H
#define LW_LUA_PENDING_H

#include "delivery/command.h"
#include "lua/binding.h"

struct lw_dispatcher;

struct lwl_kind {
  size_t size;                                     /* of the work */
  lw_store_job *read, *write;                      /* jobs of a dispatcher, as in delivery/command.h, or */
  bool (*run)(void *work, struct lw_error *error); /* a job on a thread of its own; neither: a flush */
  int (*push)(lua_State *L, void *work);           /* the results, when the job did not fail */
  void (*clear)(void *work);                       /* frees what the work points to; NULL: nothing does */
};

/* Zeroed work, in a pending call that is pushed and owns it. Raises when memory is out. */
void *lwl_new_work(lua_State *L, const struct lwl_kind *kind);
/* Does the pending call on top, or starts it (which needs completions), and pushes the results or itself:
 * return what this returns. */
int lwl_do_command(lua_State *L, struct lw_dispatcher *dispatcher, struct lw_completions *completions);
int lwl_do_run(lua_State *L, struct lw_completions *completions);
/* Whether the running function was bound by lwl_set_starters. */
bool lwl_starts(lua_State *L);
/* Starts a copy of events (lw_command_copy) and owns it; `push` gets the command. Pushes
 * the pending call, or nil, message, code. */
int lwl_start_emit(lua_State *L, struct lw_dispatcher *dispatcher, struct lw_completions *completions,
                   struct lw_command *command, int (*push)(lua_State *L, void *command));

/* Adds functions to the table on top: those that do, those that start. With `upvalue` not 0 the value at that
 * index is their second upvalue. */
void lwl_set_methods(lua_State *L, const luaL_Reg *functions, int upvalue);
void lwl_set_starters(lua_State *L, const luaL_Reg *functions, int upvalue);

/* The completions at `index`; NULL where there is none. */
struct lw_completions *lwl_to_completions(lua_State *L, int index);

/* A copy of the text; NULL for NULL. Raises when memory is out. */
char *lwl_copy_text(lua_State *L, const char *text);

#endif
