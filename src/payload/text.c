#include "payload/text.h"

#include <stdint.h>
#include <string.h>

/* -- Unicode ---------------------------------------------------------------------------------------- */

struct range {
  uint32_t first, last;
};

/* Marks that belong to the character before them: the categories Mn, Mc and Me up to U+FFFF and Thai's and
 * Lao's AM (unassigned numbers between them included), ZWNJ, skin tones, tags, variation selectors. Sorted.
 */
static const struct range marks[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489},   {0x0591, 0x05bd},   {0x05bf, 0x05bf},  {0x05c1, 0x05c2},
    {0x05c4, 0x05c5}, {0x05c7, 0x05c7},   {0x0610, 0x061a},   {0x064b, 0x065f},  {0x0670, 0x0670},
    {0x06d6, 0x06dc}, {0x06df, 0x06e4},   {0x06e7, 0x06e8},   {0x06ea, 0x06ed},  {0x0711, 0x0711},
    {0x0730, 0x074a}, {0x07a6, 0x07b0},   {0x07eb, 0x07f3},   {0x07fd, 0x07fd},  {0x0816, 0x0819},
    {0x081b, 0x0823}, {0x0825, 0x0827},   {0x0829, 0x082d},   {0x0859, 0x085b},  {0x0898, 0x089f},
    {0x08ca, 0x08e1}, {0x08e3, 0x0903},   {0x093a, 0x093c},   {0x093e, 0x094f},  {0x0951, 0x0957},
    {0x0962, 0x0963}, {0x0981, 0x0983},   {0x09bc, 0x09bc},   {0x09be, 0x09cd},  {0x09d7, 0x09d7},
    {0x09e2, 0x09e3}, {0x09fe, 0x0a03},   {0x0a3c, 0x0a51},   {0x0a70, 0x0a71},  {0x0a75, 0x0a75},
    {0x0a81, 0x0a83}, {0x0abc, 0x0abc},   {0x0abe, 0x0acd},   {0x0ae2, 0x0ae3},  {0x0afa, 0x0b03},
    {0x0b3c, 0x0b3c}, {0x0b3e, 0x0b57},   {0x0b62, 0x0b63},   {0x0b82, 0x0b82},  {0x0bbe, 0x0bcd},
    {0x0bd7, 0x0bd7}, {0x0c00, 0x0c04},   {0x0c3c, 0x0c3c},   {0x0c3e, 0x0c56},  {0x0c62, 0x0c63},
    {0x0c81, 0x0c83}, {0x0cbc, 0x0cbc},   {0x0cbe, 0x0cd6},   {0x0ce2, 0x0ce3},  {0x0d00, 0x0d03},
    {0x0d3b, 0x0d3c}, {0x0d3e, 0x0d4d},   {0x0d57, 0x0d57},   {0x0d62, 0x0d63},  {0x0d81, 0x0d83},
    {0x0dca, 0x0ddf}, {0x0df2, 0x0df3},   {0x0e31, 0x0e31},   {0x0e33, 0x0e3a},  {0x0e47, 0x0e4e},
    {0x0eb1, 0x0eb1}, {0x0eb3, 0x0ebc},   {0x0ec8, 0x0ecd},   {0x0f18, 0x0f19},  {0x0f35, 0x0f35},
    {0x0f37, 0x0f37}, {0x0f39, 0x0f39},   {0x0f3e, 0x0f3f},   {0x0f71, 0x0f84},  {0x0f86, 0x0f87},
    {0x0f8d, 0x0fbc}, {0x0fc6, 0x0fc6},   {0x102b, 0x103e},   {0x1056, 0x1059},  {0x105e, 0x1060},
    {0x1062, 0x1064}, {0x1067, 0x106d},   {0x1071, 0x1074},   {0x1082, 0x108d},  {0x108f, 0x108f},
    {0x109a, 0x109d}, {0x135d, 0x135f},   {0x1712, 0x1715},   {0x1732, 0x1734},  {0x1752, 0x1753},
    {0x1772, 0x1773}, {0x17b4, 0x17d3},   {0x17dd, 0x17dd},   {0x180b, 0x180d},  {0x180f, 0x180f},
    {0x1885, 0x1886}, {0x18a9, 0x18a9},   {0x1920, 0x193b},   {0x1a17, 0x1a1b},  {0x1a55, 0x1a7f},
    {0x1ab0, 0x1ace}, {0x1b00, 0x1b04},   {0x1b34, 0x1b44},   {0x1b6b, 0x1b73},  {0x1b80, 0x1b82},
    {0x1ba1, 0x1bad}, {0x1be6, 0x1bf3},   {0x1c24, 0x1c37},   {0x1cd0, 0x1cd2},  {0x1cd4, 0x1ce8},
    {0x1ced, 0x1ced}, {0x1cf4, 0x1cf4},   {0x1cf7, 0x1cf9},   {0x1dc0, 0x1dff},  {0x200c, 0x200c},
    {0x20d0, 0x20f0}, {0x2cef, 0x2cf1},   {0x2d7f, 0x2d7f},   {0x2de0, 0x2dff},  {0x302a, 0x302f},
    {0x3099, 0x309a}, {0xa66f, 0xa672},   {0xa674, 0xa67d},   {0xa69e, 0xa69f},  {0xa6f0, 0xa6f1},
    {0xa802, 0xa802}, {0xa806, 0xa806},   {0xa80b, 0xa80b},   {0xa823, 0xa827},  {0xa82c, 0xa82c},
    {0xa880, 0xa881}, {0xa8b4, 0xa8c5},   {0xa8e0, 0xa8f1},   {0xa8ff, 0xa8ff},  {0xa926, 0xa92d},
    {0xa947, 0xa953}, {0xa980, 0xa983},   {0xa9b3, 0xa9c0},   {0xa9e5, 0xa9e5},  {0xaa29, 0xaa36},
    {0xaa43, 0xaa43}, {0xaa4c, 0xaa4d},   {0xaa7b, 0xaa7d},   {0xaab0, 0xaab0},  {0xaab2, 0xaab4},
    {0xaab7, 0xaab8}, {0xaabe, 0xaabf},   {0xaac1, 0xaac1},   {0xaaeb, 0xaaef},  {0xaaf5, 0xaaf6},
    {0xabe3, 0xabea}, {0xabec, 0xabed},   {0xfb1e, 0xfb1e},   {0xfe00, 0xfe0f},  {0xfe20, 0xfe2f},
    {0xff9e, 0xff9f}, {0x1f3fb, 0x1f3ff}, {0xe0020, 0xe007f}, {0xe0100, 0xe01ef}};

