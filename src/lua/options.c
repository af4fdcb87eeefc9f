#include "lua/options.h"

enum { MILLISECONDS = 1000, DAY = 86400000 };

static bool read_networks(lua_State *L, int table, struct lw_address_policy *policy, struct lw_error *error) {
  lua_getfield(L, table, "allow_networks");
  bool ok = true;
  lua_Integer count = lua_istable(L, -1) ? (lua_Integer)lwl_raw_length(L, -1) : 0;
  if (count > LW_ADDRESS_MAX_NETWORKS)
    ok = lw_fail(error, "invalid", "allow_networks: more than %d networks", LW_ADDRESS_MAX_NETWORKS);
  for (lua_Integer i = 1; ok && i <= count; i++) {
    lua_rawgeti(L, -1, i);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    ok = lw_network_parse(text, &policy->allowed[policy->count++], error);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return ok;
}

static bool read_retry(lua_State *L, int table, struct lw_retry_schedule *retry, struct lw_error *error) {
  *retry = lw_retry_default();
  lua_getfield(L, table, "retry");
  bool ok = true;
  if (lua_isboolean(L, -1)) retry->count = 0;
  if (lua_istable(L, -1)) {
    lua_Integer count = (lua_Integer)lwl_raw_length(L, -1);
    if (count > LW_RETRY_MAX_DELAYS)
      ok = lw_fail(error, "invalid", "retry: more than %d delays", LW_RETRY_MAX_DELAYS);
    retry->count = ok ? (int)count : 0;
    for (int i = 0; i < retry->count; i++) {
      lua_rawgeti(L, -1, i + 1);
      retry->delays[i] = (int64_t)(lua_tonumber(L, -1) * MILLISECONDS);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  return ok;
}

bool lwl_read_options(lua_State *L, int table, struct lw_dispatcher_options *options,
                      struct lw_error *error) {
  *options = (struct lw_dispatcher_options){
      .connections = (int)lwl_number_field(L, table, "connections", 256),
      .max_in_flight_per_host = 64,
      .lease = (int64_t)(lwl_number_field(L, table, "lease", 15) * MILLISECONDS),
      .idempotency_window = (int64_t)(lwl_number_field(L, table, "idempotency_window", 86400) * MILLISECONDS),
      .retention = (int64_t)(lwl_number_field(L, table, "retention", 0) * DAY),
      .settings = lw_settings_default(),
  };
  struct lw_settings *s = options->settings;
  s->request.timeout = (int64_t)(lwl_number_field(L, table, "timeout", 15) * MILLISECONDS);
  s->request.connect_timeout = (int64_t)(lwl_number_field(L, table, "connect_timeout", 5) * MILLISECONDS);
  s->request.max_response_body = (size_t)lwl_number_field(L, table, "max_response_body", 20000);
  lw_settings_set_text(s, LW_SET_USER_AGENT, lwl_string_field(L, table, "user_agent"));
  lw_settings_set_text(s, LW_SET_CA_FILE, lwl_string_field(L, table, "ca_file"));
  return read_networks(L, table, &s->request.addresses, error) && read_retry(L, table, &s->retry, error);
}
