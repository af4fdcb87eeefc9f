/* A Teams message: an Adaptive Card for a Workflows webhook.
 * https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format
 *
 * Teams' clients read the text of cards as Markdown, each with a parser of its own. Desktop and web follow
 * CommonMark. The phones' parser (MarkDownBlockParser.cpp of microsoft/AdaptiveCards) knows emphasis, lists
 * and links only, may show an escaping backslash, and takes "[x](" for a link whatever stands before the "[":
 * so the "(" after a "]" is escaped too. "<" becomes an entity and not "\<", because mentions (<at>…</at>)
 * are looked for before any Markdown is. */
#include "base/json.h"
#include "payload/chat.h"
#include "payload/describe.h"
#include "payload/formats.h"

enum {
  BODY_MAX = 21000, /* bytes of JSON; Teams: 28 KB after it re-encoded it */
  TITLE_MAX = 256,
  TEXT_MAX = 2800, /* with all else at its longest there is room for one field */
  LINK_MAX = 2048,
  TAIL_RESERVE = 2000 /* bytes, for what follows the fields, but the link */
};

/* {{DATE(…)}} and {{TIME(…)}} would be computed: no two braces stay together. A line break is a blank line.
 */
static size_t escape_pairs(const char *bytes, size_t length, char before, char escaped[LW_ESCAPE_MAX]) {
  if (*bytes == '\n') return lw_escape_as("\n\n", 2, escaped);
  if (*bytes == '<') return lw_escape_as("&lt;", 4, escaped);
  if ((*bytes == '{' && before == '{') || (*bytes == '(' && before == ']'))
    return lw_escape_backslash(*bytes, escaped);
  return lw_escape_as(bytes, length, escaped);
}

static bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static size_t escape(const char *bytes, size_t length, enum lw_place place, char before,
                     char escaped[LW_ESCAPE_MAX]) {
  switch (*bytes) {
    case ' ': /* four at the start of a line would make it code */
      if (place == LW_LINE_START) return 0;
      break;
    case '_': /* inside a word it is no markup, and "job\_finished" would look bad on a phone */
      if (!letter_or_digit(before)) return lw_escape_backslash(*bytes, escaped);
      break;
    case '\\':
    case '*':
    case '~':
    case '`':
    case '[':
    case ']':
      return lw_escape_backslash(*bytes, escaped);
    case '#':
    case '-':
    case '+':
    case '>':
      if (place == LW_LINE_START) return lw_escape_backslash(*bytes, escaped);
      break;
    case '.':
    case ')':
      if (place == LW_AFTER_NUMBER) return lw_escape_backslash(*bytes, escaped);
      break;
    default:
      break;
  }
  return escape_pairs(bytes, length, before, escaped);
}

static const char *container_style(enum lw_severity severity) {
  static const char *const styles[] = {[LW_NEUTRAL] = "emphasis",
                                       [LW_SUCCESS] = "good",
                                       [LW_FAILURE] = "attention",
                                       [LW_WARNING] = "warning",
                                       [LW_PROGRESS] = "accent"};
  return styles[severity];
}

static size_t link_length(const struct lw_message *message) {
  return message->link.length <= LINK_MAX ? message->link.length : 0;
}

/* The coloured part: headline (the open string) and text. */
static void write_container(struct lw_chat *chat, const struct lw_message *message) {
  struct lw_text text = lw_chat_body(message);
  LW_CHAT_JSON(chat, "{\"type\":\"Container\",\"bleed\":true,\"style\":\"");
  lw_buffer_append_text(chat->out, container_style(message->severity));
  LW_CHAT_JSON(chat,
               "\",\"items\":[{\"type\":\"TextBlock\",\"style\":\"heading\",\"size\":\"Medium\","
               "\"weight\":\"Bolder\",\"wrap\":true,\"text\":");
  lw_chat_end_string(chat);
  if (text.length > 0) {
    LW_CHAT_JSON(chat, "},{\"type\":\"TextBlock\",\"wrap\":true,\"text\":");
    lw_text_append(&chat->piece, text, TEXT_MAX, escape);
    lw_chat_end_string(chat);
  }
  LW_CHAT_JSON(chat, "}]}");
}

