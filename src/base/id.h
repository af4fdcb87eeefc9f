/* Ids are UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then randomness, so they
 * sort by time. In memory and in the store they are 16 bytes; in Lua and in headers 36 characters. */
#ifndef LW_BASE_ID_H
#define LW_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define LW_ID_STEPS 64
#define LW_ID_TEXT_SIZE 37 /* 36 characters and the final zero */

struct lw_id {
  uint8_t bytes[16];
};

/* Makes ids that rise strictly within one generator, also inside one millisecond (RFC 9562, section
 * 6.2, method 2: the 74 random bits count up). Not thread-safe: one generator, one thread. */
struct lw_id_generator {
  const struct lw_clock *clock;
  struct lw_id last;
  uint8_t
      steps[LW_ID_STEPS]; /* random bytes, fetched together: one call costs more than all the rest of an id */
  uint8_t steps_left;
};

void lw_id_next(struct lw_id_generator *generator, struct lw_id *id);
void lw_id_floor(int64_t milliseconds, struct lw_id *id); /* the smallest id of that moment */
int64_t lw_id_time(const struct lw_id *id);               /* milliseconds since the epoch */
void lw_id_format(const struct lw_id *id, char text[LW_ID_TEXT_SIZE]);
bool lw_id_parse(const char *text, size_t length, struct lw_id *id);
bool lw_id_equal(const struct lw_id *a, const struct lw_id *b);

#endif
