#include "delivery/webhook_changes.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/credentials.h"
#include "transport/url.h"

void lw_webhook_changes_clear(struct lw_webhook_changes *changes) {
  for (int i = 0; i < LW_WEBHOOK_FIELDS; i++) lw_wipe_text(&changes->fields[i].text);
  lw_settings_drop(changes->settings);
  *changes = (struct lw_webhook_changes){.cleared = 0};
}

static char **slot(struct lw_webhook *webhook, enum lw_webhook_field field) {
  char **slots[LW_WEBHOOK_FIELDS] = {
      [LW_WEBHOOK_APP_ID] = &webhook->app_id,     [LW_WEBHOOK_NAME] = &webhook->name,
      [LW_WEBHOOK_URL] = &webhook->url,           [LW_WEBHOOK_FORMAT] = &webhook->format,
      [LW_WEBHOOK_EVENTS] = &webhook->events,     [LW_WEBHOOK_SIGNING_SECRET] = &webhook->signing_secret,
      [LW_WEBHOOK_SIGNING] = &webhook->signing,   [LW_WEBHOOK_FILTER] = &webhook->filter,
      [LW_WEBHOOK_CHANNELS] = &webhook->channels,
  };
  return slots[field];
}

static bool out_of_memory(struct lw_error *error) {
  return lw_fail(error, "memory", "out of memory");
}

static bool set_text(char **text, const char *value, struct lw_error *error) {
  char *copy = value ? strdup(value) : NULL;
  if (value != NULL && copy == NULL) return out_of_memory(error);
  lw_wipe_text(text);
  *text = copy;
  return true;
}

static bool change_texts(struct lw_webhook *webhook, const struct lw_webhook_changes *changes,
                         struct lw_error *error) {
  for (int i = 0; i < LW_WEBHOOK_FIELDS; i++)
    if (changes->fields[i].given &&
        !set_text(slot(webhook, (enum lw_webhook_field)i), changes->fields[i].text, error))
      return false;
  /* Who replaces a secret without rotate_secret wants the ones before it gone. */
  if (changes->fields[LW_WEBHOOK_SIGNING_SECRET].given) lw_wipe_text(&webhook->old_secrets);
  return webhook->app_id != NULL || set_text(&webhook->app_id, "", error);
}

/* -- settings ----------------------------------------------------------------------------------------- */

/* What is no URL at all is refused by lw_webhook_check. */
static bool move_credentials(struct lw_webhook *webhook, struct lw_settings *settings,
                             struct lw_error *error) {
  struct lw_error cause;
  if (webhook->url == NULL || !lw_url_check(webhook->url, NULL)) return true;
  if (lw_credentials_move(&webhook->url, settings, &cause)) return true;
  return lw_fail(error, cause.code, "url: %.400s", cause.message);
}

/* A URL that was stored before credentials were moved gives them up with the first change. */
static bool change_settings(struct lw_webhook *webhook, const struct lw_webhook_changes *changes,
                            bool other_url, struct lw_error *error) {
  struct lw_settings *settings = lw_settings_parse(webhook->settings, error);
  if (settings == NULL) return false;
  if (other_url) lw_settings_clear(settings, LW_SET_AUTHORIZATION);
  lw_settings_clear(settings, changes->cleared);
  char *text = NULL;
  bool ok = (changes->settings == NULL || lw_settings_change(settings, changes->settings) ||
             out_of_memory(error)) &&
            move_credentials(webhook, settings, error) && lw_settings_check(settings, error) &&
            lw_settings_format(settings, &text, error);
  lw_settings_drop(settings);
  if (!ok) return false;
  lw_wipe_text(&webhook->settings);
  webhook->settings = text;
  return true;
}

/* -- all together ------------------------------------------------------------------------------------- */

static bool is_other(const char *old, const char *text) {
  return old == NULL || text == NULL || strcmp(old, text) != 0;
}

bool lw_webhook_change(struct lw_webhook *webhook, const struct lw_webhook_changes *changes,
                       struct lw_error *error) {
  bool other_url =
      changes->fields[LW_WEBHOOK_URL].given && is_other(webhook->url, changes->fields[LW_WEBHOOK_URL].text);
  if (!change_texts(webhook, changes, error) || !change_settings(webhook, changes, other_url, error))
    return false;
  bool enabled = changes->gives_enabled ? changes->enabled : webhook->enabled;
  if (enabled && !webhook->enabled) webhook->failing_since = 0; /* as the store has it */
  webhook->enabled = enabled;
  if (webhook->enabled) lw_wipe_text(&webhook->disabled_reason);
  return true;
}
