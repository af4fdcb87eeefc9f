/* How an event reads, as lua/webhook/events.lua hands it over: { title, text, severity, link = templates,
 * show = { { label, template } or { label, false, path } … } }, each part optional. */
#include <string.h>

#include "base/json.h"
#include "lua/binding.h"
#include "payload/message.h"
#include "payload/template.h"

static struct lw_text text_at(lua_State *L, int index) {
  struct lw_text text = {"", 0};
  if (lua_type(L, index) == LUA_TSTRING) text.bytes = lua_tolstring(L, index, &text.length);
  return text;
}

static bool push_key(struct lw_event *event, const char *key) {
  return lw_event_key(event, key, strlen(key));
}

static bool read_part(lua_State *L, int index, const char *name, enum lw_template_kind kind,
                      struct lw_event *event) {
  lua_getfield(L, index, name);
  bool ok = lua_type(L, -1) != LUA_TSTRING ||
            (push_key(event, name) && lw_template_push(event, text_at(L, -1), kind));
  lua_pop(L, 1);
  return ok;
}

/* The entry on top of the stack. */
static bool read_entry(lua_State *L, struct lw_event *event) {
  int entry = lua_gettop(L);
  for (int i = 1; i <= 3; i++) lua_rawgeti(L, entry, i);
  struct lw_text label = text_at(L, entry + 1), path = text_at(L, entry + 3);
  bool ok = lw_event_open(event, LW_ARRAY) && lw_event_text(event, label.bytes, label.length);
  if (lua_type(L, entry + 2) == LUA_TSTRING)
    ok = ok && lw_template_push(event, text_at(L, entry + 2), LW_TEMPLATE_TEXT);
  else
    ok = ok && lw_event_null(event) && lw_event_text(event, path.bytes, path.length);
  lw_event_close(event);
  lua_settop(L, entry);
  return ok;
}

static bool read_show(lua_State *L, int index, struct lw_event *event) {
  lua_getfield(L, index, "show");
  bool ok = true;
  if (lua_istable(L, -1)) {
    ok = push_key(event, "fields") && lw_event_open(event, LW_ARRAY);
    size_t count = lwl_raw_length(L, -1);
    for (size_t i = 1; ok && i <= count; i++) {
      lua_rawgeti(L, -1, (lua_Integer)i);
      ok = read_entry(L, event);
      lua_pop(L, 1);
    }
    lw_event_close(event);
  }
  lua_pop(L, 1);
  return ok;
}

/* A template may have made anything of it. */
static bool check_severity(struct lw_event *event) {
  struct lw_event_view view = lw_event_view(event);
  const struct lw_node *node = lw_event_field(&view, view.presentation, "severity");
  if (node == NULL) return true;
  struct lw_text word = {view.text + node->as.text.offset, node->as.text.length};
  enum lw_severity severity;
  if (word.length == 0 || lw_severity_parse(word, &severity)) return true;
  event->failed = true;
  return lw_fail(&event->error, "invalid_event",
                 "%s: severity: '%.*s' is none of success, failure, warning, neutral and progress",
                 event->name, (int)lw_utf8_valid_prefix(word.bytes, word.length > 40 ? 40 : word.length),
                 word.bytes);
}

bool lwl_read_presentation(lua_State *L, int index, struct lw_event *event) {
  bool ok = lw_event_present(event) && read_part(L, index, "title", LW_TEMPLATE_TEXT, event) &&
            read_part(L, index, "text", LW_TEMPLATE_TEXT, event) &&
            read_part(L, index, "severity", LW_TEMPLATE_TEXT, event) &&
            read_part(L, index, "link", LW_TEMPLATE_LINK, event) && read_show(L, index, event);
  lw_event_close(event);
  return ok && check_severity(event);
}
