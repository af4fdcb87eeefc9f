/* The store on real files in a folder of its own. */
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "open_store.h"
#include "store/store_private.h"

#define NOW 1700000000000
#define NO_BOUNDS .since = -1, .before = -1

/* An id of the moment NOW + n. */
static struct lw_id id_at(int n) {
  struct lw_id id;
  lw_id_floor(NOW + n, &id);
  id.bytes[15] = 1;
  return id;
}

static struct lw_id dispatcher_id(uint8_t n) {
  return (struct lw_id){{0xd1, n}};
}

static void add_webhook(int n, const char *name, bool enabled) {
  struct lw_webhook webhook = {.id = id_at(n),
                               .app_id = (char *)"shop",
                               .name = (char *)name,
                               .url = (char *)"https://Example.test/a_b",
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .signing_secret = (char *)"whsec_hidden",
                               .enabled = enabled,
                               .created_at = NOW,
                               .updated_at = NOW};
  OK(lw_store_insert_webhook(store, &webhook, &error));
}

static void add_message(int n, const char *event, int64_t deliveries) {
  struct lw_id existing;
  struct lw_message_row message = {.id = id_at(n),
                                   .app_id = "shop",
                                   .event = event,
                                   .body = "a\0b",
                                   .body_length = 3,
                                   .deliveries = deliveries};
  OK(lw_store_insert_message(store, &message, &existing, &error));
}

static void add_delivery(int n, int webhook, int64_t due_at, const struct lw_id *claimed_by) {
  add_message(n, n % 2 == 0 ? "even" : "odd", 1);
  struct lw_delivery_row row = {.id = id_at(n),
                                .message_id = id_at(n),
                                .webhook_id = id_at(webhook),
                                .due_at = due_at,
                                .claimed_by = claimed_by};
  OK(lw_store_insert_delivery(store, &row, &error));
}

static void record(int n, struct lw_id dispatcher, enum lw_status status) {
  struct lw_outcome outcome = {.delivery_id = id_at(n),
                               .dispatcher = dispatcher,
                               .status = status,
                               .due_at = NOW + 5000,
                               .sent_at = NOW,
                               .duration = 12,
                               .response_status_code = 200,
                               .response_headers = "H\0",
                               .response_headers_length = 2,
                               .response_headers_cut = true,
                               .response_body = "",
                               .trigger = "emit",
                               .reason = status == LW_FAILED ? "exhausted" : NULL};
  OK(lw_store_record(store, &outcome, &error));
}

static struct lw_log_row *row_of(int n, struct lw_log_page *page) {
  struct lw_id id = id_at(n);
  struct lw_log_filter filter = {.id = &id, NO_BOUNDS};
  OK(lw_store_log_page(store, &filter, NULL, page, &error));
  assert_int_equal(page->count, 1);
  return &page->rows[0];
}

static void assert_state(int n, enum lw_status status, int attempts) {
  struct lw_log_page page;
  struct lw_log_row *row = row_of(n, &page);
  assert_int_equal(row->status, status);
  assert_int_equal(row->attempts, attempts);
  lw_log_page_free(&page);
}

static int64_t count_of(struct lw_log_filter filter) {
  int64_t count;
  OK(lw_store_log_count(store, &filter, &count, &error));
  return count;
}

static bool read_number(struct lw_row *row, void *context) {
  *(int64_t *)context = lw_row_integer(row, 0);
  return true;
}

static void execute(const char *sql) {
  struct lw_statement *statement = lw_cached(store, sql, &error);
  assert_non_null(statement);
  OK(lw_run(store, statement, NULL, &error));
}

static int64_t rows_of(const char *sql) {
  struct lw_query query;
  int64_t count = -1;
  lw_query_init(&query, sql);
  OK(lw_query_each(store, &query, read_number, &count, NULL, &error));
  return count;
}

/* -- tests --------------------------------------------------------------------------------------- */

static void test_new_file_is_private_to_the_user(void **state) {
  (void)state;
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0600);
  assert_false(lw_store_is_private(store));
  struct lw_store *memory = lw_store_open(":memory:", &error);
  assert_non_null(memory);
  assert_true(lw_store_is_private(memory));
  lw_store_close(memory);
}

