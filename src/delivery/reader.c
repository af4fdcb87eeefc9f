#include "delivery/reader.h"

#include <string.h>

#include "base/exit_gate.h"
#include "base/thread.h"
#include "delivery/mailbox.h"

void lw_reader_init(struct lw_dispatcher *d) {
  pthread_mutex_init(&d->reader.use, NULL);
  pthread_mutex_init(&d->reader.mutex, NULL);
  pthread_cond_init(&d->reader.wake, NULL);
}

bool lw_reader_run(struct lw_dispatcher *d, lw_store_job *job, void *context, struct lw_error *error) {
  pthread_mutex_lock(&d->reader.use);
  bool ok = job(d->reader.store, context, error);
  pthread_mutex_unlock(&d->reader.use);
  return ok;
}

/* -- the thread ----------------------------------------------------------------------------------- */

/* What was read is written by the engine, or answered. */
static void go_on(struct lw_dispatcher *d, struct lw_command *command) {
  bool posted = false;
  pthread_mutex_lock(&d->mutex);
  if (command->ok && command->write != NULL) {
    posted = !d->closing;
    if (posted)
      lw_mailbox_post(d, command);
    else
      command->ok = lw_fail(&command->error, "closed", "the dispatcher is closed");
  }
  if (!posted) d->calls--;
  pthread_mutex_unlock(&d->mutex);
  if (!posted) lw_task_finish(&command->task);
}

static void serve(struct lw_dispatcher *d, struct lw_command *command, bool stop) {
  if (stop) {
    command->ok = lw_fail(&command->error, "closed", "the dispatcher is closed");
  } else {
    lw_exit_gate_enter();
    command->ok = lw_reader_run(d, command->read, command->context, &command->error);
    lw_exit_gate_leave();
  }
  go_on(d, command);
}

/* The next command; NULL: none will come. */
static struct lw_command *await(struct lw_reader *reader, bool *stop) {
  pthread_mutex_lock(&reader->mutex);
  while (reader->first == NULL && !reader->stop) pthread_cond_wait(&reader->wake, &reader->mutex);
  struct lw_command *command = reader->first;
  if (command) reader->first = command->next;
  *stop = reader->stop;
  pthread_mutex_unlock(&reader->mutex);
  return command;
}

static void *read_for_others(void *context) {
  struct lw_dispatcher *d = context;
  bool stop;
  pthread_setname_np(pthread_self(), "webhook-reader");
  for (struct lw_command *command; (command = await(&d->reader, &stop)) != NULL;) serve(d, command, stop);
  return NULL;
}

bool lw_reader_start(struct lw_dispatcher *d, struct lw_command *command, struct lw_error *error) {
  struct lw_reader *reader = &d->reader;
  pthread_mutex_lock(&reader->mutex);
  int failed = reader->running ? 0 : lw_thread_start(&reader->thread, read_for_others, d);
  if (failed == 0) {
    reader->running = true;
    command->next = NULL;
    if (reader->first)
      reader->last->next = command;
    else
      reader->first = command;
    reader->last = command;
    pthread_cond_signal(&reader->wake);
  }
  pthread_mutex_unlock(&reader->mutex);
  return failed == 0 || lw_fail(error, "thread", "cannot start the reader's thread: %s", strerror(failed));
}

void lw_reader_stop(struct lw_dispatcher *d) {
  struct lw_reader *reader = &d->reader;
  pthread_mutex_lock(&reader->mutex);
  bool running = reader->running;
  reader->stop = true;
  reader->running = false;
  pthread_cond_signal(&reader->wake);
  pthread_mutex_unlock(&reader->mutex);
  if (running) pthread_join(reader->thread, NULL);
}

void lw_reader_dispose(struct lw_dispatcher *d) {
  lw_reader_stop(d);
  lw_store_close(d->reader.store);
  pthread_mutex_destroy(&d->reader.use);
  pthread_mutex_destroy(&d->reader.mutex);
  pthread_cond_destroy(&d->reader.wake);
}
