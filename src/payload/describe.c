#include "payload/describe.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/json.h"

enum { UUID_LENGTH = 36, UUID_SHOWN = 8, ID_LONGEST = 24, ID_SHOWN = 12 };

static const int64_t FIRST_TIME = INT64_C(1000000000000);
static const int64_t LAST_TIME = INT64_C(253402300799999);

/* -- numbers, durations, times -------------------------------------------------------------------- */

static size_t describe_unsigned(uint64_t value, char *out) {
  char digits[LW_VALUE_SIZE];
  size_t count = 0, used = 0;
  do digits[count++] = (char)('0' + value % 10);
  while ((value /= 10) > 0);
  while (count > 0) out[used++] = digits[--count];
  return used;
}

size_t lw_describe_integer(int64_t value, char out[LW_VALUE_SIZE]) {
  if (value >= 0) return describe_unsigned((uint64_t)value, out);
  out[0] = '-';
  return 1 + describe_unsigned(0 - (uint64_t)value, out + 1);
}

static size_t add_unit(char out[LW_VALUE_SIZE], size_t used, int64_t amount, const char *unit) {
  if (used > 0) out[used++] = ' ';
  used += lw_describe_integer(amount, out + used);
  out[used++] = ' ';
  size_t length = strlen(unit);
  memcpy(out + used, unit, length);
  return used + length;
}

size_t lw_describe_duration(int64_t seconds, char out[LW_VALUE_SIZE]) {
  static const struct {
    int64_t seconds;
    const char *name;
  } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
  size_t first = 0;
  while (first < 3 && seconds < units[first].seconds) first++;
  size_t used = add_unit(out, 0, seconds / units[first].seconds, units[first].name);
  int64_t rest = seconds % units[first].seconds;
  if (first < 3 && rest / units[first + 1].seconds > 0)
    used = add_unit(out, used, rest / units[first + 1].seconds, units[first + 1].name);
  return used;
}

/* `digits` digits of `value`, with leading zeros, and `after`. */
static char *put_digits(char *out, int value, int digits, char after) {
  for (int i = digits - 1; i >= 0; i--, value /= 10) out[i] = (char)('0' + value % 10);
  out[digits] = after;
  return out + digits + 1;
}

/* "2026-02-15" between and after which the rest is put. Out-of-range times become the nearest that has 4
 * digits. */
static char *put_date(int64_t *milliseconds, struct tm *when, char *out, char after) {
  if (*milliseconds < 0) *milliseconds = 0;
  if (*milliseconds > LAST_TIME) *milliseconds = LAST_TIME;
  time_t seconds = (time_t)(*milliseconds / 1000);
  gmtime_r(&seconds, when);
  out = put_digits(out, when->tm_year + 1900, 4, '-');
  out = put_digits(out, when->tm_mon + 1, 2, '-');
  return put_digits(out, when->tm_mday, 2, after);
}

size_t lw_describe_time(int64_t milliseconds, char out[LW_VALUE_SIZE]) {
  struct tm when;
  char *at = put_date(&milliseconds, &when, out, ' ');
  at = put_digits(at, when.tm_hour, 2, ':');
  at = put_digits(at, when.tm_min, 2, ' ');
  memcpy(at, "UTC", 3);
  return (size_t)(at + 3 - out);
}

size_t lw_describe_iso8601(int64_t milliseconds, char out[LW_VALUE_SIZE]) {
  struct tm when;
  char *at = put_date(&milliseconds, &when, out, 'T');
  at = put_digits(at, when.tm_hour, 2, ':');
  at = put_digits(at, when.tm_min, 2, ':');
  at = put_digits(at, when.tm_sec, 2, '.');
  at = put_digits(at, (int)(milliseconds % 1000), 3, 'Z');
  return (size_t)(at - out);
}

bool lw_describe_is_time(int64_t milliseconds) {
  return milliseconds >= FIRST_TIME && milliseconds <= LAST_TIME;
}

/* -- keys ------------------------------------------------------------------------------------------ */

static bool upper(char c) {
  return c >= 'A' && c <= 'Z';
}

static bool lower(char c) {
  return c >= 'a' && c <= 'z';
}

static bool digit(char c) {
  return c >= '0' && c <= '9';
}

static bool ends_with(struct lw_text text, const char *ending) {
  size_t length = strlen(ending);
  return text.length >= length && memcmp(text.bytes + text.length - length, ending, length) == 0;
}

/* A word begins at a capital after a small letter or digit, and at the last capital of a row of them before a
 * small letter ("APIKey" is "API key"). */
static bool word_begins(struct lw_text key, size_t at) {
  if (at == 0 || !upper(key.bytes[at])) return false;
  char before = key.bytes[at - 1];
  if (lower(before) || digit(before)) return true;
  return upper(before) && at + 1 < key.length && lower(key.bytes[at + 1]);
}

/* The first capital of a word becomes small unless the word is all capitals. */
static char small(struct lw_text key, size_t at, bool begins) {
  char c = key.bytes[at];
  bool acronym = at + 1 < key.length && upper(key.bytes[at + 1]);
  return begins && !acronym ? (char)(c + ('a' - 'A')) : c;
}

static size_t split_words(struct lw_text key, char out[LW_LABEL_SIZE]) {
  size_t used = 0;
  for (size_t i = 0; i < key.length; i++) {
    char c = key.bytes[i];
    bool begins = word_begins(key, i);
    if (begins && used > 0 && out[used - 1] != ' ') out[used++] = ' ';
    if (c == '_' || c == '-' || c == '.' || c == ':') {
      if (used > 0 && out[used - 1] != ' ') out[used++] = ' ';
    } else {
      out[used++] = small(key, i, begins);
    }
  }
  while (used > 0 && out[used - 1] == ' ') used--;
  return used;
}

