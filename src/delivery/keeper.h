/* Keeps the store's write-ahead log short. To move what stands in the log into the database takes many writes
 * and two syncs; done by a commit, as SQLite does by itself, everybody waits for them. Here a thread with a
 * store handle of its own does it while the engine goes on.
 *
 * Lock: its own mutex guards `wanted` and `stop`; it is not held during a checkpoint. */
#ifndef LW_DELIVERY_KEEPER_H
#define LW_DELIVERY_KEEPER_H

#include <pthread.h>
#include <stdbool.h>

#include "store/store.h"

struct lw_keeper {
  struct lw_store *store; /* NULL: there is no keeper, and the engine's handle does it */
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  bool wanted, stop;
  int told_at; /* the engine's: how long the log was when it was told last */
};

/* For the store behind `engine`, which leaves the checkpoints to the keeper from now on. Where it cannot
 * start all stays as it was. */
void lw_keeper_start(struct lw_keeper *keeper, const char *path, const struct lw_vault *vault,
                     struct lw_store *engine);
/* After a commit through `engine`: it is told once for each LW_STORE_LOG_STEP that the log grows. */
void lw_keeper_tell(struct lw_keeper *keeper, const struct lw_store *engine);
void lw_keeper_stop(struct lw_keeper *keeper); /* lets a checkpoint end; also of one that never started */

#endif
