/* Time through the whole dispatcher: retries, disabling, breaker, holds and rates over days, on a clock that
 * the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "delivery/outcomes.h"
#include "moved_clock.h"

enum { ALWAYS = 1000000 };

static void use_retry(struct lw_dispatcher_options *options, int64_t delay) {
  options->settings->retry = (struct lw_retry_schedule){.count = 1, .delays = {delay}};
}

/* -- retries --------------------------------------------------------------------------------------- */

/* Each attempt at its time: not a millisecond before, and none after the last. */
static void the_default_schedule_takes_three_days(void **state) {
  static const int64_t delays[] = {5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR,
                                   10 * HOUR,  14 * HOUR,  20 * HOUR,   24 * HOUR};
  static const struct {
    uint32_t jitter;
    int percent;
  } draws[] = {{0, 80}, {UINT32_MAX, 120}, {0x80000000, 100}};
  (void)state;
  struct lw_dispatcher_options options = moved_options();
  options.settings->retry = lw_retry_default();
  struct lw_dispatcher *dispatcher = open_with(options);
  add_webhook(dispatcher, NULL);
  set_receiver(false, ALWAYS);
  int64_t began = moved.now, all = 0;
  OK(emit(dispatcher, "a", &error));
  for (int i = 0; i < 9; i++) {
    int64_t delay = delays[i] * draws[i % 3].percent / 100;
    moved.jitter = draws[i % 3].jitter;
    settle(dispatcher, i + 1);
    int64_t due_at = logged("a").due_at;
    assert_int_equal(due_at - moved.now, delay);
    assert_int_equal(logged("a").status, LW_PENDING);
    moved.now = due_at - 1;
    assert_rests(dispatcher);
    moved.now = due_at;
    all += delay;
  }
  settle(dispatcher, 10);
  assert_int_equal(logged("a").status, LW_FAILED);
  assert_string_equal(logged("a").reason, "the retry schedule is used up");
  assert_int_equal(moved.now - began, all);
  moved.now += 30 * DAY;
  assert_rests(dispatcher);
  assert_int_equal(received(), 10);
  for (int i = 1; i < 10; i++) assert_true(came_at(i) > came_at(i - 1));
  close_dispatcher(dispatcher);
}

/* -- disabling ------------------------------------------------------------------------------------- */

static struct lw_dispatcher *open_failing(struct lw_dispatcher_options options, struct lw_id *webhook) {
  use_retry(&options, 30 * DAY);
  struct lw_dispatcher *dispatcher = open_with(options);
  *webhook = add_webhook(dispatcher, NULL);
  set_receiver(false, ALWAYS);
  return dispatcher;
}

static void assert_enabled(const struct lw_id *id, bool enabled) {
  struct lw_webhook webhook = webhook_of(id);
  assert_int_equal(webhook.enabled, enabled);
  if (!enabled) assert_string_equal(webhook.disabled_reason, "every attempt failed for 5 days");
  lw_webhook_clear(&webhook);
}

static void assert_canceled(const char *body) {
  assert_int_equal(logged(body).status, LW_CANCELED);
  assert_string_equal(logged(body).reason, "every attempt failed for 5 days");
}

static void five_days_of_failures_disable(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher_options options = moved_options();
  options.records = lw_records_new(true, NULL);
  struct lw_dispatcher *dispatcher = open_failing(options, &id);
  OK(emit(dispatcher, "a", &error));
  settle(dispatcher, 1);
  moved.now += 5 * DAY - 1;
  OK(emit(dispatcher, "b", &error));
  settle(dispatcher, 2);
  assert_enabled(&id, true);
  moved.now += 1;
  OK(emit(dispatcher, "c", &error));
  settle(dispatcher, 3);
  assert_enabled(&id, false);
  assert_canceled("a");
  assert_canceled("b");
  assert_canceled("c");
  struct lw_emit_item item = item_of("d");
  OK(lw_dispatcher_emit(dispatcher, &item, 1, &error));
  assert_int_equal(item.deliveries, 0);
  moved.now += 60 * DAY;
  assert_rests(dispatcher);
  assert_int_equal(received(), 3);
  close_dispatcher(dispatcher);
  struct lw_record record;
  int told = 0;
  while (lw_records_take(options.records, &record)) {
    if (record.event != LW_RECORD_WEBHOOK_DISABLED) continue;
    assert_string_equal(record.reason, "every attempt failed for 5 days");
    assert_true(lw_id_equal(&record.webhook_id, &id));
    told++;
  }
  lw_records_drop(options.records);
  assert_int_equal(told, 1);
}

