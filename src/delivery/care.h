/* Care for the store, by the dispatcher's thread between its transactions: what is older than the retention
 * is pruned, and the space given back, also after a prune that the application asked for. Small steps, each a
 * transaction of its own; while there is other work they come less often. */
#ifndef LW_DELIVERY_CARE_H
#define LW_DELIVERY_CARE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct lw_dispatcher;

struct lw_care {
  struct lw_prune walk;
  int64_t at;    /* when the next step is due: milliseconds since the epoch */
  int postponed; /* how often in a row, for other work */
};

/* When the next step is due; INT64_MAX: there is nothing to care for. */
int64_t lw_care_next(const struct lw_dispatcher *dispatcher);
/* A step, if one is due. A failing one is tried again later: nothing is lost by it. */
void lw_care_take(struct lw_dispatcher *dispatcher, bool busy);

#endif
