/* Claims in the store: by webhook, in order, and by the index that is meant for each. */
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

#include "open_store.h"

#define NOW 1700000000000

static const struct lw_id me = {{0xd1, 1}}, other = {{0xd1, 2}};

/* An id of the moment NOW + n. */
static struct lw_id id_at(int n) {
  struct lw_id id;
  lw_id_floor(NOW + n, &id);
  id.bytes[15] = 1;
  return id;
}

static void add(int n, int webhook, int64_t due_at, bool ordered, const char *body) {
  struct lw_id existing;
  struct lw_message_row message = {
      .id = id_at(n), .event = "e", .body = body ? body : "raw", .body_length = body ? strlen(body) : 3};
  struct lw_delivery_row row = {.id = id_at(n),
                                .message_id = id_at(n),
                                .webhook_id = id_at(webhook),
                                .due_at = due_at,
                                .ordered = ordered};
  OK(lw_store_insert_message(store, &message, &existing, &error));
  OK(lw_store_insert_delivery(store, &row, &error));
}

static void record(int n, enum lw_status status, int64_t due_at) {
  struct lw_outcome outcome = {.delivery_id = id_at(n),
                               .dispatcher = me,
                               .status = status,
                               .due_at = due_at,
                               .response_status_code = 200,
                               .trigger = "emit"};
  OK(lw_store_record(store, &outcome, &error));
}

/* The numbers (id_at) of what the webhook's claim brought, e.g. "3 1". */
static const char *numbers(struct lw_claim_list *list) {
  static char text[256];
  size_t length = 0;
  text[0] = '\0';
  for (size_t i = 0; i < list->count; i++)
    length += (size_t)snprintf(text + length, sizeof text - length, "%s%lld", i > 0 ? " " : "",
                               (long long)(lw_id_time(&list->items[i].id) - NOW));
  lw_claim_list_free(list);
  return text;
}

static const char *claim(int webhook, int limit) {
  struct lw_claim_list list;
  struct lw_id id = id_at(webhook);
  OK(lw_store_claim(store, &me, &id, NOW, limit, &list, &error));
  return numbers(&list);
}

static const char *claim_head(int webhook, int64_t now) {
  struct lw_claim_list list;
  struct lw_id id = id_at(webhook);
  OK(lw_store_claim_head(store, &me, &id, now, &list, &error));
  return numbers(&list);
}

/* -- by webhook ------------------------------------------------------------------------------------ */

static void test_claims_are_of_one_webhook(void **state) {
  (void)state;
  for (int n = 1; n <= 6; n++) add(n, n % 2 == 0 ? 100 : 101, NOW - n, false, NULL);
  add(7, 100, NOW + 1, false, NULL);
  assert_string_equal(claim(100, 2), "6 4");
  assert_string_equal(claim(100, 9), "2");
  assert_string_equal(claim(100, 9), "");
  assert_string_equal(claim(101, 9), "5 3 1");
}

static void test_what_is_due_together_goes_by_age(void **state) {
  (void)state;
  for (int n = 5; n >= 1; n--) add(n, 100, NOW, false, NULL);
  assert_string_equal(claim(100, 9), "1 2 3 4 5");
}

static void test_a_claim_says_whether_there_may_be_more(void **state) {
  (void)state;
  struct lw_claim_list list;
  struct lw_id webhook = id_at(100);
  for (int n = 1; n <= 3; n++) add(n, 100, NOW, false, NULL);
  OK(lw_store_claim(store, &me, &webhook, NOW, 2, &list, &error));
  assert_true(list.more);
  lw_claim_list_free(&list);
  OK(lw_store_claim(store, &me, &webhook, NOW, 2, &list, &error));
  assert_false(list.more);
  assert_int_equal(list.count, 1);
  lw_claim_list_free(&list);
}

static void test_large_bodies_end_a_claim(void **state) {
  (void)state;
  size_t size = LW_CLAIM_BYTES / 2 + 1;
  char *body = malloc(size + 1);
  memset(body, 'x', size);
  body[size] = '\0';
  for (int n = 1; n <= 3; n++) add(n, 100, NOW, false, body);
  free(body);
  assert_string_equal(claim(100, 9), "1 2");
  assert_string_equal(claim(100, 9), "3");
}

static void test_the_walk_jumps_from_webhook_to_webhook(void **state) {
  (void)state;
  struct lw_due_line line;
  bool found;
  int64_t due_at;
  OK(lw_store_next_due(store, &due_at, &error));
  assert_int_equal(due_at, -1);
  for (int n = 1; n <= 30; n++) add(n, 100 + n % 3, NOW + 100 - n, false, NULL);
  add(50, 99, NOW, true, NULL); /* an ordered one has a walk of its own */
  OK(lw_store_next_due(store, &due_at, &error));
  assert_int_equal(due_at, NOW);
  static const int firsts[] = {30, 28, 29}; /* of webhooks 100, 101, 102 */
  struct lw_id after, *start = NULL;
  for (int i = 0; i < 3; i++) {
    OK(lw_store_next_line(store, start, &line, &found, &error));
    struct lw_id webhook = id_at(100 + i);
    assert_true(found && lw_id_equal(&line.webhook_id, &webhook));
    assert_int_equal(line.due_at, NOW + 100 - firsts[i]);
    after = line.webhook_id;
    start = &after;
  }
  OK(lw_store_next_line(store, start, &line, &found, &error));
  assert_false(found);
}

