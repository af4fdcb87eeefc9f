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
/* Where callers come by the dozen, as in an nginx, each commit serves more of them when it waits a moment for
 * the next: half the commits for the same events. Nobody is kept waiting who comes first and alone (the last
 * answer was a while ago) or whose thread is blocked (it cannot bring another). Lets go of the lock
 * meanwhile. */
void lw_mailbox_gather(struct lw_dispatcher *dispatcher);

enum lw_answer {
  LW_NOT_STORED, /* what nobody waits for goes back to the head of the mailbox, with flushes that wait for it
                  */
  LW_UNSYNCED,   /* it is in the store, but may not be on disk: a failure; only flushes go back */
  LW_STORED
};
/* Answers everyone in the transaction. The list that is returned is for lw_mailbox_finish. */
struct lw_command *lw_mailbox_answer(struct lw_dispatcher *dispatcher, enum lw_answer answer,
                                     const struct lw_error *error);
/* Finishes tasks and frees what nobody waits for. Without the lock. */
void lw_mailbox_finish(struct lw_command *list);
/* At the end of the dispatcher's life: gives up what could not be stored, and counts its events. */
size_t lw_mailbox_discard(struct lw_dispatcher *dispatcher);

size_t lw_items_bytes(const struct lw_emit_item *items, size_t count);

#endif
