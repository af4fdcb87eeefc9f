/* How single values read: durations, times, ids, numbers, the names of keys. Everything is written into small
 * arrays of the caller's; nothing is allocated. */
#ifndef LW_PAYLOAD_DESCRIBE_H
#define LW_PAYLOAD_DESCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "payload/event.h"
#include "payload/message.h"
#include "payload/text.h"

#define LW_VALUE_SIZE 48
#define LW_LABEL_SIZE 96

/* Each returns how many bytes it wrote (no NUL). */
size_t lw_describe_duration(int64_t seconds, char out[LW_VALUE_SIZE]);  /* "1 min 27 s"; two units at most */
size_t lw_describe_time(int64_t milliseconds, char out[LW_VALUE_SIZE]); /* "2026-02-15 08:14 UTC" */
size_t lw_describe_iso8601(int64_t milliseconds, char out[LW_VALUE_SIZE]); /* "2026-02-15T08:14:44.003Z" */
size_t lw_describe_integer(int64_t value, char out[LW_VALUE_SIZE]);
/* 9 September 2001 to 31 December 9999: what an integer that is a time in milliseconds looks like. */
bool lw_describe_is_time(int64_t milliseconds);

/* "customerName" and "customer_name" read "Customer name", "invoiceId" reads "Invoice ID"; `seconds`: the
 * words "in seconds" at the end are dropped. A key too long for `out` is returned as it is. */
struct lw_text lw_describe_key(struct lw_text key, bool seconds, char out[LW_LABEL_SIZE]);

/* A value as a field shows it: times by keys that end in "At", durations by keys that end in "Seconds", ids
 * of UUID shape as their first 8 digits, other long ids (keys that end in "Id") as their first 12 characters
 * and "…". The value points into the event or into `made`. False: there is nothing to show (null, blank, an
 * array, an object). Sets value, kind and time of `field`. */
bool lw_describe_value(const struct lw_event_view *event, struct lw_text key, const struct lw_node *node,
                       char made[LW_VALUE_SIZE], struct lw_message_field *field);
/* True when lw_describe_value reads the value as a duration. */
bool lw_describe_is_duration(struct lw_text key, const struct lw_node *node);

#endif
