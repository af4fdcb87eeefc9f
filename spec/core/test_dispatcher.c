/* The dispatcher on a real file, with a small HTTP receiver on loopback. */
#include <pthread.h>
#include <sched.h>
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

#include "scene.h"

static int set_up(void **state) {
  (void)state;
  return open_scene(lw_system_clock());
}

static struct lw_dispatcher_options options(void) {
  struct lw_retry_schedule retry = {.count = 4, .delays = {20, 20, 20, 20}};
  return (struct lw_dispatcher_options){.settings = local_settings(PATIENCE_MS, retry),
                                        .connections = 32,
                                        .max_in_flight_per_host = 32,
                                        .lease = PATIENCE_MS};
}

static struct lw_dispatcher *open_dispatcher(void) {
  struct lw_dispatcher *dispatcher = open_with(options());
  add_webhook(dispatcher, NULL);
  return dispatcher;
}

static bool enqueue(struct lw_dispatcher *dispatcher, const char *body, struct lw_error *failure) {
  struct lw_emit_item item = item_of(body);
  return lw_dispatcher_enqueue(dispatcher, &item, 1, failure);
}

static void drain(struct lw_dispatcher *dispatcher) {
  int64_t left = 0;
  OK(lw_dispatcher_drain(dispatcher, PATIENCE_MS, &left, &error));
  assert_int_equal(left, 0);
}

static void assert_logged(const char *status, int64_t expected) {
  struct lw_store *store = lw_store_open(path, &error);
  struct lw_log_filter filter = {.status = status, NO_BOUNDS};
  int64_t count = -1;
  OK(lw_store_log_count(store, &filter, &count, &error));
  assert_int_equal(count, expected);
  lw_store_close(store);
}

static struct lw_store_counts counts(void) {
  struct lw_store *store = lw_store_open(path, &error);
  struct lw_store_counts counts;
  OK(lw_store_counts(store, now_ms(), &counts, &error));
  lw_store_close(store);
  return counts;
}

/* -- emitting -------------------------------------------------------------------------------------- */

enum { EMITTERS = 4, EACH = 60 };

struct emitter {
  struct lw_dispatcher *dispatcher;
  pthread_t thread;
  int number;
  bool ok;
};

/* Every second event is not waited for. */
static void *emit_many(void *argument) {
  struct emitter *emitter = argument;
  emitter->ok = true;
  for (int i = 0; i < EACH; i++) {
    char body[BODY_SIZE];
    struct lw_error failure;
    snprintf(body, sizeof body, "%d-%d", emitter->number, i);
    bool ok =
        i % 2 == 0 ? emit(emitter->dispatcher, body, &failure) : enqueue(emitter->dispatcher, body, &failure);
    emitter->ok = emitter->ok && ok;
  }
  return NULL;
}

static void emit_from_threads(struct lw_dispatcher *one, struct lw_dispatcher *two) {
  struct emitter emitters[EMITTERS];
  for (int i = 0; i < EMITTERS; i++) {
    emitters[i] = (struct emitter){.dispatcher = i % 2 == 0 ? one : two, .number = i};
    pthread_create(&emitters[i].thread, NULL, emit_many, &emitters[i]);
  }
  for (int i = 0; i < EMITTERS; i++) {
    pthread_join(emitters[i].thread, NULL);
    assert_true(emitters[i].ok);
  }
}

static void assert_all_received_once(void) {
  for (int number = 0; number < EMITTERS; number++)
    for (int i = 0; i < EACH; i++) {
      char body[BODY_SIZE];
      snprintf(body, sizeof body, "%d-%d", number, i);
      if (times_received(body) != 1) fail_msg("%s came %d times", body, times_received(body));
    }
  assert_int_equal(received(), EMITTERS * EACH);
}

static void threads_emit_and_all_arrives(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  emit_from_threads(dispatcher, dispatcher);
  drain(dispatcher);
  assert_all_received_once();
  struct lw_dispatcher_stats stats;
  OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  assert_int_equal(stats.since_open.events, EMITTERS * EACH);
  assert_int_equal(stats.since_open.succeeded, EMITTERS * EACH);
  assert_int_equal(stats.now.pending + stats.now.queued + stats.now.in_flight + stats.since_open.given_up, 0);
  close_dispatcher(dispatcher);
  assert_logged("succeeded", EMITTERS * EACH);
}

