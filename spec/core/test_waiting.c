/* Deliveries that wait, for whatever reason: they keep nobody else waiting, and the engine sleeps meanwhile.
 * Linked with --wrap: our calls of sqlite3_step are counted here. */
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "local_settings.h"
#include "receiver.h"

enum { PATIENCE_MS = 20000, WAIT_US = 1000, HOUR = 3600 * 1000 };

static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

static int64_t ticks_ms(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->ticks(clock->context) / 1000;
}

static int64_t now_ms(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->now(clock->context);
}

static atomic_int transactions;

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);

int __wrap_sqlite3_step(sqlite3_stmt *statement) {
  if (strncmp(sqlite3_sql(statement), "BEGIN", 5) == 0) atomic_fetch_add(&transactions, 1);
  return __real_sqlite3_step(statement);
}

/* -- a dispatcher and its receiver ----------------------------------------------------------------- */

static char folder[64], path[96];
static struct receiver receiver;
static struct lw_dispatcher *dispatcher;
static atomic_bool shut; /* "/shut…" does not answer */

static const char *judge(const struct receiver_request *request, void *context) {
  (void)context;
  if (strncmp(request->path, "/shut", 5) == 0 && atomic_load(&shut)) return NULL;
  if (strcmp(request->path, "/bad") == 0) return RECEIVER_NO;
  if (strcmp(request->path, "/later") == 0)
    return "HTTP/1.1 429 No\r\nRetry-After: 3600\r\nContent-Length: 2\r\n\r\nno";
  return RECEIVER_OK;
}

