#include "delivery/filter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { VERSION = '1', FIELD_SHOWN = 64, DOUBLE_DIGITS = 16 };

/* -- matching ------------------------------------------------------------------------------------------ */

#define TWO_TO_63 9223372036854775808.0
#define TWO_TO_64 18446744073709551616.0

static bool is_number(const struct lw_node *node) {
  return node->kind == LW_INTEGER || node->kind == LW_UNSIGNED || node->kind == LW_DOUBLE;
}

/* A cast is made only where the value is in the integer's range. */
static bool double_is(double number, const struct lw_node *integer) {
  if (number != floor(number)) return false;
  if (integer->kind == LW_INTEGER)
    return number >= -TWO_TO_63 && number < TWO_TO_63 && (int64_t)number == integer->as.integer;
  return number >= TWO_TO_63 && number < TWO_TO_64 && (uint64_t)number == integer->as.wide;
}

/* LW_UNSIGNED is above what LW_INTEGER can be, so that the two are never equal. */
static bool same_number(const struct lw_node *a, const struct lw_node *b) {
  if (a->kind == LW_DOUBLE && b->kind == LW_DOUBLE) return a->as.number == b->as.number;
  if (a->kind == LW_DOUBLE) return double_is(a->as.number, b);
  if (b->kind == LW_DOUBLE) return double_is(b->as.number, a);
  if (a->kind != b->kind) return false;
  return a->kind == LW_INTEGER ? a->as.integer == b->as.integer : a->as.wide == b->as.wide;
}

static bool same(const struct lw_node *value, const char *value_text, const struct lw_node *node,
                 const char *node_text) {
  if (is_number(value)) return is_number(node) && same_number(value, node);
  if (value->kind != node->kind) return false;
  if (value->kind != LW_TEXT) return true;
  return value->as.text.length == node->as.text.length &&
         memcmp(value_text + value->as.text.offset, node_text + node->as.text.offset,
                value->as.text.length) == 0;
}

static bool holds(const struct lw_filter_entry *entry, const char *text, const struct lw_event_view *event) {
  static const struct lw_node null = {.kind = LW_NULL, .size = 1};
  const struct lw_node *node = lw_event_find(event, entry->path, entry->path_length);
  if (node == NULL) node = &null;
  if (entry->test == LW_FILTER_EXISTS) return node->kind != LW_NULL;
  if (entry->test == LW_FILTER_MISSING) return node->kind == LW_NULL;
  for (size_t i = 0; i < entry->count; i++)
    if (same(&entry->values[i], text, node, event->text)) return true;
  return false;
}

bool lw_filter_matches(const struct lw_filter *filter, const struct lw_event_view *event) {
  for (size_t i = 0; i < filter->count; i++)
    if (!holds(&filter->entries[i], filter->text, event)) return false;
  return true;
}

/* -- parsing ------------------------------------------------------------------------------------------- */

/* The text is read twice: to check and count, with `entries` NULL, and to fill what was counted. */
struct parser {
  const char *text, *at, *end;
  struct lw_filter_entry *entries;
  struct lw_node *values;
  size_t entry_count, value_count;
  struct lw_filter_entry field; /* the current one */
  struct lw_error *error;
};

static bool refuse(struct parser *parser, const char *what) {
  if (parser->field.path == NULL) return lw_fail(parser->error, "invalid", "filter: %s", what);
  size_t length = parser->field.path_length > FIELD_SHOWN ? FIELD_SHOWN : parser->field.path_length;
  return lw_fail(parser->error, "invalid", "filter: field '%.*s': %s",
                 (int)lw_utf8_valid_prefix(parser->field.path, length), parser->field.path, what);
}

static bool damaged(struct parser *parser) {
  return refuse(parser, "the stored text cannot be read: it is damaged, or of another version");
}

/* Reads the character if it is the next one. */
static bool take(struct parser *parser, char character) {
  if (parser->at == parser->end || *parser->at != character) return false;
  parser->at++;
  return true;
}

/* The next character, '\0' at the end. */
static char next(struct parser *parser) {
  return parser->at < parser->end ? *parser->at++ : '\0';
}

/* Decimal digits up to `stop`, which is read too. */
static bool read_digits(struct parser *parser, char stop, uint64_t *value) {
  const char *first = parser->at;
  *value = 0;
  for (; parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9'; parser->at++) {
    uint64_t digit = (uint64_t)(*parser->at - '0');
    if (*value > (UINT64_MAX - digit) / 10) return false;
    *value = *value * 10 + digit;
  }
  return parser->at > first && take(parser, stop);
}