static void two_dispatchers_share_a_file(void **state) {
  (void)state;
  struct lw_dispatcher *one = open_dispatcher();
  struct lw_dispatcher *two = open_with(options());
  emit_from_threads(one, two);
  drain(one);
  drain(two);
  drain(one);
  assert_all_received_once();
  close_dispatcher(two);
  close_dispatcher(one);
  assert_logged("succeeded", EMITTERS * EACH);
}

/* An event is in neither the mailbox nor the store while it is being written: here, while the engine waits
 * for the lock. */
static void drain_waits_for_what_is_being_written(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  struct lw_store *other = lw_store_open(path, &error);
  struct lw_dispatcher_stats stats = {.now.queued = 1};
  int64_t left = 0;
  drain(dispatcher);
  OK(lw_store_begin(other, &error));
  OK(enqueue(dispatcher, "a", &error));
  while (stats.now.queued > 0) OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  assert_false(lw_dispatcher_drain(dispatcher, 100, &left, &error));
  assert_string_equal(error.code, "timeout");
  lw_store_rollback(other);
  lw_store_close(other);
  drain(dispatcher);
  assert_int_equal(received(), 1);
  close_dispatcher(dispatcher);
}

/* One processor: whoever is woken goes first, and finds things as the one that woke it left them. */
static void stay_on_one_processor(cpu_set_t *before) {
  cpu_set_t one;
  assert_int_equal(sched_getaffinity(0, sizeof *before, before), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
    if (CPU_ISSET(cpu, before)) CPU_SET(cpu, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
}

/* In memory what is left is counted by the engine itself, and the dispatcher is idle again when that has been
 * answered. (Threads inherit the processor.) */
static void a_drain_in_memory_does_not_disturb_itself(void **state) {
  (void)state;
  cpu_set_t before;
  int64_t left = 0;
  stay_on_one_processor(&before);
  struct lw_dispatcher_options memory = options();
  struct lw_dispatcher *dispatcher;
  OK((dispatcher = lw_dispatcher_open(":memory:", &memory, &error)) != NULL);
  lw_settings_drop(memory.settings);
  int failed = 0;
  for (int i = 0; i < 50; i++) failed += !lw_dispatcher_drain(dispatcher, 50, &left, &error);
  OK(lw_dispatcher_close(dispatcher, PATIENCE_MS, &error));
  assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
  assert_int_equal(failed, 0);
}

static void a_failing_store_loses_nothing(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  execute("ALTER TABLE messages RENAME TO hidden");
  for (int i = 0; i < 10; i++) OK(enqueue(dispatcher, "kept", &error));
  assert_false(emit(dispatcher, "refused", &error));
  assert_string_equal(error.code, "store");
  assert_false(lw_dispatcher_flush(dispatcher, 50, &error));
  assert_string_equal(error.code, "timeout");
  execute("ALTER TABLE hidden RENAME TO messages");
  OK(lw_dispatcher_flush(dispatcher, PATIENCE_MS, &error));
  drain(dispatcher);
  assert_int_equal(times_received("kept"), 10);
  assert_int_equal(times_received("refused"), 0);
  close_dispatcher(dispatcher);
  assert_logged("succeeded", 10);
}

/* -- attempts -------------------------------------------------------------------------------------- */

static void wait_succeeded(struct lw_dispatcher *dispatcher, int64_t count) {
  int64_t end = ticks_ms() + PATIENCE_MS;
  struct lw_dispatcher_stats stats = {.now.queued = 0};
  while (stats.since_open.succeeded < count) {
    if (ticks_ms() > end) fail_msg("%d of %d succeeded", (int)stats.since_open.succeeded, (int)count);
    usleep(2000);
    OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  }
}

static void assert_attempts(const char *const *triggers, size_t count) {
  struct lw_store *store = lw_store_open(path, &error);
  struct lw_log_filter filter = {NO_BOUNDS};
  struct lw_log_page page;
  OK(lw_store_log_page(store, &filter, NULL, &page, &error));
  assert_int_equal(page.count, 1);
  struct lw_attempt_list list;
  OK(lw_store_attempts(store, &page.rows[0].id, &list, &error));
  assert_int_equal(list.count, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(list.items[i].number, i + 1);
    assert_string_equal(list.items[i].trigger, triggers[i]);
  }
  assert_int_equal(page.rows[0].status, LW_SUCCEEDED);
  lw_attempt_list_free(&list);
  lw_log_page_free(&page);
  lw_store_close(store);
}

static bool resend_all(struct lw_store *store, void *context, struct lw_error *failure) {
  struct lw_log_filter filter = {NO_BOUNDS};
  struct lw_id_list list;
  bool ok = lw_store_find_resendable(store, &filter, NULL, 100, &list, failure) &&
            lw_store_resend(store, &list, now_ms(), context, failure);
  lw_id_list_free(&list);
  return ok;
}

static void failures_are_retried_and_successes_resent(void **state) {
  static const char *const triggers[] = {"emit", "retry", "retry", "resend"};
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  set_receiver(false, 2);
  OK(emit(dispatcher, "again", &error));
  wait_succeeded(dispatcher, 1);
  int64_t resent = 0;
  OK(lw_dispatcher_write(dispatcher, resend_all, &resent, &error));
  assert_int_equal(resent, 1);
  drain(dispatcher);
  close_dispatcher(dispatcher);
  assert_int_equal(times_received("again"), 4);
  for (int i = 1; i < 4; i++) assert_string_equal(request_at(i).id, request_at(0).id);
  assert_attempts(triggers, 4);
}

static void a_used_up_schedule_fails(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  set_receiver(false, 1000);
  OK(emit(dispatcher, "never", &error));
  wait_received(5);
  while (counts().pending > 0) usleep(2000);
  close_dispatcher(dispatcher);
  assert_int_equal(received(), 5);
  assert_logged("failed", 1);
}

/* -- ends ------------------------------------------------------------------------------------------ */

static void close_gives_flights_back(void **state) {
  (void)state;
  struct lw_dispatcher_options few = options();
  few.connections = 2;
  struct lw_dispatcher *dispatcher = open_with(few);
  add_webhook(dispatcher, NULL);
  set_receiver(true, 0);
  char body[BODY_SIZE];
  for (int i = 0; i < 6; i++) {
    snprintf(body, sizeof body, "%d", i);
    OK(emit(dispatcher, body, &error));
  }
  wait_received(2);
  OK(lw_dispatcher_close(dispatcher, 50, &error));
  struct lw_store_counts left = counts();
  assert_int_equal(left.pending, 6);
  assert_int_equal(left.claimed, 0);
  assert_int_equal(left.due, 6);
  set_receiver(false, 0);
  dispatcher = open_with(options());
  drain(dispatcher);
  close_dispatcher(dispatcher);
  for (int i = 0; i < 6; i++) {
    snprintf(body, sizeof body, "%d", i);
    assert_in_range(times_received(body), 1, 2);
  }
  assert_logged("succeeded", 6);
}

static void close_stores_what_waits(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  for (int i = 0; i < 500; i++) OK(enqueue(dispatcher, "w", &error));
  OK(lw_dispatcher_close(dispatcher, 0, &error));
  assert_logged(NULL, 500);
  assert_int_equal(counts().claimed, 0);
}

/* It used to wait for three times the busy timeout: 30 s. */
static void close_does_not_wait_for_a_locked_database(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  for (int i = 0; i < 3; i++) OK(enqueue(dispatcher, "lost", &error));
  usleep(20000); /* the engine waits for the lock */
  int64_t began = ticks_ms();
  assert_false(lw_dispatcher_close(dispatcher, 100, &error));
  assert_in_range(ticks_ms() - began, LW_CLOSE_GRACE_MS / 2, 5000);
  assert_string_equal(error.code, "store");
  assert_non_null(strstr(error.message, "3 queued events"));
  lw_store_rollback(other);
  lw_store_close(other);
  assert_logged(NULL, 0);
}

static void close_waits_for_a_short_lock(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  OK(enqueue(dispatcher, "kept", &error));
  usleep(20000);
  OK(lw_store_commit(other, &error));
  OK(lw_dispatcher_close(dispatcher, 0, &error));
  lw_store_close(other);
  assert_logged(NULL, 1);
}

/* -- a lost lease ---------------------------------------------------------------------------------- */

/* What another dispatcher does after this one has stalled for longer than its lease. */
static void take_claims(struct lw_store *other, const struct lw_id *thief, size_t expected) {
  struct lw_claim_list list;
  int64_t freed = 0, far = now_ms() + 1000 * PATIENCE_MS;
  bool lost;
  OK(lw_store_begin(other, &error));
  OK(lw_store_take_over(other, far, &freed, &error));
  OK(lw_store_heartbeat(other, thief, far, false, &lost, &error));
  struct lw_due_line line;
  OK(lw_store_next_line(other, NULL, &line, &lost, &error));
  OK(lw_store_claim(other, thief, &line.webhook_id, now_ms(), 100, &list, &error));
  OK(lw_store_commit(other, &error));
  assert_int_equal(list.count, expected);
  lw_claim_list_free(&list);
}

static void a_lost_lease_recalls_what_waits(void **state) {
  static const struct lw_id thief = {{0xd1, 0xff}};
  (void)state;
  struct lw_dispatcher_options single = options();
  single.connections = 1;
  single.lease = 600;
  struct lw_dispatcher *dispatcher = open_with(single);
  add_webhook(dispatcher, NULL);
  set_receiver(true, 0);
  char body[BODY_SIZE];
  for (int i = 0; i < 5; i++) {
    snprintf(body, sizeof body, "%d", i);
    OK(emit(dispatcher, body, &error));
  }
  wait_received(1);
  struct lw_store *other = lw_store_open(path, &error);
  take_claims(other, &thief, 5);
  /* The dispatcher notices at its next heartbeat, every third of the lease; only the running one stays. */
  struct lw_dispatcher_stats stats = {.now.in_flight = 5};
  for (int64_t end = ticks_ms() + PATIENCE_MS; stats.now.in_flight > 1; usleep(2000)) {
    if (ticks_ms() > end) fail_msg("%d are still in flight", (int)stats.now.in_flight);
    OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  }
  set_receiver(false, 0);
  wait_succeeded(dispatcher, 1);
  assert_int_equal(received(), 1);
  assert_int_equal(counts().claimed, 4);
  /* What the other one gives back is sent, under the new name. */
  OK(lw_store_release_all(other, &thief, &error));
  lw_store_close(other);
  drain(dispatcher);
  close_dispatcher(dispatcher);
  assert_int_equal(received(), 5);
  assert_logged("succeeded", 5);
}

/* -- handing over ---------------------------------------------------------------------------------- */

static void a_retired_dispatcher_leaves_the_rest_to_its_successor(void **state) {
  (void)state;
  struct lw_dispatcher_options single = options();
  single.connections = 1;
  struct lw_dispatcher *old = open_with(single);
  add_webhook(old, NULL);
  set_receiver(true, 0);
  char body[BODY_SIZE];
  for (int i = 0; i < 6; i++) {
    snprintf(body, sizeof body, "%d", i);
    OK(emit(old, body, &error));
  }
  wait_received(1);
  lw_dispatcher_retire(old);
  /* Five of them were only queued for sending. */
  for (int64_t end = ticks_ms() + PATIENCE_MS; counts().claimed > 1; usleep(2000))
    if (ticks_ms() > end) fail_msg("%d are still claimed", (int)counts().claimed);
  OK(emit(old, "late", &error));
  assert_int_equal(counts().due, 6);
  struct lw_dispatcher *successor = open_with(options());
  wait_received(7);
  set_receiver(false, 0);
  drain(successor);
  close_dispatcher(old);
  close_dispatcher(successor);
  for (int i = 0; i < 6; i++) {
    snprintf(body, sizeof body, "%d", i);
    assert_int_equal(times_received(body), 1);
  }
  assert_int_equal(times_received("late"), 1);
  assert_logged("succeeded", 7);
}

#define WITH_RECEIVER(test) cmocka_unit_test_setup_teardown(test, set_up, close_scene)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_RECEIVER(threads_emit_and_all_arrives),
      WITH_RECEIVER(two_dispatchers_share_a_file),
      WITH_RECEIVER(drain_waits_for_what_is_being_written),
      cmocka_unit_test(a_drain_in_memory_does_not_disturb_itself),
      WITH_RECEIVER(a_failing_store_loses_nothing),
      WITH_RECEIVER(failures_are_retried_and_successes_resent),
      WITH_RECEIVER(a_used_up_schedule_fails),
      WITH_RECEIVER(close_gives_flights_back),
      WITH_RECEIVER(close_stores_what_waits),
      WITH_RECEIVER(close_does_not_wait_for_a_locked_database),
      WITH_RECEIVER(close_waits_for_a_short_lock),
      WITH_RECEIVER(a_lost_lease_recalls_what_waits),
      WITH_RECEIVER(a_retired_dispatcher_leaves_the_rest_to_its_successor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
