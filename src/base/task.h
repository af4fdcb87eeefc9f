/* Tasks: work that is started on one thread, done on another, and whose result is fetched later, by a program
 * that has other things to do meanwhile (an event loop). Completions gather the tasks that are done, and can
 * make a descriptor readable for them.
 *
 * A task has two sides. The owner starts it, asks whether it is done, and releases it, whenever it likes. The
 * worker finishes it, once, as the last thing it does with it. It is freed when both are through with it, on
 * the thread of the later one: an owner that dies leaves nothing dangling.
 *
 * The descriptor works in one of two ways:
 *  - lw_completions_fd: readable as long as a task is done and not released, or attention is asked for. Any
 *    number may wait for it.
 *  - lw_completions_listen: a unix socket for a loop that cannot take descriptors but can connect (nginx's
 *    cosockets). Each byte that comes means: ask lw_completions_next until there is no more.
 *
 * Lock: one mutex for each lw_completions, held for list operations and for a byte sent or read, which never
 * waits. After a fork the child's tasks are done, with nothing to fetch (lw_completions_forked). */
#ifndef LW_BASE_TASK_H
#define LW_BASE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define LW_MAX_HELPERS 64 /* threads of lw_task_spawn at a time, in the process */
#define LW_COMPLETIONS_PATH_SIZE 100

struct lw_completions;

/* Embedded in what the work needs. All zero: not started. */
struct lw_task {
  struct lw_completions *completions;
  void (*free)(struct lw_task *task); /* frees what it is embedded in, on any thread */
  void (*run)(struct lw_task *task);  /* of lw_task_spawn */
  struct lw_task *next, *previous;    /* from here on guarded by the completions' lock */
  uint64_t id;
  bool done, released;
};

struct lw_completions *lw_completions_new(struct lw_error *error);
/* Any thread. Also kept by every task that was started. */
struct lw_completions *lw_completions_keep(struct lw_completions *completions);
void lw_completions_drop(struct lw_completions *completions); /* NULL is fine */
bool lw_completions_forked(const struct lw_completions *completions);

/* -- the owner's side ------------------------------------------------------------------------------ */

/* Before the task is handed to a worker. Its id is unique among those of the completions. */
void lw_task_start(struct lw_task *task, struct lw_completions *completions, void (*free)(struct lw_task *));
/* The task was not taken: as before lw_task_start. */
void lw_task_cancel_start(struct lw_task *task);
bool lw_task_done(struct lw_task *task);
void lw_task_release(struct lw_task *task);

/* The descriptor to wait for; made at the first call, owned by the completions. -1: see the error. */
int lw_completions_fd(struct lw_completions *completions, struct lw_error *error);
/* Makes a socket in a folder of its own that nobody else may enter, and says where. */
bool lw_completions_listen(struct lw_completions *completions, char path[LW_COMPLETIONS_PATH_SIZE],
                           struct lw_error *error);
/* After somebody connected; the socket's name and folder are gone then, whatever happened. False: nobody of
 * this process did. */
bool lw_completions_accept(struct lw_completions *completions);
/* The other end of the connection reads its end; until the next listen nothing is sent. */
void lw_completions_hang_up(struct lw_completions *completions);
/* The next task that was done and not asked for before. False: no more; a byte will be sent for the next. */
bool lw_completions_next(struct lw_completions *completions, uint64_t *id);
/* Attention for something else than a task, until it is withdrawn. Any thread. */
void lw_completions_attention(struct lw_completions *completions, bool wanted);

/* -- the worker's side ----------------------------------------------------------------------------- */

void lw_task_finish(struct lw_task *task); /* the worker must not touch it any more */
bool lw_task_released(struct lw_task *task);
/* The worker is a thread of its own, which calls task->run and finishes the task. False: code "busy" or
 * "thread"; the task was not taken. */
bool lw_task_spawn(struct lw_task *task, void (*run)(struct lw_task *), struct lw_error *error);

#endif