/* Teams shows no code style here, and no times in the reader's zone: the value is in UTC words. */
static void write_fact(struct lw_chat *chat, const struct lw_message_field *field) {
  LW_CHAT_JSON(chat, "{\"title\":");
  lw_chat_line(chat, field->label, LW_CHAT_LABEL_MAX, escape);
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, ",\"value\":");
  lw_chat_line(chat, field->value, LW_CHAT_VALUE_MAX, escape);
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, "}");
}

/* As many as fit; at least one always does. Returns how many are shown. */
static size_t write_facts(struct lw_chat *chat, const struct lw_message *message, size_t body_start) {
  size_t end = body_start + BODY_MAX - TAIL_RESERVE - link_length(message), shown = 0;
  if (message->field_count == 0) return 0;
  LW_CHAT_JSON(chat, ",{\"type\":\"FactSet\",\"facts\":[");
  for (; shown < message->field_count; shown++) {
    struct lw_chat_mark mark = lw_chat_mark(chat);
    if (shown > 0) LW_CHAT_JSON(chat, ",");
    write_fact(chat, &message->fields[shown]);
    if (chat->out->length <= end) continue;
    lw_chat_back(chat, mark);
    break;
  }
  LW_CHAT_JSON(chat, "]}");
  return shown;
}

static void open_small_print(struct lw_chat *chat) {
  LW_CHAT_JSON(chat, ",{\"type\":\"TextBlock\",\"isSubtle\":true,\"size\":\"Small\",\"wrap\":true,\"text\":");
}

static void write_footer(struct lw_chat *chat, const struct lw_message *message, size_t more) {
  if (more > 0) {
    open_small_print(chat);
    lw_chat_more(chat, more);
    lw_chat_end_string(chat);
    LW_CHAT_JSON(chat, "}");
  }
  open_small_print(chat);
  lw_chat_line(chat, message->footer, LW_CHAT_FOOTER_MAX, escape);
  if (message->time != LW_NO_TIME) {
    char utc[LW_VALUE_SIZE];
    size_t length = lw_describe_time(message->time, utc);
    LW_CHAT_WORDS(chat, " · ");
    lw_buffer_append(&chat->piece, utc, length);
  }
  lw_chat_end_string(chat);
  LW_CHAT_JSON(chat, "}");
}

static void write_action(struct lw_chat *chat, const struct lw_message *message) {
  if (link_length(message) == 0) return;
  LW_CHAT_JSON(chat, ",\"actions\":[{\"type\":\"Action.OpenUrl\",\"title\":\"Open\",\"url\":");
  lw_json_string(chat->out, message->link.bytes, message->link.length);
  LW_CHAT_JSON(chat, "}]");
}

/* All before the card's body, and the headline, which is in both, is left as an open string. */
static void write_envelope(struct lw_chat *chat, const struct lw_message *message) {
  LW_CHAT_JSON(chat, "{\"type\":\"message\",\"summary\":");
  lw_chat_headline(chat, message, TITLE_MAX, escape);
  lw_chat_repeat_string(chat);
  LW_CHAT_JSON(chat,
               ",\"attachments\":[{\"contentType\":\"application/vnd.microsoft.card.adaptive\","
               "\"contentUrl\":null,\"content\":{"
               "\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\","
               "\"type\":\"AdaptiveCard\",\"version\":\"1.5\",\"msteams\":{\"width\":\"Full\"},\"body\":[");
}

void lw_format_teams(const struct lw_message *message, struct lw_buffer *out) {
  struct lw_chat chat;
  lw_chat_begin(&chat, out);
  size_t start = out->length;
  write_envelope(&chat, message);
  write_container(&chat, message);
  size_t shown = write_facts(&chat, message, start);
  write_footer(&chat, message, message->field_count - shown + message->more);
  LW_CHAT_JSON(&chat, "]");
  write_action(&chat, message);
  LW_CHAT_JSON(&chat, "}}]}");
}
