/* A webhook's filter: tests of fields of an event's data, all of which must hold. Pure functions.
 *
 * It is stored as text (the column webhooks.filter). Every piece of free text stands behind its length in
 * bytes, so that nothing needs an escape:
 *
 *   filter = "1" entry*            "1" is the version: what begins otherwise is another version's
 *   entry  = "." text test         the text is a dotted path, as for lw_event_find
 *   test   = "=" value             is this value
 *          | ( "|" value )+        is one of these
 *          | "+" | "-"             is there and not null | is not there, or null
 *   value  = "n" | "t" | "f"       null, true, false
 *          | "s" text
 *          | "i" decimal ";"       an integer from -2^63 to 2^64 - 1
 *          | "d" 16 hex digits     the bits of an IEEE 754 double, finite
 *   text   = decimal ":" bytes     valid UTF-8 without NUL
 *
 * { status = { "failed", "timed_out" }, jobId = { exists = true } } is
 * 1.5:jobId+.6:status|s6:failed|s9:timed_out */
#ifndef LW_DELIVERY_FILTER_H
#define LW_DELIVERY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "payload/event.h"

#define LW_FILTER_MAX_ENTRIES 32
#define LW_FILTER_MAX_VALUES 64 /* of one field */
#define LW_FILTER_MAX_PATH 256  /* bytes */
#define LW_FILTER_MAX_BYTES 16384

enum lw_filter_test { LW_FILTER_IS, LW_FILTER_ANY, LW_FILTER_EXISTS, LW_FILTER_MISSING };

struct lw_filter_entry {
  const char *path;
  size_t path_length;
  enum lw_filter_test test;
  const struct lw_node *values; /* scalars; a text's offset is into lw_filter.text */
  size_t count;                 /* LW_FILTER_IS: 1 */
};
struct lw_filter {
  const char *text;
  const struct lw_filter_entry *entries;
  size_t count;
};

/* The compiled form of a text, one block that is freed with free; it keeps nothing of `text`. NULL: code
 * "invalid" with a message that begins with "filter: " and names the field, or "memory". */
struct lw_filter *lw_filter_parse(const char *text, size_t length, struct lw_error *error);

/* Numbers are compared by value (1 is 1.0, integers keep every digit). A field that is not there is null;
 * a table is no value at all. */
bool lw_filter_matches(const struct lw_filter *filter, const struct lw_event_view *event);

/* Writing the text. A field is followed by one test, or by any number of LW_FILTER_ANY, and each LW_FILTER_IS
 * and LW_FILTER_ANY by its value. Nothing is checked here: parse what was written. */
void lw_filter_start(struct lw_buffer *out);
void lw_filter_field(struct lw_buffer *out, const char *path, size_t length);
void lw_filter_test(struct lw_buffer *out, enum lw_filter_test test);
void lw_filter_null(struct lw_buffer *out);
void lw_filter_boolean(struct lw_buffer *out, bool value);
void lw_filter_integer(struct lw_buffer *out, int64_t value);
void lw_filter_unsigned(struct lw_buffer *out, uint64_t value);
void lw_filter_double(struct lw_buffer *out, double value);
void lw_filter_text(struct lw_buffer *out, const char *text, size_t length);

#endif
