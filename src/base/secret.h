/* The one door between secrets and branches. Code that handles a secret, or a digest made with it, computes
 * without branches and table look-ups; the single bit it wants to act on goes through here.
 *
 * The test of constant time marks secrets as undefined for valgrind and links its own lw_reveal, which
 * declares the bit defined: any other branch on a secret is then an error. So this function stands alone in
 * secret.c (a linker takes a file of a static library only for symbols that are still missing). */
#ifndef LW_BASE_SECRET_H
#define LW_BASE_SECRET_H

#include <stdint.h>

/* Returns `value`, which from now on is public. */
uint32_t lw_reveal(uint32_t value);

#endif
