#include "delivery/keeper.h"

#include "base/exit_gate.h"
#include "base/thread.h"

static bool await(struct lw_keeper *keeper) {
  pthread_mutex_lock(&keeper->mutex);
  while (!keeper->wanted && !keeper->stop) pthread_cond_wait(&keeper->wake, &keeper->mutex);
  keeper->wanted = false;
  bool go_on = !keeper->stop;
  pthread_mutex_unlock(&keeper->mutex);
  return go_on;
}

static void *keep(void *context) {
  struct lw_keeper *keeper = context;
  pthread_setname_np(pthread_self(), "webhook-keeper");
  while (await(keeper)) {
    lw_exit_gate_enter();
    lw_store_shorten_log(keeper->store);
    lw_exit_gate_leave();
  }
  return NULL;
}

void lw_keeper_start(struct lw_keeper *keeper, const char *path, const struct lw_vault *vault,
                     struct lw_store *engine) {
  struct lw_error ignored;
  *keeper = (struct lw_keeper){.store = lw_store_open_sealed(path, vault, &ignored)};
  if (keeper->store == NULL) return;
  pthread_mutex_init(&keeper->mutex, NULL);
  pthread_cond_init(&keeper->wake, NULL);
  if (lw_thread_start(&keeper->thread, keep, keeper) == 0) {
    lw_store_leave_checkpoints(engine);
    return;
  }
  pthread_mutex_destroy(&keeper->mutex);
  pthread_cond_destroy(&keeper->wake);
  lw_store_close(keeper->store);
  keeper->store = NULL;
}

void lw_keeper_tell(struct lw_keeper *keeper, const struct lw_store *engine) {
  int pages = lw_store_log_pages(engine);
  if (pages < keeper->told_at) keeper->told_at = 0; /* it was begun anew */
  if (keeper->store == NULL || pages < keeper->told_at + LW_STORE_LOG_STEP) return;
  keeper->told_at = pages;
  pthread_mutex_lock(&keeper->mutex);
  keeper->wanted = true;
  pthread_cond_signal(&keeper->wake);
  pthread_mutex_unlock(&keeper->mutex);
}

void lw_keeper_stop(struct lw_keeper *keeper) {
  if (keeper->store == NULL) return;
  pthread_mutex_lock(&keeper->mutex);
  keeper->stop = true;
  pthread_cond_signal(&keeper->wake);
  pthread_mutex_unlock(&keeper->mutex);
  pthread_join(keeper->thread, NULL);
  pthread_mutex_destroy(&keeper->mutex);
  pthread_cond_destroy(&keeper->wake);
  lw_store_close(keeper->store);
  keeper->store = NULL;
}
