/* The mailbox of a dispatcher: what waits to be stored, in order. Its bounds are LW_MAILBOX_EVENTS and
 * LW_MAILBOX_BYTES; what is started and may not wait stands in a line behind it when it is full (bounded by
 * LW_MAX_CALLS and LW_LINE_BYTES). All of it under the dispatcher's lock, except lw_mailbox_finish. */
#ifndef LW_DELIVERY_MAILBOX_H
#define LW_DELIVERY_MAILBOX_H

#include "delivery/engine.h"

/* Room, and nobody in line. A batch larger than the mailbox may come when it is empty, alone. */
bool lw_mailbox_has_room(const struct lw_dispatcher *dispatcher, const struct lw_command *command);
bool lw_mailbox_empty(const struct lw_dispatcher *dispatcher);
/* At the end, behind all that was posted before; gives the events their ids. */
void lw_mailbox_post(struct lw_dispatcher *dispatcher, struct lw_command *command);
/* The engine takes what fits into one transaction into `taken`. */
void lw_mailbox_take(struct lw_dispatcher *dispatcher);
/* Answers everyone in the transaction. What nobody waits for goes back to the head of the mailbox when it
 * failed, and so do flushes that wait for such events. The list that is returned is for lw_mailbox_finish. */
struct lw_command *lw_mailbox_answer(struct lw_dispatcher *dispatcher, bool ok, const struct lw_error *error);
/* Finishes tasks and frees what nobody waits for. Without the lock. */
void lw_mailbox_finish(struct lw_command *list);
/* At the end of the dispatcher's life: gives up what could not be stored, and counts its events. */
size_t lw_mailbox_discard(struct lw_dispatcher *dispatcher);

size_t lw_items_bytes(const struct lw_emit_item *items, size_t count);

#endif