static void test_webhooks(void **state) {
  (void)state;
  struct lw_webhook webhook;
  struct lw_webhook_list list;
  struct lw_id id = id_at(1), none = id_at(9);
  bool found;
  add_webhook(1, "100% Orders", true);
  add_webhook(2, "stock", false);
  OK(lw_store_get_webhook(store, &id, &webhook, &found, &error));
  assert_true(found);
  assert_string_equal(webhook.signing_secret, "whsec_hidden");
  free(webhook.app_id);
  webhook.app_id = NULL;
  webhook.filter = strdup("1.1:a+");
  webhook.channels = strdup("acme,beta");
  OK(lw_store_update_webhook(store, &webhook, &found, &error));
  assert_true(found);
  lw_webhook_clear(&webhook);
  assert_null(webhook.signing_secret);
  OK(lw_store_get_webhook(store, &id, &webhook, &found, &error));
  assert_string_equal(webhook.filter, "1.1:a+");
  assert_string_equal(webhook.channels, "acme,beta");
  lw_webhook_clear(&webhook);
  assert_null(webhook.filter);
  static const struct {
    struct lw_webhook_filter filter;
    size_t count;
  } cases[] = {
      {{.limit = 10}, 2},
      {{.limit = 10, .app_id = "shop"}, 1},
      {{.limit = 10, .query = "0% oRD"}, 1},
      {{.limit = 10, .query = "EXAMPLE"}, 2},
      {{.limit = 10, .query = "a_b"}, 2},
      {{.limit = 10, .query = "s_ock"}, 0},
      {{.limit = 10, .query = "\\"}, 0},
      {{.limit = 1}, 1},
      {{.limit = -1, .offset = 1}, 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    OK(lw_store_list_webhooks(store, &cases[i].filter, &list, &error));
    assert_int_equal(list.count, cases[i].count);
    lw_webhook_list_free(&list);
  }
  OK(lw_store_delete_webhook(store, &none, &found, &error));
  assert_false(found);
  OK(lw_store_delete_webhook(store, &id, &found, &error));
  assert_true(found);
  OK(lw_store_get_webhook(store, &id, &webhook, &found, &error));
  assert_false(found);
}

static void test_second_handle_sees_version(void **state) {
  (void)state;
  int64_t before, after;
  struct lw_store *other = lw_store_open(path, &error);
  assert_non_null(other);
  OK(lw_store_webhooks_version(other, &before, &error));
  add_webhook(1, "a", true);
  OK(lw_store_webhooks_version(other, &after, &error));
  assert_true(after > before);
  lw_store_close(other);
}

static void test_idempotency(void **state) {
  (void)state;
  static const char *const apps[] = {NULL, "shop"};
  struct lw_id existing, zero = {{0}};
  for (int i = 0; i < 2; i++) {
    struct lw_message_row message = {.id = id_at(i), .app_id = apps[i], .event = "e", .key = "k", .body = ""};
    OK(lw_store_insert_message(store, &message, &existing, &error));
    assert_true(lw_id_equal(&existing, &zero));
    message.id = id_at(10 + i);
    OK(lw_store_insert_message(store, &message, &existing, &error));
    struct lw_id first = id_at(i);
    assert_true(lw_id_equal(&existing, &first));
  }
}

static void insert_keyed(int n, int64_t keys_since, struct lw_id *existing) {
  struct lw_message_row message = {
      .id = id_at(n), .app_id = "shop", .event = "e", .key = "k", .keys_since = keys_since, .body = ""};
  OK(lw_store_insert_message(store, &message, existing, &error));
}

static void test_idempotency_window(void **state) {
  (void)state;
  struct lw_id existing, zero = {{0}}, first = id_at(0), second = id_at(101);
  insert_keyed(0, NOW - 100, &existing);
  insert_keyed(100, NOW, &existing); /* the last moment of the window */
  assert_true(lw_id_equal(&existing, &first));
  insert_keyed(101, NOW + 1, &existing);
  assert_true(lw_id_equal(&existing, &zero));
  insert_keyed(102, NOW + 2, &existing);
  assert_true(lw_id_equal(&existing, &second));
  assert_int_equal(rows_of("SELECT count(*) FROM messages"), 2);
  assert_int_equal(rows_of("SELECT count(*) FROM messages WHERE idempotency_key = 'k'"), 1);
}

/* The key is given up and taken in one transaction. */
static void test_key_stays_when_the_new_message_fails(void **state) {
  (void)state;
  struct lw_id existing;
  insert_keyed(0, NOW - 100, &existing);
  struct lw_message_row message = {
      .id = id_at(0), .app_id = "shop", .event = "e", .key = "k", .keys_since = NOW + 50, .body = ""};
  assert_false(lw_store_insert_message(store, &message, &existing, &error)); /* an id that was used */
  assert_int_equal(rows_of("SELECT count(*) FROM messages WHERE idempotency_key = 'k'"), 1);
}

static void test_claim_release_record(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), two = dispatcher_id(2), third = id_at(3), line = id_at(100);
  struct lw_claim_list mine, theirs;
  struct lw_store *other = lw_store_open(path, &error);
  assert_non_null(other);
  for (int n = 1; n <= 4; n++) add_delivery(n, 100, NOW + 10 - n, NULL);
  add_delivery(5, 100, NOW + 60000, NULL);
  OK(lw_store_claim(store, &one, &line, NOW + 10, 2, &mine, &error));
  OK(lw_store_claim(other, &two, &line, NOW + 10, 10, &theirs, &error));
  assert_int_equal(mine.count, 2);
  assert_int_equal(theirs.count, 2);
  struct lw_id oldest = id_at(4);
  assert_true(lw_id_equal(&mine.items[0].id, &oldest));
  assert_int_equal(mine.items[0].body_length, 3);
  assert_memory_equal(mine.items[0].body, "a\0b", 4);
  lw_claim_list_free(&mine);
  lw_claim_list_free(&theirs);
  OK(lw_store_release(store, &third, &two, &error)); /* not theirs: nothing happens */
  OK(lw_store_claim(other, &two, &line, NOW + 10, 10, &theirs, &error));
  assert_int_equal(theirs.count, 0);
  OK(lw_store_release(store, &third, &one, &error));
  OK(lw_store_claim(other, &two, &line, NOW + 10, 10, &theirs, &error));
  assert_int_equal(theirs.count, 1);
  lw_claim_list_free(&theirs);
  record(4, one, LW_PENDING);
  OK(lw_store_claim(store, &one, &line, NOW + 5000, 10, &mine, &error));
  assert_int_equal(mine.count, 1);
  assert_int_equal(mine.items[0].attempts, 1);
  assert_int_equal(mine.items[0].tries, 1);
  lw_claim_list_free(&mine);
  OK(lw_store_release_all(other, &two, &error));
  struct lw_store_counts counts;
  OK(lw_store_counts(store, NOW + 10, &counts, &error));
  assert_int_equal(counts.pending, 5);
  assert_int_equal(counts.claimed, 1);
  assert_int_equal(counts.due, 3);
  assert_int_equal(counts.next_due, NOW + 7);
  lw_store_close(other);
}