struct lw_text lw_describe_key(struct lw_text key, bool seconds, char out[LW_LABEL_SIZE]) {
  if (key.length > LW_LABEL_SIZE / 2) return key;
  size_t used = split_words(key, out);
  struct lw_text words = {out, used};
  if (used == 0) return key;
  if (seconds && ends_with(words, " in seconds")) words.length -= strlen(" in seconds");
  if (ends_with(words, " id") || (words.length == 2 && ends_with(words, "id")))
    memcpy(out + words.length - 2, "ID", 2);
  if (lower(out[0])) out[0] = (char)(out[0] - ('a' - 'A'));
  return words;
}

/* -- values ---------------------------------------------------------------------------------------- */

static bool uuid_shape(struct lw_text text) {
  if (text.length != UUID_LENGTH) return false;
  for (size_t i = 0; i < text.length; i++) {
    char c = text.bytes[i];
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    bool hex = digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

static bool id_shape(struct lw_text text) {
  for (size_t i = 0; i < text.length; i++) {
    char c = text.bytes[i];
    if (!upper(c) && !lower(c) && !digit(c) && strchr("_.:/@+-", c) == NULL) return false;
    if (c == '\0') return false;
  }
  return text.length > 0;
}

static bool id_key(struct lw_text key) {
  return ends_with(key, "Id") || ends_with(key, "ID") || ends_with(key, "_id") ||
         (key.length == 2 && memcmp(key.bytes, "id", 2) == 0);
}

static void describe_text(struct lw_text key, struct lw_text text, char made[LW_VALUE_SIZE],
                          struct lw_message_field *field) {
  field->value = text;
  field->kind = LW_FIELD_TEXT;
  if (uuid_shape(text)) {
    field->value.length = UUID_SHOWN;
    field->kind = LW_FIELD_CODE;
  } else if (id_key(key) && id_shape(text)) {
    field->kind = LW_FIELD_CODE;
    if (text.length <= ID_LONGEST) return;
    memcpy(made, text.bytes, ID_SHOWN);
    memcpy(made + ID_SHOWN, "…", 3);
    field->value = (struct lw_text){made, ID_SHOWN + 3};
  }
}

/* A number with a whole value that fits: Lua 5.1 has no other integers. */
static bool whole(const struct lw_node *node, int64_t *value) {
  if (node->kind == LW_INTEGER) {
    *value = node->as.integer;
    return true;
  }
  if (node->kind != LW_DOUBLE || fabs(node->as.number) > 9007199254740992.0) return false;
  *value = (int64_t)node->as.number;
  return (double)*value == node->as.number;
}

static bool time_key(struct lw_text key) {
  return ends_with(key, "At") || ends_with(key, "_at");
}

static bool duration_key(struct lw_text key) {
  return ends_with(key, "Seconds") || ends_with(key, "_seconds");
}

bool lw_describe_is_duration(struct lw_text key, const struct lw_node *node) {
  int64_t value;
  return duration_key(key) && whole(node, &value) && value >= 0;
}

static size_t describe_double(double number, char made[LW_VALUE_SIZE]) {
  struct lw_buffer digits;
  lw_buffer_init(&digits, LW_VALUE_SIZE);
  lw_json_double(&digits, number);
  size_t length = digits.length;
  if (length > 0) memcpy(made, digits.data, length);
  lw_buffer_free(&digits);
  return length;
}

static void describe_number(struct lw_text key, const struct lw_node *node, char made[LW_VALUE_SIZE],
                            struct lw_message_field *field) {
  int64_t value = 0;
  bool is_whole = whole(node, &value);
  field->kind = LW_FIELD_TEXT;
  field->value.bytes = made;
  if (is_whole && time_key(key) && lw_describe_is_time(value)) {
    field->kind = LW_FIELD_TIME;
    field->time = value;
    field->value.length = lw_describe_time(value, made);
  } else if (is_whole && duration_key(key) && value >= 0) {
    field->value.length = lw_describe_duration(value, made);
  } else if (node->kind == LW_UNSIGNED) {
    field->value.length = describe_unsigned(node->as.wide, made);
  } else if (is_whole) {
    field->value.length = lw_describe_integer(value, made);
  } else {
    field->value.length = describe_double(node->as.number, made);
  }
}

bool lw_describe_value(const struct lw_event_view *event, struct lw_text key, const struct lw_node *node,
                       char made[LW_VALUE_SIZE], struct lw_message_field *field) {
  switch (node->kind) {
    case LW_NULL:
    case LW_ARRAY:
    case LW_OBJECT:
      return false;
    case LW_FALSE:
    case LW_TRUE:
      field->kind = LW_FIELD_TEXT;
      field->value = node->kind == LW_TRUE ? LW_TEXT_OF("yes") : LW_TEXT_OF("no");
      return true;
    case LW_INTEGER:
    case LW_UNSIGNED:
    case LW_DOUBLE:
      describe_number(key, node, made, field);
      return true;
    case LW_TEXT: {
      struct lw_text text = {event->text + node->as.text.offset, node->as.text.length};
      if (lw_text_blank(text)) return false;
      describe_text(key, text, made, field);
      return true;
    }
  }
  return false;
}
