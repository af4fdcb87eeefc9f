/* The store and the memory fail, one step after the other: a scenario is run with its first step failing,
 * then with its second, and so on, until it comes to its end without a failure. Whatever fails, every event
 * arrives, in order where that was asked for, and no more often than it was sent on purpose.
 *
 * Linked with --wrap: our calls of the functions below come here. Only those of the engine's thread fail. */
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "local_settings.h"
#include "receiver.h"

enum { PATIENCE_MS = 20000, WAIT_US = 200, WORKERS = 8 };

static int worker; /* each process takes every WORKERS-th step: most of the time they wait */

static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

/* -- faults ---------------------------------------------------------------------------------------- */

enum kind { NOTHING, STEPS, ALLOCATIONS };

static _Atomic enum kind failing;
static atomic_int calls_left; /* the one that makes it 0 fails */
static atomic_int row;        /* so many in a row */

static bool on_engine(void) {
  char name[16] = "";
  return prctl(PR_GET_NAME, name) == 0 && strcmp(name, "webhook-engine") == 0;
}

static bool fails(enum kind kind) {
  if (atomic_load(&failing) != kind || !on_engine()) return false;
  int left = atomic_fetch_sub(&calls_left, 1);
  return left <= 1 && left > 1 - atomic_load(&row);
}

static void arrange(enum kind kind, int call, int in_a_row) {
  atomic_store(&calls_left, call);
  atomic_store(&row, in_a_row);
  atomic_store(&failing, kind);
}

static bool came(void) {
  atomic_store(&failing, NOTHING);
  return atomic_load(&calls_left) <= 0;
}

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

/* Another process holds the lock; or the disk is full, upon which SQLite rolls back by itself; or it fails
 * and the transaction stays open. ROLLBACK always works. */
int __wrap_sqlite3_step(sqlite3_stmt *statement) {
  static atomic_int number;
  const char *sql = sqlite3_sql(statement);
  if (strcmp(sql, "ROLLBACK") == 0 || !fails(STEPS)) return __real_sqlite3_step(statement);
  if (strncmp(sql, "BEGIN", 5) == 0) return SQLITE_BUSY;
  sqlite3_reset(statement);
  if (atomic_fetch_add(&number, 1) % 2 == 0) return SQLITE_IOERR_WRITE;
  sqlite3_exec(sqlite3_db_handle(statement), "ROLLBACK", NULL, NULL, NULL);
  return SQLITE_FULL;
}

void *__wrap_malloc(size_t size) {
  return fails(ALLOCATIONS) ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
  return fails(ALLOCATIONS) ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size) {
  return fails(ALLOCATIONS) ? NULL : __real_realloc(memory, size);
}
char *__wrap_strdup(const char *text) {
  return fails(ALLOCATIONS) ? NULL : __real_strdup(text);
}

/* The disk's speed is not tested here. (SQLite, which is linked dynamically, calls these.) */
__attribute__((visibility("default"))) int fdatasync(int fd) {
  (void)fd;
  return 0;
}
__attribute__((visibility("default"))) int fsync(int fd) {
  (void)fd;
  return 0;
}

/* -- the scenario ---------------------------------------------------------------------------------- */

static char folder[64], path[96];
static struct receiver receiver;

static int64_t ticks_ms(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->ticks(clock->context) / 1000;
}

static int64_t now_ms(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->now(clock->context);
}

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/lw-faults-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  return 0;
}

static void remove_store(void) {
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
}

static int tear_down(void **state) {
  (void)state;
  remove_store();
  return rmdir(folder);
}

struct answers {
  int failures;
  atomic_bool shut; /* for "third" */
};

/* "bad" fails at the plain webhook the first time. */
static const char *judge(const struct receiver_request *request, void *context) {
  struct answers *answers = context;
  if (strcmp(request->body, "third") == 0 && atomic_load(&answers->shut)) return NULL;
  if (strcmp(request->body, "bad") != 0 || strcmp(request->path, "/plain") != 0) return RECEIVER_OK;
  return ++answers->failures == 1 ? RECEIVER_NO : RECEIVER_OK;
}