static int set_up(void **state) {
  (void)state;
  struct lw_retry_schedule retry = {.count = 2, .delays = {HOUR, HOUR}};
  struct lw_dispatcher_options options = {.settings = local_settings(10 * PATIENCE_MS, retry),
                                          .connections = 64,
                                          .max_in_flight_per_host = 64,
                                          .lease = 1000 * PATIENCE_MS};
  snprintf(folder, sizeof folder, "/tmp/lw-waiting-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  atomic_store(&shut, false);
  receiver_start(&receiver, judge, NULL);
  dispatcher = lw_dispatcher_open(path, &options, &error);
  lw_settings_drop(options.settings);
  return dispatcher ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  lw_dispatcher_close(dispatcher, 0, &error);
  receiver_stop(&receiver);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  return rmdir(folder);
}

static bool insert_webhook(struct lw_store *store, void *context, struct lw_error *failure) {
  return lw_store_insert_webhook(store, context, failure);
}

/* For an app of its own, which has the same name. */
static void add_webhook(const char *where, const char *settings) {
  static int number;
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", receiver.port, where);
  struct lw_webhook webhook = {.app_id = (char *)where,
                               .name = (char *)"w",
                               .url = url,
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .settings = (char *)settings,
                               .enabled = true};
  lw_id_floor(now_ms() + ++number, &webhook.id);
  OK(lw_dispatcher_write(dispatcher, insert_webhook, &webhook, &error));
}

static void emit_sized(const char *where, int count, size_t size) {
  struct lw_emit_item *items = calloc((size_t)count, sizeof *items);
  char *body = malloc(size);
  memset(body, 'x', size);
  for (int i = 0; i < count; i++)
    items[i] = (struct lw_emit_item){.app_id = where, .event = "e", .body = body, .body_length = size};
  OK(lw_dispatcher_emit(dispatcher, items, (size_t)count, &error));
  free(body);
  free(items);
}

static void emit(const char *where, int count) {
  emit_sized(where, count, 4);
}

static int times(const char *where) {
  int count = 0;
  pthread_mutex_lock(&receiver.mutex);
  for (int i = 0; i < receiver.count; i++) count += strcmp(receiver.requests[i].path, where) == 0;
  pthread_mutex_unlock(&receiver.mutex);
  return count;
}

static void wait_times(const char *where, int count) {
  for (int64_t end = ticks_ms() + PATIENCE_MS; times(where) < count; usleep(WAIT_US))
    if (ticks_ms() > end) fail_msg("%d of %d requests came to %s", times(where), count, where);
}

static int64_t claimed(void) {
  struct lw_dispatcher_stats stats;
  OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  return stats.now.in_flight;
}

static void wait_claimed(int64_t least, int64_t most) {
  int64_t count;
  for (int64_t end = ticks_ms() + PATIENCE_MS; (count = claimed()) < least || count > most; usleep(WAIT_US))
    if (ticks_ms() > end) fail_msg("%d are claimed", (int)count);
}

/* A webhook that has shown that it answers at once. */
static void add_prompt_webhook(const char *where, const char *settings) {
  add_webhook(where, settings);
  emit(where, 1);
  wait_times(where, 1);
  wait_claimed(0, 0);
}

/* -- nobody else waits ----------------------------------------------------------------------------- */

/* It claims most of what may be claimed, and then it does not answer. */
static void a_long_line_keeps_no_newcomer_waiting(void **state) {
  (void)state;
  add_prompt_webhook("/shut", NULL);
  add_webhook("/new", NULL);
  atomic_store(&shut, true);
  emit("/shut", 6000);
  wait_claimed(LW_MAX_CLAIMS * 3 / 4, LW_MAX_CLAIMS);
  emit("/new", 1);
  wait_times("/new", 1);
}

static void large_bodies_keep_no_newcomer_waiting(void **state) {
  (void)state;
  add_prompt_webhook("/shut1", NULL);
  add_prompt_webhook("/shut2", NULL);
  add_webhook("/new", NULL);
  atomic_store(&shut, true);
  for (int i = 0; i < 45; i++) { /* one at a time: what is emitted together is stored together */
    emit_sized("/shut1", 1, 1 << 20);
    emit_sized("/shut2", 1, 1 << 20);
  }
  emit_sized("/new", 1, 1 << 20);
  wait_times("/new", 1);
}

static void who_wants_to_be_left_alone_claims_nothing(void **state) {
  (void)state;
  add_webhook("/later", "breaker=none\nmax_in_flight=1\n");
  emit("/later", 100);
  wait_times("/later", 1);
  wait_claimed(0, 0);
  assert_int_equal(times("/later"), 1);
}

/* -- the engine sleeps ----------------------------------------------------------------------------- */

enum { LOOK_MS = 600, MOST_TRANSACTIONS = 20 };

/* It looks for others' deliveries now and then; what finds work all the time comes to thousands. */
static void assert_engine_sleeps(void) {
  usleep(100 * 1000); /* what has just come back is written down */
  int before = atomic_load(&transactions);
  usleep(LOOK_MS * 1000);
  assert_in_range(atomic_load(&transactions) - before, 0, MOST_TRANSACTIONS);
}

static void it_sleeps_while_all_is_done(void **state) {
  (void)state;
  add_prompt_webhook("/good", NULL);
  assert_engine_sleeps();
}

static void it_sleeps_while_a_webhook_is_broken(void **state) {
  (void)state;
  add_webhook("/bad", "breaker=3/3600000/3600000\n");
  emit("/bad", 1000);
  wait_times("/bad", 3);
  wait_claimed(0, 0);
  assert_engine_sleeps();
}

static void it_sleeps_while_a_rate_lets_nothing_pass(void **state) {
  (void)state;
  add_webhook("/good", "rate_limit=1/3600000\n");
  emit("/good", 1000);
  wait_times("/good", 1);
  assert_engine_sleeps();
}

static void it_sleeps_while_the_head_of_a_line_waits(void **state) {
  (void)state;
  add_webhook("/bad", "ordered=true\n");
  emit("/bad", 1000);
  wait_times("/bad", 1);
  assert_engine_sleeps();
}

static void it_sleeps_while_a_webhook_is_left_alone(void **state) {
  (void)state;
  add_webhook("/later", "max_in_flight=1\n");
  emit("/later", 1000);
  wait_times("/later", 1);
  assert_engine_sleeps();
}

static void it_sleeps_while_a_host_is_full(void **state) {
  (void)state;
  char name[8][16];
  atomic_store(&shut, true);
  for (int i = 0; i < 8; i++) {
    snprintf(name[i], sizeof name[i], "/shut%d", i);
    add_webhook(name[i], NULL);
    emit(name[i], 100);
  }
  wait_times("/shut0", 1);
  assert_engine_sleeps();
}

/* As many bodies as may be claimed are, so that what is due cannot be. */
static void it_sleeps_while_no_more_can_be_claimed(void **state) {
  (void)state;
  add_webhook("/shut", NULL);
  add_webhook("/good", NULL);
  atomic_store(&shut, true);
  emit_sized("/shut", 17, LW_MAX_CLAIM_BYTES / 16);
  emit("/good", 10);
  assert_engine_sleeps();
}

static void it_sleeps_while_a_newer_version_is_waited_for(void **state) {
  (void)state;
  add_webhook("/shut", NULL);
  atomic_store(&shut, true);
  emit("/shut", 100);
  sqlite3 *handle;
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  sqlite3_busy_timeout(handle, PATIENCE_MS);
  assert_int_equal(sqlite3_exec(handle,
                                "UPDATE webhooks SET format = 'future';"
                                "UPDATE meta SET value = value + 1 WHERE name = 'webhooks_version'",
                                NULL, NULL, NULL),
                   SQLITE_OK);
  sqlite3_close(handle);
  emit("/shut", 1); /* for nobody here; with it the change is noticed */
  wait_claimed(0, 16);
  assert_engine_sleeps();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_long_line_keeps_no_newcomer_waiting),
      TEST(large_bodies_keep_no_newcomer_waiting),
      TEST(who_wants_to_be_left_alone_claims_nothing),
      TEST(it_sleeps_while_all_is_done),
      TEST(it_sleeps_while_a_webhook_is_broken),
      TEST(it_sleeps_while_a_rate_lets_nothing_pass),
      TEST(it_sleeps_while_the_head_of_a_line_waits),
      TEST(it_sleeps_while_a_webhook_is_left_alone),
      TEST(it_sleeps_while_a_host_is_full),
      TEST(it_sleeps_while_no_more_can_be_claimed),
      TEST(it_sleeps_while_a_newer_version_is_waited_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
