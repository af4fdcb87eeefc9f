#include "base/id.h"

#include <string.h>

enum { TIME_BYTES = 6, VERSION = 0x70, VARIANT = 0x80 };

static void put_time(struct lw_id *id, int64_t milliseconds) {
  for (int i = 0; i < TIME_BYTES; i++) id->bytes[i] = (uint8_t)(milliseconds >> (8 * (TIME_BYTES - 1 - i)));
}

static void put_version(struct lw_id *id) {
  id->bytes[6] = (uint8_t)(VERSION | (id->bytes[6] & 0x0f));
  id->bytes[8] = (uint8_t)(VARIANT | (id->bytes[8] & 0x3f));
}

static uint8_t random_step(struct lw_id_generator *generator) {
  if (generator->steps_left == 0) {
    generator->clock->random(generator->clock->context, generator->steps, sizeof generator->steps);
    generator->steps_left = LW_ID_STEPS;
  }
  return generator->steps[--generator->steps_left];
}

/* Adds a small random step to the low 40 bits; a carry past them is added to the next byte up. */
static void step(struct lw_id_generator *generator, struct lw_id *id) {
  unsigned carry = 1u + random_step(generator);
  for (int i = 15; i > 8 && carry > 0; i--) {
    carry += id->bytes[i];
    id->bytes[i] = (uint8_t)carry;
    carry >>= 8;
  }
}

void lw_id_next(struct lw_id_generator *generator, struct lw_id *id) {
  const struct lw_clock *clock = generator->clock;
  int64_t now = clock->now(clock->context);
  if (now <= lw_id_time(&generator->last)) {
    struct lw_id next = generator->last;
    step(generator, &next);
    if (memcmp(next.bytes, generator->last.bytes, sizeof next.bytes) > 0) {
      *id = generator->last = next;
      return;
    }
    now = lw_id_time(&generator->last) + 1;
  }
  put_time(id, now);
  clock->random(clock->context, id->bytes + TIME_BYTES, sizeof id->bytes - TIME_BYTES);
  put_version(id);
  generator->last = *id;
}

void lw_id_floor(int64_t milliseconds, struct lw_id *id) {
  memset(id, 0, sizeof *id);
  put_time(id, milliseconds < 0 ? 0 : milliseconds);
}

int64_t lw_id_time(const struct lw_id *id) {
  int64_t milliseconds = 0;
  for (int i = 0; i < TIME_BYTES; i++) milliseconds = milliseconds << 8 | id->bytes[i];
  return milliseconds;
}

static bool dash_before(int byte) {
  return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void lw_id_format(const struct lw_id *id, char text[LW_ID_TEXT_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  char *out = text;
  for (int i = 0; i < 16; i++) {
    if (dash_before(i)) *out++ = '-';
    *out++ = digits[id->bytes[i] >> 4];
    *out++ = digits[id->bytes[i] & 15];
  }
  *out = '\0';
}

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool lw_id_parse(const char *text, size_t length, struct lw_id *id) {
  if (length != LW_ID_TEXT_SIZE - 1) return false;
  for (int i = 0; i < 16; i++) {
    if (dash_before(i) && *text++ != '-') return false;
    int high = hex_value(text[0]);
    int low = hex_value(text[1]);
    if (high < 0 || low < 0) return false;
    id->bytes[i] = (uint8_t)(high << 4 | low);
    text += 2;
  }
  return true;
}

bool lw_id_equal(const struct lw_id *a, const struct lw_id *b) {
  return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