static void test_webhook_counts(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1);
  struct lw_webhook_counts_list list;
  OK(lw_store_webhook_counts(store, NOW, &list, &error));
  assert_int_equal(list.count, 0);
  add_webhook(100, "busy", true);
  add_webhook(101, "idle", true);
  add_delivery(1, 100, NOW + 7, NULL);
  add_delivery(2, 100, NOW + 3, NULL);
  add_delivery(3, 100, NOW + 9, NULL);
  add_delivery(4, 100, NOW, &one);
  for (int i = 5; i <= 7; i++) {
    add_delivery(i, 100, NOW, &one);
    record(i, one, i == 5 ? LW_FAILED : LW_SUCCEEDED);
  }
  add_delivery(8, 102, NOW, NULL); /* its webhook was deleted */
  OK(lw_store_webhook_counts(store, NOW + 8, &list, &error));
  assert_int_equal(list.count, 2);
  struct lw_id first = id_at(100);
  assert_true(lw_id_equal(&list.items[0].id, &first));
  assert_int_equal(list.items[0].pending, 4);
  assert_int_equal(list.items[0].due, 2);
  assert_int_equal(list.items[0].next_due, NOW + 3);
  assert_int_equal(list.items[0].succeeded, 2);
  assert_int_equal(list.items[0].failed, 1);
  assert_int_equal(list.items[1].pending, 0);
  assert_int_equal(list.items[1].next_due, -1);
  lw_webhook_counts_free(&list);
}

static void test_claims_know_tests(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), line = id_at(100);
  struct lw_claim_list list;
  add_message(1, "e", 0);
  for (int n = 1; n <= 2; n++) {
    struct lw_delivery_row row = {
        .id = id_at(n), .message_id = id_at(1), .webhook_id = id_at(100), .due_at = NOW + n, .test = n == 2};
    OK(lw_store_insert_delivery(store, &row, &error));
  }
  OK(lw_store_claim(store, &one, &line, NOW + 10, 10, &list, &error));
  assert_int_equal(list.count, 2);
  assert_false(list.items[0].test);
  assert_true(list.items[1].test);
  lw_claim_list_free(&list);
}

static void test_lost_claims(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), two = dispatcher_id(2), webhook = id_at(100);
  struct lw_store_counts counts;
  struct lw_attempt_list attempts;
  add_delivery(1, 100, NOW, &one);
  record(1, two, LW_FAILED); /* late news of a failure: the owner goes on */
  assert_state(1, LW_PENDING, 1);
  OK(lw_store_counts(store, NOW, &counts, &error));
  assert_int_equal(counts.claimed, 1);
  record(1, two, LW_SUCCEEDED);
  assert_state(1, LW_SUCCEEDED, 2);
  record(1, one, LW_PENDING);
  assert_state(1, LW_SUCCEEDED, 3);
  struct lw_id first = id_at(1);
  OK(lw_store_attempts(store, &first, &attempts, &error));
  assert_int_equal(attempts.count, 3);
  assert_int_equal(attempts.items[2].number, 3);
  assert_memory_equal(attempts.items[0].response_headers, "H\0", 3);
  assert_true(attempts.items[0].response_headers_cut);
  assert_string_equal(attempts.items[0].response_body, "");
  assert_false(attempts.items[0].response_body_cut);
  assert_null(attempts.items[0].error);
  assert_string_equal(attempts.items[0].trigger, "emit");
  lw_attempt_list_free(&attempts);
  add_delivery(2, 100, NOW, &one);
  int64_t canceled = lw_store_canceled(store);
  OK(lw_store_cancel_webhook(store, &webhook, "deleted", &error));
  assert_int_equal(lw_store_canceled(store), canceled + 1);
  record(2, one, LW_FAILED);
  assert_state(2, LW_CANCELED, 1);
  record(77, one, LW_FAILED); /* gone: nothing to record */
}

static void test_leases(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), two = dispatcher_id(2);
  bool lost;
  int64_t freed;
  OK(lw_store_heartbeat(store, &one, NOW + 10, false, &lost, &error));
  OK(lw_store_heartbeat(store, &two, NOW + 99, false, &lost, &error));
  assert_false(lost);
  add_delivery(1, 100, NOW, &one);
  add_delivery(2, 100, NOW, &two);
  OK(lw_store_heartbeat(store, &one, NOW + 20, true, &lost, &error));
  assert_false(lost);
  OK(lw_store_take_over(store, NOW + 20, &freed, &error));
  assert_int_equal(freed, 0);
  OK(lw_store_take_over(store, NOW + 21, &freed, &error));
  assert_int_equal(freed, 1);
  OK(lw_store_heartbeat(store, &one, NOW + 50, true, &lost, &error));
  assert_true(lost);
  OK(lw_store_heartbeat(store, &one, NOW + 50, true, &lost, &error));
  assert_false(lost);
  OK(lw_store_forget_dispatcher(store, &two, &error));
  OK(lw_store_take_over(store, NOW + 21, &freed, &error));
  assert_int_equal(freed, 1);
}

