#include "delivery/webhook_rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "delivery/choice.h"
#include "delivery/filter.h"
#include "delivery/settings.h"
#include "delivery/signing.h"
#include "payload/event.h"
#include "payload/formats.h"
#include "transport/url.h"

static bool check_format(const struct lw_webhook *webhook, struct lw_error *error) {
  const struct lw_format *format = lw_format_find(webhook->format);
  if (format == NULL)
    return lw_fail(error, "invalid", "format: unknown format '%.40s': use %s", webhook->format,
                   lw_format_names());
  if (webhook->signing_secret && format->write_message)
    return lw_fail(error, "invalid", "signing_secret: only the raw format is signed, not '%s'", format->name);
  return true;
}

static bool check_events(const char *events, struct lw_error *error) {
  if (*events == '\0') return lw_fail(error, "invalid", "events: the list is empty; { \"*\" } means all");
  while (*events) {
    size_t span = strcspn(events, ",");
    if (!lw_pattern_valid(events, span))
      return lw_fail(
          error, "invalid",
          "events: '%.*s' is no event name (1 to %d of letters, digits, '_', '.', ':', '-', and '*' "
          "for any)",
          (int)(span > LW_EVENT_MAX_PATTERN ? LW_EVENT_MAX_PATTERN : span), events, LW_EVENT_MAX_PATTERN);
    events += span + (events[span] == ',');
  }
  return true;
}

static bool check_filter(const char *text, struct lw_error *error) {
  if (text == NULL) return true;
  struct lw_filter *filter = lw_filter_parse(text, strlen(text), error);
  free(filter);
  return filter != NULL;
}

static bool check_settings(const char *text, struct lw_error *error) {
  struct lw_settings *settings = lw_settings_parse(text, error);
  lw_settings_drop(settings);
  return settings != NULL;
}

static bool check_text(const char *field, const char *text, struct lw_error *error) {
  if (text == NULL || lw_utf8_valid_prefix(text, strlen(text)) == strlen(text)) return true;
  return lw_fail(error, "invalid", "%s: not valid UTF-8", field);
}

bool lw_webhook_check(const struct lw_webhook *webhook, struct lw_error *error) {
  struct lw_error cause;
  size_t name = strlen(webhook->name);
  if (name == 0) return lw_fail(error, "invalid", "name: is empty");
  if (name > LW_WEBHOOK_MAX_NAME)
    return lw_fail(error, "invalid", "name: longer than %d bytes", LW_WEBHOOK_MAX_NAME);
  if (!check_text("name", webhook->name, error) || !check_text("app_id", webhook->app_id, error))
    return false;
  if (!lw_url_check(webhook->url, &cause)) return lw_fail(error, "invalid", "url: %.400s", cause.message);
  if (webhook->signing_secret) {
    size_t secret = strlen(webhook->signing_secret);
    if (secret == 0) return lw_fail(error, "invalid", "signing_secret: is empty; leave it out for none");
    if (secret > LW_WEBHOOK_MAX_SECRET)
      return lw_fail(error, "invalid", "signing_secret: longer than %d bytes", LW_WEBHOOK_MAX_SECRET);
  }
  if (webhook->channels && !lw_channels_check(webhook->channels, error)) return false;
  return check_format(webhook, error) && check_events(webhook->events, error) &&
         check_filter(webhook->filter, error) && check_settings(webhook->settings, error) &&
         lw_signing_check(webhook, error);
}
