/* What the formats for chat services share: strings of JSON that are made of several pieces of text, and how
 * a part that turns out too large is taken back. */
#ifndef LW_PAYLOAD_CHAT_H
#define LW_PAYLOAD_CHAT_H

#include "base/buffer.h"
#include "payload/message.h"
#include "payload/text.h"

/* The limits that are ours: a message stays readable. Code points of escaped text. */
#define LW_CHAT_LABEL_MAX 100
#define LW_CHAT_VALUE_MAX 500
#define LW_CHAT_FOOTER_MAX 300

#define LW_CHAT_STRING_BYTES 20480 /* above every string a service takes: Discord's 4096 code points */

struct lw_chat {
  struct lw_buffer *out;
  size_t count;           /* code points of all strings so far, without JSON's escapes */
  struct lw_buffer piece; /* the string that is being made, in `bytes`: nothing is allocated */
  char bytes[LW_CHAT_STRING_BYTES];
};

/* A place to go back to. */
struct lw_chat_mark {
  size_t length, count;
};

void lw_chat_begin(struct lw_chat *chat, struct lw_buffer *out);

/* Appends JSON as it stands. */
#define LW_CHAT_JSON(chat, literal) ((void)lw_buffer_append((chat)->out, literal, sizeof(literal) - 1))
/* Appends words of ours to the string that is being made. */
#define LW_CHAT_WORDS(chat, literal) ((void)lw_buffer_append(&(chat)->piece, literal, sizeof(literal) - 1))
/* Ends the string: out it goes, in quotes. */
void lw_chat_end_string(struct lw_chat *chat);
/* The same, and the string stays to be ended once more. */
void lw_chat_repeat_string(struct lw_chat *chat);

/* The message's text, trimmed; length 0: there is nothing to see in it. */
struct lw_text lw_chat_body(const struct lw_message *message);

/* Pieces of a string. The emoji and the title, `limit` code points together. */
void lw_chat_headline(struct lw_chat *chat, const struct lw_message *message, size_t limit,
                      lw_escape *escape);
void lw_chat_line(struct lw_chat *chat, struct lw_text text, size_t limit, lw_escape *escape);
/* The value of an LW_FIELD_CODE between backticks; it needs no escape. */
void lw_chat_code(struct lw_chat *chat, struct lw_text id);
void lw_chat_integer(struct lw_chat *chat, int64_t value);
/* "and 3 more" */
void lw_chat_more(struct lw_chat *chat, size_t more);

struct lw_chat_mark lw_chat_mark(const struct lw_chat *chat);
void lw_chat_back(struct lw_chat *chat, struct lw_chat_mark mark);

/* 0xRRGGBB */
unsigned lw_chat_color(enum lw_severity severity);

/* Seconds since the epoch, rounded down. */
int64_t lw_chat_seconds(int64_t milliseconds);

/* An escape's result: one of these. */
size_t lw_escape_as(const char *bytes, size_t length, char escaped[LW_ESCAPE_MAX]);
size_t lw_escape_backslash(char c, char escaped[LW_ESCAPE_MAX]);

#endif
