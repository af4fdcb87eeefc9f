/* Threads of ours. Signals belong to the host program, whose handlers must run on its own threads: ours block
 * them all. */
#ifndef LW_BASE_THREAD_H
#define LW_BASE_THREAD_H

#include <pthread.h>

/* 0, or an errno. */
int lw_thread_start(pthread_t *thread, void *(*run)(void *context), void *context);

#endif