static void test_log(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), hook = id_at(101), fifth = id_at(5), after;
  struct lw_log_filter all = {NO_BOUNDS};
  struct lw_log_page page;
  OK(lw_store_begin(store, &error));
  for (int n = 0; n < 250; n++) add_delivery(n, 100 + n % 5, NOW, &one);
  record(5, one, LW_FAILED);
  record(6, one, LW_SUCCEEDED);
  OK(lw_store_commit(store, &error));
  int seen = 0;
  OK(lw_store_log_page(store, &all, NULL, &page, &error));
  while (page.count > 0) {
    for (size_t i = 0; i < page.count; i++) {
      struct lw_id expected = id_at(249 - seen++);
      assert_true(lw_id_equal(&page.rows[i].id, &expected));
    }
    after = page.rows[page.count - 1].id;
    lw_log_page_free(&page);
    OK(lw_store_log_page(store, &all, &after, &page, &error));
  }
  assert_int_equal(seen, 250);
  assert_int_equal(count_of(all), 250);
  assert_int_equal(count_of((struct lw_log_filter){.event = "odd", NO_BOUNDS}), 125);
  assert_int_equal(count_of((struct lw_log_filter){.webhook_id = &hook, NO_BOUNDS}), 50);
  assert_int_equal(count_of((struct lw_log_filter){.status = "failed", NO_BOUNDS}), 1);
  assert_int_equal(count_of((struct lw_log_filter){.status = "pending", NO_BOUNDS}), 248);
  assert_int_equal(count_of((struct lw_log_filter){.since = NOW + 10, .before = NOW + 20}), 10);
  assert_int_equal(count_of((struct lw_log_filter){.since = -1, .before = INT64_MAX}), 250);
  assert_int_equal(count_of((struct lw_log_filter){
                       .id = &fifth, .webhook_id = &hook, .event = "odd", .status = "failed", NO_BOUNDS}),
                   0);
  struct lw_log_row *row = row_of(5, &page);
  assert_string_equal(row->reason, "exhausted");
  assert_string_equal(row->app_id, "shop");
  assert_memory_equal(row->request_body, "a\0b", 4);
  assert_int_equal(row->last.number, 1);
  assert_int_equal(row->last.response_status_code, 200);
  lw_log_page_free(&page);
  struct lw_log_filter wrong = {.status = "lost", NO_BOUNDS};
  assert_false(lw_store_log_page(store, &wrong, NULL, &page, &error));
  assert_string_equal(error.code, "invalid");
}

static void test_page_ends_by_bytes(void **state) {
  (void)state;
  struct lw_log_filter all = {NO_BOUNDS};
  struct lw_log_page page;
  char *big = calloc(1, 600000);
  assert_non_null(big);
  add_message(1, "e", 0);
  for (int n = 1; n <= 3; n++) {
    struct lw_delivery_row row = {.id = id_at(n),
                                  .message_id = id_at(1),
                                  .webhook_id = id_at(100),
                                  .due_at = NOW,
                                  .body = big,
                                  .body_length = 600000};
    OK(lw_store_insert_delivery(store, &row, &error));
  }
  OK(lw_store_log_page(store, &all, NULL, &page, &error));
  assert_int_equal(page.count, 2);
  assert_int_equal(page.rows[0].request_body_length, 600000);
  lw_log_page_free(&page);
  free(big);
}

/* In steps of three; returns how many deliveries were resent. */
static int64_t resend_all(const struct lw_log_filter *filter) {
  struct lw_id_list list;
  struct lw_id after;
  int64_t resent, total = 0;
  bool started = false;
  do {
    OK(lw_store_find_resendable(store, filter, started ? &after : NULL, 3, &list, &error));
    if (list.count == 0) break;
    assert_true(!started || memcmp(&list.items[0], &after, sizeof after) > 0); /* oldest first */
    after = list.items[list.count - 1];
    OK(lw_store_resend(store, &list, NOW + 7, &resent, &error));
    lw_id_list_free(&list);
    total += resent;
    started = true;
  } while (total < 100);
  return total;
}

static void test_resend_in_steps(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1);
  struct lw_log_filter failed = {.status = "failed", NO_BOUNDS};
  add_webhook(100, "on", true);
  add_webhook(101, "off", false);
  for (int n = 0; n < 10; n++) {
    add_delivery(n, n == 9 ? 101 : 100, NOW, &one);
    record(n, one, n == 8 ? LW_SUCCEEDED : LW_FAILED);
  }
  assert_int_equal(resend_all(&failed), 8);
  assert_state(9, LW_FAILED, 1);
  assert_state(8, LW_SUCCEEDED, 1);
  struct lw_claim_list list;
  struct lw_id line = id_at(100);
  OK(lw_store_claim(store, &one, &line, NOW + 7, 100, &list, &error));
  assert_int_equal(list.count, 8);
  assert_int_equal(list.items[0].attempts, 1);
  assert_int_equal(list.items[0].tries, 0);
  lw_claim_list_free(&list);
}

