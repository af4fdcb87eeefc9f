/* Webhooks that change while their deliveries wait, in the store and in memory: order, addresses, limits, and
 * what only a newer version of us can read. */
#include <setjmp.h>
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

#include "moved_clock.h"

/* What an owner changes; NULL: stays. */
struct change {
  struct lw_id id;
  const char *settings, *url, *format, *signing, *filter;
  bool disable, remove;
};

static void replace(char **text, const char *value) {
  if (value == NULL) return;
  free(*text);
  *text = strdup(value);
}

static bool apply(struct lw_store *store, void *context, struct lw_error *failure) {
  const struct change *change = context;
  struct lw_webhook webhook;
  bool found;
  if (!lw_store_get_webhook(store, &change->id, &webhook, &found, failure)) return false;
  replace(&webhook.settings, change->settings);
  replace(&webhook.url, change->url);
  replace(&webhook.format, change->format);
  replace(&webhook.signing, change->signing);
  replace(&webhook.filter, change->filter);
  webhook.enabled = !change->disable;
  webhook.updated_at++;
  bool ok = change->remove ? lw_store_delete_webhook(store, &change->id, &found, failure)
                           : lw_store_update_webhook(store, &webhook, &found, failure);
  lw_webhook_clear(&webhook);
  if (!ok || (!change->disable && !change->remove)) return ok;
  return lw_store_cancel_webhook(store, &change->id, "the owner's reason", failure);
}

static void alter(struct lw_dispatcher *dispatcher, struct change change) {
  OK(lw_dispatcher_write(dispatcher, apply, &change, &error));
}

static struct lw_dispatcher *open_one(const char *settings, struct lw_id *id) {
  struct lw_dispatcher *dispatcher = open_with(moved_options());
  *id = add_webhook(dispatcher, settings);
  return dispatcher;
}

/* The bodies "1", "2", … in turn. */
static void emit_numbers(struct lw_dispatcher *dispatcher, int first, int last) {
  for (int i = first; i <= last; i++) {
    char body[BODY_SIZE];
    snprintf(body, sizeof body, "%d", i);
    OK(emit(dispatcher, body, &error));
  }
}

/* The bodies of the requests from `index` on, as one word. */
static void assert_order(int index, const char *expected) {
  char word[128] = "";
  for (int i = index; i < received(); i++) strncat(word, request_at(i).body, sizeof word - strlen(word) - 1);
  assert_string_equal(word, expected);
}

/* -- order ----------------------------------------------------------------------------------------- */

#define ORDERED "ordered=true\nretry=3600000\n"
#define UNORDERED "retry=3600000\n"

static void a_failing_head_holds_its_line_until_its_schedule_ends(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one("ordered=true\nretry=3600000,7200000\n", &id);
  set_receiver(false, 3);
  emit_numbers(dispatcher, 1, 4);
  settle(dispatcher, 1);
  moved.now += HOUR - 1;
  assert_rests(dispatcher);
  moved.now += 1;
  settle(dispatcher, 2);
  emit_numbers(dispatcher, 5, 5);
  moved.now += 2 * HOUR - 1;
  assert_rests(dispatcher);
  moved.now += 1;
  settle(dispatcher, 7);
  assert_order(0, "1112345");
  assert_int_equal(most_running(), 1);
  assert_int_equal(logged("1").status, LW_FAILED);
  close_dispatcher(dispatcher);
}

/* One waits for its retry when its webhook becomes an ordered one: what is emitted then waits for it. */
static void what_waits_is_ordered_too(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one(UNORDERED, &id);
  set_receiver(false, 1);
  emit_numbers(dispatcher, 1, 1);
  settle(dispatcher, 1);
  alter(dispatcher, (struct change){.id = id, .settings = ORDERED});
  emit_numbers(dispatcher, 2, 4);
  assert_rests(dispatcher);
  moved.now += HOUR;
  settle(dispatcher, 5);
  assert_order(1, "1234");
  close_dispatcher(dispatcher);
}

/* Two are under way and fail, and four wait in memory. */
static void what_waits_in_memory_is_ordered_too(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one(UNORDERED "max_in_flight=2\n", &id);
  set_receiver(true, 2);
  emit_numbers(dispatcher, 1, 6);
  settle_received(dispatcher, 2);
  alter(dispatcher, (struct change){.id = id, .settings = ORDERED});
  set_receiver(false, 2);
  settle(dispatcher, 2);
  assert_rests(dispatcher);
  moved.now += HOUR;
  settle(dispatcher, 8);
  assert_order(2, "123456");
  close_dispatcher(dispatcher);
}

