/* webhook.send: one attempt, waited for, through the sender that the dispatchers use too. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lua/pending.h"
#include "transport/sender.h"
#include "transport/url.h"

#define HOLD "webhook.sender"

/* Keeps the process's sender, and so its connections, between calls of one Lua state. */
struct hold {
  struct lw_sender *sender;
};

struct waiter {
  pthread_mutex_t mutex; /* guards `done` */
  pthread_cond_t condition;
  bool done;
};

static void finished(struct lw_request *request, void *context) {
  (void)context;
  struct waiter *waiter = request->context;
  pthread_mutex_lock(&waiter->mutex);
  waiter->done = true;
  pthread_cond_signal(&waiter->condition);
  pthread_mutex_unlock(&waiter->mutex);
}

static void wait_for(struct waiter *waiter) {
  pthread_mutex_lock(&waiter->mutex);
  while (!waiter->done) pthread_cond_wait(&waiter->condition, &waiter->mutex);
  pthread_mutex_unlock(&waiter->mutex);
}

static int release(lua_State *L) {
  struct hold *hold = luaL_checkudata(L, 1, HOLD);
  if (hold->sender) lw_sender_release(hold->sender);
  hold->sender = NULL;
  return 0;
}

/* The list of { name, value } pairs in field "headers". */
static bool add_headers(lua_State *L, struct lw_request *request, struct lw_error *error) {
  bool ok = true;
  lua_getfield(L, 1, "headers");
  lua_Integer count = (lua_Integer)lwl_raw_length(L, -1);
  for (lua_Integer i = 1; ok && i <= count; i++) {
    lua_rawgeti(L, -1, i);
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    size_t length = 0;
    const char *value = lua_tolstring(L, -1, &length);
    ok = (strlen(value) == length && lw_request_add_header(request, lua_tostring(L, -2), value)) ||
         lw_fail(error, "invalid", "headers: the value of %.60s holds CR, LF or NUL", lua_tostring(L, -2));
    lua_pop(L, 3);
  }
  lua_pop(L, 1);
  return ok;
}

static void push_response(lua_State *L, const struct lw_response *response) {
  lua_newtable(L);
  lwl_push_integer(L, response->sent_at);
  lua_setfield(L, -2, "sent_at");
  lua_pushnumber(L, (double)response->duration / 1e6);
  lua_setfield(L, -2, "duration");
  if (response->status != 0) {
    lua_pushinteger(L, response->status);
    lua_setfield(L, -2, "response_status_code");
  }
  lwl_set_bytes(L, "response_body", response->body, response->body_length);
  lua_pushboolean(L, response->body_cut);
  lua_setfield(L, -2, "response_body_cut");
  if (response->error_code == NULL) return;
  lua_pushstring(L, response->error);
  lua_setfield(L, -2, "error");
  lua_pushstring(L, response->error_code);
  lua_setfield(L, -2, "error_code");
}

struct sending {
  struct lw_request *request;
  struct waiter waiter;
  struct lw_settings *settings;
  char *body;
};

static void clear_sending(void *work) {
  struct sending *sending = work;
  if (sending->request) lw_request_free(sending->request);
  lw_settings_drop(sending->settings);
  free(sending->body);
}

static bool send_through(struct lw_sender *sender, struct sending *sending, struct lw_error *error) {
  const struct lw_lane_options options = {.max_in_flight = 1};
  struct lw_lane *lane = lw_lane_open(sender, &options, finished, NULL, NULL, error);
  if (lane == NULL) return false;
  pthread_mutex_init(&sending->waiter.mutex, NULL);
  pthread_cond_init(&sending->waiter.condition, NULL);
  sending->request->context = &sending->waiter;
  lw_lane_submit(lane, sending->request);
  wait_for(&sending->waiter);
  lw_lane_close(lane, 0);
  pthread_cond_destroy(&sending->waiter.condition);
  pthread_mutex_destroy(&sending->waiter.mutex);
  return true;
}

/* The sender is acquired anew: the hold of the Lua state may end before. */
static bool run_sending(void *work, struct lw_error *error) {
  struct lw_sender *sender = lw_sender_acquire(error);
  if (sender == NULL) return false;
  bool ok = send_through(sender, work, error);
  lw_sender_release(sender);
  return ok;
}

static int push_sent(lua_State *L, void *work) {
  const struct sending *sending = work;
  push_response(L, &sending->request->response);
  return 1;
}

static void read_body(lua_State *L, struct sending *sending) {
  size_t length = 0;
  lua_getfield(L, 1, "body");
  const char *body = lua_tolstring(L, -1, &length);
  sending->body = malloc(length + 1);
  if (sending->body == NULL) luaL_error(L, "out of memory");
  if (length > 0) memcpy(sending->body, body, length);
  sending->request->body = sending->body;
  sending->request->body_length = length;
  lua_pop(L, 1);
}

static bool read_options(lua_State *L, struct sending *sending, struct lw_error *error) {
  struct lw_settings *settings = sending->settings = lw_settings_default();
  if (settings == NULL) return lw_fail(error, "memory", "out of memory");
  settings->request.addresses.allow_all = true;
  lua_getfield(L, 1, "settings");
  bool ok = lwl_read_settings(L, lua_gettop(L), settings, NULL, error) && lw_settings_check(settings, error);
  lua_pop(L, 1);
  return ok;
}

static bool read_sending(lua_State *L, struct sending *sending, struct lw_error *error) {
  const char *url = lwl_string_field(L, 1, "url");
  if (!read_options(L, sending, error) || !lw_url_check(url, error)) return false;
  sending->request = lw_request_new(url);
  if (sending->request == NULL) return lw_fail(error, "memory", "out of memory");
  sending->request->options = &sending->settings->request;
  read_body(L, sending);
  return add_headers(L, sending->request, error);
}

/* core.send({ url, body, headers = { { name, value }… }, settings }, completions|nil) -> answer | nil,
 * message, code */
static int send_once(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct sending), .run = run_sending, .push = push_sent, .clear = clear_sending};
  struct hold *hold = lua_touserdata(L, lua_upvalueindex(2));
  struct lw_error error;
  luaL_checktype(L, 1, LUA_TTABLE);
  struct sending *sending = lwl_new_work(L, &kind);
  if (!read_sending(L, sending, &error)) return lwl_failure(L, &error);
  if (hold->sender == NULL) hold->sender = lw_sender_acquire(&error);
  if (hold->sender == NULL) return lwl_failure(L, &error);
  return lwl_do_run(L, lwl_to_completions(L, 2));
}

/* core.new_id() -> a UUIDv7 */
static int new_id(lua_State *L) {
  struct lw_id id;
  lwl_new_id(&id);
  lwl_push_id(L, &id);
  return 1;
}

void lwl_open_send(lua_State *L) {
  static const luaL_Reg functions[] = {{"send", send_once}, {NULL, NULL}};
  int module = lua_gettop(L);
  struct hold *hold = lwl_new_userdata(L, sizeof *hold);
  hold->sender = NULL;
  luaL_newmetatable(L, HOLD);
  lua_pushcfunction(L, release);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_getfield(L, module, "start");
  lwl_set_starters(L, functions, module + 1);
  lua_pushvalue(L, module);
  lwl_set_methods(L, functions, module + 1);
  lua_settop(L, module);
  lua_pushcfunction(L, new_id);
  lua_setfield(L, -2, "new_id");
}