static void test_resend_of_all_that_did_not_arrive(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), webhook = id_at(100);
  struct lw_log_filter filter = {
      .webhook_id = &webhook, .unsuccessful = true, .since = NOW + 2, .before = NOW + 100};
  add_webhook(100, "on", true);
  for (int n = 0; n < 6; n++) add_delivery(n, 100, NOW, &one);
  for (int n = 0; n < 4; n++) record(n, one, n == 3 ? LW_SUCCEEDED : LW_FAILED);
  OK(lw_store_cancel_webhook(store, &webhook, "disabled", &error));
  add_delivery(6, 100, NOW, &one);
  assert_int_equal(count_of(filter), 3);
  assert_int_equal(resend_all(&filter), 3);
  static const enum lw_status expected[] = {LW_FAILED,  LW_FAILED,  LW_PENDING, LW_SUCCEEDED,
                                            LW_PENDING, LW_PENDING, LW_PENDING};
  for (int n = 0; n < 7; n++) assert_state(n, expected[n], n < 4);
}

/* What happened between finding and resending counts. */
static void test_resend_leaves_what_is_pending(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), ids[] = {id_at(1), id_at(2), id_at(3)};
  struct lw_id_list list = {ids, 3};
  struct lw_store_counts counts;
  int64_t resent;
  add_delivery(1, 100, NOW, &one);
  add_delivery(2, 100, NOW, &one);
  record(2, one, LW_FAILED);
  OK(lw_store_resend(store, &list, NOW, &resent, &error)); /* one pending, one failed, one gone */
  assert_int_equal(resent, 1);
  OK(lw_store_counts(store, NOW, &counts, &error));
  assert_int_equal(counts.pending, 2);
  assert_int_equal(counts.claimed, 1);
}

static int64_t prune_all(struct lw_prune *prune, int64_t limit, int *steps) {
  int64_t pruned, total = 0;
  for (*steps = 0; !prune->done && total < limit; ++*steps) {
    OK(lw_store_prune(store, prune, limit - total, &pruned, &error));
    total += pruned;
  }
  return total;
}

static void test_prune(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), zero = {{0}}, existing;
  struct lw_log_filter all = {NO_BOUNDS};
  int steps;
  for (int n = 0; n < 6; n++) {
    add_delivery(n, 100, NOW, &one);
    if (n != 1) record(n, one, n == 2 ? LW_FAILED : LW_SUCCEEDED);
  }
  /* a message of which one delivery of two is pending, and one that went nowhere */
  struct lw_delivery_row second = {
      .id = id_at(20), .message_id = id_at(3), .webhook_id = id_at(100), .due_at = NOW};
  OK(lw_store_insert_delivery(store, &second, &error));
  execute(
      "UPDATE messages SET deliveries = 2 WHERE id = (SELECT message_id FROM deliveries GROUP BY message_id"
      " HAVING count(*) = 2)");
  struct lw_message_row keyed = {.id = id_at(4), .app_id = "shop", .event = "e", .key = "k", .body = ""};
  keyed.id.bytes[15] = 2;
  OK(lw_store_insert_message(store, &keyed, &existing, &error));
  struct lw_prune prune = {.before = NOW + 5};
  assert_int_equal(prune_all(&prune, 1, &steps), 1);
  assert_int_equal(count_of(all), 6);
  assert_int_equal(prune_all(&prune, 100, &steps), 3);
  assert_int_equal(count_of(all), 3);
  assert_state(1, LW_PENDING, 0);
  assert_state(5, LW_SUCCEEDED, 1);
  assert_state(20, LW_PENDING, 0);
  assert_int_equal(rows_of("SELECT count(*) FROM attempts"), 1);
  assert_int_equal(rows_of("SELECT count(*) FROM messages"), 3);
  keyed.id = id_at(30);
  OK(lw_store_insert_message(store, &keyed, &existing, &error));
  assert_true(lw_id_equal(&existing, &zero));
}

/* An older version of us, which still runs beside this one, does not count. */
static void test_a_message_that_nobody_counted_stays(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1);
  struct lw_prune prune = {.before = NOW + 5};
  int steps;
  add_delivery(1, 100, NOW, &one);
  record(1, one, LW_SUCCEEDED);
  add_message(2, "e", 0);
  execute("UPDATE messages SET deliveries = NULL");
  assert_int_equal(prune_all(&prune, 100, &steps), 1);
  assert_int_equal(rows_of("SELECT count(*) FROM messages WHERE deliveries IS NULL"), 2);
}

static void test_prune_in_small_steps(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1);
  struct lw_prune prune = {.before = NOW + 100000};
  int steps;
  OK(lw_store_begin(store, &error));
  for (int n = 0; n < 1200; n++) {
    add_delivery(n, 100, NOW, &one);
    if (n >= 600) record(n, one, LW_SUCCEEDED);
  }
  OK(lw_store_commit(store, &error));
  assert_int_equal(prune_all(&prune, INT64_MAX, &steps), 600);
  /* 1200 looked at, 1800 rows deleted, 600 messages looked at */
  assert_in_range(steps, 6, 12);
  assert_int_equal(rows_of("SELECT count(*) FROM messages"), 600);
}

static void test_failed_prune_stays_where_it_was(void **state) {
  (void)state;
  struct lw_id one = dispatcher_id(1), zero = {{0}};
  struct lw_prune prune = {.before = NOW + 5};
  int64_t pruned;
  add_delivery(1, 100, NOW, &one);
  record(1, one, LW_FAILED);
  execute("CREATE TRIGGER no BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'no'); END");
  assert_false(lw_store_prune(store, &prune, 100, &pruned, &error));
  assert_true(lw_id_equal(&prune.delivery, &zero));
  assert_state(1, LW_FAILED, 1);
}