/* Another dispatcher on the file has claimed four, of which two are under way. */
static void what_another_has_claimed_is_ordered_too(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one(UNORDERED "max_in_flight=2\n", &id);
  struct lw_dispatcher *other = open_with(moved_options());
  look(other);
  set_receiver(true, 2);
  emit_numbers(other, 1, 4);
  settle_received(other, 2);
  alter(dispatcher, (struct change){.id = id, .settings = ORDERED});
  moved.now += 1; /* within a millisecond the ids of two have no order */
  emit_numbers(dispatcher, 5, 6);
  for (int i = 0; i < 3; i++) look(dispatcher);
  assert_int_equal(received(), 2);
  look(other); /* it learns of the change */
  set_receiver(false, 2);
  settle(other, 2);
  moved.now += HOUR;
  settle(dispatcher, 8);
  assert_order(2, "123456");
  close_dispatcher(other);
  close_dispatcher(dispatcher);
}

static void without_order_nobody_waits_for_the_head(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one(ORDERED, &id);
  set_receiver(false, 1);
  emit_numbers(dispatcher, 1, 4);
  settle(dispatcher, 1);
  assert_rests(dispatcher);
  alter(dispatcher, (struct change){.id = id, .settings = UNORDERED});
  settle(dispatcher, 4);
  assert_int_equal(times_received("1"), 1);
  moved.now += HOUR;
  settle(dispatcher, 5);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE status = 'succeeded'"), 4);
  close_dispatcher(dispatcher);
}

static bool resend_done(struct lw_store *store, void *context, struct lw_error *failure) {
  struct lw_log_filter filter = {.status = "succeeded", NO_BOUNDS};
  struct lw_id_list list;
  int64_t resent;
  (void)context;
  bool ok = lw_store_find_resendable(store, &filter, NULL, 100, &list, failure) &&
            lw_store_resend(store, &list, moved.now, &resent, failure);
  lw_id_list_free(&list);
  return ok;
}

/* Its place is that of its emit: it goes before the head that waits for its retry. What was sent while there
 * was no order takes its place too. */
static void an_old_one_is_resent_in_its_place(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one(UNORDERED, &id);
  emit_numbers(dispatcher, 1, 1);
  settle(dispatcher, 1);
  alter(dispatcher, (struct change){.id = id, .settings = ORDERED});
  emit_numbers(dispatcher, 2, 2);
  settle(dispatcher, 2);
  set_receiver(false, 1);
  emit_numbers(dispatcher, 3, 4);
  settle(dispatcher, 3);
  OK(lw_dispatcher_write(dispatcher, resend_done, NULL, &error));
  settle(dispatcher, 5);
  assert_rests(dispatcher);
  moved.now += HOUR;
  settle(dispatcher, 7);
  assert_order(0, "1231234");
  assert_int_equal(most_running(), 1);
  close_dispatcher(dispatcher);
}

/* -- what waits in memory -------------------------------------------------------------------------- */

static void what_waits_goes_to_the_new_address(void **state) {
  (void)state;
  struct lw_id id;
  char url[64];
  struct lw_dispatcher *dispatcher = open_one("max_in_flight=1\n", &id);
  set_receiver(true, 0);
  emit_numbers(dispatcher, 1, 3);
  settle_received(dispatcher, 1);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/new", receiver.port);
  alter(dispatcher, (struct change){.id = id, .url = url});
  set_receiver(false, 0);
  settle(dispatcher, 3);
  assert_string_equal(request_at(0).path, "/");
  for (int i = 1; i < 3; i++) assert_string_equal(request_at(i).path, "/new");
  close_dispatcher(dispatcher);
}

/* Its turn would come tomorrow. */
static void a_lifted_rate_lets_it_go_at_once(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one("rate_limit=1/86400000\n", &id);
  emit_numbers(dispatcher, 1, 3);
  settle(dispatcher, 1);
  for (int i = 0; i < 3; i++) look(dispatcher);
  assert_int_equal(received(), 1);
  alter(dispatcher, (struct change){.id = id, .settings = ""});
  settle(dispatcher, 3);
  close_dispatcher(dispatcher);
}

/* All places were taken. */
static void a_raised_limit_lets_it_go_at_once(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one("max_in_flight=1\n", &id);
  set_receiver(true, 0);
  emit_numbers(dispatcher, 1, 2);
  settle_received(dispatcher, 1);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE claimed_by IS NOT NULL"), 2);
  alter(dispatcher, (struct change){.id = id, .settings = "max_in_flight=2\n"});
  settle_received(dispatcher, 2);
  assert_int_equal(most_running(), 2);
  set_receiver(false, 0);
  settle(dispatcher, 2);
  close_dispatcher(dispatcher);
}

/* One is under way, and two wait in memory. */
static void what_waits_for_a_webhook_that_goes_is_canceled(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    struct lw_id id;
    struct lw_dispatcher *dispatcher = open_one("max_in_flight=1\n", &id);
    int before = received();
    set_receiver(true, 0);
    emit_numbers(dispatcher, 1, 3);
    settle_received(dispatcher, before + 1);
    alter(dispatcher, (struct change){.id = id, .disable = i == 0, .remove = i == 1});
    set_receiver(false, 0);
    settle(dispatcher, i + 1);
    assert_rests(dispatcher);
    assert_int_equal(received(), before + 1);
    close_dispatcher(dispatcher);
    moved.now += SECOND; /* ids are made of the time */
  }
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE status = 'succeeded'"), 2);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE status = 'canceled'"
                                  " AND reason = 'the owner''s reason'"),
                   4);
}

