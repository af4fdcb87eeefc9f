/* A store that is opened on a new file in a folder of its own before each test, and closed and removed after
 * it. For tests of the store: include it after cmocka.h. */
#ifndef LW_SPEC_OPEN_STORE_H
#define LW_SPEC_OPEN_STORE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/store.h"

static char folder[64], path[96];
static struct lw_store *store;
static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

static inline int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/lw-store-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  store = lw_store_open(path, &error);
  return store == NULL ? -1 : 0;
}

static inline int tear_down(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  lw_store_close(store);
  store = NULL;
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  return rmdir(folder);
}

#endif
