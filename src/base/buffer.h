/* A growing byte buffer with a maximum. The first append that would pass the maximum (or finds no
 * memory) marks the buffer failed; later appends do nothing, so a writer checks once, at the end.
 * The buffer owns its bytes until lw_buffer_free or lw_buffer_take. */
#ifndef LW_BASE_BUFFER_H
#define LW_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct lw_buffer {
  char *data; /* NULL while nothing was appended */
  size_t length;
  size_t capacity;
  size_t maximum;
  bool failed;
};

void lw_buffer_init(struct lw_buffer *buffer, size_t maximum);
void lw_buffer_free(struct lw_buffer *buffer);
void lw_buffer_clear(struct lw_buffer *buffer); /* keeps the memory, forgets bytes and failure */
bool lw_buffer_append(struct lw_buffer *buffer, const void *bytes, size_t length);
bool lw_buffer_append_text(struct lw_buffer *buffer, const char *text);
bool lw_buffer_append_char(struct lw_buffer *buffer, char character);

#endif
