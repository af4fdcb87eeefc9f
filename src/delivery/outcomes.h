/* What came back from the sender, written down: the attempt, what becomes of the delivery, and what it says
 * about the webhook. On the engine's thread, inside its transaction. */
#ifndef LW_DELIVERY_OUTCOMES_H
#define LW_DELIVERY_OUTCOMES_H

#include <stdbool.h>

#include "delivery/dispatcher.h"
#include "delivery/flight.h"

/* A webhook that works is said to in the store when it failed before, and no more often than this: another
 * dispatcher may have seen it fail. */
#define LW_WORKS_EVERY_MS 60000

bool lw_outcomes_record(struct lw_dispatcher *dispatcher, struct lw_flight *flight, struct lw_error *error);

#endif