static void one_success_begins_the_days_anew(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_failing(moved_options(), &id);
  OK(emit(dispatcher, "a", &error));
  settle(dispatcher, 1);
  moved.now += 3 * DAY;
  set_receiver(false, 0);
  OK(emit(dispatcher, "good", &error));
  settle(dispatcher, 2);
  set_receiver(false, ALWAYS);
  moved.now += HOUR;
  OK(emit(dispatcher, "b", &error));
  settle(dispatcher, 3);
  moved.now += 5 * DAY - 1;
  OK(emit(dispatcher, "c", &error));
  settle(dispatcher, 4);
  assert_enabled(&id, true);
  moved.now += 1;
  OK(emit(dispatcher, "d", &error));
  settle(dispatcher, 5);
  assert_enabled(&id, false);
  assert_canceled("a");
  close_dispatcher(dispatcher);
}

static int64_t failing_since(const struct lw_id *id) {
  struct lw_webhook webhook = webhook_of(id);
  int64_t since = webhook.failing_since;
  lw_webhook_clear(&webhook);
  return since;
}

/* One that sees only successes says so now and then, since another one may see failures. */
static void a_success_of_another_dispatcher_counts(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *one = open_failing(moved_options(), &id);
  struct lw_dispatcher *two = open_with(moved_options());
  look(two);
  set_receiver(false, 0);
  OK(emit(two, "good", &error));
  settle(two, 1);
  set_receiver(false, 1);
  OK(emit(one, "a", &error));
  settle(one, 2);
  assert_int_equal(failing_since(&id), moved.now);
  moved.now += LW_WORKS_EVERY_MS;
  OK(emit(two, "good again", &error));
  settle(two, 3);
  assert_int_equal(failing_since(&id), 0);
  close_dispatcher(two);
  close_dispatcher(one);
}

/* Two successes come back together, and what is written of the first is rolled back with the second. */
static void a_success_counts_though_it_is_written_late(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_failing(moved_options(), &id);
  set_receiver(false, 1);
  OK(emit(dispatcher, "a", &error));
  settle(dispatcher, 1);
  assert_int_equal(failing_since(&id), moved.now);
  execute(
      "CREATE TRIGGER full BEFORE INSERT ON attempts WHEN (SELECT count(*) FROM attempts) = 2"
      " BEGIN SELECT RAISE(ABORT, 'no'); END");
  set_receiver(true, 0);
  OK(emit(dispatcher, "b", &error));
  OK(emit(dispatcher, "c", &error));
  wait_received(3);
  set_receiver(false, 0);
  for (int64_t end = ticks_ms() + PATIENCE_MS; lw_dispatcher_write(dispatcher, do_nothing, NULL, &error);)
    if (ticks_ms() > end) fail_msg("nothing was refused");
  execute("DROP TRIGGER full");
  settle(dispatcher, 3);
  assert_int_equal(failing_since(&id), 0);
  close_dispatcher(dispatcher);
}

/* -- breaker --------------------------------------------------------------------------------------- */

static struct lw_dispatcher *open_broken(struct lw_id *id) {
  struct lw_dispatcher_options options = moved_options();
  options.settings->limits.breaker_failures = 5;
  options.settings->limits.breaker_pause = 5000000;
  options.settings->limits.breaker_max_pause = 60000000;
  struct lw_dispatcher *dispatcher = open_with(options);
  *id = add_webhook(dispatcher, NULL);
  set_receiver(false, ALWAYS);
  for (int i = 0; i < 5; i++) OK(emit(dispatcher, "first", &error));
  settle(dispatcher, 5);
  for (int i = 0; i < 10; i++) OK(emit(dispatcher, "later", &error));
  assert_rests(dispatcher);
  return dispatcher;
}

