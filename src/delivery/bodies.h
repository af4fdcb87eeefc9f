/* The bodies of one event: each format that its webhooks want is written once. */
#ifndef LW_DELIVERY_BODIES_H
#define LW_DELIVERY_BODIES_H

#include "base/buffer.h"
#include "delivery/dispatcher.h"
#include "payload/formats.h"

#define LW_BODIES_SLOTS 8 /* more than there are chat formats; one more is written again for each webhook */

struct lw_body_slot {
  const struct lw_format *format; /* NULL: free */
  struct lw_buffer body;
};
struct lw_bodies {
  const struct lw_emit_item *item;
  struct lw_body_slot slots[LW_BODIES_SLOTS];
};

void lw_bodies_init(struct lw_bodies *bodies);
void lw_bodies_free(struct lw_bodies *bodies);
/* Forgets the last event; keeps its memory. */
void lw_bodies_start(struct lw_bodies *bodies, const struct lw_emit_item *item);
/* The body in that format; it holds until the next start (raw: the item's own). False: memory is out. */
bool lw_bodies_get(struct lw_bodies *bodies, const struct lw_format *format, const char **body,
                   size_t *length);

#endif