/* -- in order -------------------------------------------------------------------------------------- */

static void test_the_head_holds_its_line(void **state) {
  (void)state;
  for (int n = 1; n <= 3; n++) add(n, 100, NOW, true, NULL);
  assert_string_equal(claim(100, 9), ""); /* not out of order */
  assert_string_equal(claim_head(100, NOW - 1), "");
  assert_string_equal(claim_head(100, NOW), "1");
  assert_string_equal(claim_head(100, NOW), ""); /* while it is claimed */
  record(1, LW_PENDING, NOW + 5000);
  assert_string_equal(claim_head(100, NOW + 4999), ""); /* and while it waits for its next try */
  assert_string_equal(claim_head(100, NOW + 5000), "1");
  record(1, LW_FAILED, NOW);
  assert_string_equal(claim_head(100, NOW), "2");
  record(2, LW_SUCCEEDED, NOW);
  assert_string_equal(claim_head(100, NOW), "3");
}

static void test_the_walk_of_the_ordered(void **state) {
  (void)state;
  struct lw_due_line line;
  bool found;
  add(1, 100, NOW + 7, true, NULL);
  add(2, 100, NOW, true, NULL);
  add(3, 101, NOW, false, NULL);
  OK(lw_store_next_ordered_line(store, NULL, &line, &found, &error));
  assert_true(found);
  assert_int_equal(line.due_at, NOW + 7); /* the oldest one's, not the first to be due */
  struct lw_id after = line.webhook_id;
  OK(lw_store_next_ordered_line(store, &after, &line, &found, &error));
  assert_false(found);
}

static void test_a_line_is_ordered_afterwards(void **state) {
  (void)state;
  struct lw_id webhook = id_at(100);
  for (int n = 1; n <= 3; n++) add(n, 100, NOW - n, false, NULL);
  add(4, 101, NOW, false, NULL);
  assert_string_equal(claim(100, 1), "3");
  OK(lw_store_order_line(store, &webhook, true, &error));
  assert_string_equal(claim(100, 9), "");
  assert_string_equal(claim_head(100, NOW), "1");
  record(1, LW_SUCCEEDED, NOW);
  assert_string_equal(claim_head(100, NOW), "2");
  record(2, LW_SUCCEEDED, NOW);
  assert_string_equal(claim_head(100, NOW), ""); /* the next one is claimed since before */
  record(3, LW_PENDING, NOW);
  assert_string_equal(claim_head(100, NOW), "3");
  for (int n = 5; n <= 6; n++) add(n, 100, NOW, true, NULL);
  OK(lw_store_order_line(store, &webhook, false, &error));
  assert_string_equal(claim_head(100, NOW), "");
  assert_string_equal(claim(100, 9), "5 6"); /* the first is claimed still */
  assert_string_equal(claim(101, 9), "4");
}

/* -- canceling ------------------------------------------------------------------------------------- */

static void test_canceling_takes_what_waits_and_what_is_claimed(void **state) {
  (void)state;
  struct lw_id webhook = id_at(100);
  struct lw_store_counts counts;
  for (int n = 1; n <= 4; n++) add(n, 100, NOW, n > 2, NULL);
  add(5, 101, NOW, false, NULL);
  assert_string_equal(claim(100, 1), "1");
  assert_string_equal(claim_head(100, NOW), "3");
  OK(lw_store_counts(store, NOW, &counts, &error));
  assert_int_equal(counts.pending, 5);
  assert_int_equal(counts.claimed, 2);
  assert_int_equal(counts.due, 3);
  OK(lw_store_cancel_webhook(store, &webhook, "why", &error));
  assert_int_equal(lw_store_canceled(store), 4);
  OK(lw_store_counts(store, NOW, &counts, &error));
  assert_int_equal(counts.pending, 1);
  assert_int_equal(counts.claimed, 0);
}

/* -- failing webhooks ------------------------------------------------------------------------------ */

static int64_t failing_since(void) {
  struct lw_id id = id_at(100);
  struct lw_webhook webhook;
  bool found;
  OK(lw_store_get_webhook(store, &id, &webhook, &found, &error));
  int64_t since = webhook.failing_since;
  lw_webhook_clear(&webhook);
  return since;
}