/* Until then nothing is sent; then one request is, and no other while it runs. */
static void probe(struct lw_dispatcher *dispatcher, int64_t pause, int to_fail, int expected) {
  moved.now += pause - 1;
  assert_rests(dispatcher);
  assert_int_equal(received(), expected - 1);
  set_receiver(true, to_fail);
  moved.now += 1;
  settle_received(dispatcher, expected);
  for (int i = 0; i < 3; i++) look(dispatcher);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE claimed_by IS NOT NULL"), 1);
  assert_int_equal(received(), expected);
  set_receiver(false, to_fail);
}

static void a_failing_webhook_is_probed_less_and_less(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_broken(&id);
  static const int pauses[] = {5, 10, 20, 40, 60, 60};
  for (int i = 0; i < 6; i++) {
    probe(dispatcher, pauses[i] * SECOND, ALWAYS, 6 + i);
    settle(dispatcher, 6 + i);
  }
  probe(dispatcher, 60 * SECOND, 0, 12);
  settle(dispatcher, 15); /* its success lets the three others go, at the same moment */
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE status = 'succeeded'"), 4);
  close_dispatcher(dispatcher);
}

static bool touch(struct lw_store *store, void *context, struct lw_error *failure) {
  bool found;
  struct lw_webhook webhook;
  if (!lw_store_get_webhook(store, context, &webhook, &found, failure)) return false;
  webhook.updated_at++;
  bool ok = lw_store_update_webhook(store, &webhook, &found, failure);
  lw_webhook_clear(&webhook);
  return ok;
}

/* Whoever mends a webhook does not want to wait for the rest of a pause that its past has earned. */
static void an_owners_change_ends_the_pause(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_broken(&id);
  moved.now += SECOND;
  set_receiver(true, 0);
  OK(lw_dispatcher_write(dispatcher, touch, &id, &error));
  settle_received(dispatcher, 6);
  look(dispatcher);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE claimed_by IS NOT NULL"), 1);
  set_receiver(false, 0);
  settle(dispatcher, 15);
  close_dispatcher(dispatcher);
}

/* -- Retry-After ----------------------------------------------------------------------------------- */

/* Until then nothing of that webhook is sent, whatever is due. */
static void hold_for_two_hours(const char *header) {
  struct lw_dispatcher_options options = moved_options();
  use_retry(&options, SECOND);
  struct lw_dispatcher *dispatcher = open_with(options);
  add_webhook(dispatcher, NULL);
  add_webhook_of(dispatcher, "other", NULL);
  int64_t until = moved.now + 2 * HOUR;
  set_failure(429, header);
  set_receiver(false, 1);
  OK(emit(dispatcher, "a", &error));
  settle(dispatcher, 1);
  assert_int_equal(logged("a").due_at, until);
  OK(emit(dispatcher, "b", &error));
  OK(emit(dispatcher, "c", &error));
  struct lw_emit_item other = item_of("other");
  other.app_id = "other";
  OK(lw_dispatcher_emit(dispatcher, &other, 1, &error));
  settle(dispatcher, 2);
  assert_int_equal(times_received("other"), 1);
  moved.now = until - 1;
  for (int i = 0; i < 3; i++) look(dispatcher);
  assert_int_equal(received(), 2);
  moved.now = until;
  settle(dispatcher, 5);
  for (int i = 2; i < 5; i++) assert_int_equal(came_at(i), until);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE status = 'succeeded'"), 4);
  close_dispatcher(dispatcher);
}

static void retry_after_seconds_hold_the_webhook(void **state) {
  (void)state;
  hold_for_two_hours("Retry-After: 7200\r\n");
}

static void retry_after_a_date_holds_the_webhook(void **state) {
  (void)state;
  char header[HEADERS_SIZE];
  struct tm tm;
  time_t until = (time_t)((moved.now + 2 * HOUR) / SECOND);
  strftime(header, sizeof header, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&until, &tm));
  hold_for_two_hours(header);
}

