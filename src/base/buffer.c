#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void lw_buffer_init(struct lw_buffer *buffer, size_t maximum) {
  *buffer = (struct lw_buffer){.maximum = maximum};
}

void lw_buffer_free(struct lw_buffer *buffer) {
  free(buffer->data);
  lw_buffer_init(buffer, buffer->maximum);
}

void lw_buffer_clear(struct lw_buffer *buffer) {
  buffer->length = 0;
  buffer->failed = false;
}

static bool grow(struct lw_buffer *buffer, size_t needed) {
  size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
  while (capacity < needed) capacity *= 2;
  char *data = realloc(buffer->data, capacity);
  if (data == NULL) return false;
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}

bool lw_buffer_append(struct lw_buffer *buffer, const void *bytes, size_t length) {
  if (buffer->failed) return false;
  if (length > buffer->maximum - buffer->length) {
    buffer->failed = true;
    return false;
  }
  size_t needed = buffer->length + length;
  if (needed > buffer->capacity && !grow(buffer, needed)) {
    buffer->failed = true;
    return false;
  }
  if (length > 0) memcpy(buffer->data + buffer->length, bytes, length);
  buffer->length = needed;
  return true;
}

bool lw_buffer_append_text(struct lw_buffer *buffer, const char *text) {
  return lw_buffer_append(buffer, text, strlen(text));
}

bool lw_buffer_append_char(struct lw_buffer *buffer, char character) {
  return lw_buffer_append(buffer, &character, 1);
}
