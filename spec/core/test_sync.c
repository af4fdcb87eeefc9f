/* What is on disk when: this program stands between SQLite and the system's calls, and knows whether anything
 * was written that is not synced. Linked with --wrap for our own calls of SQLite. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "local_settings.h"
#include "receiver.h"

enum { PATIENCE_MS = 20000, WAIT_US = 1000 };

static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

/* -- the system's calls ---------------------------------------------------------------------------- */

static atomic_int syncs, transactions;
static atomic_int database_syncs; /* of those: not of the write-ahead log */
static atomic_bool dirty;         /* a file was written to after the last sync */
static atomic_int refusals;       /* so many syncs fail */
static atomic_bool hold_syncs;    /* they take until this is false */
static atomic_bool held;

static bool is_database(int fd) {
  char link[32], name[128];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, sizeof name);
  return length > 3 && memcmp(name + length - 3, ".db", 3) == 0;
}

static void append_apart(void);
static atomic_bool append_once; /* another handle commits as soon as the database is written to */

static void note_write(int fd) {
  struct stat status;
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) atomic_store(&dirty, true);
  if (is_database(fd) && atomic_exchange(&append_once, false)) append_apart();
}

static bool is_refused(void) {
  int left = atomic_load(&refusals);
  while (left > 0 && !atomic_compare_exchange_weak(&refusals, &left, left - 1)) continue;
  return left > 0;
}

static int note_sync(int fd) {
  while (atomic_load(&hold_syncs)) {
    atomic_store(&held, true);
    usleep(WAIT_US);
  }
  if (is_refused()) {
    errno = EIO;
    return -1;
  }
  if (is_database(fd)) atomic_fetch_add(&database_syncs, 1);
  atomic_fetch_add(&syncs, 1);
  atomic_store(&dirty, false);
  return 0;
}

#define VISIBLE __attribute__((visibility("default")))

VISIBLE ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  note_write(fd);
  return syscall(SYS_pwrite64, fd, bytes, length, offset);
}
VISIBLE ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  note_write(fd);
  return syscall(SYS_pwrite64, fd, bytes, length, offset);
}
VISIBLE ssize_t write(int fd, const void *bytes, size_t length) {
  note_write(fd);
  return syscall(SYS_write, fd, bytes, length);
}
VISIBLE int fdatasync(int fd) {
  return note_sync(fd);
}
VISIBLE int fsync(int fd) {
  return note_sync(fd);
}

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);

int __wrap_sqlite3_step(sqlite3_stmt *statement) {
  if (strncmp(sqlite3_sql(statement), "BEGIN", 5) == 0) atomic_fetch_add(&transactions, 1);
  return __real_sqlite3_step(statement);
}

/* -- a dispatcher, whose ticks stand still ---------------------------------------------------------- */

static char folder[64], path[96];
static struct receiver receiver;
static struct lw_dispatcher *dispatcher;
static struct lw_store *other; /* keeps SQLite from tidying up when the dispatcher closes */
static _Atomic int64_t ticks;
static atomic_bool shut; /* the receiver does not answer */

static const char *judge(const struct receiver_request *request, void *context) {
  (void)request, (void)context;
  return atomic_load(&shut) ? NULL : RECEIVER_OK;
}

static int64_t ticks_of_test(void *context) {
  (void)context;
  return atomic_load(&ticks);
}

static int64_t ticks_ms(void) {
  return lw_system_clock()->ticks(NULL) / 1000;
}

static int64_t now_ms(void) {
  return lw_system_clock()->now(NULL);
}

static bool insert_webhook(struct lw_store *store, void *context, struct lw_error *failure) {
  return lw_store_insert_webhook(store, context, failure);
}

static void add_webhook(void) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", receiver.port);
  struct lw_webhook webhook = {.app_id = (char *)"shop",
                               .name = (char *)"w",
                               .url = url,
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .enabled = true};
  lw_id_floor(now_ms(), &webhook.id);
  OK(lw_dispatcher_write(dispatcher, insert_webhook, &webhook, &error));
}

