#include "delivery/webhook_rules.h"

#include <string.h>

#include "base/json.h"
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
    char name[LW_EVENT_MAX_NAME + 1] = "";
    if (span <= LW_EVENT_MAX_NAME) memcpy(name, events, span);
    if (strcmp(name, "*") != 0 && !lw_event_name_valid(name, span))
      return lw_fail(error, "invalid", "events: '%.*s' is no event name", (int)(span > 64 ? 64 : span),
                     events);
    events += span + (events[span] == ',');
  }
  return true;
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
  return check_format(webhook, error) && check_events(webhook->events, error);
}
