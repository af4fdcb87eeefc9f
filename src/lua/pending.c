#include "lua/pending.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/dispatcher.h"

#define PENDING "webhook.pending"
#define COMPLETIONS "webhook.completions"

/* What a call works on, in one block. */
struct block {
  struct lw_command command;
  const struct lwl_kind *kind;
  _Alignas(max_align_t) char work[];
};

struct pending {
  struct lw_command *command; /* NULL: it was fetched, or is not complete */
  void *work;
  int (*push)(lua_State *L, void *work);
  void (*free)(struct lw_task *task);
};

static bool started(const struct pending *pending) {
  return pending->command->task.completions != NULL;
}

/* -- its life -------------------------------------------------------------------------------------- */

static void free_block(struct lw_task *task) {
  struct block *block = (struct block *)task;
  if (block->kind->clear) block->kind->clear(block->work);
  free(block);
}

static void free_events(struct lw_task *task) {
  free(task);
}

static struct pending *push_pending(lua_State *L) {
  struct pending *pending = lwl_new_userdata(L, sizeof *pending);
  *pending = (struct pending){.command = NULL};
  lwl_set_metatable(L, PENDING);
  return pending;
}

void *lwl_new_work(lua_State *L, const struct lwl_kind *kind) {
  struct pending *pending = push_pending(L);
  struct block *block = calloc(1, sizeof *block + kind->size);
  if (block == NULL) luaL_error(L, "out of memory");
  block->kind = kind;
  block->command.read = kind->read;
  block->command.write = kind->write;
  block->command.context = block->work;
  block->command.barrier = kind->read == NULL && kind->write == NULL;
  *pending = (struct pending){
      .command = &block->command, .work = block->work, .push = kind->push, .free = free_block};
  return block->work;
}

static void give_up(struct pending *pending) {
  struct lw_command *command = pending->command;
  if (command == NULL) return;
  bool was_started = started(pending);
  pending->command = NULL;
  if (was_started)
    lw_task_release(&command->task);
  else
    pending->free(&command->task);
}

static int collect_pending(lua_State *L) {
  give_up(luaL_checkudata(L, 1, PENDING));
  return 0;
}

/* -- results --------------------------------------------------------------------------------------- */

static int push_results(lua_State *L, struct pending *pending) {
  struct lw_command *command = pending->command;
  int results = command->ok ? pending->push(L, pending->work) : lwl_failure(L, &command->error);
  give_up(pending);
  return results;
}

static struct pending *check_pending(lua_State *L) {
  struct pending *pending = luaL_checkudata(L, 1, PENDING);
  if (pending->command == NULL || !started(pending)) luaL_error(L, "the results were fetched already");
  return pending;
}

static int ready(lua_State *L) {
  lua_pushboolean(L, lw_task_done(&check_pending(L)->command->task));
  return 1;
}

static int id(lua_State *L) {
  lwl_push_integer(L, (int64_t)check_pending(L)->command->task.id);
  return 1;
}

static int results(lua_State *L) {
  struct pending *pending = check_pending(L);
  struct lw_error error;
  if (lw_completions_forked(pending->command->task.completions)) {
    lw_fail(&error, "forked", "the call was made before a fork: its results are in the parent");
    return lwl_failure(L, &error);
  }
  if (!lw_task_done(&pending->command->task)) luaL_error(L, "the results are not ready");
  return push_results(L, pending);
}

/* -- doing and starting ---------------------------------------------------------------------------- */

bool lwl_starts(lua_State *L) {
  return lua_toboolean(L, lua_upvalueindex(1));
}

static struct pending *top(lua_State *L) {
  return lwl_test_userdata(L, lua_gettop(L), PENDING);
}

static void need(lua_State *L, const struct lw_completions *completions) {
  if (completions == NULL) luaL_error(L, "completions expected");
}

static int answer(lua_State *L, bool ok, const struct lw_error *error) {
  return ok ? 1 : lwl_failure(L, error);
}

int lwl_do_command(lua_State *L, struct lw_dispatcher *dispatcher, struct lw_completions *completions) {
  struct pending *pending = top(L);
  struct lw_command *command = pending->command;
  struct lw_error error;
  if (lwl_starts(L)) {
    need(L, completions);
    return answer(L, lw_dispatcher_start(dispatcher, command, completions, free_block, &error), &error);
  }
  command->ok = (command->read == NULL ||
                 lw_dispatcher_read(dispatcher, command->read, command->context, &command->error)) &&
                (command->write == NULL ||
                 lw_dispatcher_write(dispatcher, command->write, command->context, &command->error));
  return push_results(L, pending);
}

static void run(struct lw_task *task) {
  struct block *block = (struct block *)task;
  block->command.ok = block->kind->run(block->work, &block->command.error);
}

