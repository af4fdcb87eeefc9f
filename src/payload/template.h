/* Templates of the application: text with {field} placeholders, filled from an event's data.
 * `{customer.name}` goes into tables, `{{` and `}}` are braces. What is null, absent, an array or an object
 * becomes nothing. */
#ifndef LW_PAYLOAD_TEMPLATE_H
#define LW_PAYLOAD_TEMPLATE_H

#include "payload/event.h"
#include "payload/text.h"

/* Bytes of the filled template. At this length every format has more code points than it shows and cuts them
 * itself, visibly. */
#define LW_TEMPLATE_MAX 20000

enum lw_template_kind {
  LW_TEMPLATE_TEXT, /* values read as in a field: times, durations; texts as they are */
  LW_TEMPLATE_LINK  /* values as in JSON, percent-encoded (RFC 3986, section 2.1) */
};

/* Pushes the filled template as a text of the event that is being built; its data is complete. */
bool lw_template_push(struct lw_event *event, struct lw_text source, enum lw_template_kind kind);

#endif
