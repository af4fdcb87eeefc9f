#include "lua/binding.h"
#include "payload/formats.h"

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

/* The event at stack index 1, and how it reads at index 2 (false: nothing said). */
static bool read_both(lua_State *L, struct lw_event *event) {
  luaL_checktype(L, 1, LUA_TTABLE);
  return lwl_read_event(L, 1, event) && (!lua_istable(L, 2) || lwl_read_presentation(L, 2, event));
}

static int answer(lua_State *L, const struct scratch *scratch, bool written) {
  struct lw_error error;
  if (!written) {
    lw_fail(&error, "invalid_event", "the body would be larger than 8 MiB");
    return lwl_failure(L, &error);
  }
  lua_pushlstring(L, scratch->body.data, scratch->body.length);
  return 1;
}

/* core.format(event, presentation|false, format) -> body, content type | nil, message, code */
static int format(lua_State *L) {
  struct scratch *scratch = lua_touserdata(L, lua_upvalueindex(1));
  const struct lw_format *wanted = lw_format_find(luaL_checkstring(L, 3));
  if (wanted == NULL) return luaL_error(L, "unknown format");
  if (!read_both(L, &scratch->event)) return lwl_failure(L, &scratch->event.error);
  lw_buffer_clear(&scratch->body);
  struct lw_event_view view = lw_event_view(&scratch->event);
  int count = answer(L, scratch, lw_format_write(wanted, &view, &scratch->body));
  if (count > 1) return count;
  lua_pushstring(L, wanted->content_type);
  return 2;
}

/* core.preview(event, presentation|false) -> text | nil, message, code */
static int preview(lua_State *L) {
  struct scratch *scratch = lua_touserdata(L, lua_upvalueindex(1));
  if (!read_both(L, &scratch->event)) return lwl_failure(L, &scratch->event.error);
  lw_buffer_clear(&scratch->body);
  struct lw_event_view view = lw_event_view(&scratch->event);
  struct lw_message message;
  lw_message_make(&message, &view);
  lw_format_preview(&message, &scratch->body);
  return answer(L, scratch, !scratch->body.failed);
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
  struct scratch *scratch = lwl_new_userdata(L, sizeof *scratch);
  lw_event_init(&scratch->event);
  lw_buffer_init(&scratch->body, LW_EVENT_MAX_BYTES);
  lua_newtable(L);
  lua_pushcfunction(L, free_scratch);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, format, 1);
  lua_setfield(L, -3, "format");
  lua_pushcclosure(L, preview, 1);
  lua_setfield(L, -2, "preview");
  lua_pushcfunction(L, configure);
  lua_setfield(L, -2, "configure");
}
