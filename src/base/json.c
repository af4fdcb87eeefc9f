#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE = 40 };

static bool continuation(unsigned char byte) {
  return (byte & 0xc0) == 0x80;
}

/* The length of the valid sequence at `bytes`, 0 where there is none (RFC 3629, section 4). */
static size_t sequence_length(const unsigned char *bytes, size_t left) {
  unsigned char first = bytes[0];
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (left < length) return 0;
  unsigned char second = bytes[1];
  unsigned char lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  unsigned char highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (size_t i = 2; i < length; i++)
    if (!continuation(bytes[i])) return 0;
  return length;
}

size_t lw_utf8_valid_prefix(const char *text, size_t length) {
  const unsigned char *bytes = (const unsigned char *)text;
  size_t at = 0;
  while (at < length) {
    size_t step = sequence_length(bytes + at, length - at);
    if (step == 0) break;
    at += step;
  }
  return at;
}

static void escape(struct lw_buffer *out, unsigned char byte) {
  static const char digits[] = "0123456789abcdef";
  static const char shorts[32] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
  if (byte == '"' || byte == '\\') {
    lw_buffer_append(out, (char[]){'\\', (char)byte}, 2);
  } else if (shorts[byte]) {
    lw_buffer_append(out, (char[]){'\\', shorts[byte]}, 2);
  } else {
    lw_buffer_append(out, (char[]){'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]}, 6);
  }
}

void lw_json_string(struct lw_buffer *out, const char *text, size_t length) {
  size_t plain = 0;
  lw_buffer_append_char(out, '"');
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    lw_buffer_append(out, text + plain, i - plain);
    escape(out, byte);
    plain = i + 1;
  }
  lw_buffer_append(out, text + plain, length - plain);
  lw_buffer_append_char(out, '"');
}

void lw_json_unsigned(struct lw_buffer *out, uint64_t value) {
  char digits[NUMBER_SIZE];
  char *at = digits + sizeof digits;
  do *--at = (char)('0' + value % 10);
  while ((value /= 10) > 0);
  lw_buffer_append(out, at, (size_t)(digits + sizeof digits - at));
}

void lw_json_integer(struct lw_buffer *out, int64_t value) {
  if (value < 0) lw_buffer_append_char(out, '-');
  lw_json_unsigned(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* %.*g in the "C" locale's form: a host program may have set a locale with a decimal comma. */
static void print_digits(char text[NUMBER_SIZE], int precision, double value) {
  snprintf(text, NUMBER_SIZE, "%.*e", precision - 1, value);
  for (char *at = text; *at; at++)
    if (*at == ',') *at = '.';
}

static bool reads_back(const char *text, double value) {
  char local[NUMBER_SIZE];
  snprintf(local, sizeof local, "%s", text);
  double read = strtod(local, NULL);
  if (read == value) return true;
  char *point = strchr(local, '.');
  if (point == NULL) return false;
  *point = ',';
  return strtod(local, NULL) == value;
}

/* One more in the last digit of d.ddde±xx. */
static void bump_last_digit(char *text) {
  char *at = strchr(text, 'e');
  while (at > text && (*--at == '9' || *at == '.'))
    if (*at == '9') *at = '0';
  ++*at;
}

/* Above a power of two doubles lie twice as far apart as below it, so a text may be further off above: the
 * nearest of 16 digits can fail where the one above it reads back. */
static bool reads_back_from_above(char text[NUMBER_SIZE], double value) {
  int exponent;
  if (fabs(frexp(value, &exponent)) != 0.5) return false;
  bump_last_digit(text);
  return reads_back(text, value);
}

/* 15 digits always survive text -> double -> text, so a shorter form of a normal double shows as trailing
 * zeros there; subnormal ones have fewer good digits and are searched from one digit up. */
static void fewest_digits(char text[NUMBER_SIZE], double value) {
  int precision = fabs(value) < 2.3e-308 ? 1 : 15;
  for (; precision < 17; precision++) {
    print_digits(text, precision, value);
    if (reads_back(text, value) || reads_back_from_above(text, value)) return;
  }
  print_digits(text, 17, value);
}

/* Lays out d.ddde±xx as 0.001, 12.5 or 1.5e300. */
static void layout(struct lw_buffer *out, const char *scientific) {
  char digits[NUMBER_SIZE] = "";
  int count = 0;
  const char *at = scientific;
  if (*at == '-') lw_buffer_append_char(out, *at++);
  for (; *at && *at != 'e'; at++)
    if (*at != '.') digits[count++] = *at;
  long exponent = strtol(at + 1, NULL, 10);
  while (count > 1 && digits[count - 1] == '0') count--;
  if (exponent < -5 || exponent > 15) {
    lw_buffer_append_char(out, digits[0]);
    if (count > 1) lw_buffer_append_char(out, '.');
    lw_buffer_append(out, digits + 1, (size_t)count - 1);
    lw_buffer_append_char(out, 'e');
    lw_json_integer(out, exponent);
    return;
  }
  if (exponent < 0) lw_buffer_append(out, "0.0000", (size_t)(1 - exponent));
  for (long i = 0; i < count || i <= exponent; i++) {
    if (exponent >= 0 && i == exponent + 1) lw_buffer_append_char(out, '.');
    lw_buffer_append_char(out, i < count ? digits[i] : '0');
  }
}

void lw_json_double(struct lw_buffer *out, double value) {
  if (value == 0 && signbit(value)) {
    lw_buffer_append_text(out, "-0.0");
  } else if (value == floor(value) && fabs(value) < 9007199254740992.0) {
    lw_json_integer(out, (int64_t)value);
  } else {
    char text[NUMBER_SIZE];
    fewest_digits(text, value);
    layout(out, text);
  }
}
