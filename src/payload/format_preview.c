/* A message as plain text. */
#include "base/json.h"
#include "payload/chat.h"
#include "payload/describe.h"
#include "payload/formats.h"

enum { TEXT_MAX = 1000, LINE_MAX = 200, LABEL_MAX = 40 };

static void new_line(struct lw_buffer *out) {
  lw_buffer_append_char(out, '\n');
}

static void spaces(struct lw_buffer *out, size_t count) {
  while (count-- > 0) lw_buffer_append_char(out, ' ');
}

static void line(struct lw_buffer *out, struct lw_text text) {
  lw_text_append_line(out, text, LINE_MAX, NULL);
}

/* The code points of the longest label; each is written and taken back. */
static size_t label_width(const struct lw_message *message, struct lw_buffer *out) {
  size_t width = 0;
  for (size_t i = 0; i < message->field_count; i++) {
    size_t start = out->length;
    size_t label = lw_text_append_line(out, message->fields[i].label, LABEL_MAX, NULL);
    if (!out->failed) out->length = start;
    if (label > width) width = label;
  }
  return width;
}

static void write_fields(const struct lw_message *message, struct lw_buffer *out) {
  size_t width = label_width(message, out);
  for (size_t i = 0; i < message->field_count; i++) {
    lw_buffer_append_text(out, "\n  ");
    size_t label = lw_text_append_line(out, message->fields[i].label, LABEL_MAX, NULL);
    spaces(out, width - label + 2);
    line(out, message->fields[i].value);
  }
  if (message->more == 0) return;
  lw_buffer_append_text(out, "\nand ");
  lw_json_integer(out, (int64_t)message->more);
  lw_buffer_append_text(out, " more");
}

static void write_footer(const struct lw_message *message, struct lw_buffer *out) {
  new_line(out);
  line(out, message->footer);
  if (message->time == LW_NO_TIME) return;
  char utc[LW_VALUE_SIZE];
  size_t length = lw_describe_time(message->time, utc);
  lw_buffer_append_text(out, " · ");
  lw_buffer_append(out, utc, length);
}

void lw_format_preview(const struct lw_message *message, struct lw_buffer *out) {
  struct lw_text text = lw_chat_body(message);
  lw_buffer_append(out, message->emoji.bytes, message->emoji.length);
  spaces(out, 1);
  line(out, message->title);
  if (text.length > 0) {
    new_line(out);
    lw_text_append(out, text, TEXT_MAX, NULL);
  }
  write_fields(message, out);
  if (message->link.length > 0) {
    new_line(out);
    lw_buffer_append(out, message->link.bytes, message->link.length);
  }
  write_footer(message, out);
}