static bool read_text(struct parser *parser, const char **text, size_t *length) {
  uint64_t count;
  if (!read_digits(parser, ':', &count) || count > (uint64_t)(parser->end - parser->at))
    return damaged(parser);
  *text = parser->at;
  *length = (size_t)count;
  parser->at += count;
  return true;
}

static const char *fault_of(const char *text, size_t length) {
  if (memchr(text, '\0', length) != NULL) return "holds a NUL byte";
  return lw_utf8_valid_prefix(text, length) == length ? NULL : "is not valid UTF-8";
}

static bool read_integer(struct parser *parser, struct lw_node *node) {
  uint64_t magnitude;
  bool negative = take(parser, '-');
  if (!read_digits(parser, ';', &magnitude)) return damaged(parser);
  if (negative && magnitude > (uint64_t)INT64_MAX + 1) return damaged(parser);
  node->kind = !negative && magnitude > INT64_MAX ? LW_UNSIGNED : LW_INTEGER;
  if (node->kind == LW_UNSIGNED)
    node->as.wide = magnitude;
  else
    node->as.integer = (int64_t)(negative ? 0 - magnitude : magnitude);
  return true;
}

static bool read_double(struct parser *parser, struct lw_node *node) {
  uint64_t bits = 0;
  for (int i = 0; i < DOUBLE_DIGITS; i++) {
    static const char digits[] = "0123456789abcdef";
    char character = next(parser);
    const char *digit = character != '\0' ? strchr(digits, character) : NULL;
    if (digit == NULL) return damaged(parser);
    bits = bits << 4 | (uint64_t)(digit - digits);
  }
  node->kind = LW_DOUBLE;
  memcpy(&node->as.number, &bits, sizeof bits);
  return isfinite(node->as.number) || refuse(parser, "cannot be NaN or infinity");
}

static bool read_text_value(struct parser *parser, struct lw_node *node) {
  const char *text = NULL;
  size_t length = 0;
  if (!read_text(parser, &text, &length)) return false;
  const char *fault = fault_of(text, length);
  if (fault != NULL) return refuse(parser, fault);
  node->kind = LW_TEXT;
  node->as.text.offset = (uint32_t)(text - parser->text);
  node->as.text.length = (uint32_t)length;
  return true;
}

static bool read_value(struct parser *parser) {
  struct lw_node node = {.kind = LW_NULL, .size = 1};
  bool good = true;
  switch (next(parser)) {
    case 'n':
      break;
    case 't':
      node.kind = LW_TRUE;
      break;
    case 'f':
      node.kind = LW_FALSE;
      break;
    case 's':
      good = read_text_value(parser, &node);
      break;
    case 'i':
      good = read_integer(parser, &node);
      break;
    case 'd':
      good = read_double(parser, &node);
      break;
    default:
      return damaged(parser);
  }
  if (!good) return false;
  if (parser->values) parser->values[parser->value_count] = node;
  parser->value_count++;
  if (++parser->field.count <= LW_FILTER_MAX_VALUES) return true;
  char what[FIELD_SHOWN];
  snprintf(what, sizeof what, "has more than %d values", LW_FILTER_MAX_VALUES);
  return refuse(parser, what);
}

static bool path_valid(const char *path, size_t length) {
  if (length == 0 || length > LW_FILTER_MAX_PATH || fault_of(path, length) != NULL) return false;
  return path[0] != '.' && path[length - 1] != '.' && memmem(path, length, "..", 2) == NULL;
}

static bool read_path(struct parser *parser) {
  const char *path = NULL;
  size_t length = 0;
  parser->field = (struct lw_filter_entry){.path = NULL};
  if (!take(parser, '.')) return damaged(parser);
  if (!read_text(parser, &path, &length)) return false;
  if (!path_valid(path, length))
    return lw_fail(parser->error, "invalid",
                   "filter: a field is 1 to %d bytes of UTF-8, its steps joined by single dots",
                   LW_FILTER_MAX_PATH);
  parser->field.path = path;
  parser->field.path_length = length;
  parser->field.values = parser->values ? parser->values + parser->value_count : NULL;
  return true;
}

static bool read_any(struct parser *parser) {
  do {
    if (!read_value(parser)) return false;
  } while (take(parser, '|'));
  return true;
}

