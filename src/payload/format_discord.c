/* A Discord message: one embed. https://discord.com/developers/docs/resources/message#embed-object */
#include "base/json.h"
#include "payload/chat.h"
#include "payload/describe.h"
#include "payload/formats.h"

enum {
  TITLE_MAX = 256,
  URL_MAX = 2048,
  DESCRIPTION_MAX = 4096,
  NAME_MAX = 256,
  VALUE_MAX = 1024,
  EMBED_MAX = 6000, /* all strings of the embed but the URL */
  MORE_MAX = 32     /* of them, for the field that says "and N more" */
};

/* https://discord.com/developers/docs/reference#message-formatting: a backslash before what is markup, and at
 * the start of a line before what is a heading, a list or a quotation. */
static size_t escape(const char *bytes, size_t length, enum lw_place place, char before,
                     char escaped[LW_ESCAPE_MAX]) {
  (void)before;
  switch (*bytes) {
    case '\\':
    case '*':
    case '_':
    case '~':
    case '|':
    case '`':
    case '[':
    case '<':
      return lw_escape_backslash(*bytes, escaped);
    case '#':
    case '-':
    case '>':
      if (place == LW_LINE_START) return lw_escape_backslash(*bytes, escaped);
      break;
    case '.':
      if (place == LW_AFTER_NUMBER) return lw_escape_backslash(*bytes, escaped);
      break;
    default:
      break;
  }
  return lw_escape_as(bytes, length, escaped);
}

static void write_description(struct lw_chat *chat, const struct lw_message *message) {
  struct lw_text text = lw_chat_body(message);
  if (text.length == 0) return;
  LW_CHAT_JSON(chat, ",\"description\":");
  lw_text_append(&chat->piece, text, DESCRIPTION_MAX, escape);
  lw_chat_end_string(chat);
}

static void write_link(struct lw_chat *chat, const struct lw_message *message) {
  if (message->link.length == 0 || message->link.length > URL_MAX) return;
  LW_CHAT_JSON(chat, ",\"url\":");
  lw_json_string(chat->out, message->link.bytes, message->link.length);
}

/* Discord shows a footer's text as it is. */
static void write_footer(struct lw_chat *chat, const struct lw_message *message) {
  LW_CHAT_JSON(chat, ",\"footer\":{\"text\":");
  lw_chat_line(chat, message->footer, LW_CHAT_FOOTER_MAX, NULL);
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, "}");
}

static void write_timestamp(struct lw_chat *chat, const struct lw_message *message) {
  char text[LW_VALUE_SIZE];
  if (message->time == LW_NO_TIME) return;
  LW_CHAT_JSON(chat, ",\"timestamp\":");
  lw_json_string(chat->out, text, lw_describe_iso8601(message->time, text));
}

/* In the reader's zone. */
static void add_time(struct lw_chat *chat, int64_t time) {
  LW_CHAT_WORDS(chat, "<t:");
  lw_chat_integer(chat, lw_chat_seconds(time));
  LW_CHAT_WORDS(chat, ":f>");
}

static void write_field(struct lw_chat *chat, const struct lw_message_field *field) {
  LW_CHAT_JSON(chat, "{\"name\":");
  lw_chat_line(chat, field->label, NAME_MAX, escape);
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, ",\"value\":");
  if (field->kind == LW_FIELD_TIME)
    add_time(chat, field->time);
  else if (field->kind == LW_FIELD_CODE)
    lw_chat_code(chat, field->value);
  else
    lw_chat_line(chat, field->value, VALUE_MAX, escape);
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, ",\"inline\":true}");
}

/* As many as fit. Returns how many are left out. */
static size_t write_shown_fields(struct lw_chat *chat, const struct lw_message *message) {
  for (size_t i = 0; i < message->field_count; i++) {
    struct lw_chat_mark mark = lw_chat_mark(chat);
    size_t left = message->field_count - i - 1 + message->more;
    if (i > 0) LW_CHAT_JSON(chat, ",");
    write_field(chat, &message->fields[i]);
    if (chat->count + (left > 0 ? MORE_MAX : 0) <= EMBED_MAX) continue;
    lw_chat_back(chat, mark);
    return left + 1;
  }
  return message->more;
}

static void write_fields(struct lw_chat *chat, const struct lw_message *message) {
  if (message->field_count + message->more == 0) return;
  LW_CHAT_JSON(chat, ",\"fields\":[");
  size_t more = write_shown_fields(chat, message);
  if (more > 0) {
    if (more < message->field_count + message->more) LW_CHAT_JSON(chat, ",");
    LW_CHAT_JSON(chat, "{\"name\":\"…\",\"value\":");
    lw_chat_more(chat, more);
    lw_chat_end_string(chat);
    LW_CHAT_JSON(chat, ",\"inline\":false}");
  }
  LW_CHAT_JSON(chat, "]");
}

/* The fields come last, when it is known how much room is left for them. */
void lw_format_discord(const struct lw_message *message, struct lw_buffer *out) {
  struct lw_chat chat;
  lw_chat_begin(&chat, out);
  LW_CHAT_JSON(&chat, "{\"allowed_mentions\":{\"parse\":[]},\"embeds\":[{\"title\":");
  lw_chat_headline(&chat, message, TITLE_MAX, escape);
  lw_chat_end_string(&chat);
  write_link(&chat, message);
  LW_CHAT_JSON(&chat, ",\"color\":");
  lw_json_integer(out, lw_chat_color(message->severity));
  write_description(&chat, message);
  write_footer(&chat, message);
  write_timestamp(&chat, message);
  write_fields(&chat, message);
  LW_CHAT_JSON(&chat, "}]}");
}