static int set_up(void **state) {
  static struct lw_clock clock;
  struct lw_retry_schedule retry = {.count = 0};
  struct lw_dispatcher_options options = {.settings = local_settings(PATIENCE_MS, retry),
                                          .connections = 8,
                                          .max_in_flight_per_host = 8,
                                          .lease = 1000 * PATIENCE_MS,
                                          .idempotency_window = 1000 * PATIENCE_MS,
                                          .clock = &clock};
  (void)state;
  clock = *lw_system_clock();
  clock.ticks = ticks_of_test;
  atomic_store(&ticks, lw_system_clock()->ticks(NULL));
  atomic_store(&refusals, 0);
  atomic_store(&shut, false);
  snprintf(folder, sizeof folder, "/tmp/lw-sync-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  receiver_start(&receiver, judge, NULL);
  dispatcher = lw_dispatcher_open(path, &options, &error);
  lw_settings_drop(options.settings);
  if (dispatcher == NULL) return -1;
  other = lw_store_open(path, &error);
  add_webhook();
  return other ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  if (dispatcher) lw_dispatcher_close(dispatcher, 0, &error);
  lw_store_close(other);
  receiver_stop(&receiver);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  return rmdir(folder);
}

static bool emit(const char *app, const char *key) {
  struct lw_emit_item item = {.app_id = app, .event = "e", .key = key, .body = "b", .body_length = 1};
  return lw_dispatcher_emit(dispatcher, &item, 1, &error);
}

static void append_apart(void) {
  struct lw_id existing;
  struct lw_id_generator ids = {.clock = lw_system_clock()};
  struct lw_message_row row = {.event = "e", .body = "b", .body_length = 1};
  struct lw_error failure;
  lw_id_next(&ids, &row.id);
  lw_store_insert_message(other, &row, &existing, &failure);
}

struct emitter {
  pthread_t thread;
  atomic_bool done;
  bool ok;
};

static void *emit_apart(void *context) {
  struct emitter *emitter = context;
  struct lw_emit_item item = {.app_id = "nobody", .event = "e", .body = "b", .body_length = 1};
  struct lw_error failure;
  emitter->ok = lw_dispatcher_emit(dispatcher, &item, 1, &failure);
  atomic_store(&emitter->done, true);
  return NULL;
}

static void wait_for_a_held_sync(void) {
  for (int64_t end = ticks_ms() + PATIENCE_MS; !atomic_load(&held); usleep(WAIT_US))
    if (ticks_ms() > end) fail_msg("nothing is synced");
}

static void wait_recorded(int64_t count) {
  struct lw_dispatcher_stats stats = {.left = 0};
  for (int64_t end = ticks_ms() + PATIENCE_MS; stats.since_open.succeeded < count; usleep(WAIT_US)) {
    if (ticks_ms() > end) fail_msg("%d of %d were recorded", (int)stats.since_open.succeeded, (int)count);
    OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  }
}

static void wait_clean(void) {
  for (int64_t end = ticks_ms() + PATIENCE_MS; atomic_load(&dirty); usleep(WAIT_US))
    if (ticks_ms() > end) fail_msg("what was written is not synced");
}

/* The engine has looked around that often. */
static void wait_transactions(int count) {
  int until = atomic_load(&transactions) + count;
  for (int64_t end = ticks_ms() + PATIENCE_MS; atomic_load(&transactions) < until; usleep(WAIT_US))
    if (ticks_ms() > end) fail_msg("the engine stands still");
}

static void pass(int64_t milliseconds) {
  atomic_fetch_add(&ticks, milliseconds * 1000);
}

/* -- tests ----------------------------------------------------------------------------------------- */

static void an_emit_is_on_disk_when_it_returns(void **state) {
  (void)state;
  for (int i = 0; i < 20; i++) {
    int before = atomic_load(&syncs);
    OK(emit("nobody", NULL));
    assert_false(atomic_load(&dirty));
    assert_true(atomic_load(&syncs) > before);
  }
}

static void an_emit_after_outcomes_is_on_disk(void **state) {
  (void)state;
  OK(emit("shop", NULL));
  wait_recorded(1);
  assert_true(atomic_load(&dirty));
  OK(emit("nobody", NULL));
  assert_false(atomic_load(&dirty));
}

static void outcomes_are_synced_after_a_while(void **state) {
  (void)state;
  atomic_store(&shut, true);
  OK(emit("shop", NULL));
  int before = atomic_load(&syncs);
  pass(100 * LW_SYNC_MS); /* the last sync is long ago */
  atomic_store(&shut, false);
  receiver_wake(&receiver);
  wait_recorded(1);
  wait_transactions(2);
  pass(LW_SYNC_MS - 1);
  wait_transactions(2);
  assert_int_equal(atomic_load(&syncs), before);
  assert_true(atomic_load(&dirty));
  pass(1);
  wait_clean();
  assert_int_equal(atomic_load(&syncs), before + 1);
}

static void who_has_nothing_to_do_syncs_nothing(void **state) {
  (void)state;
  OK(emit("nobody", NULL));
  wait_transactions(2);
  int before = atomic_load(&syncs);
  for (int i = 0; i < 3; i++) {
    pass(LW_SYNC_MS);
    wait_transactions(2);
  }
  assert_int_equal(atomic_load(&syncs), before);
}

/* It writes nothing itself, but the event it stands for may be another process's, and not on disk yet. */
static void a_duplicate_is_on_disk(void **state) {
  (void)state;
  OK(emit("shop", "key"));
  wait_recorded(1);
  assert_true(atomic_load(&dirty));
  OK(emit("shop", "key"));
  assert_false(atomic_load(&dirty));
}

/* Nobody else waits for the disk along with an emit. */
static void others_write_while_an_emit_is_synced(void **state) {
  (void)state;
  struct emitter emitter = {.ok = false};
  atomic_store(&held, false);
  atomic_store(&hold_syncs, true);
  pthread_create(&emitter.thread, NULL, emit_apart, &emitter);
  wait_for_a_held_sync();
  OK(lw_store_begin(other, &error));
  lw_store_rollback(other);
  assert_false(atomic_load(&emitter.done));
  atomic_store(&hold_syncs, false);
  pthread_join(emitter.thread, NULL);
  assert_true(emitter.ok);
}

static void close_syncs(void **state) {
  (void)state;
  OK(emit("shop", NULL));
  wait_recorded(1);
  assert_true(atomic_load(&dirty));
  OK(lw_dispatcher_close(dispatcher, PATIENCE_MS, &error));
  dispatcher = NULL;
  assert_false(atomic_load(&dirty));
}

/* It is stored, and sent, and comes to disk with the next one; but nobody said that it was safe. */
static void an_emit_that_cannot_be_synced_fails(void **state) {
  (void)state;
  atomic_store(&refusals, INT_MAX);
  assert_false(emit("shop", NULL));
  assert_string_equal(error.code, "store");
  wait_recorded(1);
  atomic_store(&refusals, 0);
  OK(emit("nobody", NULL));
  assert_false(atomic_load(&dirty));
}

/* The system tells once that it could not write, and the next sync of the log would be a success. */
static void after_a_failed_sync_all_goes_into_the_database(void **state) {
  (void)state;
  int before = atomic_load(&database_syncs);
  OK(emit("nobody", NULL));
  assert_int_equal(atomic_load(&database_syncs), before);
  atomic_store(&refusals, 1);
  OK(emit("nobody", NULL));
  assert_true(atomic_load(&database_syncs) > before);
}

/* SQLite syncs a database that it has moved all into, and only then. */
static void it_is_synced_also_when_others_append_meanwhile(void **state) {
  (void)state;
  OK(emit("nobody", NULL));
  int before = atomic_load(&database_syncs);
  atomic_store(&append_once, true);
  atomic_store(&refusals, 1);
  OK(emit("nobody", NULL));
  assert_false(atomic_load(&append_once));
  assert_true(atomic_load(&database_syncs) > before);
}

static void what_is_queued_is_flushed_when_the_disk_works_again(void **state) {
  (void)state;
  struct lw_emit_item item = {.app_id = "shop", .event = "e", .body = "b", .body_length = 1};
  atomic_store(&refusals, INT_MAX);
  OK(lw_dispatcher_enqueue(dispatcher, &item, 1, &error));
  assert_false(lw_dispatcher_flush(dispatcher, 200, &error));
  assert_string_equal(error.code, "timeout");
  atomic_store(&refusals, 0);
  OK(lw_dispatcher_flush(dispatcher, PATIENCE_MS, &error));
  assert_false(atomic_load(&dirty));
  wait_recorded(1); /* once: it was stored the first time */
}

static void a_close_says_what_is_not_on_disk(void **state) {
  (void)state;
  struct lw_emit_item item = {.app_id = "nobody", .event = "e", .body = "b", .body_length = 1};
  atomic_store(&refusals, INT_MAX);
  OK(lw_dispatcher_enqueue(dispatcher, &item, 1, &error));
  assert_false(lw_dispatcher_close(dispatcher, PATIENCE_MS, &error));
  dispatcher = NULL;
  assert_string_equal(error.code, "store");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_emit_is_on_disk_when_it_returns),
      TEST(an_emit_after_outcomes_is_on_disk),
      TEST(outcomes_are_synced_after_a_while),
      TEST(who_has_nothing_to_do_syncs_nothing),
      TEST(a_duplicate_is_on_disk),
      TEST(others_write_while_an_emit_is_synced),
      TEST(close_syncs),
      TEST(an_emit_that_cannot_be_synced_fails),
      TEST(after_a_failed_sync_all_goes_into_the_database),
      TEST(it_is_synced_also_when_others_append_meanwhile),
      TEST(what_is_queued_is_flushed_when_the_disk_works_again),
      TEST(a_close_says_what_is_not_on_disk),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
