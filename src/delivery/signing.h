/* How a webhook's deliveries are signed: by the schemes it names, with its secret and with those that a
 * rotation replaced and that still sign. */
#ifndef LW_DELIVERY_SIGNING_H
#define LW_DELIVERY_SIGNING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "signature/sign.h"
#include "store/store.h"

#define LW_SIGNING_DEFAULT "capawesome"

/* Whether a list of schemes (NULL: the default) has that one. */
bool lw_signing_has(const char *signing, const char *scheme);
/* False with "invalid" and a message that names the field and never repeats a secret: a scheme that we do not
 * sign by, or a secret that is not in the form that a scheme wants. Also "memory", "crypto". */
bool lw_signing_check(const struct lw_webhook *webhook, struct lw_error *error);

/* The new secret takes the place of the webhook's, which goes on signing until `until` where a scheme has a
 * list of signatures. False with "invalid": the new one is the one in use, or more overlap than can sign. */
bool lw_signing_rotate(struct lw_webhook *webhook, const char *secret, int64_t until, int64_t now,
                       struct lw_error *error);
/* Forgets the old secrets that no longer sign. */
bool lw_signing_expire(struct lw_webhook *webhook, int64_t now, struct lw_error *error);

/* Signs by the scheme "standard". Borrows the webhook's strings; one thread at a time. */
struct lw_signer;
/* For a webhook that has a secret and passed lw_signing_check. */
struct lw_signer *lw_signer_new(const struct lw_webhook *webhook, struct lw_error *error);
void lw_signer_free(struct lw_signer *signer); /* wipes its keys; NULL is fine */
bool lw_signer_sign(struct lw_signer *signer, struct lw_bytes id, struct lw_bytes body, int64_t now,
                    struct lw_signed *result);

#endif
