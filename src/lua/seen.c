#include <math.h>

#include "lua/binding.h"
#include "store/seen.h"

#define SEEN "webhook.seen.sqlite"

/* Longer than any clock runs, and far from the ends of int64_t in milliseconds. */
#define MAX_TTL 1e12

struct seen_box {
  struct lw_seen *seen; /* NULL: closed */
};

/* core.open_seen(path) -> store | nil, message, code */
static int open_seen(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct lw_error error;
  struct seen_box *box = lwl_new_userdata(L, sizeof *box);
  box->seen = NULL;
  luaL_getmetatable(L, SEEN);
  lua_setmetatable(L, -2);
  box->seen = lw_seen_open(path, &error);
  return box->seen != NULL ? 1 : lwl_failure(L, &error);
}

static struct lw_seen *check_open(lua_State *L, struct lw_error *error) {
  struct seen_box *box = luaL_checkudata(L, 1, SEEN);
  if (box->seen == NULL) lw_fail(error, "closed", "the store of seen ids is closed");
  return box->seen;
}

/* store:add(id, ttl) -> true | false | nil, message, code */
static int add(lua_State *L) {
  struct lw_error error;
  struct lw_bytes id;
  struct lw_seen *seen = check_open(L, &error);
  id.data = luaL_checklstring(L, 2, &id.length);
  double ttl = luaL_checknumber(L, 3);
  luaL_argcheck(L, ttl > 0, 3, "seconds expected, more than 0");
  if (seen == NULL) return lwl_failure(L, &error);
  int64_t now = lw_system_clock()->now(lw_system_clock()->context);
  int64_t ends_at = now + (int64_t)ceil(fmin(ttl, MAX_TTL) * 1000);
  bool is_new = false;
  if (!lw_seen_add(seen, id, now, ends_at, &is_new, &error)) return lwl_failure(L, &error);
  lua_pushboolean(L, is_new);
  return 1;
}

/* store:remove(id) -> true | nil, message, code */
static int remove_id(lua_State *L) {
  struct lw_error error;
  struct lw_bytes id;
  struct lw_seen *seen = check_open(L, &error);
  id.data = luaL_checklstring(L, 2, &id.length);
  if (seen == NULL || !lw_seen_remove(seen, id, &error)) return lwl_failure(L, &error);
  lua_pushboolean(L, true);
  return 1;
}

/* Serves close, __gc and __close; a second call does nothing. */
static int close_seen(lua_State *L) {
  struct seen_box *box = luaL_checkudata(L, 1, SEEN);
  lw_seen_close(box->seen);
  box->seen = NULL;
  return 0;
}

void lwl_open_seen(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction function;
  } methods[] = {{"add", add},
                 {"remove", remove_id},
                 {"close", close_seen},
                 {"__gc", close_seen},
                 {"__close", close_seen}};
  luaL_newmetatable(L, SEEN);
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    lua_pushcfunction(L, methods[i].function);
    lua_setfield(L, -2, methods[i].name);
  }
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, open_seen);
  lua_setfield(L, -2, "open_seen");
}
