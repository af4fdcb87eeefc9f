#include "lua/binding.h"
#include "signature/hmac.h"
#include "signature/schemes.h"

/* core.hmac_hex(secret, body) -> hex | nil, message, code */
static int hmac_hex(lua_State *L) {
  size_t secret_length, body_length;
  const char *secret = luaL_checklstring(L, 1, &secret_length);
  const char *body = luaL_checklstring(L, 2, &body_length);
  char hex[LW_HMAC_HEX_SIZE];
  struct lw_error error;
  struct lw_hmac *hmac = lw_hmac_new(secret, secret_length);
  bool ok = hmac != NULL && lw_hmac_hex(hmac, body, body_length, hex);
  lw_hmac_free(hmac);
  if (!ok) {
    if (secret_length == 0)
      lw_fail(&error, "missing_secret", "the secret is empty");
    else
      lw_fail(&error, "crypto", "OpenSSL could not compute the HMAC");
    return lwl_failure(L, &error);
  }
  lua_pushlstring(L, hex, LW_HMAC_HEX_SIZE - 1);
  return 1;
}

/* core.verify(secret, signature, body) -> true | nil, message, code */
static int verify(lua_State *L) {
  size_t secret_length, length, body_length;
  const char *secret = luaL_checklstring(L, 1, &secret_length);
  const char *signature = luaL_checklstring(L, 2, &length);
  const char *body = luaL_checklstring(L, 3, &body_length);
  struct lw_error error;
  if (!lw_capawesome_verify(secret, secret_length, signature, length, body, body_length, &error))
    return lwl_failure(L, &error);
  lua_pushboolean(L, true);
  return 1;
}

void lwl_open_signature(lua_State *L) {
  lua_pushcfunction(L, hmac_hex);
  lua_setfield(L, -2, "hmac_hex");
  lua_pushcfunction(L, verify);
  lua_setfield(L, -2, "verify");
}
