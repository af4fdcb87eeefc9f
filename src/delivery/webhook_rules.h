/* What a webhook's fields may be. */
#ifndef LW_DELIVERY_WEBHOOK_RULES_H
#define LW_DELIVERY_WEBHOOK_RULES_H

#include "store/store.h"

#define LW_WEBHOOK_MAX_NAME 200
#define LW_WEBHOOK_MAX_SECRET 512

/* False with code "invalid" and a message that names the field, or "newer" where a newer version of us wrote
 * settings that we do not know. Never repeats a secret. */
bool lw_webhook_check(const struct lw_webhook *webhook, struct lw_error *error);

#endif
