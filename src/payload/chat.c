#include "payload/chat.h"

#include <string.h>

#include "base/json.h"

void lw_chat_begin(struct lw_chat *chat, struct lw_buffer *out) {
  chat->out = out;
  chat->count = 0;
  chat->piece =
      (struct lw_buffer){.data = chat->bytes, .capacity = sizeof chat->bytes, .maximum = sizeof chat->bytes};
}

void lw_chat_repeat_string(struct lw_chat *chat) {
  const struct lw_buffer *piece = &chat->piece;
  if (piece->failed) chat->out->failed = true;
  chat->count += lw_text_count((struct lw_text){piece->data, piece->length});
  lw_json_string(chat->out, piece->data, piece->length);
}

void lw_chat_end_string(struct lw_chat *chat) {
  lw_chat_repeat_string(chat);
  lw_buffer_clear(&chat->piece);
}

struct lw_text lw_chat_body(const struct lw_message *message) {
  if (lw_text_blank(message->text)) return (struct lw_text){"", 0};
  return lw_text_trim(message->text);
}

void lw_chat_headline(struct lw_chat *chat, const struct lw_message *message, size_t limit,
                      lw_escape *escape) {
  lw_buffer_append(&chat->piece, message->emoji.bytes, message->emoji.length);
  LW_CHAT_WORDS(chat, " ");
  lw_chat_line(chat, message->title, limit - lw_text_count(message->emoji) - 1, escape);
}

void lw_chat_line(struct lw_chat *chat, struct lw_text text, size_t limit, lw_escape *escape) {
  lw_text_append_line(&chat->piece, text, limit, escape);
}

void lw_chat_code(struct lw_chat *chat, struct lw_text id) {
  LW_CHAT_WORDS(chat, "`");
  lw_buffer_append(&chat->piece, id.bytes, id.length);
  LW_CHAT_WORDS(chat, "`");
}

void lw_chat_integer(struct lw_chat *chat, int64_t value) {
  lw_json_integer(&chat->piece, value);
}

void lw_chat_more(struct lw_chat *chat, size_t more) {
  LW_CHAT_WORDS(chat, "and ");
  lw_chat_integer(chat, (int64_t)more);
  LW_CHAT_WORDS(chat, " more");
}

struct lw_chat_mark lw_chat_mark(const struct lw_chat *chat) {
  return (struct lw_chat_mark){chat->out->length, chat->count};
}

void lw_chat_back(struct lw_chat *chat, struct lw_chat_mark mark) {
  if (!chat->out->failed) chat->out->length = mark.length;
  chat->count = mark.count;
}

/* Alertmanager's and Discord's own: bright enough for a dark and a light background. */
unsigned lw_chat_color(enum lw_severity severity) {
  static const unsigned colors[] = {[LW_NEUTRAL] = 0x95a5a6,
                                    [LW_SUCCESS] = 0x2ecc71,
                                    [LW_FAILURE] = 0xe74c3c,
                                    [LW_WARNING] = 0xf1c40f,
                                    [LW_PROGRESS] = 0x3498db};
  return colors[severity];
}

int64_t lw_chat_seconds(int64_t milliseconds) {
  return milliseconds / 1000 - (milliseconds % 1000 < 0);
}

size_t lw_escape_as(const char *bytes, size_t length, char escaped[LW_ESCAPE_MAX]) {
  memcpy(escaped, bytes, length);
  return length;
}

size_t lw_escape_backslash(char c, char escaped[LW_ESCAPE_MAX]) {
  escaped[0] = '\\';
  escaped[1] = c;
  return 2;
}