static int times(const char *where, const char *body) {
  int count = 0;
  pthread_mutex_lock(&receiver.mutex);
  for (int i = 0; i < receiver.count; i++)
    count += strcmp(receiver.requests[i].path, where) == 0 && strcmp(receiver.requests[i].body, body) == 0;
  pthread_mutex_unlock(&receiver.mutex);
  return count;
}

static struct lw_dispatcher *open_dispatcher(void) {
  struct lw_retry_schedule retry = {.count = 2, .delays = {1, 1}};
  struct lw_dispatcher_options options = {.settings = local_settings(PATIENCE_MS, retry),
                                          .connections = 8,
                                          .max_in_flight_per_host = 8,
                                          .lease = PATIENCE_MS,
                                          .idempotency_window = 1000 * PATIENCE_MS};
  struct lw_dispatcher *dispatcher;
  OK((dispatcher = lw_dispatcher_open(path, &options, &error)) != NULL);
  lw_settings_drop(options.settings);
  return dispatcher;
}

/* What a caller does whose call failed; nothing fails for ever. */
#define UNTIL(call)                                                                         \
  do {                                                                                      \
    int64_t until_end = ticks_ms() + PATIENCE_MS;                                           \
    while (!(call))                                                                         \
      if (ticks_ms() > until_end) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

static struct lw_id webhook_ids[3];

static bool insert_webhook(struct lw_store *store, void *context, struct lw_error *failure) {
  return lw_store_insert_webhook(store, context, failure);
}

static void add_webhook(struct lw_dispatcher *dispatcher, int number, const char *where,
                        const char *settings) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", receiver.port, where);
  struct lw_webhook webhook = {.app_id = (char *)"shop",
                               .name = (char *)"w",
                               .url = url,
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .signing_secret = (char *)"secret",
                               .settings = (char *)settings,
                               .enabled = true};
  lw_id_floor(now_ms() + number, &webhook.id);
  webhook_ids[number] = webhook.id;
  UNTIL(lw_dispatcher_write(dispatcher, insert_webhook, &webhook, &error));
}

static bool delete_webhook(struct lw_store *store, void *context, struct lw_error *failure) {
  bool found;
  return lw_store_delete_webhook(store, context, &found, failure) &&
         lw_store_cancel_webhook(store, context, "gone", failure);
}

static bool resend(struct lw_store *store, void *context, struct lw_error *failure) {
  struct lw_log_filter filter = {.since = -1, .before = -1, .webhook_id = &webhook_ids[0], .event = "first"};
  struct lw_id_list list;
  bool ok = lw_store_find_resendable(store, &filter, NULL, 100, &list, failure) &&
            lw_store_resend(store, &list, now_ms(), context, failure);
  lw_id_list_free(&list);
  return ok;
}

static struct lw_emit_item item_of(const char *body) {
  return (struct lw_emit_item){
      .app_id = "shop", .event = body, .key = body, .body = body, .body_length = strlen(body)};
}

/* With an idempotency key: an emit whose answer is lost is made again. */
static void emit(struct lw_dispatcher *dispatcher, const char *body) {
  struct lw_emit_item item = item_of(body);
  UNTIL(lw_dispatcher_emit(dispatcher, &item, 1, &error));
}

static void enqueue(struct lw_dispatcher *dispatcher, const char *body) {
  struct lw_emit_item item = item_of(body);
  OK(lw_dispatcher_enqueue(dispatcher, &item, 1, &error));
}

/* An event has been sent that often to both. */
static void wait_times(const char *body, int count) {
  int64_t end = ticks_ms() + PATIENCE_MS;
  while (times("/plain", body) < count || times("/ordered", body) < 1) {
    if (ticks_ms() > end)
      fail_msg("%s came %d and %d times", body, times("/plain", body), times("/ordered", body));
    usleep(WAIT_US);
  }
}

static void wait_idle(struct lw_dispatcher *dispatcher) {
  int64_t left = 0;
  OK(lw_dispatcher_drain(dispatcher, PATIENCE_MS, &left, &error));
}

