/* Care for the log: deleting what is old. The Lua side calls again until all is done: each step is a
 * transaction of its own, so that deliveries go on between them. */
#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "lua/pending.h"

#define WALK "webhook.prune_walk"

struct pruning {
  struct lw_prune walk;
  int64_t limit, pruned;
};

static bool prune_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct pruning *pruning = context;
  return lw_store_prune(store, &pruning->walk, pruning->limit, &pruning->pruned, error);
}

static int push_pruned(lua_State *L, void *work) {
  struct pruning *pruning = work;
  lwl_push_integer(L, pruning->pruned);
  if (pruning->walk.done) return 1;
  struct lw_prune *walk = lwl_new_userdata(L, sizeof *walk);
  *walk = pruning->walk;
  luaL_newmetatable(L, WALK);
  lua_setmetatable(L, -2);
  return 2;
}

/* Where to begin: with an age in seconds, or where the step before ended. */
static struct lw_prune read_walk(lua_State *L, int index) {
  const struct lw_prune *walk = lwl_test_userdata(L, index, WALK);
  if (walk) return *walk;
  const struct lw_clock *clock = lw_system_clock();
  /* + 1: with an age of 0 also what was made in this very millisecond */
  return (struct lw_prune){.before =
                               clock->now(clock->context) - (int64_t)(luaL_checknumber(L, index) * 1000) + 1};
}

/* handle:prune_step(older_than in seconds, or the walk, limit|nil) -> how many, the walk | nil at its end */
static int prune_step(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct pruning), .write = prune_job, .push = push_pruned};
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct lw_prune walk = read_walk(L, 2);
  int64_t limit = (int64_t)luaL_optnumber(L, 3, 9e15);
  struct pruning *pruning = lwl_new_work(L, &kind);
  *pruning = (struct pruning){.walk = walk, .limit = limit};
  return lwl_do_command(L, dispatcher, lwl_completions(L));
}

static bool shrink_job(struct lw_store *store, void *more, struct lw_error *error) {
  return lw_store_shrink(store, more, error);
}

static int push_more(lua_State *L, void *work) {
  const bool *more = work;
  lua_pushboolean(L, *more);
  return 1;
}

/* handle:shrink_step() -> whether there is more to give back */
static int shrink_step(lua_State *L) {
  static const struct lwl_kind kind = {.size = sizeof(bool), .write = shrink_job, .push = push_more};
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  lwl_new_work(L, &kind);
  return lwl_do_command(L, dispatcher, lwl_completions(L));
}

const luaL_Reg lwl_care_methods[] = {{"prune_step", prune_step}, {"shrink_step", shrink_step}, {NULL, NULL}};
