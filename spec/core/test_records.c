/* The bounded queue of records, alone and between threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "delivery/records.h"

static void push(struct lw_record_queue *queue, int attempt) {
  struct lw_record record = {.event = LW_RECORD_ATTEMPT_FAILED, .attempt = attempt};
  snprintf(record.message, sizeof record.message, "record %d", attempt);
  lw_record_queue_push(queue, &record);
}

static void records_come_out_in_their_order(void **state) {
  (void)state;
  struct lw_record_queue queue = {0};
  struct lw_record record;
  assert_false(lw_record_queue_pop(&queue, &record));
  for (int i = 1; i <= 3; i++) push(&queue, i);
  for (int i = 1; i <= 3; i++) {
    assert_true(lw_record_queue_pop(&queue, &record));
    assert_int_equal(record.attempt, i);
  }
  assert_false(lw_record_queue_pop(&queue, &record));
  push(&queue, 4);
  assert_true(lw_record_queue_pop(&queue, &record));
  assert_string_equal(record.message, "record 4");
  assert_int_equal(queue.dropped, 0);
}

static void the_oldest_go_when_it_is_full(void **state) {
  (void)state;
  struct lw_record_queue queue = {0}, more = {0};
  struct lw_record record;
  for (int i = 1; i <= LW_RECORDS_MAX + 5; i++) push(&queue, i);
  assert_int_equal(queue.count, LW_RECORDS_MAX);
  assert_int_equal(queue.dropped, 5);
  for (int i = 1; i <= LW_RECORDS_MAX + 2; i++) push(&more, 10000 + i);
  lw_record_queue_append(&queue, &more);
  assert_int_equal(more.count + (size_t)more.dropped, 0);
  assert_int_equal(queue.count, LW_RECORDS_MAX);
  assert_int_equal(queue.dropped, 5 + 2 + LW_RECORDS_MAX);
  assert_true(lw_record_queue_pop(&queue, &record));
  assert_int_equal(record.attempt, 10003);
  lw_record_queue_clear(&queue);
  assert_int_equal(queue.count, 0);
  assert_int_equal(queue.dropped, 0);
}

static void what_was_dropped_is_told_once_and_first(void **state) {
  (void)state;
  struct lw_records *records = lw_records_new(true, NULL);
  struct lw_record_queue queue = {0};
  struct lw_record record;
  for (int i = 1; i <= LW_RECORDS_MAX + 7; i++) push(&queue, i);
  lw_records_append(records, &queue);
  assert_int_equal(lw_records_dropped(records), 7);
  assert_true(lw_records_take(records, &record));
  assert_int_equal(record.event, LW_RECORD_RECORDS_DROPPED);
  assert_int_equal(record.count, 7);
  assert_non_null(strstr(record.message, "7 records"));
  assert_true(lw_records_take(records, &record));
  assert_int_equal(record.event, LW_RECORD_ATTEMPT_FAILED);
  assert_int_equal(record.attempt, 8);
  assert_int_equal(lw_records_dropped(records), 7);
  lw_records_drop(records);
}

static void only_what_is_wanted(void **state) {
  (void)state;
  struct lw_records *all = lw_records_new(true, NULL), *few = lw_records_new(false, NULL);
  for (int event = 0; event <= LW_RECORD_RECORDS_DROPPED; event++) {
    assert_true(lw_records_wanted(all, (enum lw_record_event)event));
    assert_int_equal(lw_records_wanted(few, (enum lw_record_event)event),
                     event == LW_RECORD_WEBHOOK_DISABLED);
    assert_false(lw_records_wanted(NULL, (enum lw_record_event)event));
    assert_non_null(lw_record_event_name((enum lw_record_event)event));
    assert_non_null(lw_record_level((enum lw_record_event)event));
  }
  struct lw_record record;
  assert_false(lw_records_take(NULL, &record));
  lw_records_drop(all);
  lw_records_drop(few);
}

static void a_fork_takes_nothing(void **state) {
  (void)state;
  struct lw_records *records = lw_records_new(true, NULL);
  struct lw_record_queue queue = {0};
  push(&queue, 1);
  lw_records_append(records, &queue);
  pid_t child = fork();
  if (child == 0) {
    struct lw_record record;
    _exit(lw_records_take(records, &record) ? 1 : 0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  lw_records_drop(records);
}

enum { THREADS = 4, EACH = 3000 };

static void *write_many(void *context) {
  for (int i = 0; i < EACH; i++) {
    struct lw_record_queue queue = {0};
    push(&queue, i);
    lw_records_append(context, &queue);
  }
  return NULL;
}

/* Every record is taken or counted as dropped. */
static void threads_share_it(void **state) {
  (void)state;
  struct lw_records *records = lw_records_new(true, NULL);
  pthread_t threads[THREADS];
  struct lw_record record;
  int64_t taken = 0, dropped = 0;
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, write_many, records), 0);
  for (int i = 0; i < THREADS; i++) {
    while (taken < 100 * (i + 1))
      if (lw_records_take(records, &record)) {
        dropped += record.count;
        taken += record.count == 0;
      }
    pthread_join(threads[i], NULL);
  }
  while (lw_records_take(records, &record)) {
    dropped += record.count;
    taken += record.count == 0;
  }
  assert_int_equal(taken + dropped, THREADS * EACH);
  assert_int_equal(lw_records_dropped(records), dropped);
  lw_records_drop(records);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_come_out_in_their_order),
      cmocka_unit_test(the_oldest_go_when_it_is_full),
      cmocka_unit_test(what_was_dropped_is_told_once_and_first),
      cmocka_unit_test(only_what_is_wanted),
      cmocka_unit_test(a_fork_takes_nothing),
      cmocka_unit_test(threads_share_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
