/* What a dispatcher is asked to do: events to be stored, or a job on the store, or both a reading and a
 * writing one. A caller that waits keeps its command on the stack (lw_dispatcher_emit …); one that does not
 * wait makes a block that begins with the command, starts it with lw_dispatcher_start, and owns the task that
 * it then is (base/task.h). */
#ifndef LW_DELIVERY_COMMAND_H
#define LW_DELIVERY_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/task.h"

struct lw_emit_item;
struct lw_store;

/* A piece of work on a store handle. A failing one rolls back everything in its transaction; only what fails
 * with "key" (store/store.h) fails alone. */
typedef bool lw_store_job(struct lw_store *store, void *context, struct lw_error *error);

struct lw_command {
  struct lw_task task;        /* started: somebody fetches the answer later */
  struct lw_emit_item *items; /* events, or */
  size_t count, bytes;
  lw_store_job *read;  /* a job beside the dispatcher's thread, NULL: none; and after it */
  lw_store_job *write; /* a job in its transaction, NULL: none */
  void *context;       /* of both */
  bool barrier;        /* or neither: a flush */
  bool ok;             /* the answer, once the task is done */
  struct lw_error error;
  struct lw_command *next; /* the dispatcher's own, from here on */
  bool detached;           /* nobody waits: freed by the engine, kept while it cannot be stored */
  bool refused;            /* the job failed alone: `error` says why */
  bool done;
};

#endif
