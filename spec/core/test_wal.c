/* The line before the write lock: who has written goes to its end. And the log is begun anew though somebody
 * writes to it all the time. */
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "base/id.h"
#include "open_store.h"
#include "store/wal.h"

enum { ROUNDS = 40, LOOK_US = 100, MOST_LOOKS = 100000, BODY_SIZE = 30000 };

/* -- the line -------------------------------------------------------------------------------------- */

static void test_one_is_at_the_head(void **state) {
  (void)state;
  int one = lw_wal_open(path), other = lw_wal_open(path);
  assert_true(one != LW_NO_WAL && other != LW_NO_WAL);
  assert_true(lw_wal_enter(one));
  assert_false(lw_wal_enter(other));
  lw_wal_leave(one);
  assert_true(lw_wal_enter(other));
  assert_false(lw_wal_enter(one));
  lw_wal_close(other);
  assert_true(lw_wal_enter(one));
  lw_wal_close(one);
}

static void test_a_dead_process_leaves_it(void **state) {
  (void)state;
  int line = lw_wal_open(path), status;
  pid_t child = fork();
  if (child == 0) {
    int its = lw_wal_open(path);
    _exit(lw_wal_enter(its) ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_true(lw_wal_enter(line));
  lw_wal_close(line);
}

static void test_without_one_everybody_is_at_the_head(void **state) {
  (void)state;
  assert_int_equal(lw_wal_open("/nowhere/store.db"), LW_NO_WAL);
  assert_true(lw_wal_enter(LW_NO_WAL));
  lw_wal_leave(LW_NO_WAL);
  lw_wal_close(LW_NO_WAL);
}

/* -- the write lock -------------------------------------------------------------------------------- */

struct peer {
  struct lw_store *store;
  atomic_int written;
  atomic_bool failed;
};

static void write_once(struct lw_store *handle, atomic_bool *failed) {
  struct lw_error problem;
  if (!lw_store_begin(handle, &problem) || !lw_store_commit(handle, &problem)) atomic_store(failed, true);
}

static void *write_in_thread(void *context) {
  struct peer *peer = context;
  write_once(peer->store, &peer->failed);
  atomic_fetch_add(&peer->written, 1);
  return NULL;
}

/* Waits until the other thread heads the line. */
static void await_somebody(int line) {
  for (int looks = 0; lw_wal_enter(line); looks++) {
    lw_wal_leave(line);
    if (looks == MOST_LOOKS) fail_msg("nobody stands in the line");
    usleep(LOOK_US);
  }
}

/* Somebody waits for the lock; who has it gives it back and wants it at once again. */
static bool the_other_is_first(struct peer *peer, int line) {
  pthread_t thread;
  int before = atomic_load(&peer->written);
  OK(lw_store_begin(store, &error));
  assert_int_equal(pthread_create(&thread, NULL, write_in_thread, peer), 0);
  await_somebody(line);
  OK(lw_store_commit(store, &error));
  OK(lw_store_begin(store, &error));
  bool first = atomic_load(&peer->written) > before;
  OK(lw_store_commit(store, &error));
  pthread_join(thread, NULL);
  return first;
}

/* Not always: a thread that has had no processor for long is passed over, and the count comes after the
 * commit. Without the line it is never. */
static void test_who_waits_goes_before_who_has_just_written(void **state) {
  (void)state;
  struct peer peer = {.store = lw_store_open(path, &error)};
  assert_non_null(peer.store);
  write_once(store, &peer.failed); /* both have a line from their first transaction on */
  write_once(peer.store, &peer.failed);
  int line = lw_wal_open(path), first = 0;
  for (int i = 0; i < ROUNDS; i++) first += the_other_is_first(&peer, line);
  assert_true(first >= ROUNDS / 4);
  assert_false(atomic_load(&peer.failed));
  lw_wal_close(line);
  lw_store_close(peer.store);
}

/* -- its length ------------------------------------------------------------------------------------ */

struct writer {
  struct lw_store *store;
  atomic_int pages; /* in the log, after its last commit */
  atomic_int commits;
  atomic_bool stop, failed;
};

static void *write_without_a_break(void *context) {
  static const char body[BODY_SIZE];
  struct writer *writer = context;
  struct lw_error problem;
  struct lw_id_generator ids = {.clock = lw_system_clock()};
  struct lw_message_row row = {.app_id = "", .event = "e", .body = body, .body_length = sizeof body};
  while (!atomic_load(&writer->stop)) {
    struct lw_id existing;
    lw_id_next(&ids, &row.id);
    bool ok = lw_store_begin(writer->store, &problem) &&
              lw_store_insert_message(writer->store, &row, &existing, &problem);
    usleep(LOOK_US); /* it has the lock nearly all the time */
    if (!ok || !lw_store_commit(writer->store, &problem)) atomic_store(&writer->failed, true);
    atomic_store(&writer->pages, lw_store_log_pages(writer->store));
    atomic_fetch_add(&writer->commits, 1);
  }
  return NULL;
}

static void wait_for(const atomic_int *value, int at_least) {
  for (int looks = 0; atomic_load(value) < at_least; looks++) {
    if (looks == MOST_LOOKS) fail_msg("%d, not %d", atomic_load(value), at_least);
    usleep(LOOK_US);
  }
}

static void test_a_log_that_is_written_to_begins_anew(void **state) {
  (void)state;
  pthread_t thread;
  struct writer writer = {.store = lw_store_open(path, &error)};
  assert_non_null(writer.store);
  OK(lw_store_sync_later(writer.store, &error));
  lw_store_leave_checkpoints(writer.store);
  assert_int_equal(pthread_create(&thread, NULL, write_without_a_break, &writer), 0);
  wait_for(&writer.pages, LW_STORE_LOG_PAGES);
  lw_store_shorten_log(store);
  wait_for(&writer.commits, atomic_load(&writer.commits) + 2);
  bool shorter = atomic_load(&writer.pages) < LW_STORE_LOG_PAGES;
  atomic_store(&writer.stop, true);
  pthread_join(thread, NULL);
  lw_store_close(writer.store);
  assert_true(shorter);
  assert_false(atomic_load(&writer.failed));
}

/* -- checkpoints ----------------------------------------------------------------------------------- */

static atomic_int checkpoints;

int __real_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *pages, int *moved);
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *pages, int *moved);

