/* Writes JSON (RFC 8259) into a buffer: the small parts that a writer is made of. No white space.
 * Numbers: an integer keeps every digit; a double is written with the fewest digits that read back as
 * the same double, an integral one below 2^53 without a point (-0.0 is "-0.0"), exponents as 1e300. */
#ifndef LW_BASE_JSON_H
#define LW_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Length of the valid UTF-8 (RFC 3629: no surrogates, no overlong forms) at the start of `text`. */
size_t lw_utf8_valid_prefix(const char *text, size_t length);

/* `text` must be valid UTF-8. Escapes '"', '\\' and U+0000 to U+001F; everything else goes out as it is. */
void lw_json_string(struct lw_buffer *out, const char *text, size_t length);
void lw_json_integer(struct lw_buffer *out, int64_t value);
void lw_json_unsigned(struct lw_buffer *out, uint64_t value);
void lw_json_double(struct lw_buffer *out, double value); /* finite */

#endif
