/* Care for the log: deleting what is old. */
#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "lua/binding.h"

struct lw_dispatcher *lwl_report_progress(lua_State *L, int function, int64_t done) {
  if (lua_isfunction(L, function)) {
    lua_pushvalue(L, function);
    lwl_push_integer(L, done);
    lua_call(L, 1, 0);
  }
  return lwl_check_dispatcher(L);
}

struct pruning {
  struct lw_prune walk;
  int64_t limit, pruned;
};

static bool prune_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct pruning *pruning = context;
  return lw_store_prune(store, &pruning->walk, pruning->limit, &pruning->pruned, error);
}

static bool shrink_job(struct lw_store *store, void *more, struct lw_error *error) {
  return lw_store_shrink(store, more, error);
}

/* handle:prune(older_than in seconds, limit|nil, progress|nil) -> how many; each step is a transaction of its
 * own, so that deliveries go on meanwhile */
static int prune(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  const struct lw_clock *clock = lw_system_clock();
  int64_t age = (int64_t)(luaL_checknumber(L, 2) * 1000);
  int64_t limit = (int64_t)luaL_optnumber(L, 3, 9e15);
  /* + 1: with an age of 0 also what was made in this very millisecond */
  struct pruning pruning = {.walk.before = clock->now(clock->context) - age + 1};
  struct lw_error error;
  int64_t total = 0;
  while (!pruning.walk.done && total < limit) {
    pruning.limit = limit - total;
    if (!lw_dispatcher_write(dispatcher, prune_job, &pruning, &error)) return lwl_failure(L, &error);
    total += pruning.pruned;
    if (pruning.pruned > 0) dispatcher = lwl_report_progress(L, 4, total);
  }
  bool more = total > 0;
  while (more)
    if (!lw_dispatcher_write(dispatcher, shrink_job, &more, &error)) return lwl_failure(L, &error);
  lwl_push_integer(L, total);
  return 1;
}

const luaL_Reg lwl_care_methods[] = {{"prune", prune}, {NULL, NULL}};
