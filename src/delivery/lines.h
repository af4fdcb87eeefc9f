/* The lines of the webhooks as they are now: each enabled webhook that we can serve has one, with its limits.
 * On the engine's thread. */
#ifndef LW_DELIVERY_LINES_H
#define LW_DELIVERY_LINES_H

#include <stdbool.h>

#include "base/error.h"

struct lw_dispatcher;

/* Inside the transaction: reads the webhooks anew when anybody changed them. What waits in memory for one
 * that was changed, or is gone, goes back to the store; an open breaker lets a request of a changed one
 * through. */
bool lw_lines_refresh(struct lw_dispatcher *dispatcher, struct lw_error *error);
/* The transaction did not come to be: the store is told anew what goes in order. */
void lw_lines_forget(struct lw_dispatcher *dispatcher);

#endif
