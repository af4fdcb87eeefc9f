#include "base/encoding.h"

#include "base/secret.h"

/* All ones when low <= c <= high, else zero. */
static uint32_t between(uint32_t c, uint32_t low, uint32_t high) {
  return 0U - (((low - 1 - c) & (c - high - 1)) >> 31);
}

void lw_hex_encode(const uint8_t *bytes, size_t length, char *text) {
  for (size_t i = 0; i < length; i++) {
    uint32_t high = bytes[i] >> 4, low = bytes[i] & 15;
    /* 39 is the way from after '9' to 'a'. */
    text[2 * i] = (char)('0' + high + (((9 - high) >> 8) & 39));
    text[2 * i + 1] = (char)('0' + low + (((9 - low) >> 8) & 39));
  }
}

/* The value of a hex digit; adds to *bad when it is none. */
static uint32_t hex_value(uint32_t c, uint32_t *bad) {
  uint32_t digit = between(c, '0', '9'), letter = between(c, 'a', 'f');
  *bad |= ~(digit | letter);
  return (digit & (c - '0')) | (letter & (c - 'a' + 10));
}

/* 1 for zero, 0 for anything else. */
static uint32_t is_zero(uint32_t value) {
  return ((value | (0U - value)) >> 31) ^ 1;
}

uint32_t lw_hex_decode(struct lw_bytes text, uint8_t *bytes, size_t length) {
  if (text.length != LW_HEX_LENGTH(length)) return 0;
  uint32_t bad = 0;
  for (size_t i = 0; i < length; i++) {
    uint32_t high = hex_value((uint8_t)text.data[2 * i], &bad);
    uint32_t low = hex_value((uint8_t)text.data[2 * i + 1], &bad);
    bytes[i] = (uint8_t)(high << 4 | low);
  }
  return is_zero(bad);
}

/* The character of six bits: A-Z, a-z, 0-9, '+', '/'. Each step adds what lies between two of these runs. */
static char base64_character(uint32_t value) {
  uint32_t c = value + 'A';
  c += ((25 - value) >> 8) & 6;
  c -= ((51 - value) >> 8) & 75;
  c -= ((61 - value) >> 8) & 15;
  c += ((62 - value) >> 8) & 3;
  return (char)(c & 0x7f);
}

void lw_base64_encode(const uint8_t *bytes, size_t length, char *text) {
  for (size_t i = 0; i < length; i += 3, text += 4) {
    uint32_t second = i + 1 < length ? bytes[i + 1] : 0;
    uint32_t third = i + 2 < length ? bytes[i + 2] : 0;
    uint32_t group = (uint32_t)bytes[i] << 16 | second << 8 | third;
    text[0] = base64_character(group >> 18);
    text[1] = base64_character(group >> 12 & 63);
    text[2] = i + 1 < length ? base64_character(group >> 6 & 63) : '=';
    text[3] = i + 2 < length ? base64_character(group & 63) : '=';
  }
}

/* The value of a base64 character; adds to *bad when it is none. */
static uint32_t base64_value(uint32_t c, uint32_t *bad) {
  uint32_t upper = between(c, 'A', 'Z'), lower = between(c, 'a', 'z'), digit = between(c, '0', '9');
  uint32_t plus = between(c, '+', '+'), slash = between(c, '/', '/');
  *bad |= ~(upper | lower | digit | plus | slash);
  return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (plus & 62) |
         (slash & 63);
}

/* How many '=' end the text, 0 to 2. It says how long the decoded bytes are, so it is public. */
static size_t count_padding(struct lw_bytes text) {
  uint32_t last = between((uint8_t)text.data[text.length - 1], '=', '=') & 1;
  uint32_t before = between((uint8_t)text.data[text.length - 2], '=', '=') & 1;
  return lw_reveal(last + (last & before));
}

uint32_t lw_base64_decode(struct lw_bytes text, uint8_t *bytes, size_t capacity, size_t *length) {
  *length = 0;
  if (text.length == 0 || text.length % 4 != 0) return 0;
  size_t characters = text.length - count_padding(text);
  *length = characters * 3 / 4;
  if (*length > capacity) return 0;
  uint32_t bad = 0, bits = 0, held = 0;
  size_t written = 0;
  for (size_t i = 0; i < characters; i++) {
    bits = bits << 6 | base64_value((uint8_t)text.data[i], &bad);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes[written++] = (uint8_t)(bits >> held);
  }
  /* RFC 4648, section 3.5: the bits that the padding leaves over are zero. */
  return is_zero(bad | (bits & ((1U << held) - 1)));
}
