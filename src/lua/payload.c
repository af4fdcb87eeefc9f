#include "lua/binding.h"
#include "payload/format_raw.h"

struct scratch {
  struct lw_event event;
  struct lw_buffer body;
};

static int free_scratch(lua_State *L) {
  struct scratch *scratch = lua_touserdata(L, 1);
  lw_event_free(&scratch->event);
  lw_buffer_free(&scratch->body);
  return 0;
}

/* core.format_raw(event) -> body | nil, message, code */
static int format_raw(lua_State *L) {
  struct scratch *scratch = lua_touserdata(L, lua_upvalueindex(1));
  luaL_checktype(L, 1, LUA_TTABLE);
  if (!lwl_read_event(L, 1, &scratch->event)) return lwl_failure(L, &scratch->event.error);
  lw_buffer_clear(&scratch->body);
  if (!lw_format_raw(&scratch->event, &scratch->body)) {
    struct lw_error error;
    lw_fail(&error, "invalid_event", "the body would be larger than 8 MiB");
    return lwl_failure(L, &error);
  }
  lua_pushlstring(L, scratch->body.data, scratch->body.length);
  return 1;
}

/* core.configure { orders = …, array_mt = …, empty_array = … } */
static int configure(lua_State *L) {
  static const char *const names[] = {"orders", "array_mt", "empty_array"};
  for (int i = 0; i < 3; i++) {
    lua_getfield(L, 1, names[i]);
    lua_pushfstring(L, "webhook.%s", names[i]);
    lua_insert(L, -2);
    lua_settable(L, LUA_REGISTRYINDEX);
  }
  return 0;
}

void lwl_open_payload(lua_State *L) {
  struct scratch *scratch = lua_newuserdatauv(L, sizeof *scratch, 0);
  lw_event_init(&scratch->event);
  lw_buffer_init(&scratch->body, LW_EVENT_MAX_BYTES);
  lua_newtable(L);
  lua_pushcfunction(L, free_scratch);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pushcclosure(L, format_raw, 1);
  lua_setfield(L, -2, "format_raw");
  lua_pushcfunction(L, configure);
  lua_setfield(L, -2, "configure");
}