/* -- rate ------------------------------------------------------------------------------------------ */

static void a_rate_holds_over_an_hour(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_with(moved_options());
  add_webhook(dispatcher, "rate_limit=10/3600000\n");
  int64_t began = moved.now;
  for (int i = 0; i < 21; i++) OK(emit(dispatcher, "a", &error));
  settle(dispatcher, 10);
  for (int i = 1; i <= 10; i++) {
    moved.now = began + i * 6 * MINUTE - 1;
    for (int n = 0; n < 3; n++) look(dispatcher);
    assert_int_equal(received(), 9 + i);
    moved.now += 1;
    settle(dispatcher, 10 + i);
  }
  for (int i = 0; i < 20; i++) assert_int_equal(came_at(i), i < 10 ? began : began + (i - 9) * 6 * MINUTE);
  close_dispatcher(dispatcher);
}

/* -- what waits for a day -------------------------------------------------------------------------- */

static bool sign_standard(struct lw_store *store, void *context, struct lw_error *failure) {
  bool found;
  struct lw_webhook webhook;
  if (!lw_store_get_webhook(store, context, &webhook, &found, failure)) return false;
  free(webhook.signing_secret);
  free(webhook.signing);
  webhook.signing_secret = strdup("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  webhook.signing = strdup("standard");
  webhook.updated_at++;
  bool ok = lw_store_update_webhook(store, &webhook, &found, failure);
  lw_webhook_clear(&webhook);
  return ok;
}

/* The one that failed, and one that comes while its webhook is held: nothing is signed before its time. */
static void a_day_later_the_timestamp_is_fresh(void **state) {
  (void)state;
  struct lw_dispatcher_options options = moved_options();
  use_retry(&options, SECOND);
  struct lw_dispatcher *dispatcher = open_with(options);
  struct lw_id id = add_webhook(dispatcher, NULL);
  OK(lw_dispatcher_write(dispatcher, sign_standard, &id, &error));
  set_failure(503, "Retry-After: 86400\r\n");
  set_receiver(false, 1);
  OK(emit(dispatcher, "a", &error));
  settle(dispatcher, 1);
  assert_int_equal(request_at(0).timestamp, moved.now / SECOND);
  OK(emit(dispatcher, "b", &error));
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE claimed_by IS NOT NULL"), 0);
  moved.now += DAY;
  settle(dispatcher, 3);
  for (int i = 1; i < 3; i++) assert_int_equal(request_at(i).timestamp, moved.now / SECOND);
  close_dispatcher(dispatcher);
}

/* It was claimed and signed, and the request before it took a day. */
static void what_waited_in_memory_is_signed_anew(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_with(moved_options());
  struct lw_id id = add_webhook(dispatcher, "max_in_flight=1\n");
  OK(lw_dispatcher_write(dispatcher, sign_standard, &id, &error));
  set_receiver(true, 0);
  OK(emit(dispatcher, "a", &error));
  OK(emit(dispatcher, "b", &error));
  settle_received(dispatcher, 1);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE claimed_by IS NOT NULL"), 2);
  moved.now += DAY;
  set_receiver(false, 0);
  settle(dispatcher, 2);
  assert_int_equal(request_at(0).timestamp, (moved.now - DAY) / SECOND);
  assert_int_equal(request_at(1).timestamp, moved.now / SECOND);
  close_dispatcher(dispatcher);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_moved_scene, close_scene)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_default_schedule_takes_three_days),
      TEST(five_days_of_failures_disable),
      TEST(one_success_begins_the_days_anew),
      TEST(a_success_of_another_dispatcher_counts),
      TEST(a_success_counts_though_it_is_written_late),
      TEST(a_failing_webhook_is_probed_less_and_less),
      TEST(an_owners_change_ends_the_pause),
      TEST(retry_after_seconds_hold_the_webhook),
      TEST(retry_after_a_date_holds_the_webhook),
      TEST(a_rate_holds_over_an_hour),
      TEST(a_day_later_the_timestamp_is_fresh),
      TEST(what_waited_in_memory_is_signed_anew),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
