/* A database that the release with schema 9 left behind, in the middle of its work: it is opened, upgraded,
 * and what was to be delivered is. */
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
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

enum { PATIENCE_MS = 20000 };

static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

/* As that release made it. */
static const char *const schema_9 =
    "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
    "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL);"
    "CREATE TABLE webhooks (id BLOB NOT NULL PRIMARY KEY, app_id TEXT, name TEXT, url TEXT NOT NULL,"
    " format TEXT, events TEXT NOT NULL, signing_secret TEXT, enabled INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);"
    "CREATE TABLE messages (id BLOB NOT NULL PRIMARY KEY, app_id TEXT NOT NULL DEFAULT '', event TEXT NOT "
    "NULL,"
    " idempotency_key TEXT, body BLOB NOT NULL);"
    "CREATE UNIQUE INDEX messages_key ON messages (app_id, idempotency_key) WHERE idempotency_key IS NOT "
    "NULL;"
    "CREATE TABLE deliveries (id BLOB NOT NULL PRIMARY KEY, message_id BLOB NOT NULL, webhook_id BLOB NOT "
    "NULL,"
    " status TEXT NOT NULL, attempts INTEGER NOT NULL, tries INTEGER NOT NULL, due_at INTEGER NOT NULL,"
    " claimed_by BLOB, reason TEXT, body BLOB);"
    "CREATE INDEX deliveries_pending ON deliveries (claimed_by, due_at) WHERE status = 'pending';"
    "CREATE INDEX deliveries_failed ON deliveries (id) WHERE status = 'failed';"
    "CREATE TABLE attempts (delivery_id BLOB NOT NULL, number INTEGER NOT NULL, sent_at INTEGER NOT NULL,"
    " duration INTEGER NOT NULL, response_status_code INTEGER NOT NULL, response_headers BLOB,"
    " response_body BLOB, response_body_cut INTEGER NOT NULL, error TEXT, cause TEXT,"
    " PRIMARY KEY (delivery_id, number)) WITHOUT ROWID;"
    "CREATE TABLE dispatchers (id BLOB NOT NULL PRIMARY KEY, lease_until INTEGER NOT NULL);"
    "INSERT INTO meta (name, value) VALUES ('webhooks_version', 1);"
    "ALTER TABLE webhooks ADD COLUMN disabled_reason TEXT;"
    "ALTER TABLE webhooks ADD COLUMN filter TEXT;"
    "ALTER TABLE webhooks ADD COLUMN channels TEXT;"
    "CREATE INDEX deliveries_message ON deliveries (message_id);"
    "ALTER TABLE deliveries ADD COLUMN cause TEXT;"
    "ALTER TABLE attempts ADD COLUMN response_headers_cut INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE webhooks ADD COLUMN signing TEXT;"
    "ALTER TABLE webhooks ADD COLUMN old_secrets TEXT;"
    "INSERT INTO meta (name, value) VALUES ('schema', 9);";

/* Two webhooks, the second one disabled; dispatcher d1 died, whose lease has ended, d2 left no row. %d: the
 * receiver's port. */
static const char *const rows =
    "INSERT INTO webhooks (id, app_id, name, url, format, events, signing_secret, enabled, created_at,"
    " updated_at) VALUES"
    " (x'000000000000000000000000000000a1', 'shop', 'w', 'http://127.0.0.1:%d/', 'raw', '*', 's', 1, 1, 1),"
    " (x'000000000000000000000000000000a2', 'shop', 'v', 'http://127.0.0.1:%d/off', 'raw', '*', NULL, 0, 1, "
    "1);"
    "INSERT INTO dispatchers VALUES (x'000000000000000000000000000000d1', 1);"
    "INSERT INTO messages (id, app_id, event, body) VALUES"
    " (x'00000000000000000000000000000001', 'shop', 'e', 'waits'),"
    " (x'00000000000000000000000000000002', 'shop', 'e', 'claimed'),"
    " (x'00000000000000000000000000000003', 'shop', 'e', 'orphan'),"
    " (x'00000000000000000000000000000004', 'shop', 'e', 'done'),"
    " (x'00000000000000000000000000000005', 'shop', 'e', 'failed'),"
    " (x'00000000000000000000000000000006', 'shop', 'e', 'retry');"
    "INSERT INTO deliveries (id, message_id, webhook_id, status, attempts, tries, due_at, claimed_by) VALUES"
    " (x'00000000000000000000000000000101', x'00000000000000000000000000000001',"
    "  x'000000000000000000000000000000a1', 'pending', 0, 0, 1, NULL),"
    " (x'00000000000000000000000000000102', x'00000000000000000000000000000002',"
    "  x'000000000000000000000000000000a1', 'pending', 0, 0, 1, x'000000000000000000000000000000d1'),"
    " (x'00000000000000000000000000000103', x'00000000000000000000000000000003',"
    "  x'000000000000000000000000000000a1', 'pending', 0, 0, 1, x'000000000000000000000000000000d2'),"
    " (x'00000000000000000000000000000104', x'00000000000000000000000000000004',"
    "  x'000000000000000000000000000000a1', 'succeeded', 1, 1, 1, NULL),"
    " (x'00000000000000000000000000000105', x'00000000000000000000000000000005',"
    "  x'000000000000000000000000000000a1', 'failed', 1, 1, 1, NULL),"
    " (x'00000000000000000000000000000106', x'00000000000000000000000000000006',"
    "  x'000000000000000000000000000000a1', 'pending', 2, 2, 2, NULL),"
    " (x'00000000000000000000000000000107', x'00000000000000000000000000000001',"
    "  x'000000000000000000000000000000a2', 'pending', 0, 0, 1, NULL);"
    "INSERT INTO attempts (delivery_id, number, sent_at, duration, response_status_code, response_body_cut)"
    " VALUES (x'00000000000000000000000000000104', 1, 1, 1, 200, 0),"
    " (x'00000000000000000000000000000105', 1, 1, 1, 400, 0),"
    " (x'00000000000000000000000000000106', 1, 1, 1, 500, 0),"
    " (x'00000000000000000000000000000106', 2, 1, 1, 500, 0);";

