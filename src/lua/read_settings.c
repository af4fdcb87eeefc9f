/* Settings between Lua tables and the core. lua/webhook/settings.lua checked the types, and wrote what has
 * several forms in one. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "lua/binding.h"
#include "store/store.h"
#include "transport/url_credentials.h"

#define HIDDEN "(hidden)"

/* -- in ------------------------------------------------------------------------------------------------ */

struct reader {
  lua_State *L;
  int table;
  struct lw_settings *settings;
  unsigned cleared;
  struct lw_error *error;
};

/* webhook.null clears a field; of one that is given the value stays on the stack. */
static bool take(struct reader *reader, const char *name, enum lw_setting field) {
  lua_State *L = reader->L;
  lua_getfield(L, reader->table, name);
  bool given = !lua_isnil(L, -1) && !lua_islightuserdata(L, -1);
  if (lua_islightuserdata(L, -1)) reader->cleared |= field;
  if (given)
    reader->settings->given |= field;
  else
    lua_pop(L, 1);
  return given;
}

/* Of any number: what is out of every range stays so. */
static int64_t milliseconds(double seconds) {
  if (!(seconds >= 0)) return -1;
  return seconds > 1e12 ? INT64_MAX : llround(seconds * 1000);
}

static int64_t ticks(double seconds) {
  int64_t time = milliseconds(seconds);
  return time > INT64_MAX / LW_SETTINGS_TICKS ? INT64_MAX : time * LW_SETTINGS_TICKS;
}

static int whole(double number) {
  if (number > INT_MAX) return INT_MAX;
  return number < INT_MIN ? INT_MIN : (int)number;
}

/* 0 is how the core says "none"; who wants that says false. */
static int64_t some(int64_t value) {
  return value == 0 ? -1 : value;
}

static double pop_number(lua_State *L) {
  double number = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return number;
}

static double part(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  return pop_number(L);
}

static bool read_texts(struct reader *reader) {
  static const struct {
    const char *name;
    enum lw_setting field;
  } texts[] = {{"user_agent", LW_SET_USER_AGENT},
               {"ca_file", LW_SET_CA_FILE},
               {"client_cert", LW_SET_CLIENT_CERT},
               {"client_key", LW_SET_CLIENT_KEY},
               {"proxy", LW_SET_PROXY}};
  bool ok = true;
  for (size_t i = 0; ok && i < sizeof texts / sizeof *texts; i++) {
    if (!take(reader, texts[i].name, texts[i].field)) continue;
    ok = lw_settings_set_text(reader->settings, texts[i].field, lua_tostring(reader->L, -1)) ||
         lw_fail(reader->error, "memory", "out of memory");
    lua_pop(reader->L, 1);
  }
  return ok;
}

static bool read_http_version(struct reader *reader) {
  if (!take(reader, "http_version", LW_SET_HTTP_VERSION)) return true;
  const char *version = lua_tostring(reader->L, -1);
  bool old = strcmp(version, "1.1") == 0;
  bool known = old || strcmp(version, "2") == 0;
  lua_pop(reader->L, 1);
  reader->settings->request.http_version = old ? LW_HTTP_1_1 : LW_HTTP_2;
  return known || lw_fail(reader->error, "invalid", "http_version: must be '1.1' or '2'");
}

