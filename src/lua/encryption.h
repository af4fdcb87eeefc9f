/* Reading the options encryption_key and old_encryption_keys. Types were checked by the Lua side. */
#ifndef LW_LUA_ENCRYPTION_H
#define LW_LUA_ENCRYPTION_H

#include "lua/binding.h"
#include "store/vault.h"

/* *vault: to be freed with lw_vault_free; NULL where no key is given. False: "invalid", and a message that
 * repeats nothing of a key. */
bool lwl_read_encryption(lua_State *L, int table, struct lw_vault **vault, struct lw_error *error);

#endif
