#include "lua/encryption.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/encoding.h"

enum { HEX_SIZE = LW_HEX_LENGTH(LW_VAULT_KEY_SIZE) };

/* Hex digits of either case. */
static bool read_hex(const char *text, uint8_t *key) {
  char lower[HEX_SIZE];
  for (size_t i = 0; i < sizeof lower; i++)
    lower[i] = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
  bool good = lw_hex_decode((struct lw_bytes){lower, sizeof lower}, key, LW_VAULT_KEY_SIZE) == 1;
  OPENSSL_cleanse(lower, sizeof lower);
  return good;
}

/* The value on top, which is popped. */
static bool add_key(lua_State *L, struct lw_vault *vault, const char *name, struct lw_error *error) {
  uint8_t key[LW_VAULT_KEY_SIZE];
  size_t length = 0;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  bool good = length == HEX_SIZE && read_hex(text, key);
  if (length == sizeof key) {
    memcpy(key, text, sizeof key);
    good = true;
  }
  if (good)
    good = lw_vault_add_key(vault, key, error);
  else
    lw_fail(error, "invalid", "%s: must be %d bytes or %d hex digits, got %zu bytes", name, LW_VAULT_KEY_SIZE,
            HEX_SIZE, length);
  OPENSSL_cleanse(key, sizeof key);
  lua_pop(L, 1);
  return good;
}

/* The list on top. */
static bool add_old_keys(lua_State *L, struct lw_vault *vault, struct lw_error *error) {
  size_t count = lua_istable(L, -1) ? lwl_raw_length(L, -1) : 0;
  if (count > LW_VAULT_MAX_OLD_KEYS)
    return lw_fail(error, "invalid", "old_encryption_keys: more than %d keys", LW_VAULT_MAX_OLD_KEYS);
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, (int)i);
    if (!add_key(L, vault, "old_encryption_keys", error)) return false;
  }
  return true;
}

static bool read_keys(lua_State *L, int table, struct lw_vault *vault, struct lw_error *error) {
  lua_getfield(L, table, "encryption_key");
  if (!add_key(L, vault, "encryption_key", error)) return false;
  lua_getfield(L, table, "old_encryption_keys");
  bool good = add_old_keys(L, vault, error);
  lua_pop(L, 1);
  return good;
}

static bool is_given(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool given = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return given;
}

bool lwl_read_encryption(lua_State *L, int table, struct lw_vault **vault, struct lw_error *error) {
  *vault = NULL;
  if (!is_given(L, table, "encryption_key"))
    return !is_given(L, table, "old_encryption_keys") ||
           lw_fail(error, "invalid", "old_encryption_keys: needs an encryption_key to change over to");
  struct lw_vault *made = lw_vault_new(error);
  if (made == NULL) return false;
  if (read_keys(L, table, made, error)) {
    *vault = made;
    return true;
  }
  lw_vault_free(made);
  return false;
}
