/* Text for people: measured in Unicode code points (the unit of Slack's, Discord's and our own limits), cut
 * only where a reader sees one whole character end, and escaped on the way.
 *
 * All text here is valid UTF-8; the event's builder refuses anything else. */
#ifndef LW_PAYLOAD_TEXT_H
#define LW_PAYLOAD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

/* A piece of text, borrowed, not NUL-terminated. */
struct lw_text {
  const char *bytes;
  size_t length;
};
#define LW_TEXT_OF(literal) ((struct lw_text){literal, sizeof(literal) - 1})

#define LW_TEXT_NO_LIMIT ((size_t)-1)
#define LW_CLUSTER_MAX 32 /* code points of one character; a longer pile of marks is cut after so many */
#define LW_ESCAPE_MAX 8   /* bytes that one code point may become */

/* Where a code point stands on its line: what is a list or a heading in Markdown depends on it. */
enum lw_place {
  LW_IN_LINE,
  LW_LINE_START,  /* only white space stands before it */
  LW_AFTER_NUMBER /* only white space and then ASCII digits stand before it */
};

/* Writes what the code point of `length` bytes at `bytes` becomes, and returns how many bytes that is (0: it
 * is left out). `before` is the ASCII character right before it in the text that is shown, 0 where there is
 * none. Is not asked about ASCII letters, digits and the single spaces between them: they stay as they are.
 * It is asked about what is shown: a line break of any kind is "\n". */
typedef size_t lw_escape(const char *bytes, size_t length, enum lw_place place, char before,
                         char escaped[LW_ESCAPE_MAX]);

/* The next code point of non-empty text: its length in bytes; *code is its number. */
size_t lw_text_code_point(struct lw_text text, unsigned *code);
/* The length in bytes of the first character as a reader sees it: a base with its combining marks, variation
 * selectors, skin tones, joined emoji, tags, the two halves of a flag, CR LF (after Unicode's UAX #29,
 * without its tables for scripts of syllables). */
size_t lw_text_cluster(struct lw_text text);
size_t lw_text_count(struct lw_text text);        /* code points */
struct lw_text lw_text_trim(struct lw_text text); /* without white space (Unicode's) at both ends */
/* True when there is nothing to see: only white space, controls, zero-width and format characters. */
bool lw_text_blank(struct lw_text text);

/* Appends `text`, escaped (NULL: as it is), as at most `limit` code points of escaped text. What does not fit
 * is cut between two characters and ends in "…", which counts. Control characters but \n and the marks that
 * turn the direction of writing or hide (U+202A–202E, U+2066–2069, U+200E, U+200F, U+061C, U+FEFF) never come
 * through; CR LF, CR, VT, FF, U+0085, U+2028 and U+2029 become \n, a tab becomes a space. Returns the code
 * points appended. */
size_t lw_text_append(struct lw_buffer *out, struct lw_text text, size_t limit, lw_escape *escape);
/* The same in one line: line breaks and runs of white space become one space, ends are trimmed. */
size_t lw_text_append_line(struct lw_buffer *out, struct lw_text text, size_t limit, lw_escape *escape);

#endif