static int64_t size_of_file(void) {
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  return status.st_size;
}

/* Stores 4 MB and prunes it all. */
static void fill_and_prune(void) {
  struct lw_id existing;
  int64_t pruned;
  static char body[40000];
  OK(lw_store_begin(store, &error));
  for (int n = 0; n < 100; n++) {
    struct lw_message_row row = {.id = id_at(n), .event = "e", .body = body, .body_length = sizeof body};
    OK(lw_store_insert_message(store, &row, &existing, &error));
  }
  add_delivery(200, 100, NOW, NULL);
  record(200, dispatcher_id(1), LW_SUCCEEDED);
  OK(lw_store_commit(store, &error));
  lw_store_settle(store);
  assert_false(lw_store_unsettled(store));
  assert_true(size_of_file() > 4000000);
  struct lw_prune prune = {.before = NOW + 1000};
  while (!prune.done) OK(lw_store_prune(store, &prune, INT64_MAX, &pruned, &error));
  assert_true(lw_store_unsettled(store));
}

static int shrink_all(void) {
  int steps = 0;
  bool more = true;
  for (; more; steps++) OK(lw_store_shrink(store, &more, &error));
  return steps;
}

static void test_file_shrinks_in_steps(void **state) {
  (void)state;
  fill_and_prune();
  assert_in_range(shrink_all(), 4, 6);
  struct lw_store *reader = lw_store_open(path, &error); /* an idle handle is in nobody's way */
  assert_non_null(reader);
  assert_int_equal(count_of((struct lw_log_filter){NO_BOUNDS}), 0);
  lw_store_settle(store);
  assert_false(lw_store_unsettled(store));
  assert_true(size_of_file() < 200000);
  lw_store_close(reader);
}

static void test_settling_waits_for_nobody(void **state) {
  (void)state;
  fill_and_prune();
  struct lw_store *writer = lw_store_open(path, &error);
  assert_non_null(writer);
  OK(lw_store_begin(writer, &error));
  lw_store_settle(store); /* within the time that a test may take, not the ten seconds of a lock */
  assert_true(lw_store_unsettled(store));
  const struct lw_clock *clock = lw_system_clock();
  lw_store_limit_wait(store,
                      clock->ticks(clock->context) + 200000); /* what waits afterwards can be limited */
  assert_false(lw_store_begin(store, &error));
  assert_string_equal(error.code, "locked");
  assert_null(strstr(error.message, "waited 0.0 s"));
  lw_store_limit_wait(store, INT64_MAX);
  lw_store_rollback(writer);
  lw_store_settle(store);
  assert_false(lw_store_unsettled(store));
  lw_store_close(writer);
}

/* Files of the first version cannot shrink until somebody runs VACUUM on them. */
static void test_old_file_shrinks_after_a_vacuum(void **state) {
  (void)state;
  static const char *const scripts[] = {"CREATE TABLE other (a)",
                                        "PRAGMA auto_vacuum = INCREMENTAL; VACUUM;"};
  for (int i = 0; i < 2; i++) {
    sqlite3 *db;
    lw_store_close(store);
    if (i == 0) unlink(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, scripts[i], NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store = lw_store_open(path, &error);
    assert_non_null(store);
    fill_and_prune();
    shrink_all();
    lw_store_settle(store);
    if (i == 0)
      assert_true(size_of_file() > 4000000);
    else
      assert_true(size_of_file() < 200000);
  }
}

static void test_rollback(void **state) {
  (void)state;
  struct lw_log_filter all = {NO_BOUNDS};
  OK(lw_store_begin(store, &error));
  add_delivery(1, 100, NOW, NULL);
  lw_store_rollback(store);
  assert_int_equal(count_of(all), 0);
}

/* -- what goes wrong ------------------------------------------------------------------------------ */

static void assert_refused(const char *name, const char *code) {
  error.code[0] = '\0';
  assert_null(lw_store_open(name, &error));
  assert_string_equal(error.code, code);
}

static void write_file(const char *bytes, size_t length, long offset, const char *mode) {
  FILE *file = fopen(path, mode);
  assert_non_null(file);
  fseek(file, offset, SEEK_SET);
  assert_int_equal(fwrite(bytes, 1, length, file), length);
  fclose(file);
}

static void test_bad_paths(void **state) {
  (void)state;
  char name[160];
  assert_refused(folder, "unwritable");
  assert_non_null(strstr(error.message, folder));
  snprintf(name, sizeof name, "%s/missing/store.db", folder);
  assert_refused(name, "unwritable");
  assert_refused("", "unwritable");
  if (geteuid() == 0) return; /* root may write anywhere */
  lw_store_close(store);
  store = NULL;
  chmod(path, 0400);
  assert_refused(path, "unwritable");
  chmod(path, 0600);
  chmod(folder, 0500);
  assert_refused(path, "unwritable");
  chmod(folder, 0700);
}

static void test_garbage_is_left_alone(void **state) {
  (void)state;
  static const char *const texts[] = {"hello",
                                      "a file of text that is no database, longer than a header is ....."
                                      "........................................................"};
  lw_store_close(store);
  store = NULL;
  for (int i = 0; i < 2; i++) {
    char back[200] = "";
    write_file(texts[i], strlen(texts[i]), 0, "wb");
    assert_refused(path, "corrupt");
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(back, 1, sizeof back - 1, file), strlen(texts[i]));
    fclose(file);
    assert_string_equal(back, texts[i]);
  }
  write_file("", 0, 0, "wb"); /* an empty file is a new database */
  store = lw_store_open(path, &error);
  assert_non_null(store);
}

