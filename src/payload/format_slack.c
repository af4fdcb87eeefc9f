/* A Slack message: the headline on top, then an attachment with the severity's colour around text, fields and
 * context. https://docs.slack.dev/reference/block-kit/blocks */
#include "payload/chat.h"
#include "payload/describe.h"
#include "payload/formats.h"

enum {
  HEADER_MAX = 150, /* also of the fallback, which may have 40,000 */
  SECTION_MAX = 3000,
  LINK_MAX = 2500, /* Slack: 3000; text must fit beside it in the section */
  SECTION_FIELDS = 10,
  BLOCKS_MAX = 11000,    /* all blocks; counted are the code points of the whole body, the safe side */
  CONTEXT_RESERVE = 1000 /* of them, for what follows the fields */
};

/* https://docs.slack.dev/messaging/formatting-message-text#escaping */
static size_t escape(const char *bytes, size_t length, enum lw_place place, char before,
                     char escaped[LW_ESCAPE_MAX]) {
  (void)place;
  (void)before;
  switch (*bytes) {
    case '&':
      return lw_escape_as("&amp;", 5, escaped);
    case '<':
      return lw_escape_as("&lt;", 4, escaped);
    case '>':
      return lw_escape_as("&gt;", 4, escaped);
    default:
      return lw_escape_as(bytes, length, escaped);
  }
}

/* `verbatim`: Slack makes no links or mentions out of plain words. */
static void open_mrkdwn(struct lw_chat *chat) {
  LW_CHAT_JSON(chat, "{\"type\":\"mrkdwn\",\"verbatim\":true,\"text\":");
}

/* In the reader's zone; https://docs.slack.dev/messaging/formatting-message-text#date-formatting */
static void add_time(struct lw_chat *chat, int64_t time, struct lw_text fallback) {
  LW_CHAT_WORDS(chat, "<!date^");
  lw_chat_integer(chat, lw_chat_seconds(time));
  LW_CHAT_WORDS(chat, "^{date_short_pretty} at {time}|");
  lw_buffer_append(&chat->piece, fallback.bytes, fallback.length);
  LW_CHAT_WORDS(chat, ">");
}

/* `text` is what a notification shows. */
static void write_header(struct lw_chat *chat, const struct lw_message *message) {
  LW_CHAT_JSON(chat, "{\"text\":");
  lw_chat_headline(chat, message, HEADER_MAX, escape);
  lw_chat_repeat_string(chat);
  LW_CHAT_JSON(
      chat, ",\"blocks\":[{\"type\":\"header\",\"text\":{\"type\":\"plain_text\",\"emoji\":false,\"text\":");
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, "}}]");
}

/* The code points of the link's markup; 0: there is none, or it is too long. */
static size_t link_size(const struct lw_message *message) {
  size_t size = message->link.length;
  for (size_t i = 0; i < message->link.length; i++)
    if (message->link.bytes[i] == '&') size += sizeof "amp;" - 1;
  return size == 0 || size > LINK_MAX ? 0 : size + sizeof "<|Open>" - 1;
}

static void write_section(struct lw_chat *chat, const struct lw_message *message) {
  struct lw_text text = lw_chat_body(message);
  size_t link = link_size(message);
  if (text.length == 0 && link == 0) return;
  LW_CHAT_JSON(chat, "{\"type\":\"section\",\"text\":");
  open_mrkdwn(chat);
  lw_text_append(&chat->piece, text, SECTION_MAX - (link > 0 ? link + 1 : 0), escape);
  if (text.length > 0 && link > 0) LW_CHAT_WORDS(chat, "\n");
  if (link > 0) {
    LW_CHAT_WORDS(chat, "<");
    lw_chat_line(chat, message->link, LINK_MAX, escape);
    LW_CHAT_WORDS(chat, "|Open>");
  }
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, "}},");
}

static void write_field(struct lw_chat *chat, const struct lw_message_field *field) {
  open_mrkdwn(chat);
  LW_CHAT_WORDS(chat, "*");
  lw_chat_line(chat, field->label, LW_CHAT_LABEL_MAX, escape);
  LW_CHAT_WORDS(chat, "*\n");
  if (field->kind == LW_FIELD_TIME)
    add_time(chat, field->time, field->value);
  else if (field->kind == LW_FIELD_CODE)
    lw_chat_code(chat, field->value);
  else
    lw_chat_line(chat, field->value, LW_CHAT_VALUE_MAX, escape);
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, "}");
}

/* Only a message with more bytes than code points are allowed needs to be counted. */
static bool fits(const struct lw_chat *chat, size_t start) {
  const struct lw_buffer *out = chat->out;
  size_t length = out->length - start, limit = BLOCKS_MAX - CONTEXT_RESERVE;
  return length <= limit || lw_text_count((struct lw_text){out->data + start, length}) <= limit;
}

/* Sections of ten fields, as many as fit. Returns how many are shown. */
static size_t write_fields(struct lw_chat *chat, const struct lw_message *message, size_t start) {
  size_t shown = 0;
  for (; shown < message->field_count; shown++) {
    struct lw_chat_mark mark = lw_chat_mark(chat);
    if (shown % SECTION_FIELDS > 0)
      LW_CHAT_JSON(chat, ",");
    else if (shown == 0)
      LW_CHAT_JSON(chat, "{\"type\":\"section\",\"fields\":[");
    else
      LW_CHAT_JSON(chat, "]},{\"type\":\"section\",\"fields\":[");
    write_field(chat, &message->fields[shown]);
    if (fits(chat, start)) continue;
    lw_chat_back(chat, mark);
    break;
  }
  if (shown > 0) LW_CHAT_JSON(chat, "]},");
  return shown;
}

static void open_context(struct lw_chat *chat) {
  LW_CHAT_JSON(chat, "{\"type\":\"context\",\"elements\":[");
  open_mrkdwn(chat);
}

static void write_context(struct lw_chat *chat, const struct lw_message *message, size_t more) {
  if (more > 0) {
    open_context(chat);
    lw_chat_more(chat, more);
    lw_chat_end_string(chat);
    LW_CHAT_JSON(chat, "}]},");
  }
  open_context(chat);
  lw_chat_line(chat, message->footer, LW_CHAT_FOOTER_MAX, escape);
  if (message->time != LW_NO_TIME) {
    char utc[LW_VALUE_SIZE];
    size_t length = lw_describe_time(message->time, utc);
    LW_CHAT_WORDS(chat, " · ");
    add_time(chat, message->time, (struct lw_text){utc, length});
  }
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, "}]}");
}

/* RRGGBB */
static void write_color(struct lw_chat *chat, enum lw_severity severity) {
  static const char digits[] = "0123456789ABCDEF";
  unsigned color = lw_chat_color(severity);
  for (int shift = 20; shift >= 0; shift -= 4) lw_buffer_append_char(chat->out, digits[color >> shift & 15]);
}

void lw_format_slack(const struct lw_message *message, struct lw_buffer *out) {
  struct lw_chat chat;
  size_t start = out->length;
  lw_chat_begin(&chat, out);
  write_header(&chat, message);
  LW_CHAT_JSON(&chat, ",\"attachments\":[{\"color\":\"#");
  write_color(&chat, message->severity);
  LW_CHAT_JSON(&chat, "\",\"blocks\":[");
  write_section(&chat, message);
  size_t shown = write_fields(&chat, message, start);
  write_context(&chat, message, message->field_count - shown + message->more);
  LW_CHAT_JSON(&chat, "]}]}");
}