/* What another dispatcher does from time to time. */
static void assert_lease_holds(void) {
  int64_t freed;
  struct lw_store *other = lw_store_open(path, &error);
  assert_non_null(other);
  OK(lw_store_take_over(other, now_ms(), &freed, &error));
  lw_store_close(other);
  assert_int_equal(freed, 0);
}

static void play(struct answers *answers) {
  int64_t resent = 0;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  add_webhook(dispatcher, 0, "/plain", NULL);
  add_webhook(dispatcher, 1, "/ordered", "ordered=true\n");
  emit(dispatcher, "first");
  enqueue(dispatcher, "bad");
  enqueue(dispatcher, "third");
  wait_times("bad", 2);
  wait_times("third", 1);
  assert_lease_holds();
  atomic_store(&answers->shut, false);
  receiver_wake(&receiver);
  add_webhook(dispatcher, 2, "/gone", NULL);
  UNTIL(lw_dispatcher_write(dispatcher, delete_webhook, &webhook_ids[2], &error));
  UNTIL(lw_dispatcher_write(dispatcher, resend, &resent, &error));
  emit(dispatcher, "last");
  wait_times("first", 2);
  wait_times("last", 1);
  wait_idle(dispatcher);
  OK(lw_dispatcher_close(dispatcher, PATIENCE_MS, &error));
}

/* -- what must hold after it ----------------------------------------------------------------------- */

static void assert_arrived(const char *body, int at_plain) {
  if (times("/plain", body) != at_plain || times("/ordered", body) != 1)
    fail_msg("%s came %d and %d times", body, times("/plain", body), times("/ordered", body));
}

static void assert_in_order(void) {
  static const char *const order[] = {"first", "bad", "third", "last"};
  int at = 0;
  for (int i = 0; i < receiver.count; i++)
    if (strcmp(receiver.requests[i].path, "/ordered") == 0)
      assert_string_equal(receiver.requests[i].body, order[at++]);
}

/* It failed once, and the store has heard of the success that came after it. */
static void assert_works(struct lw_store *store) {
  struct lw_webhook webhook;
  bool found;
  OK(lw_store_get_webhook(store, &webhook_ids[0], &webhook, &found, &error));
  assert_int_equal(webhook.failing_since, 0);
  lw_webhook_clear(&webhook);
}

static void assert_all_is_well(void) {
  struct lw_log_filter filter = {.since = -1, .before = -1, .status = "succeeded"};
  struct lw_store_counts counts;
  int64_t count;
  assert_arrived("first", 2);
  assert_arrived("bad", 2);
  assert_arrived("third", 1);
  assert_arrived("last", 1);
  assert_in_order();
  struct lw_store *store = lw_store_open(path, &error);
  assert_non_null(store);
  OK(lw_store_counts(store, now_ms(), &counts, &error));
  assert_int_equal(counts.pending, 0);
  OK(lw_store_log_count(store, &filter, &count, &error));
  assert_int_equal(count, 8);
  assert_works(store);
  lw_store_close(store);
}

static void play_with_faults(enum kind kind, int in_a_row) {
  bool failed = true;
  int call = worker + 1;
  for (; failed; call += WORKERS) {
    struct answers answers = {.shut = true};
    receiver_start(&receiver, judge, &answers);
    arrange(kind, call, in_a_row);
    play(&answers);
    failed = came();
    assert_all_is_well();
    receiver_stop(&receiver);
    remove_store();
  }
  assert_true(call > 50); /* the calls are ours */
}

static void a_step_fails(void **state) {
  (void)state;
  play_with_faults(STEPS, 1);
}

static void memory_is_out(void **state) {
  (void)state;
  play_with_faults(ALLOCATIONS, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int run(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_step_fails),
      TEST(memory_is_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
  pid_t children[WORKERS];
  int failed = 0, status;
  for (worker = 0; worker < WORKERS; worker++) {
    children[worker] = fork();
    if (children[worker] == 0) return run();
  }
  for (int i = 0; i < WORKERS; i++) {
    bool ended = waitpid(children[i], &status, 0) == children[i];
    failed += !ended || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }
  return failed;
}
