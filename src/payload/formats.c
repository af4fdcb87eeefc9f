#include "payload/formats.h"

#include <string.h>

#include "payload/format_raw.h"

static const struct lw_format formats[] = {
    {"raw", "application/json", NULL},
    {"slack", "application/json", lw_format_slack},
    {"discord", "application/json", lw_format_discord},
    /* Without the charset Teams loses emoji. */
    {"teams", "application/json; charset=utf-8", lw_format_teams},
};

const struct lw_format *lw_format_find(const char *name) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (strcmp(formats[i].name, name) == 0) return &formats[i];
  return NULL;
}

const char *lw_format_names(void) {
  return "raw, slack, discord or teams";
}

bool lw_format_write(const struct lw_format *format, const struct lw_event_view *event,
                     struct lw_buffer *out) {
  if (format->write_message == NULL) return lw_format_raw(event, out);
  struct lw_message message;
  lw_message_make(&message, event);
  format->write_message(&message, out);
  return !out->failed;
}
