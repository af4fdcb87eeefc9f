/* What an owner changes of a webhook: read on the owner's thread, applied in the transaction that reads the
 * webhook and writes it, so that two changes at a time keep both. */
#ifndef LW_DELIVERY_WEBHOOK_CHANGES_H
#define LW_DELIVERY_WEBHOOK_CHANGES_H

#include <stdbool.h>

#include "base/error.h"
#include "delivery/settings.h"
#include "store/store.h"

enum lw_webhook_field {
  LW_WEBHOOK_APP_ID,
  LW_WEBHOOK_NAME,
  LW_WEBHOOK_URL,
  LW_WEBHOOK_FORMAT,
  LW_WEBHOOK_EVENTS,
  LW_WEBHOOK_SIGNING_SECRET,
  LW_WEBHOOK_SIGNING,
  LW_WEBHOOK_FILTER,
  LW_WEBHOOK_CHANNELS,
  LW_WEBHOOK_FIELDS /* how many there are */
};

/* Zeroed: nothing changes. */
struct lw_webhook_changes {
  struct {
    bool given;
    char *text; /* malloc'd; NULL clears the field */
  } fields[LW_WEBHOOK_FIELDS];
  bool gives_enabled, enabled;
  struct lw_settings *settings; /* those that are given; NULL: none */
  unsigned cleared;             /* LW_SET_…: those that the dispatcher's hold for again */
};

/* Wipes and frees. */
void lw_webhook_changes_clear(struct lw_webhook_changes *changes);

/* Copies them into the webhook. A new signing_secret forgets the ones that a rotation replaced; a new URL
 * forgets the credentials of the one before and gives its own to the settings; enabling forgets why it was
 * disabled. What comes out is to be checked with lw_webhook_check. False: memory, or "invalid" or "newer"
 * for settings that cannot be or cannot be read; then the webhook is only good to be cleared. */
bool lw_webhook_change(struct lw_webhook *webhook, const struct lw_webhook_changes *changes,
                       struct lw_error *error);

#endif
