/* Keys, kept between calls: keying a context costs more than a signature. A small table; the least recently
 * used key goes, and is wiped. One keyring, one thread at a time. */
#ifndef LW_SIGNATURE_KEYRING_H
#define LW_SIGNATURE_KEYRING_H

#include "base/bytes.h"
#include "base/error.h"
#include "signature/key.h"
#include "signature/schemes.h"

#define LW_MAX_SECRETS 16 /* of one request */
/* Not fewer, so that the last key of a request does not push out its first. */
#define LW_KEYRING_SIZE LW_MAX_SECRETS

struct lw_keyring;

struct lw_keyring *lw_keyring_new(void);          /* NULL without memory */
void lw_keyring_free(struct lw_keyring *keyring); /* wipes every key; NULL is fine */

/* The key of a secret, made or found; it belongs to the keyring. NULL as lw_key_new. */
struct lw_key *lw_keyring_get(struct lw_keyring *keyring, const struct lw_scheme *scheme,
                              struct lw_bytes secret, enum lw_key_use use, struct lw_error *error);

#endif
