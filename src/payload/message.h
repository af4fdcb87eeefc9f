/* What a person should read about an event, before any service's words: the formats only write this down.
 * Text in it is plain: not escaped, not cut to a service's limits, perhaps hostile. Fields that are null or
 * empty are left out. */
#ifndef LW_PAYLOAD_MESSAGE_H
#define LW_PAYLOAD_MESSAGE_H

#include <stdint.h>

#include "payload/event.h"
#include "payload/text.h"

#define LW_MESSAGE_FIELDS 24     /* shown at most; Discord's limit is 25, and "and N more" may need one */
#define LW_MESSAGE_SCRATCH 16384 /* bytes of text made here */
#define LW_NO_TIME INT64_MIN

enum lw_severity { LW_NEUTRAL, LW_SUCCESS, LW_FAILURE, LW_WARNING, LW_PROGRESS };

enum lw_field_kind {
  LW_FIELD_TEXT, /* any text */
  LW_FIELD_CODE, /* an id, already short, of [A-Za-z0-9_.:/@+-] and at the end perhaps "…": shown in code
                    style */
  LW_FIELD_TIME  /* `time`; `value` is the same in UTC words ("2026-02-15 08:14 UTC") */
};

struct lw_message_field {
  struct lw_text label, value; /* neither is blank */
  enum lw_field_kind kind;
  int64_t time; /* LW_FIELD_TIME: milliseconds since the epoch */
};

struct lw_message {
  enum lw_severity severity;
  struct lw_text emoji; /* of the status; one character */
  struct lw_text title; /* what happened to what, without the emoji; never blank */
  struct lw_text text;  /* one line or a few; length 0: none */
  struct lw_text
      link; /* length 0: none; else an http or https URL in ASCII without spaces, quotes, <, >, |, ( or ) */
  struct lw_message_field fields[LW_MESSAGE_FIELDS];
  size_t field_count;
  size_t more;           /* fields that are left out; a format that shows fewer adds its own */
  struct lw_text footer; /* where it comes from; never blank */
  int64_t time;          /* when it happened: milliseconds since the epoch, or LW_NO_TIME */

  size_t scratch_used, part_start;
  char scratch[LW_MESSAGE_SCRATCH];
};

/* Borrows from the event, which must outlive the message. Cannot fail: any event has a message. */
void lw_message_make(struct lw_message *message, const struct lw_event_view *event);

bool lw_severity_parse(struct lw_text word, enum lw_severity *severity); /* "success", "failure", … */

#endif