static char folder[64], path[96];
static struct receiver receiver;

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/lw-upgrade-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  receiver_start(&receiver, NULL, NULL);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  receiver_stop(&receiver);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  return rmdir(folder);
}

static void make_database(void) {
  char sql[8192];
  sqlite3 *handle;
  snprintf(sql, sizeof sql, rows, receiver.port, receiver.port);
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  if (sqlite3_exec(handle, schema_9, NULL, NULL, NULL) != SQLITE_OK ||
      sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
    fail_msg("%s", sqlite3_errmsg(handle));
  assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static int times(const char *body) {
  int count = 0;
  for (int i = 0; i < receiver.count; i++) count += strcmp(receiver.requests[i].body, body) == 0;
  return count;
}

static int64_t logged(struct lw_store *store, const char *status) {
  struct lw_log_filter filter = {.since = -1, .before = -1, .status = status};
  int64_t count = -1;
  OK(lw_store_log_count(store, &filter, &count, &error));
  return count;
}

static int64_t messages(void) {
  sqlite3 *handle;
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(handle, "SELECT count(*) FROM messages", -1, &statement, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int64_t count = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(handle);
  return count;
}

/* The oldest delivery is one of two of its message. */
static void forget_all(struct lw_store *store) {
  struct lw_prune prune = {.before = lw_system_clock()->now(NULL)};
  int64_t pruned;
  OK(lw_store_prune(store, &prune, 1, &pruned, &error));
  assert_int_equal(pruned, 1);
  assert_int_equal(messages(), 6);
  while (!prune.done) OK(lw_store_prune(store, &prune, INT64_MAX, &pruned, &error));
  assert_int_equal(messages(), 0);
}

static void what_the_last_release_left_is_delivered(void **state) {
  (void)state;
  int64_t left = 0;
  struct lw_retry_schedule retry = {.count = 4, .delays = {1, 1, 1, 1}};
  struct lw_dispatcher_options options = {.settings = local_settings(PATIENCE_MS, retry),
                                          .connections = 8,
                                          .max_in_flight_per_host = 8,
                                          .lease = PATIENCE_MS};
  struct lw_dispatcher *dispatcher;
  make_database();
  OK((dispatcher = lw_dispatcher_open(path, &options, &error)) != NULL);
  lw_settings_drop(options.settings);
  OK(lw_dispatcher_drain(dispatcher, PATIENCE_MS, &left, &error));
  OK(lw_dispatcher_close(dispatcher, PATIENCE_MS, &error));
  assert_int_equal(times("waits"), 1);
  assert_int_equal(times("claimed"), 1);
  assert_int_equal(times("orphan"), 1);
  assert_int_equal(times("retry"), 1);
  assert_int_equal(receiver.count, 4);
  struct lw_store *store = lw_store_open(path, &error);
  assert_non_null(store);
  assert_int_equal(logged(store, "succeeded"), 5);
  assert_int_equal(logged(store, "failed"), 1);
  assert_int_equal(logged(store, "canceled"), 1); /* its webhook is disabled */
  assert_int_equal(logged(store, "pending"), 0);
  forget_all(store);
  lw_store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(what_the_last_release_left_is_delivered)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
