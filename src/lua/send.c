/* webhook.send: one attempt, waited for, through the sender that the dispatchers use too. */
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "lua/binding.h"
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

static struct lw_lane *open_lane(struct hold *hold, struct lw_error *error) {
  const struct lw_lane_options lane = {.max_in_flight = 1};
  if (hold->sender == NULL) hold->sender = lw_sender_acquire(error);
  if (hold->sender == NULL) return NULL;
  return lw_lane_open(hold->sender, &lane, finished, NULL, NULL, error);
}

/* NULL: the error says why. */
static struct lw_settings *read_settings(lua_State *L, int table, struct lw_error *error) {
  struct lw_settings *settings = lw_settings_default();
  if (settings == NULL) {
    lw_fail(error, "memory", "out of memory");
    return NULL;
  }
  settings->request.addresses.allow_all = true;
  if (lwl_read_settings(L, table, settings, NULL, error) && lw_settings_check(settings, error))
    return settings;
  lw_settings_drop(settings);
  return NULL;
}

static int send_with(lua_State *L, struct hold *hold, const char *url,
                     const struct lw_request_options *options) {
  struct lw_error error;
  struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
  struct lw_request *request = lw_request_new(url);
  if (request == NULL) {
    lw_fail(&error, "memory", "out of memory");
    return lwl_failure(L, &error);
  }
  request->context = &waiter;
  request->options = options;
  lua_getfield(L, 1, "body");
  request->body = lua_tolstring(L, -1, &request->body_length);
  struct lw_lane *lane = add_headers(L, request, &error) ? open_lane(hold, &error) : NULL;
  if (lane == NULL) {
    lw_request_free(request);
    return lwl_failure(L, &error);
  }
  lw_lane_submit(lane, request);
  wait_for(&waiter);
  lw_lane_close(lane, 0);
  push_response(L, &request->response);
  lw_request_free(request);
  return 1;
}

/* core.send { url, body, headers = { { name, value }… }, settings } -> answer | nil, message, code */
static int send_once(lua_State *L) {
  struct hold *hold = lua_touserdata(L, lua_upvalueindex(1));
  struct lw_error error;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  const char *url = lwl_string_field(L, 1, "url");
  if (!lw_url_check(url, &error)) return lwl_failure(L, &error);
  lua_getfield(L, 1, "settings");
  struct lw_settings *settings = read_settings(L, 2, &error);
  if (settings == NULL) return lwl_failure(L, &error);
  int results = send_with(L, hold, url, &settings->request);
  lw_settings_drop(settings);
  return results;
}

/* core.new_id() -> a UUIDv7 */
static int new_id(lua_State *L) {
  struct lw_id id;
  lwl_new_id(&id);
  lwl_push_id(L, &id);
  return 1;
}

void lwl_open_send(lua_State *L) {
  struct hold *hold = lwl_new_userdata(L, sizeof *hold);
  hold->sender = NULL;
  luaL_newmetatable(L, HOLD);
  lua_pushcfunction(L, release);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pushcclosure(L, send_once, 1);
  lua_setfield(L, -2, "send");
  lua_pushcfunction(L, new_id);
  lua_setfield(L, -2, "new_id");
}
