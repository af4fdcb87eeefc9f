/* The pieces that messages are made of: what message.c and message_events.c share. Text made here lives in
 * the message's scratch, which is large enough for all of it; what would not fit any more is left out. */
#ifndef LW_PAYLOAD_MESSAGE_PARTS_H
#define LW_PAYLOAD_MESSAGE_PARTS_H

#include <string.h>

#include "payload/message.h"

#define LW_PIECE_MAX 400 /* bytes of one piece of text from the event inside a title or sentence */

static inline struct lw_text lw_text_of(const char *string) {
  return (struct lw_text){string, strlen(string)};
}

static inline bool lw_text_is(struct lw_text text, const char *word) {
  return text.length == strlen(word) && memcmp(text.bytes, word, text.length) == 0;
}

/* A text that grows at the end of the scratch: begin, add pieces, end. Only one is open at a time. */
void lw_part_begin(struct lw_message *message);
/* At most LW_PIECE_MAX bytes of it; cut between two characters, with "…". */
void lw_part_add(struct lw_message *message, struct lw_text piece);
struct lw_text lw_part_end(struct lw_message *message);

/* The text of a field of the data that is a text and not blank; length 0: there is none. */
struct lw_text lw_data_text(const struct lw_event_view *event, const char *key);
/* Adds the field `key` of the data under `label` (NULL: a label made from the key) where there is something
 * to show. */
void lw_add_data_field(struct lw_message *message, const struct lw_event_view *event, const char *label,
                       const char *key);
void lw_add_node_field(struct lw_message *message, const struct lw_event_view *event, struct lw_text label,
                       struct lw_text key, const struct lw_node *node);
void lw_add_field(struct lw_message *message, const struct lw_message_field *field);
/* The first of the named fields that is a time, or LW_NO_TIME. `keys` ends in NULL. */
int64_t lw_data_time(const struct lw_event_view *event, const char *const *keys);

/* How a status of the field reads. */
struct lw_status_words {
  const char *status; /* as data.status says it */
  const char *verb;   /* in a title: "Native build failed" */
  const char *emoji;
  enum lw_severity severity;
  const char *sentence; /* "Failed"; ends in " after 27 s." where `timed` and a duration is known */
  bool timed;
};
/* The words of data.status, or NULL where it is none of the eight. */
const struct lw_status_words *lw_status_words(const struct lw_event_view *event);
struct lw_text lw_severity_emoji(enum lw_severity severity);

/* The four events that exist from the start (message_events.c). False: it is none of them. */
bool lw_message_known_event(struct lw_message *message, const struct lw_event_view *event);

#endif