static void free_command(struct lw_task *task) {
  free(task);
}

/* They wait for the lock together, and go into one transaction. */
static void what_is_stored_together_with_the_change_obeys_it(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one(NULL, &id);
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  struct lw_emit_item item = item_of("1");
  OK(lw_dispatcher_enqueue(dispatcher, &item, 1, &error)); /* the engine takes it, and waits */
  struct lw_dispatcher_stats stats = {.now.queued = 1};
  while (stats.now.queued > 0) OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  item = item_of("2");
  OK(lw_dispatcher_enqueue(dispatcher, &item, 1, &error));
  struct change change = {.id = id, .disable = true};
  struct lw_completions *completions;
  OK((completions = lw_completions_new(&error)) != NULL);
  struct lw_command *command = calloc(1, sizeof *command);
  command->write = apply;
  command->context = &change;
  OK(lw_dispatcher_start(dispatcher, command, completions, free_command, &error));
  set_receiver(true, 0);
  lw_store_rollback(other);
  lw_store_close(other);
  wait_received(1);
  OK(lw_dispatcher_flush(dispatcher, PATIENCE_MS, &error));
  set_receiver(false, 0);
  settle(dispatcher, 1);
  assert_rests(dispatcher);
  assert_order(0, "1");
  assert_int_equal(logged("2").status, LW_CANCELED);
  close_dispatcher(dispatcher);
  lw_task_release(&command->task);
  lw_completions_drop(completions);
}

/* -- what a newer version made --------------------------------------------------------------------- */

/* It waits for somebody who can read it, whatever it is, and is not canceled. */
static void what_only_a_newer_version_knows_waits_for_it(void **state) {
  static const struct {
    struct change newer, back;
  } table[] = {
      {{.format = "telegram"}, {.format = "raw"}},
      {{.signing = "post-quantum"}, {.signing = "capawesome"}},
      {{.settings = "retry=3600000\npriority=7\n"}, {.settings = UNORDERED}},
      {{.settings = "retry=fibonacci\n"}, {.settings = UNORDERED}},
  };
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one(UNORDERED, &id);
  for (int i = 0; i < (int)(sizeof table / sizeof *table); i++) {
    char body[BODY_SIZE];
    struct change newer = table[i].newer, back = table[i].back;
    newer.id = back.id = id;
    snprintf(body, sizeof body, "%d", i);
    set_receiver(false, 1);
    OK(emit(dispatcher, body, &error));
    settle(dispatcher, 2 * i + 1);
    alter(dispatcher, newer);
    moved.now += HOUR; /* due, and nobody here can send it */
    assert_rests(dispatcher);
    assert_int_equal(logged(body).status, LW_PENDING);
    alter(dispatcher, back);
    settle(dispatcher, 2 * i + 2);
    assert_int_equal(logged(body).status, LW_SUCCEEDED);
  }
  close_dispatcher(dispatcher);
}

/* A filter chooses events only: what it chose already can be sent by whomever. */
static void what_a_newer_filter_chose_is_sent(void **state) {
  (void)state;
  struct lw_id id;
  struct lw_dispatcher *dispatcher = open_one(UNORDERED, &id);
  set_receiver(false, 1);
  emit_numbers(dispatcher, 1, 1);
  settle(dispatcher, 1);
  alter(dispatcher, (struct change){.id = id, .filter = "a filter of the future"});
  emit_numbers(dispatcher, 2, 2);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries"), 1);
  moved.now += HOUR;
  settle(dispatcher, 2);
  assert_int_equal(logged("1").status, LW_SUCCEEDED);
  close_dispatcher(dispatcher);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_moved_scene, close_scene)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_failing_head_holds_its_line_until_its_schedule_ends),
      TEST(what_waits_is_ordered_too),
      TEST(what_waits_in_memory_is_ordered_too),
      TEST(what_another_has_claimed_is_ordered_too),
      TEST(without_order_nobody_waits_for_the_head),
      TEST(an_old_one_is_resent_in_its_place),
      TEST(what_waits_goes_to_the_new_address),
      TEST(a_lifted_rate_lets_it_go_at_once),
      TEST(a_raised_limit_lets_it_go_at_once),
      TEST(what_waits_for_a_webhook_that_goes_is_canceled),
      TEST(what_is_stored_together_with_the_change_obeys_it),
      TEST(what_only_a_newer_version_knows_waits_for_it),
      TEST(what_a_newer_filter_chose_is_sent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
