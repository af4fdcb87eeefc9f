/* The formats by name. A new service is one file with a writer, and one row in formats.c. */
#ifndef LW_PAYLOAD_FORMATS_H
#define LW_PAYLOAD_FORMATS_H

#include "base/buffer.h"
#include "payload/event.h"
#include "payload/message.h"

#define LW_FORMAT_MAX_BYTES (256 * 1024) /* no chat body comes near it */

struct lw_format {
  const char *name;
  const char *content_type;
  /* NULL: raw, the event itself. Else writes the message as a whole body that the service accepts. */
  void (*write_message)(const struct lw_message *message, struct lw_buffer *out);
};

const struct lw_format *lw_format_find(const char *name); /* NULL: unknown */
/* Every format's name, for error messages: "raw, slack, discord or teams". */
const char *lw_format_names(void);
/* Appends the body. False when it does not fit the buffer's maximum (or memory is out). */
bool lw_format_write(const struct lw_format *format, const struct lw_event_view *event,
                     struct lw_buffer *out);

/* The writers: format_slack.c, format_discord.c, format_teams.c. */
void lw_format_slack(const struct lw_message *message, struct lw_buffer *out);
void lw_format_discord(const struct lw_message *message, struct lw_buffer *out);
void lw_format_teams(const struct lw_message *message, struct lw_buffer *out);

/* A plain-text rendering for terminals and logs, in the words the service shows (format_preview.c); no
 * control characters but line breaks. */
void lw_format_preview(const struct lw_message *message, struct lw_buffer *out);

#endif