int lwl_do_run(lua_State *L, struct lw_completions *completions) {
  struct pending *pending = top(L);
  struct lw_task *task = &pending->command->task;
  struct lw_error error;
  if (!lwl_starts(L)) {
    run(task);
    return push_results(L, pending);
  }
  need(L, completions);
  lw_task_start(task, completions, free_block);
  if (lw_task_spawn(task, run, &error)) return 1;
  lw_task_cancel_start(task);
  return lwl_failure(L, &error);
}

int lwl_start_emit(lua_State *L, struct lw_dispatcher *dispatcher, struct lw_completions *completions,
                   struct lw_command *command, int (*push)(lua_State *L, void *command)) {
  struct lw_error error;
  struct pending *pending = push_pending(L);
  *pending = (struct pending){.command = command, .work = command, .push = push, .free = free_events};
  need(L, completions);
  return answer(L, lw_dispatcher_start(dispatcher, command, completions, free_events, &error), &error);
}

/* -- completions ----------------------------------------------------------------------------------- */

static struct lw_completions **check_completions(lua_State *L) {
  return luaL_checkudata(L, 1, COMPLETIONS);
}

struct lw_completions *lwl_to_completions(lua_State *L, int index) {
  struct lw_completions **slot = lwl_test_userdata(L, index, COMPLETIONS);
  return slot ? *slot : NULL;
}

/* core.completions() -> completions | nil, message, code */
static int new_completions(lua_State *L) {
  struct lw_error error;
  struct lw_completions **slot = lwl_new_userdata(L, sizeof *slot);
  *slot = NULL;
  lwl_set_metatable(L, COMPLETIONS);
  *slot = lw_completions_new(&error);
  return *slot ? 1 : lwl_failure(L, &error);
}

static int collect_completions(lua_State *L) {
  struct lw_completions **slot = check_completions(L);
  lw_completions_drop(*slot);
  *slot = NULL;
  return 0;
}

/* completions:fd() -> a descriptor, readable while a call is ready that was not fetched */
static int get_fd(lua_State *L) {
  struct lw_error error;
  int fd = lw_completions_fd(*check_completions(L), &error);
  if (fd < 0) return lwl_failure(L, &error);
  lua_pushinteger(L, fd);
  return 1;
}

/* completions:listen() -> the path of a unix socket, to which a byte is sent when a call is ready */
static int listen_for(lua_State *L) {
  struct lw_error error;
  char path[LW_COMPLETIONS_PATH_SIZE];
  if (!lw_completions_listen(*check_completions(L), path, &error)) return lwl_failure(L, &error);
  lua_pushstring(L, path);
  return 1;
}

/* completions:accept() -> whether it was us who connected to it */
static int accept_one(lua_State *L) {
  lua_pushboolean(L, lw_completions_accept(*check_completions(L)));
  return 1;
}

static int hang_up(lua_State *L) {
  lw_completions_hang_up(*check_completions(L));
  return 0;
}

/* completions:next() -> the id of a call that became ready | nil */
static int next(lua_State *L) {
  uint64_t id;
  if (!lw_completions_next(*check_completions(L), &id)) return 0;
  lwl_push_integer(L, (int64_t)id);
  return 1;
}

/* -- binding --------------------------------------------------------------------------------------- */

static void set_functions(lua_State *L, const luaL_Reg *functions, int upvalue, bool start) {
  for (; functions->name; functions++) {
    lua_pushboolean(L, start);
    if (upvalue) lua_pushvalue(L, upvalue);
    lua_pushcclosure(L, functions->func, upvalue ? 2 : 1);
    lua_setfield(L, -2, functions->name);
  }
}

void lwl_set_methods(lua_State *L, const luaL_Reg *functions, int upvalue) {
  set_functions(L, functions, upvalue, false);
}

void lwl_set_starters(lua_State *L, const luaL_Reg *functions, int upvalue) {
  set_functions(L, functions, upvalue, true);
}

char *lwl_copy_text(lua_State *L, const char *text) {
  char *copy = text ? strdup(text) : NULL;
  if (text && copy == NULL) luaL_error(L, "out of memory");
  return copy;
}

/* core.may_yield() -> whether the coroutine that runs can yield here */
static int may_yield(lua_State *L) {
  lua_pushboolean(L, lwl_may_yield(L));
  return 1;
}

static void make_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction collect) {
  luaL_newmetatable(L, name);
  lua_newtable(L);
  lwl_set_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

static const luaL_Reg pending_methods[] = {{"ready", ready}, {"results", results}, {"id", id}, {NULL, NULL}};
static const luaL_Reg completions_methods[] = {{"fd", get_fd}, {"listen", listen_for}, {"accept", accept_one},
                                               {"next", next}, {"hang_up", hang_up},   {NULL, NULL}};

void lwl_open_pending(lua_State *L) {
  make_class(L, PENDING, pending_methods, collect_pending);
  make_class(L, COMPLETIONS, completions_methods, collect_completions);
  lua_pushcfunction(L, may_yield);
  lua_setfield(L, -2, "may_yield");
  lua_pushcfunction(L, new_completions);
  lua_setfield(L, -2, "completions");
  lua_newtable(L);
  lua_setfield(L, -2, "start");
}