static void test_damaged_pages(void **state) {
  (void)state;
  char junk[4096];
  memset(junk, 0xa5, sizeof junk);
  add_webhook(1, "a", true);
  lw_store_close(store);
  store = NULL;
  write_file(junk, sizeof junk - 100, 100, "r+b"); /* the schema, behind a good header */
  assert_refused(path, "corrupt");
}

static void test_future_schema(void **state) {
  (void)state;
  execute("UPDATE meta SET value = 1000 WHERE name = 'schema'");
  assert_refused(path, "store");
  assert_non_null(strstr(error.message, "schema 1000"));
}

/* A file as the first version left it. */
static const char *const schema_1[] = {
    "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL)",
    "CREATE TABLE webhooks (id BLOB NOT NULL PRIMARY KEY, app_id TEXT, name TEXT, url TEXT NOT NULL,"
    " format TEXT, events TEXT NOT NULL, signing_secret TEXT, enabled INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)",
    "CREATE TABLE messages (id BLOB NOT NULL PRIMARY KEY, app_id TEXT NOT NULL DEFAULT '',"
    " event TEXT NOT NULL, idempotency_key TEXT, body BLOB NOT NULL)",
    "CREATE UNIQUE INDEX messages_key ON messages (app_id, idempotency_key)"
    " WHERE idempotency_key IS NOT NULL",
    "CREATE TABLE deliveries (id BLOB NOT NULL PRIMARY KEY, message_id BLOB NOT NULL,"
    " webhook_id BLOB NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " due_at INTEGER NOT NULL, claimed_by BLOB, reason TEXT, body BLOB)",
    "CREATE INDEX deliveries_pending ON deliveries (claimed_by, due_at) WHERE status = 'pending'",
    "CREATE INDEX deliveries_failed ON deliveries (id) WHERE status = 'failed'",
    "CREATE TABLE attempts (delivery_id BLOB NOT NULL, number INTEGER NOT NULL, sent_at INTEGER NOT NULL,"
    " duration INTEGER NOT NULL, response_status_code INTEGER NOT NULL, response_headers BLOB,"
    " response_body BLOB, response_body_cut INTEGER NOT NULL, error TEXT, cause TEXT,"
    " PRIMARY KEY (delivery_id, number)) WITHOUT ROWID",
    "CREATE TABLE dispatchers (id BLOB NOT NULL PRIMARY KEY, lease_until INTEGER NOT NULL)",
    "INSERT INTO meta (name, value) VALUES ('webhooks_version', 7)",
    "INSERT INTO meta (name, value) VALUES ('schema', 1)",
    "INSERT INTO webhooks VALUES (x'0100000000000000000000000000000a', 'shop', 'old', 'https://example.test',"
    " 'raw', '*', NULL, 1, 1, 1)",
    "INSERT INTO messages VALUES (x'0100000000000000000000000000000b', 'shop', 'e', 'k', 'body')",
    "INSERT INTO deliveries VALUES (x'0100000000000000000000000000000c',"
    " x'0100000000000000000000000000000b', x'0100000000000000000000000000000a', 'failed', 1, 1, 1, NULL,"
    " 'used up', NULL)",
    "INSERT INTO attempts VALUES (x'0100000000000000000000000000000c', 1, 5, 6, 500, 'a: b', 'no', 0, NULL,"
    " 'emit')",
};

static void make_schema_1(void) {
  const struct lw_driver *driver = &lw_sqlite_driver;
  lw_store_close(store);
  store = NULL;
  unlink(path);
  struct lw_db *db = driver->open(path, &error);
  assert_non_null(db);
  for (size_t i = 0; i < sizeof schema_1 / sizeof schema_1[0]; i++) {
    struct lw_statement *statement = driver->prepare(db, schema_1[i], &error);
    if (statement == NULL) fail_msg("%s: %s", schema_1[i], error.message);
    assert_int_equal(driver->step(statement, &error), LW_STEP_DONE);
    driver->finalize(statement);
  }
  driver->close(db);
}

static bool collect_text(struct lw_row *row, void *context) {
  char *text = lw_row_text(row, 0);
  strncat(context, text != NULL ? text : "", 8000 - strlen(context) - 1);
  strncat(context, "\n", 8000 - strlen(context) - 1);
  free(text);
  return true;
}

/* What the database calls its tables, columns and indexes. */
static void describe(char *text) {
  struct lw_query query;
  *text = '\0';
  lw_query_init(&query,
                "SELECT m.name || ' ' || COALESCE(c.name || ' ' || c.type || ' ' || c.\"notnull\", '') FROM"
                " sqlite_schema m LEFT JOIN pragma_table_info(m.name) c ORDER BY m.name, c.cid");
  OK(lw_query_each(store, &query, collect_text, text, NULL, &error));
}

