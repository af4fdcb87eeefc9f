#include "base/exit_gate.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

/* Prefers the writer: busy threads would otherwise hold an exit up for ever. */
static const pthread_rwlock_t open_gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void shut(void) {
  pthread_rwlock_wrlock(&gate);
}

/* In a child of fork no thread of ours runs, but the lock's readers were copied: it starts anew. */
static void reopen_in_child(void) {
  gate = open_gate;
}

/* Handlers run in the reverse order of their registration: OpenSSL's must be registered first. */
static void prepare(void) {
  OPENSSL_init_crypto(0, NULL);
  atexit(shut);
  pthread_atfork(NULL, NULL, reopen_in_child);
}

void lw_exit_gate_prepare(void) {
  pthread_once(&prepared, prepare);
}
void lw_exit_gate_enter(void) {
  pthread_rwlock_rdlock(&gate);
}
void lw_exit_gate_leave(void) {
  pthread_rwlock_unlock(&gate);
}
