/* Keyed contexts, kept between calls: fetching an algorithm and keying it costs more than a signature. A
 * small table; the least recently used key goes, and is wiped. One keyring, one thread at a time. */
#ifndef LW_SIGNATURE_KEYRING_H
#define LW_SIGNATURE_KEYRING_H

#define LW_KEYRING_SIZE 16

struct lw_keyring;

struct lw_keyring *lw_keyring_new(void);          /* NULL without memory */
void lw_keyring_free(struct lw_keyring *keyring); /* wipes every key; NULL is fine */

#endif