static void test_failing_since_the_first_failure(void **state) {
  (void)state;
  struct lw_id id = id_at(100);
  struct lw_webhook webhook = {.id = id,
                               .name = (char *)"w",
                               .url = (char *)"http://a/",
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .enabled = true};
  int64_t since, before, after;
  bool changed;
  OK(lw_store_insert_webhook(store, &webhook, &error));
  OK(lw_store_webhooks_version(store, &before, &error));
  OK(lw_store_webhook_fails(store, &id, NOW, &since, &error));
  assert_int_equal(since, NOW);
  OK(lw_store_webhook_fails(store, &id, NOW + 5, &since, &error));
  assert_int_equal(since, NOW);
  OK(lw_store_webhook_works(store, &id, &error));
  assert_int_equal(failing_since(), 0);
  OK(lw_store_webhook_fails(store, &id, NOW + 9, &since, &error));
  assert_int_equal(failing_since(), NOW + 9);
  OK(lw_store_webhooks_version(store, &after, &error));
  assert_int_equal(after, before); /* nobody has to load the webhooks for that */
  OK(lw_store_disable_webhook(store, &id, "why", NOW, &changed, &error));
  assert_int_equal(failing_since(), NOW + 9);
  OK(lw_store_update_webhook(store, &webhook, &changed, &error)); /* enabled again */
  assert_int_equal(failing_since(), 0);
}

/* -- indexes --------------------------------------------------------------------------------------- */

/* What the hot statements and the rare ones search by; a scan of the log would be the end of them. */
static const struct {
  const char *sql, *index;
} plans[] = {
    {"SELECT due_at FROM deliveries WHERE status = 'pending' AND claimed_by IS NULL ORDER BY due_at LIMIT 1",
     "deliveries_due"},
    {"SELECT webhook_id, due_at FROM deliveries WHERE status = 'pending' AND claimed_by IS NULL"
     " AND ordered IS NULL AND webhook_id > $1 ORDER BY webhook_id, due_at LIMIT 1",
     "deliveries_line"},
    {"SELECT webhook_id, due_at FROM deliveries WHERE status = 'pending' AND ordered = 1"
     " AND webhook_id > $1 ORDER BY webhook_id, id LIMIT 1",
     "deliveries_ordered"},
    {"SELECT d.id FROM deliveries d WHERE d.webhook_id = $1 AND d.status = 'pending' AND d.claimed_by IS NULL"
     " AND d.ordered IS NULL AND d.due_at <= $2 ORDER BY d.due_at, d.id",
     "deliveries_line"},
    {"UPDATE deliveries SET claimed_by = NULL WHERE claimed_by = $1 AND status = 'pending'",
     "deliveries_claimed"},
    {"UPDATE deliveries SET claimed_by = NULL WHERE status = 'pending' AND claimed_by IS NOT NULL"
     " AND claimed_by NOT IN (SELECT id FROM dispatchers WHERE lease_until >= $1)",
     "deliveries_claimed"},
    {"UPDATE deliveries SET ordered = 1 WHERE webhook_id = $1 AND status = 'pending' AND claimed_by IS NULL"
     " AND ordered IS NULL",
     "deliveries_line"},
    {"UPDATE deliveries SET ordered = 1 WHERE webhook_id = $1 AND status = 'pending'"
     " AND claimed_by IS NOT NULL AND ordered IS NULL",
     "deliveries_claimed"},
    {"UPDATE deliveries SET status = 'canceled' WHERE webhook_id = $1 AND status = 'pending'"
     " AND claimed_by IS NULL AND ordered IS NULL",
     "deliveries_line"},
};

static int read_plan(void *context, int columns, char **values, char **names) {
  char *text = context;
  (void)columns, (void)names;
  strncat(text, values[3], 500 - strlen(text));
  strncat(text, "; ", 500 - strlen(text));
  return 0;
}

static void test_statements_use_their_indexes(void **state) {
  (void)state;
  sqlite3 *handle;
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
    char sql[600], plan[501] = "";
    snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", plans[i].sql);
    assert_int_equal(sqlite3_exec(handle, sql, read_plan, plan, NULL), SQLITE_OK);
    if (strstr(plan, plans[i].index) == NULL || strstr(plan, "TEMP B-TREE FOR ORDER BY") != NULL)
      fail_msg("%s\n  goes: %s\n  not by %s", plans[i].sql, plan, plans[i].index);
  }
  sqlite3_close(handle);
}

static void test_released_claims_wait_again(void **state) {
  (void)state;
  struct lw_id first = id_at(1);
  add(1, 100, NOW, false, NULL);
  add(2, 100, NOW, true, NULL);
  assert_string_equal(claim(100, 9), "1");
  OK(lw_store_release(store, &first, &other, &error)); /* not theirs */
  assert_string_equal(claim(100, 9), "");
  OK(lw_store_release(store, &first, &me, &error));
  assert_string_equal(claim(100, 9), "1");
  assert_string_equal(claim_head(100, NOW), "2");
  OK(lw_store_release_all(store, &me, &error));
  assert_string_equal(claim(100, 9), "1");
  assert_string_equal(claim_head(100, NOW), "2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_claims_are_of_one_webhook),
      TEST(test_what_is_due_together_goes_by_age),
      TEST(test_a_claim_says_whether_there_may_be_more),
      TEST(test_large_bodies_end_a_claim),
      TEST(test_the_walk_jumps_from_webhook_to_webhook),
      TEST(test_the_head_holds_its_line),
      TEST(test_the_walk_of_the_ordered),
      TEST(test_a_line_is_ordered_afterwards),
      TEST(test_canceling_takes_what_waits_and_what_is_claimed),
      TEST(test_failing_since_the_first_failure),
      TEST(test_statements_use_their_indexes),
      TEST(test_released_claims_wait_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
