/* Reads beside the dispatcher's thread. A caller that waits reads on its own thread; what is started runs on
 * the reader's thread, one after the other, which begins with the first of them.
 *
 * Locks: `use` is held while somebody reads with the dispatcher's reading handle; `mutex` guards the list of
 * what waits, and is held for list operations only. Neither is taken while the other is held. */
#ifndef LW_DELIVERY_READER_H
#define LW_DELIVERY_READER_H

#include <pthread.h>
#include <stdbool.h>

#include "delivery/command.h"

struct lw_dispatcher;

struct lw_reader {
  struct lw_store *store; /* NULL for ":memory:": the engine does what is read */
  pthread_mutex_t use;
  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t wake;
  struct lw_command *first, *last;
  bool running, stop;
  pthread_t thread;
};

void lw_reader_init(struct lw_dispatcher *dispatcher);
/* On this thread; there must be a store. */
bool lw_reader_run(struct lw_dispatcher *dispatcher, lw_store_job *job, void *context,
                   struct lw_error *error);
/* Takes the command over; it goes on to the mailbox if it has a writing job, or else is finished. False: code
 * "thread"; it was not taken. */
bool lw_reader_start(struct lw_dispatcher *dispatcher, struct lw_command *command, struct lw_error *error);
/* Lets the running job end; the others fail with "closed". */
void lw_reader_stop(struct lw_dispatcher *dispatcher);
void lw_reader_dispose(struct lw_dispatcher *dispatcher); /* with the store */

#endif
