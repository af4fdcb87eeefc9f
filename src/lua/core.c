#include <string.h>

#include "lua/binding.h"

int lwl_failure(lua_State *L, const struct lw_error *error) {
  lua_pushnil(L);
  lua_pushstring(L, error->message);
  lua_pushstring(L, error->code);
  return 3;
}

void lwl_push_id(lua_State *L, const struct lw_id *id) {
  char text[LW_ID_TEXT_SIZE];
  lw_id_format(id, text);
  lua_pushlstring(L, text, LW_ID_TEXT_SIZE - 1);
}

/* One generator a thread: ids made in one millisecond still rise. */
void lwl_new_id(struct lw_id *id) {
  static _Thread_local struct lw_id_generator generator;
  generator.clock = lw_system_clock();
  generator.steps_left = 0; /* a fork copies the stock: two processes would take the same steps */
  lw_id_next(&generator, id);
}

bool lwl_read_id(lua_State *L, int index, struct lw_id *id) {
  size_t length = 0;
  const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
  return text != NULL && lw_id_parse(text, length, id);
}

bool lwl_boolean_field(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

const char *lwl_string_field(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1);
  return text;
}

double lwl_number_field(lua_State *L, int table, const char *name, double fallback) {
  lua_getfield(L, table, name);
  double number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : fallback;
  lua_pop(L, 1);
  return number;
}

void lwl_set_bytes(lua_State *L, const char *name, const char *bytes, size_t length) {
  if (bytes == NULL) return;
  lua_pushlstring(L, bytes, length);
  lua_setfield(L, -2, name);
}

/* core.seconds() -> a clock that only goes forward, from any start */
static int seconds(lua_State *L) {
  const struct lw_clock *clock = lw_system_clock();
  lua_pushnumber(L, (lua_Number)clock->ticks(clock->context) / 1e6);
  return 1;
}

__attribute__((visibility("default"))) int luaopen_webhook_core(lua_State *L);

int luaopen_webhook_core(lua_State *L) {
  lua_newtable(L);
  lua_pushstring(L, LW_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushcfunction(L, seconds);
  lua_setfield(L, -2, "seconds");
  lwl_open_integer(L);
  lwl_open_choice(L);
  lwl_open_payload(L);
  lwl_open_signature(L);
  lwl_open_seen(L);
  lwl_open_pending(L); /* before what starts */
  lwl_open_send(L);
  lwl_open_dispatcher(L);
  return 1;
}