int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *pages, int *moved) {
  atomic_fetch_add(&checkpoints, 1);
  return __real_sqlite3_wal_checkpoint_v2(db, name, mode, pages, moved);
}

static int checkpoints_to_shorten(struct lw_store *handle) {
  int before = atomic_load(&checkpoints);
  lw_store_shorten_log(handle);
  return atomic_load(&checkpoints) - before;
}

static void write_something(void) {
  struct lw_id existing;
  struct lw_id_generator ids = {.clock = lw_system_clock()};
  struct lw_message_row row = {.event = "e", .body = "b", .body_length = 1};
  lw_id_next(&ids, &row.id);
  OK(lw_store_insert_message(store, &row, &existing, &error));
}

/* Another commit could begin the log anew at that moment, and SQLite's checkpoint would not notice. */
static void test_no_checkpoint_begins_when_all_is_moved(void **state) {
  (void)state;
  struct lw_store *keeper = lw_store_open(path, &error);
  assert_non_null(keeper);
  write_something();
  assert_int_equal(checkpoints_to_shorten(keeper), 1);
  assert_int_equal(checkpoints_to_shorten(keeper), 0);
  write_something();
  assert_int_equal(checkpoints_to_shorten(keeper), 1);
  lw_store_close(keeper);
}

static int64_t log_size(void) {
  char name[128];
  struct stat status;
  snprintf(name, sizeof name, "%s-wal", path);
  assert_int_equal(stat(name, &status), 0);
  return status.st_size;
}

/* What was overwritten (a plain secret, say) stays in the log's file until it is cut. */
static void test_settling_empties_a_log_that_is_moved(void **state) {
  (void)state;
  struct lw_store *keeper = lw_store_open(path, &error);
  assert_non_null(keeper);
  write_something();
  lw_store_shorten_log(keeper);
  assert_true(log_size() > 0);
  lw_store_settle(store);
  assert_int_equal(log_size(), 0);
  lw_store_close(keeper);
}

static void test_one_checkpoint_at_a_time(void **state) {
  (void)state;
  struct lw_store *keeper = lw_store_open(path, &error);
  assert_non_null(keeper);
  int other = lw_wal_open(path);
  write_something();
  assert_true(lw_wal_begin_checkpoint(other));
  assert_int_equal(checkpoints_to_shorten(keeper), 0);
  lw_wal_end_checkpoint(other);
  assert_int_equal(checkpoints_to_shorten(keeper), 1);
  lw_wal_close(other);
  lw_store_close(keeper);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_one_is_at_the_head, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_dead_process_leaves_it, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_without_one_everybody_is_at_the_head, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_who_waits_goes_before_who_has_just_written, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_log_that_is_written_to_begins_anew, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_checkpoint_begins_when_all_is_moved, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_settling_empties_a_log_that_is_moved, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_one_checkpoint_at_a_time, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