static void test_first_schema_is_upgraded_in_place(void **state) {
  (void)state;
  static char fresh[8000], upgraded[8000];
  int64_t version;
  struct lw_log_page page;
  struct lw_log_filter all = {NO_BOUNDS};
  struct lw_webhook_filter every = {.limit = 10};
  struct lw_webhook_list webhooks;
  describe(fresh);
  assert_non_null(strstr(fresh, "deliveries_line"));
  make_schema_1();
  for (int i = 0; i < 2; i++) { /* the second time nothing is left to do */
    lw_store_close(store);
    store = lw_store_open(path, &error);
    if (store == NULL) fail_msg("%s", error.message);
    describe(upgraded);
    assert_string_equal(upgraded, fresh);
    OK(lw_store_webhooks_version(store, &version, &error));
    assert_int_equal(version, 7);
    OK(lw_store_list_webhooks(store, &every, &webhooks, &error));
    assert_int_equal(webhooks.count, 1);
    assert_null(webhooks.items[0].settings);
    assert_int_equal(webhooks.items[0].failing_since, 0);
    lw_webhook_list_free(&webhooks);
    OK(lw_store_log_page(store, &all, NULL, &page, &error));
    assert_int_equal(page.count, 1);
    assert_string_equal(page.rows[0].last.response_headers, "a: b");
    assert_false(page.rows[0].last.response_headers_cut);
    assert_int_equal(page.rows[0].status, LW_FAILED);
    lw_log_page_free(&page);
    assert_int_equal(rows_of("SELECT deliveries FROM messages"), 1);
  }
}

/* An upgrade that cannot end leaves the file as it was. */
static void test_failed_upgrade_changes_nothing(void **state) {
  (void)state;
  make_schema_1();
  store = calloc(1, sizeof *store);
  assert_non_null(store);
  store->driver = &lw_sqlite_driver;
  store->db = store->driver->open(path, &error);
  assert_non_null(store->db);
  execute("CREATE TRIGGER no BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'no'); END");
  assert_refused(path, "store");
  assert_int_equal(rows_of("SELECT count(*) FROM sqlite_schema WHERE name = 'deliveries_line'"), 0);
  execute("DROP TRIGGER no");
  OK(lw_schema_prepare(store, &error));
  assert_int_equal(rows_of("SELECT count(*) FROM sqlite_schema WHERE name = 'deliveries_line'"), 1);
}

static void test_many_filters_share_a_bounded_cache(void **state) {
  (void)state;
  char sql[64];
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 3 * LW_STATEMENT_CACHE; i++) {
      snprintf(sql, sizeof sql, "SELECT %d", i);
      struct lw_statement *statement = lw_cached(store, sql, &error);
      assert_non_null(statement);
      OK(lw_run(store, statement, NULL, &error));
    }
}

/* In a child with a limit on file sizes: returns 0 when the disk is reported full and rows are still there.
 */
static int fill_disk(void) {
  struct rlimit limit = {.rlim_cur = 400000, .rlim_max = 400000};
  struct lw_log_filter all = {NO_BOUNDS};
  struct lw_id existing;
  int64_t count;
  static char body[50000];
  signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  struct lw_store *full = lw_store_open(path, &error);
  if (full == NULL) return 2;
  bool good = true;
  for (int n = 10; good && n < 100; n++) {
    struct lw_message_row row = {.id = id_at(n), .event = "e", .body = body, .body_length = sizeof body};
    good = lw_store_begin(full, &error) && lw_store_insert_message(full, &row, &existing, &error) &&
           lw_store_commit(full, &error);
    if (!good) lw_store_rollback(full);
  }
  int result = good ? 3 : strcmp(error.code, "full") != 0 ? 4 : 0;
  if (result == 0 && (!lw_store_log_count(full, &all, &count, &error) || count != 1)) result = 5;
  if (result >= 4) fprintf(stderr, "%s: %s\n", error.code, error.message);
  lw_store_close(full);
  return result;
}

static void test_full_disk(void **state) {
  (void)state;
  add_delivery(1, 100, NOW, NULL);
  lw_store_close(store);
  store = NULL;
  pid_t child = fork();
  if (child == 0) _exit(fill_disk());
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  store = lw_store_open(path, &error);
  assert_non_null(store);
  assert_state(1, LW_PENDING, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_new_file_is_private_to_the_user),
      TEST(test_webhooks),
      TEST(test_second_handle_sees_version),
      TEST(test_idempotency),
      TEST(test_idempotency_window),
      TEST(test_key_stays_when_the_new_message_fails),
      TEST(test_claim_release_record),
      TEST(test_webhook_counts),
      TEST(test_claims_know_tests),
      TEST(test_lost_claims),
      TEST(test_leases),
      TEST(test_log),
      TEST(test_page_ends_by_bytes),
      TEST(test_resend_in_steps),
      TEST(test_resend_of_all_that_did_not_arrive),
      TEST(test_resend_leaves_what_is_pending),
      TEST(test_prune),
      TEST(test_a_message_that_nobody_counted_stays),
      TEST(test_prune_in_small_steps),
      TEST(test_failed_prune_stays_where_it_was),
      TEST(test_file_shrinks_in_steps),
      TEST(test_settling_waits_for_nobody),
      TEST(test_old_file_shrinks_after_a_vacuum),
      TEST(test_rollback),
      TEST(test_bad_paths),
      TEST(test_garbage_is_left_alone),
      TEST(test_damaged_pages),
      TEST(test_future_schema),
      TEST(test_first_schema_is_upgraded_in_place),
      TEST(test_failed_upgrade_changes_nothing),
      TEST(test_many_filters_share_a_bounded_cache),
      TEST(test_full_disk),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
