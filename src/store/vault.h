/* Seals single texts of the database with AES-256-GCM (NIST SP 800-38D), each with a random nonce of 96 bits
 * and bound to its place: a sealed text that was copied to another table, column or row does not open there.
 *
 * A sealed text is "v1:" and the base64 of: key id (8 bytes) | nonce (12) | ciphertext | tag (16). The
 * additional data are "v1", the table and the column, each with a zero byte after it, and the row's id. A key
 * may seal 2^32 texts (SP 800-38D, section 8.3): a thousand a second for 49 days.
 *
 * The keys stand in a page of memory of their own, not in OpenSSL's secure heap: that one exists only where
 * the host program has made it, and is one for the whole process. The page is left out of core dumps, is zero
 * in a forked child (which can use no dispatcher of its parent), is kept out of swap where RLIMIT_MEMLOCK
 * allows it, and is wiped when the vault goes. Once its keys are in, a vault does not change: any number of
 * threads may seal and open with it. */
#ifndef LW_STORE_VAULT_H
#define LW_STORE_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/id.h"

#define LW_VAULT_KEY_SIZE 32
#define LW_VAULT_KEY_ID_SIZE 8
#define LW_VAULT_MAX_OLD_KEYS 8
#define LW_VAULT_MAX_TEXT (256 * 1024) /* bytes of one text, unsealed */

struct lw_vault;

struct lw_vault *lw_vault_new(struct lw_error *error); /* without keys; NULL: "memory" */
void lw_vault_free(struct lw_vault *vault);            /* wipes; NULL is fine */
/* The first key seals, every one opens. One that is there already is not added again. False: "invalid" (more
 * than LW_VAULT_MAX_OLD_KEYS after the first), "crypto". */
bool lw_vault_add_key(struct lw_vault *vault, const uint8_t key[LW_VAULT_KEY_SIZE], struct lw_error *error);

/* What tells keys apart and says nothing about them: HMAC-SHA256 of a fixed text under the key, cut. The id
 * of the key that seals, and whether one of the keys has that id. */
void lw_vault_key_id(const struct lw_vault *vault, uint8_t id[LW_VAULT_KEY_ID_SIZE]);
bool lw_vault_has_key(const struct lw_vault *vault, const uint8_t id[LW_VAULT_KEY_ID_SIZE]);

struct lw_vault_place {
  const char *table, *column;
  const struct lw_id *row;
};
/* A malloc'd text; NULL: "memory", "crypto" (no random bytes), "invalid" (longer than LW_VAULT_MAX_TEXT). */
char *lw_vault_seal(const struct lw_vault *vault, const struct lw_vault_place *place, const char *text,
                    struct lw_error *error);
/* The text, malloc'd: lw_wipe_text frees it. NULL: "memory", "crypto", or "key" with a message that goes on a
 * sentence like "the url cannot be decrypted: " and repeats nothing of the text. */
char *lw_vault_open(const struct lw_vault *vault, const struct lw_vault_place *place, const char *sealed,
                    struct lw_error *error);

#endif
