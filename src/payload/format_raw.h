/* The raw format: {"event":"<name>","data":…} without white space, keys in the order they were pushed.
 * False when the body would be larger than the buffer's maximum. */
#ifndef LW_PAYLOAD_FORMAT_RAW_H
#define LW_PAYLOAD_FORMAT_RAW_H

#include "base/buffer.h"
#include "payload/event.h"

#define LW_CONTENT_TYPE_JSON "application/json"

bool lw_format_raw(const struct lw_event_view *event, struct lw_buffer *out);

#endif
