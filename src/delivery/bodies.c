#include "delivery/bodies.h"

void lw_bodies_init(struct lw_bodies *bodies) {
  bodies->item = NULL;
  for (int i = 0; i < LW_BODIES_SLOTS; i++) {
    bodies->slots[i].format = NULL;
    lw_buffer_init(&bodies->slots[i].body, LW_FORMAT_MAX_BYTES);
  }
}

void lw_bodies_free(struct lw_bodies *bodies) {
  for (int i = 0; i < LW_BODIES_SLOTS; i++) lw_buffer_free(&bodies->slots[i].body);
}

void lw_bodies_start(struct lw_bodies *bodies, const struct lw_emit_item *item) {
  bodies->item = item;
  for (int i = 0; i < LW_BODIES_SLOTS; i++) bodies->slots[i].format = NULL;
}

/* The slot of the format, or else a free one (the last, when all are taken). */
static struct lw_body_slot *slot_for(struct lw_bodies *bodies, const struct lw_format *format) {
  struct lw_body_slot *slot = bodies->slots;
  struct lw_body_slot *last = slot + LW_BODIES_SLOTS - 1;
  while (slot < last && slot->format != NULL && slot->format != format) slot++;
  return slot;
}

bool lw_bodies_get(struct lw_bodies *bodies, const struct lw_format *format, const char **body,
                   size_t *length) {
  *body = bodies->item->body;
  *length = bodies->item->body_length;
  if (format->write_message == NULL) return true;
  struct lw_body_slot *slot = slot_for(bodies, format);
  if (slot->format != format) {
    struct lw_event_view event = lw_event_unpack(bodies->item->packed);
    lw_buffer_clear(&slot->body);
    slot->format = lw_format_write(format, &event, &slot->body) ? format : NULL;
  }
  *body = slot->body.data;
  *length = slot->body.length;
  return slot->format == format;
}