/* What can stand after a zero-width joiner in an emoji (Extended_Pictographic, roughly). Sorted. */
static const struct range pictographs[] = {
    {0xa9, 0xa9},       {0xae, 0xae},       {0x203c, 0x203c},  {0x2049, 0x2049}, {0x2122, 0x2122},
    {0x2139, 0x2139},   {0x2190, 0x21ff},   {0x2300, 0x23ff},  {0x24c2, 0x24c2}, {0x25a0, 0x27bf},
    {0x2900, 0x297f},   {0x2b00, 0x2bff},   {0x3030, 0x3030},  {0x303d, 0x303d}, {0x3297, 0x3299},
    {0x1f000, 0x1f1e5}, {0x1f200, 0x1f3fa}, {0x1f400, 0x1faff}};

/* Turn the direction of writing, or hide: never shown. Sorted. */
static const struct range hidden[] = {
    {0x061c, 0x061c}, {0x200e, 0x200f}, {0x202a, 0x202e}, {0x2066, 0x2069}, {0xfeff, 0xfeff}};

/* White_Space beyond ASCII. Sorted. */
static const struct range spaces[] = {{0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
                                      {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}};

/* Nothing to see, though no white space: format characters, fillers, lone selectors. Sorted. */
static const struct range invisible[] = {
    {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},   {0x115f, 0x1160},
    {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f}, {0x202a, 0x202e},
    {0x2060, 0x206f}, {0x2800, 0x2800}, {0x3164, 0x3164}, {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff}};

static bool within(unsigned code, const struct range *ranges, size_t count) {
  size_t low = 0, high = count;
  if (code < ranges[0].first) return false;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (code > ranges[middle].last)
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && code >= ranges[low].first;
}
#define WITHIN(code, ranges) within(code, ranges, sizeof(ranges) / sizeof *(ranges))

static bool control(unsigned code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

static bool line_break(unsigned code) {
  return (code >= 0x0a && code <= 0x0d) || code == 0x85 || code == 0x2028 || code == 0x2029;
}

static bool white(unsigned code) {
  return code == ' ' || (code >= 0x09 && code <= 0x0d) || WITHIN(code, spaces);
}

size_t lw_text_code_point(struct lw_text text, unsigned *code) {
  const unsigned char *at = (const unsigned char *)text.bytes;
  size_t length = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
  *code = length == 1 ? at[0] : at[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) *code = *code << 6 | (at[i] & 0x3f);
  return length;
}

static struct lw_text after(struct lw_text text, size_t length) {
  return (struct lw_text){text.bytes + length, text.length - length};
}

/* -- characters as a reader sees them ---------------------------------------------------------------- */

enum { JOINER = 0x200d, SYLLABLES = 0xac00, SYLLABLES_END = 0xd7a4, TAILS = 28 };

static bool regional(unsigned code) {
  return code >= 0x1f1e6 && code <= 0x1f1ff;
}

/* Hangul syllables are built of a lead, vowels and tails (rules GB6 to GB8). */
static bool hangul_joins(unsigned before, unsigned code) {
  bool vowel = code >= 0x1160 && code <= 0x11a7, tail = code >= 0x11a8 && code <= 0x11ff;
  bool syllable = code >= SYLLABLES && code < SYLLABLES_END;
  if (before >= 0x1100 && before <= 0x115f) return vowel || syllable || (code >= 0x1100 && code <= 0x115f);
  if (before >= 0x1160 && before <= 0x11a7) return vowel || tail;
  if (before >= 0x11a8 && before <= 0x11ff) return tail;
  if (before < SYLLABLES || before >= SYLLABLES_END) return false;
  return tail || (vowel && (before - SYLLABLES) % TAILS == 0);
}

/* `count` code points, `base` to `before`, are one character so far: does `code` belong to it? */
static bool joins(unsigned base, unsigned before, unsigned code, size_t count) {
  if (code < 0x80) return false;
  if (code == JOINER || WITHIN(code, marks)) return true;
  if (before == JOINER) return WITHIN(code, pictographs) && WITHIN(base, pictographs);
  if (regional(base) && regional(code)) return count == 1;
  return hangul_joins(before, code);
}

size_t lw_text_cluster(struct lw_text text) {
  unsigned base, before, code;
  size_t length = lw_text_code_point(text, &base);
  if (base == '\r') return text.length > 1 && text.bytes[1] == '\n' ? 2 : 1;
  if (control(base) || line_break(base)) return length;
  before = base;
  for (size_t count = 1; length < text.length && count < LW_CLUSTER_MAX; count++) {
    size_t step = lw_text_code_point(after(text, length), &code);
    if (!joins(base, before, code, count)) break;
    length += step;
    before = code;
  }
  return length;
}

/* Eight bytes at a time: a byte that goes on (10xxxxxx) leaves its lowest bit. */
size_t lw_text_count(struct lw_text text) {
  size_t going_on = 0, at = 0;
  for (; at + 8 <= text.length; at += 8) {
    uint64_t bytes;
    memcpy(&bytes, text.bytes + at, 8);
    uint64_t bits = (bytes >> 7) & (~bytes >> 6) & UINT64_C(0x0101010101010101);
    going_on += bits * UINT64_C(0x0101010101010101) >> 56;
  }
  for (; at < text.length; at++) going_on += ((unsigned char)text.bytes[at] & 0xc0) == 0x80;
  return text.length - going_on;
}

static size_t last_code_point(struct lw_text text, unsigned *code) {
  size_t start = text.length - 1;
  while (((unsigned char)text.bytes[start] & 0xc0) == 0x80) start--;
  return lw_text_code_point(after(text, start), code);
}

struct lw_text lw_text_trim(struct lw_text text) {
  unsigned code;
  while (text.length > 0) {
    size_t length = lw_text_code_point(text, &code);
    if (!white(code)) break;
    text = after(text, length);
  }
  while (text.length > 0) {
    size_t length = last_code_point(text, &code);
    if (!white(code)) break;
    text.length -= length;
  }
  return text;
}

bool lw_text_blank(struct lw_text text) {
  unsigned code;
  while (text.length > 0) {
    size_t length = lw_text_code_point(text, &code);
    if (!white(code) && !control(code) && !WITHIN(code, invisible)) return false;
    text = after(text, length);
  }
  return true;
}

/* -- appending --------------------------------------------------------------------------------------- */

static const char ELLIPSIS[] = "…";

/* Text on its way out. `kept` is where the last character ends that leaves room for "…". */
struct writer {
  struct lw_buffer *out;
  lw_escape *escape;
  size_t limit, count, kept, kept_count;
  enum lw_place place;
  char before;
  bool one_line, space_due;
};

static bool letter_or_digit(char c) {
  return ((unsigned char)c | 0x20u) - 'a' < 26 || (unsigned char)c - (unsigned)'0' < 10;
}

/* How much of the text is ASCII letters, digits and single spaces between them, which no service's escapes
 * touch. A letter that a combining mark may follow is left to the slow path. */
static size_t plain_run(struct lw_text text) {
  size_t run = 0;
  for (; run < text.length; run++) {
    if (letter_or_digit(text.bytes[run])) continue;
    bool space = text.bytes[run] == ' ' && run > 0 && text.bytes[run - 1] != ' ' && run + 1 < text.length;
    if (!space || !letter_or_digit(text.bytes[run + 1])) break;
  }
  if (run > 0 && run < text.length && (unsigned char)text.bytes[run] >= 0x80) run--;
  return run > 0 && text.bytes[run - 1] == ' ' ? run - 1 : run;
}

/* The place after letters, digits and the like. */
static enum lw_place place_after(enum lw_place place, struct lw_text text) {
  if (place == LW_IN_LINE) return place;
  for (size_t i = 0; i < text.length; i++)
    if (text.bytes[i] < '0' || text.bytes[i] > '9') return LW_IN_LINE;
  return LW_AFTER_NUMBER;
}

static void keep(struct writer *writer) {
  if (writer->count >= writer->limit) return;
  writer->kept = writer->out->length;
  writer->kept_count = writer->count;
}

static void add_run(struct writer *writer, struct lw_text run) {
  writer->place = place_after(writer->place, run);
  writer->before = run.bytes[run.length - 1];
  writer->count += run.length;
  lw_buffer_append(writer->out, run.bytes, run.length);
}

static void add_code_point(struct writer *writer, struct lw_text shown) {
  char escaped[LW_ESCAPE_MAX];
  struct lw_text result = shown;
  if (writer->escape) {
    size_t length = writer->escape(shown.bytes, shown.length, writer->place, writer->before, escaped);
    result = (struct lw_text){escaped, length};
  }
  writer->before = shown.length == 1 ? shown.bytes[0] : '\0';
  writer->count += lw_text_count(result);
  lw_buffer_append(writer->out, result.bytes, result.length);
}

static void pay_space(struct writer *writer) {
  if (!writer->space_due) return;
  writer->space_due = false;
  writer->place = LW_IN_LINE;
  add_code_point(writer, LW_TEXT_OF(" "));
}

static void add_white(struct writer *writer, struct lw_text shown, unsigned code) {
  if (writer->one_line) {
    writer->space_due = writer->count > 0;
  } else if (line_break(code)) {
    add_code_point(writer, LW_TEXT_OF("\n"));
    writer->place = LW_LINE_START;
  } else {
    add_code_point(writer, code == '\t' ? LW_TEXT_OF(" ") : shown);
    if (writer->place == LW_AFTER_NUMBER) writer->place = LW_IN_LINE;
  }
}

static void add_cluster(struct writer *writer, struct lw_text cluster) {
  unsigned code;
  if (cluster.length == 2 && cluster.bytes[0] == '\r') cluster = after(cluster, 1);
  while (cluster.length > 0) {
    struct lw_text shown = {cluster.bytes, lw_text_code_point(cluster, &code)};
    cluster = after(cluster, shown.length);
    if (white(code)) {
      add_white(writer, shown, code);
    } else if (!control(code) && !WITHIN(code, hidden)) {
      pay_space(writer);
      add_code_point(writer, shown);
      writer->place = place_after(writer->place, shown);
    }
  }
}

/* The next piece of the text: a plain run as far as it surely fits, or one character. Returns its length. */
static size_t add_piece(struct writer *writer, struct lw_text text) {
  struct lw_text piece = {text.bytes, plain_run(text)};
  if (piece.length > 0) pay_space(writer);
  size_t room = writer->count < writer->limit ? writer->limit - 1 - writer->count : 0;
  if (piece.length > room) piece.length = room;
  if (piece.length > 0 && piece.bytes[piece.length - 1] == ' ') piece.length--;
  if (piece.length > 0) {
    add_run(writer, piece);
  } else {
    piece.length = lw_text_cluster(text);
    add_cluster(writer, piece);
  }
  return piece.length;
}

static size_t append(struct lw_buffer *out, struct lw_text text, size_t limit, lw_escape *escape,
                     bool one_line) {
  struct writer writer = {.out = out,
                          .escape = escape,
                          .limit = limit,
                          .kept = out->length,
                          .place = LW_LINE_START,
                          .before = '\0',
                          .one_line = one_line};
  if (limit == 0) return 0;
  if (text.length <= limit && plain_run(text) == text.length) { /* most labels, many values */
    lw_buffer_append(out, text.bytes, text.length);
    return text.length;
  }
  while (text.length > 0) {
    text = after(text, add_piece(&writer, text));
    if (writer.count > limit) {
      if (!out->failed) out->length = writer.kept;
      lw_buffer_append(out, ELLIPSIS, sizeof ELLIPSIS - 1);
      return writer.kept_count + 1;
    }
    keep(&writer);
  }
  return writer.count;
}

size_t lw_text_append(struct lw_buffer *out, struct lw_text text, size_t limit, lw_escape *escape) {
  return append(out, text, limit, escape, false);
}

size_t lw_text_append_line(struct lw_buffer *out, struct lw_text text, size_t limit, lw_escape *escape) {
  return append(out, text, limit, escape, true);
}