static bool read_test(struct parser *parser) {
  if (parser->at == parser->end || *parser->at == '.') return refuse(parser, "the list is empty");
  switch (next(parser)) {
    case '=':
      parser->field.test = LW_FILTER_IS;
      return read_value(parser);
    case '|':
      parser->field.test = LW_FILTER_ANY;
      return read_any(parser);
    case '+':
      parser->field.test = LW_FILTER_EXISTS;
      return true;
    case '-':
      parser->field.test = LW_FILTER_MISSING;
      return true;
    default:
      return damaged(parser);
  }
}

static bool read_entries(struct parser *parser) {
  parser->field.path = NULL;
  parser->at = parser->text;
  parser->entry_count = parser->value_count = 0;
  if (!take(parser, VERSION)) return damaged(parser);
  for (; parser->at < parser->end; parser->entry_count++) {
    if (!read_path(parser) || !read_test(parser)) return false;
    if (parser->entries) parser->entries[parser->entry_count] = parser->field;
  }
  parser->field.path = NULL;
  if (parser->entry_count == 0) return refuse(parser, "is empty; false clears it");
  if (parser->entry_count <= LW_FILTER_MAX_ENTRIES) return true;
  return lw_fail(parser->error, "invalid", "filter: has more than %d fields", LW_FILTER_MAX_ENTRIES);
}

struct lw_filter *lw_filter_parse(const char *text, size_t length, struct lw_error *error) {
  struct parser parser = {.text = text, .end = text + length, .error = error};
  if (length > LW_FILTER_MAX_BYTES) {
    lw_fail(error, "invalid", "filter: longer than %d bytes", LW_FILTER_MAX_BYTES);
    return NULL;
  }
  if (!read_entries(&parser)) return NULL;
  size_t entries = parser.entry_count * sizeof(struct lw_filter_entry);
  size_t values = parser.value_count * sizeof(struct lw_node);
  struct lw_filter *filter = malloc(sizeof *filter + entries + values + length);
  if (filter == NULL) {
    lw_fail(error, "memory", "out of memory");
    return NULL;
  }
  parser.entries = (struct lw_filter_entry *)(filter + 1);
  parser.values = (struct lw_node *)(void *)((char *)parser.entries + entries);
  parser.text = memcpy((char *)parser.values + values, text, length);
  parser.end = parser.text + length;
  read_entries(&parser); /* what was checked cannot fail */
  *filter = (struct lw_filter){.text = parser.text, .entries = parser.entries, .count = parser.entry_count};
  return filter;
}

/* -- writing ------------------------------------------------------------------------------------------- */

static void put_text(struct lw_buffer *out, const char *text, size_t length) {
  lw_json_unsigned(out, length);
  lw_buffer_append_char(out, ':');
  lw_buffer_append(out, text, length);
}

void lw_filter_start(struct lw_buffer *out) {
  lw_buffer_append_char(out, VERSION);
}

void lw_filter_field(struct lw_buffer *out, const char *path, size_t length) {
  lw_buffer_append_char(out, '.');
  put_text(out, path, length);
}

void lw_filter_test(struct lw_buffer *out, enum lw_filter_test test) {
  static const char signs[] = {
      [LW_FILTER_IS] = '=', [LW_FILTER_ANY] = '|', [LW_FILTER_EXISTS] = '+', [LW_FILTER_MISSING] = '-'};
  lw_buffer_append_char(out, signs[test]);
}

void lw_filter_null(struct lw_buffer *out) {
  lw_buffer_append_char(out, 'n');
}

void lw_filter_boolean(struct lw_buffer *out, bool value) {
  lw_buffer_append_char(out, value ? 't' : 'f');
}

void lw_filter_integer(struct lw_buffer *out, int64_t value) {
  lw_buffer_append_char(out, 'i');
  lw_json_integer(out, value);
  lw_buffer_append_char(out, ';');
}

void lw_filter_unsigned(struct lw_buffer *out, uint64_t value) {
  lw_buffer_append_char(out, 'i');
  lw_json_unsigned(out, value);
  lw_buffer_append_char(out, ';');
}

void lw_filter_double(struct lw_buffer *out, double value) {
  char digits[1 + DOUBLE_DIGITS + 1];
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  snprintf(digits, sizeof digits, "d%016" PRIx64, bits);
  lw_buffer_append_text(out, digits);
}

void lw_filter_text(struct lw_buffer *out, const char *text, size_t length) {
  lw_buffer_append_char(out, 's');
  put_text(out, text, length);
}