static void read_numbers(struct reader *reader) {
  lua_State *L = reader->L;
  struct lw_settings *settings = reader->settings;
  struct lw_request_options *request = &settings->request;
  if (take(reader, "timeout", LW_SET_TIMEOUT)) request->timeout = milliseconds(pop_number(L));
  if (take(reader, "connect_timeout", LW_SET_CONNECT_TIMEOUT))
    request->connect_timeout = milliseconds(pop_number(L));
  if (take(reader, "max_response_body", LW_SET_MAX_RESPONSE_BODY)) {
    double bytes = pop_number(L);
    request->max_response_body = bytes >= 0 && bytes < INT_MAX ? (size_t)bytes : INT_MAX;
  }
  if (take(reader, "max_in_flight", LW_SET_MAX_IN_FLIGHT))
    settings->limits.max_in_flight = whole(pop_number(L));
  if (take(reader, "ordered", LW_SET_ORDERED)) {
    settings->limits.ordered = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  if (take(reader, "disable_after", LW_SET_DISABLE_AFTER)) {
    settings->disable_after = lua_isboolean(L, -1) ? 0 : some(milliseconds(lua_tonumber(L, -1)));
    lua_pop(L, 1);
  }
}

static bool read_retry(struct reader *reader) {
  lua_State *L = reader->L;
  struct lw_retry_schedule *retry = &reader->settings->retry;
  if (!take(reader, "retry", LW_SET_RETRY)) return true;
  size_t count = lua_istable(L, -1) ? lwl_raw_length(L, -1) : 0;
  bool ok = count <= LW_RETRY_MAX_DELAYS ||
            lw_fail(reader->error, "invalid", "retry: more than %d delays", LW_RETRY_MAX_DELAYS);
  retry->count = ok ? (int)count : 0;
  for (int i = 0; i < retry->count; i++) {
    lua_rawgeti(L, -1, i + 1);
    retry->delays[i] = milliseconds(pop_number(L));
  }
  lua_pop(L, 1);
  return ok;
}

static void read_limits(struct reader *reader) {
  lua_State *L = reader->L;
  struct lw_limits *limits = &reader->settings->limits;
  if (take(reader, "rate_limit", LW_SET_RATE_LIMIT)) {
    bool any = lua_istable(L, -1);
    limits->rate_count = any ? (int)some(whole(part(L, "requests"))) : 0;
    limits->rate_period = any ? ticks(part(L, "seconds")) : 0;
    lua_pop(L, 1);
  }
  if (take(reader, "breaker", LW_SET_BREAKER)) {
    bool any = lua_istable(L, -1);
    limits->breaker_failures = any ? (int)some(whole(part(L, "failures"))) : 0;
    limits->breaker_pause = any ? ticks(part(L, "pause")) : 0;
    limits->breaker_max_pause = any ? ticks(part(L, "max_pause")) : 0;
    lua_pop(L, 1);
  }
}

static bool read_networks(struct reader *reader) {
  lua_State *L = reader->L;
  if (!take(reader, "allow_networks", LW_SET_ALLOW_NETWORKS)) return true;
  bool ok = true;
  size_t count = lwl_raw_length(L, -1);
  for (size_t i = 1; ok && i <= count; i++) {
    lua_rawgeti(L, -1, (int)i);
    const char *text = lua_tostring(L, -1);
    ok = lw_settings_add_network(reader->settings, text ? text : "", reader->error);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return ok;
}

/* A list of { name, value }. */
static bool read_headers(struct reader *reader) {
  lua_State *L = reader->L;
  if (!take(reader, "headers", LW_SET_HEADERS)) return true;
  bool ok = true;
  size_t count = lwl_raw_length(L, -1);
  for (size_t i = 1; ok && i <= count; i++) {
    lua_rawgeti(L, -1, (int)i);
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    ok = lw_settings_add_header(reader->settings, lua_tostring(L, -2), lua_tostring(L, -1), reader->error);
    lua_pop(L, 3);
  }
  lua_pop(L, 1);
  return ok;
}

bool lwl_read_settings(lua_State *L, int table, struct lw_settings *settings, unsigned *cleared,
                       struct lw_error *error) {
  struct reader reader = {.L = L, .table = table, .settings = settings, .error = error};
  read_numbers(&reader);
  read_limits(&reader);
  bool ok = read_texts(&reader) && read_http_version(&reader) && read_retry(&reader) &&
            read_networks(&reader) && read_headers(&reader);
  if (cleared != NULL) *cleared = reader.cleared;
  return ok;
}

/* -- out ----------------------------------------------------------------------------------------------- */

static void push_seconds(lua_State *L, int64_t time, int64_t per_second) {
  if (time % per_second == 0)
    lwl_push_integer(L, time / per_second);
  else
    lua_pushnumber(L, (double)time / (double)per_second);
}

static void set_seconds(lua_State *L, const char *name, int64_t time, int64_t per_second) {
  push_seconds(L, time, per_second);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t value) {
  lwl_push_integer(L, value);
  lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_false(lua_State *L, const char *name) {
  lua_pushboolean(L, false);
  lua_setfield(L, -2, name);
}

static void set_retry(lua_State *L, const struct lw_retry_schedule *retry) {
  if (retry->count == 0) {
    set_false(L, "retry");
    return;
  }
  lua_createtable(L, retry->count, 0);
  for (int i = 0; i < retry->count; i++) {
    push_seconds(L, retry->delays[i], 1000);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "retry");
}

static void set_rate_limit(lua_State *L, const struct lw_limits *limits) {
  if (limits->rate_count == 0) {
    set_false(L, "rate_limit");
    return;
  }
  lua_createtable(L, 0, 2);
  set_integer(L, "requests", limits->rate_count);
  set_seconds(L, "seconds", limits->rate_period, INT64_C(1000) * LW_SETTINGS_TICKS);
  lua_setfield(L, -2, "rate_limit");
}

static void set_breaker(lua_State *L, const struct lw_limits *limits) {
  if (limits->breaker_failures == 0) {
    set_false(L, "breaker");
    return;
  }
  lua_createtable(L, 0, 3);
  set_integer(L, "failures", limits->breaker_failures);
  set_seconds(L, "pause", limits->breaker_pause, INT64_C(1000) * LW_SETTINGS_TICKS);
  set_seconds(L, "max_pause", limits->breaker_max_pause, INT64_C(1000) * LW_SETTINGS_TICKS);
  lua_setfield(L, -2, "breaker");
}

static void set_networks(lua_State *L, const struct lw_address_policy *policy) {
  char text[LW_ADDRESS_TEXT_SIZE];
  lua_createtable(L, (int)policy->count, 0);
  for (size_t i = 0; i < policy->count; i++) {
    lw_network_format(&policy->allowed[i], text);
    lua_pushstring(L, text);
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_setfield(L, -2, "allow_networks");
}

static void set_headers(lua_State *L, const struct lw_settings *settings) {
  lua_createtable(L, 0, (int)settings->header_count);
  for (size_t i = 0; i < settings->header_count; i++) set_text(L, settings->headers[i].name, HIDDEN);
  lua_setfield(L, -2, "headers");
}

/* "http://(hidden)@proxy.example:3128/" */
static void set_proxy(lua_State *L, const char *url) {
  char *plain = NULL, *credentials = NULL;
  bool ok = lw_url_split_credentials(url, &plain, &credentials, NULL);
  bool hide = credentials != NULL;
  lw_wipe_text(&credentials);
  const char *host = plain ? strstr(plain, "://") : NULL;
  if (!ok || (hide && host == NULL)) {
    lua_pushliteral(L, HIDDEN);
  } else if (!hide) {
    lua_pushstring(L, url);
  } else {
    lua_pushlstring(L, plain, (size_t)(host + 3 - plain));
    lua_pushfstring(L, HIDDEN "@%s", host + 3);
    lua_concat(L, 2);
  }
  lua_setfield(L, -2, "proxy");
  lw_wipe_text(&plain);
}

static void set_texts(lua_State *L, const struct lw_settings *settings) {
  const struct lw_request_options *request = &settings->request;
  unsigned given = settings->given;
  if (given & LW_SET_HTTP_VERSION)
    set_text(L, "http_version", request->http_version == LW_HTTP_1_1 ? "1.1" : "2");
  if (given & LW_SET_USER_AGENT) set_text(L, "user_agent", request->user_agent);
  if (given & LW_SET_CA_FILE) set_text(L, "ca_file", request->ca_file);
  if (given & LW_SET_CLIENT_CERT) set_text(L, "client_cert", request->client_cert);
  if (given & LW_SET_CLIENT_KEY) set_text(L, "client_key", request->client_key);
  if (given & LW_SET_PROXY) set_proxy(L, request->proxy);
}

static void set_numbers(lua_State *L, const struct lw_settings *settings) {
  const struct lw_request_options *request = &settings->request;
  unsigned given = settings->given;
  if (given & LW_SET_TIMEOUT) set_seconds(L, "timeout", request->timeout, 1000);
  if (given & LW_SET_CONNECT_TIMEOUT) set_seconds(L, "connect_timeout", request->connect_timeout, 1000);
  if (given & LW_SET_MAX_RESPONSE_BODY)
    set_integer(L, "max_response_body", (int64_t)request->max_response_body);
  if (given & LW_SET_MAX_IN_FLIGHT) set_integer(L, "max_in_flight", settings->limits.max_in_flight);
  if (given & LW_SET_ORDERED) {
    lua_pushboolean(L, settings->limits.ordered);
    lua_setfield(L, -2, "ordered");
  }
  if (!(given & LW_SET_DISABLE_AFTER)) return;
  if (settings->disable_after == 0)
    set_false(L, "disable_after");
  else
    set_seconds(L, "disable_after", settings->disable_after, 1000);
}

void lwl_set_settings(lua_State *L, const char *text) {
  struct lw_settings *settings = text ? lw_settings_parse(text, NULL) : NULL;
  if (settings == NULL) return;
  set_numbers(L, settings);
  set_texts(L, settings);
  if (settings->given & LW_SET_RETRY) set_retry(L, &settings->retry);
  if (settings->given & LW_SET_RATE_LIMIT) set_rate_limit(L, &settings->limits);
  if (settings->given & LW_SET_BREAKER) set_breaker(L, &settings->limits);
  if (settings->given & LW_SET_ALLOW_NETWORKS) set_networks(L, &settings->request.addresses);
  if (settings->given & LW_SET_HEADERS) set_headers(L, settings);
  if (settings->given & LW_SET_AUTHORIZATION) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "url_credentials");
  }
  lw_settings_drop(settings);
}
