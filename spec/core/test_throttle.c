/* Rate, concurrency and breaker, with an invented clock: hours in microseconds. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/throttle.h"

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define NEVER LW_THROTTLE_NEVER

static struct lw_throttle throttle;
static struct lw_limits limits;
static int64_t now;

static int set_up(void **state) {
  (void)state;
  throttle = (struct lw_throttle){0};
  limits = (struct lw_limits){.max_in_flight = 16};
  now = 5 * HOUR;
  return 0;
}

static int64_t wait_left(void) {
  int64_t next = lw_throttle_next(&throttle, &limits, now);
  if (next == NEVER) return NEVER;
  return next > now ? next - now : 0;
}

static void start(void) {
  assert_int_equal(wait_left(), 0);
  lw_throttle_start(&throttle, &limits, now);
}

static void finish(enum lw_throttle_result result) {
  lw_throttle_finish(&throttle, &limits, now, result, 20 * MS);
}

static void once(enum lw_throttle_result result) {
  start();
  finish(result);
}

/* -- concurrency ----------------------------------------------------------------------------------- */

static void so_many_run_at_once(void **state) {
  (void)state;
  static const struct {
    int max_in_flight;
    bool ordered;
    int expected;
  } table[] = {{1, false, 1},  {2, false, 2},       {16, false, 16},    {1024, false, 1024},
               {1, true, 1},   {16, true, 1},       {INT_MAX, true, 1}, {0, false, 1},
               {-5, false, 1}, {INT_MIN, false, 1}, {INT_MIN, true, 1}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    set_up(NULL);
    limits.max_in_flight = table[i].max_in_flight;
    limits.ordered = table[i].ordered;
    for (int n = 0; n < table[i].expected; n++) start();
    assert_int_equal(wait_left(), NEVER);
    finish(LW_THROTTLE_GOOD);
    assert_int_equal(wait_left(), 0);
    start();
    assert_int_equal(wait_left(), NEVER);
    lw_throttle_unsent(&throttle, &limits);
    assert_int_equal(wait_left(), 0);
  }
}

/* A limit that is lowered while more than that run waits until enough of them are back. */
static void a_lowered_limit_waits(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) start();
  limits.ordered = true;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(wait_left(), NEVER);
    finish(LW_THROTTLE_GOOD);
  }
  assert_int_equal(wait_left(), NEVER);
  finish(LW_THROTTLE_GOOD);
  start();
}

/* -- rate ------------------------------------------------------------------------------------------ */

/* Starts as many as may start in `span`, each at once; at least one tick passes between two looks. */
static int64_t run_for(int64_t span, int64_t *first_second) {
  int64_t count = 0, began = now;
  for (;;) {
    int64_t left = wait_left();
    if (now + left >= began + span) return count;
    now += left;
    lw_throttle_start(&throttle, &limits, now);
    finish(LW_THROTTLE_GOOD);
    count++;
    if (first_second && now < began + SECOND) ++*first_second;
  }
}

/* `size` at once, and over hours exactly the rate: so many tokens as the time earned, never one more or less.
 */
static void the_rate_is_exact_over_hours(void **state) {
  (void)state;
  static const struct {
    int count;
    int64_t period;
    int share;
    int64_t size;        /* that can start at once */
    int64_t after_hours; /* started in ten hours: the bucket, and what they earned before their last tick */
  } table[] = {
      {1, SECOND, 0, 1, 36000},    {1, SECOND, 1, 1, 36000},          {1, SECOND, 4, 1, 9000},
      {1, SECOND, 7, 1, 5143},     {10, SECOND, 4, 2, 90002},         {3, SECOND, 4, 1, 27000},
      {5, SECOND, 4, 1, 45001},    {60, MINUTE, 1, 60, 36059},        {100, HOUR, 1, 100, 1099},
      {7, 24 * HOUR, 1, 7, 9},     {1, 24 * HOUR, 3, 1, 1},           {7, 3 * SECOND, 2, 3, 42003},
      {3, 7 * SECOND, 5, 1, 3086}, {1000, 777 * MS, 13, 76, 3564080}, {10, SECOND, -3, 10, 360009},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    set_up(NULL);
    limits.rate_count = table[i].count;
    limits.rate_period = table[i].period;
    throttle.share = table[i].share;
    int64_t at_once = 0;
    while (wait_left() == 0) {
      once(LW_THROTTLE_GOOD);
      at_once++;
    }
    int64_t total = at_once + run_for(10 * HOUR, NULL);
    if (at_once != table[i].size || total != table[i].after_hours)
      fail_msg("row %zu: %lld at once, %lld in all", i, (long long)at_once, (long long)total);
  }
}

/* However it is looked at in between, the sum is the same: no part of a token is lost in rounding. */
static void looking_often_loses_nothing(void **state) {
  (void)state;
  limits.rate_count = 3;
  limits.rate_period = 7 * SECOND;
  throttle.share = 2;
  int64_t count = 0, end = now + HOUR;
  for (; now < end; now += 333) {
    if (wait_left() > 0) continue;
    once(LW_THROTTLE_GOOD);
    count++;
  }
  /* 1.5 in the bucket and 771.4 earned */
  assert_in_range(count, 771, 772);
}

static void four_that_share_keep_the_rate_together(void **state) {
  (void)state;
  struct lw_throttle four[4] = {{.share = 4}, {.share = 4}, {.share = 4}, {.share = 4}};
  limits.rate_count = 1;
  limits.rate_period = SECOND;
  int64_t count = 0, end = now + HOUR;
  for (; now < end; now += MS) {
    for (int i = 0; i < 4; i++) {
      if (lw_throttle_next(&four[i], &limits, now) > now) continue;
      lw_throttle_start(&four[i], &limits, now);
      lw_throttle_finish(&four[i], &limits, now, LW_THROTTLE_GOOD, MS);
      count++;
    }
  }
  assert_int_equal(count, 3600); /* in bursts of four, since nothing keeps them apart */
}

static void the_wait_is_exact_to_the_tick(void **state) {
  (void)state;
  limits.rate_count = 3;
  limits.rate_period = SECOND;
  for (int i = 0; i < 3; i++) once(LW_THROTTLE_GOOD);
  assert_int_equal(wait_left(), 333334);
  now += 333333;
  assert_int_equal(wait_left(), 1);
  now += 1;
  once(LW_THROTTLE_GOOD);
  assert_int_equal(wait_left(), 333333); /* a third of a tick is left over, and counts */
}

static void an_idle_hour_fills_the_bucket_only(void **state) {
  (void)state;
  limits.rate_count = 5;
  limits.rate_period = SECOND;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 5; i++) once(LW_THROTTLE_GOOD);
    assert_int_equal(wait_left(), SECOND / 5);
    now += HOUR;
  }
}

static void what_was_not_sent_gives_its_token_back(void **state) {
  (void)state;
  limits.rate_count = 2;
  limits.rate_period = MINUTE;
  start();
  start();
  assert_int_equal(wait_left(), 30 * SECOND);
  lw_throttle_unsent(&throttle, &limits);
  assert_int_equal(wait_left(), 0);
  assert_int_equal(throttle.usual, 0);
  start();
  assert_int_equal(wait_left(), 30 * SECOND);
  for (int i = 0; i < 5; i++)
    lw_throttle_unsent(&throttle, &limits); /* more than there were: the bucket is full */
  assert_int_equal(throttle.running, 0);
  for (int i = 0; i < 2; i++) start();
  assert_int_equal(wait_left(), 30 * SECOND);
}

static void limits_may_change_at_any_time(void **state) {
  (void)state;
  limits.rate_count = LW_RATE_MAX_COUNT;
  limits.rate_period = LW_RATE_MAX_PERIOD;
  for (int i = 0; i < 1000; i++) once(LW_THROTTLE_GOOD);
  limits.rate_count = 1;
  limits.rate_period = SECOND; /* what was spent is a full bucket at most: one second */
  assert_in_range(wait_left(), 0, SECOND);
  throttle.share = 4;
  assert_in_range(wait_left(), 0, 4 * SECOND);
  limits.rate_count = 0;
  assert_int_equal(wait_left(), 0);
}

/* Any numbers: no overflow (the sanitizers watch), and never a wait that is longer than a token takes. */
static void no_number_overflows(void **state) {
  (void)state;
  static const int ints[] = {INT_MIN, -1, 0, 1, 2, 3, 1000000, 1000001, INT_MAX - 1, INT_MAX};
  static const int64_t periods[] = {INT64_MIN, -1, 0, 1, SECOND, LW_RATE_MAX_PERIOD, INT64_MAX};
  const size_t count = sizeof ints / sizeof *ints;
  for (size_t i = 0; i < count * count * count * 7; i++) {
    set_up(NULL);
    limits.rate_count = ints[i % count];
    throttle.share = ints[i / count % count];
    limits.max_in_flight = limits.breaker_failures = ints[i / count / count % count];
    limits.rate_period = limits.breaker_pause = limits.breaker_max_pause = periods[i / count / count / count];
    for (int n = 0; n < 5; n++) {
      lw_throttle_start(&throttle, &limits, now);
      lw_throttle_finish(&throttle, &limits, now, LW_THROTTLE_BAD, periods[i % 7]);
      int64_t left = wait_left();
      assert_true(left >= 0);
      throttle.broken_until = 0;
      left = wait_left();
      assert_true(left == NEVER || left <= LW_RATE_MAX_PERIOD * LW_RATE_MAX_SHARE);
      assert_true(throttle.usual >= 1);
      now += SECOND;
    }
  }
}

/* -- breaker --------------------------------------------------------------------------------------- */

static void use_breaker(int failures, int64_t pause, int64_t longest) {
  limits.breaker_failures = failures;
  limits.breaker_pause = pause;
  limits.breaker_max_pause = longest;
}

/* A word each: + good, - bad, 0 neutral, each at once; w: the pause passes. Then the breaker is closed (c),
 * half-open (h), or open with that pause (in seconds). */
static void results_move_the_breaker(void **state) {
  (void)state;
  static const struct {
    const char *word;
    int open; /* seconds; 0: not open */
    bool broken;
  } table[] = {
      {"", 0, false},          {"--", 0, false},          {"---", 5, true},
      {"--+", 0, false},       {"--+--", 0, false},       {"--+---", 5, true},
      {"-0-0-", 5, true},      {"--0", 0, false},         {"0000", 0, false},
      {"---w", 0, true},       {"---w-", 10, true},       {"---w-w-", 20, true},
      {"---w-w-w-", 40, true}, {"---w-w-w-w-", 60, true}, {"---w-w-w-w-w-", 60, true},
      {"---w+", 0, false},     {"---w0", 0, false},       {"---w-w+", 0, false},
      {"---w-w0", 0, false},   {"---w+--", 0, false},     {"---w+---", 5, true},
      {"---w0--", 0, false},   {"---w0---", 5, true},     {"---w-w-w+---", 5, true},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    set_up(NULL);
    use_breaker(3, 5 * SECOND, MINUTE);
    for (const char *at = table[i].word; *at; at++) {
      if (*at == 'w')
        now += wait_left();
      else
        once(*at == '+' ? LW_THROTTLE_GOOD : *at == '-' ? LW_THROTTLE_BAD : LW_THROTTLE_NEUTRAL);
    }
    if (wait_left() != table[i].open * SECOND || lw_throttle_broken(&throttle) != table[i].broken)
      fail_msg("%s: %lld left, broken %d", table[i].word, (long long)wait_left(),
               lw_throttle_broken(&throttle));
  }
}

static void half_open_lets_one_through(void **state) {
  (void)state;
  use_breaker(3, 5 * SECOND, MINUTE);
  for (int i = 0; i < 3; i++) once(LW_THROTTLE_BAD);
  now += 5 * SECOND - 1;
  assert_int_equal(wait_left(), 1);
  now += 1;
  start();
  assert_int_equal(wait_left(), NEVER);
  now += HOUR;
  assert_int_equal(wait_left(), NEVER);
  finish(LW_THROTTLE_GOOD);
  for (int i = 0; i < 16; i++) start();
  assert_int_equal(wait_left(), NEVER);
}

/* Eight run when the third failure opens the breaker; the other five come back later, in all ways. */
static void late_results_change_nothing(void **state) {
  (void)state;
  static const enum lw_throttle_result results[] = {LW_THROTTLE_GOOD, LW_THROTTLE_BAD, LW_THROTTLE_NEUTRAL};
  for (size_t i = 0; i < 3; i++) {
    set_up(NULL);
    use_breaker(3, 5 * SECOND, MINUTE);
    for (int n = 0; n < 8; n++) start();
    for (int n = 0; n < 3; n++) finish(LW_THROTTLE_BAD);
    now += SECOND;
    finish(results[i]); /* while it is open */
    finish(results[i]);
    assert_true(lw_throttle_broken(&throttle));
    assert_int_equal(throttle.pause, 5 * SECOND);
    now += 10 * SECOND;
    assert_int_equal(wait_left(), NEVER); /* half-open, but the one that may run could not be told apart */
    finish(results[i]);
    finish(results[i]);
    assert_true(lw_throttle_broken(&throttle));
    assert_int_equal(wait_left(), NEVER);
    finish(results[i]);
    assert_true(lw_throttle_broken(&throttle));
    assert_int_equal(throttle.pause, 5 * SECOND);
    start(); /* all are back: now it is known which one this is */
    finish(LW_THROTTLE_BAD);
    assert_int_equal(wait_left(), 10 * SECOND);
  }
}

static void an_unsent_probe_decides_nothing(void **state) {
  (void)state;
  use_breaker(1, 5 * SECOND, MINUTE);
  once(LW_THROTTLE_BAD);
  now += 5 * SECOND;
  start();
  lw_throttle_unsent(&throttle, &limits);
  assert_true(lw_throttle_broken(&throttle));
  assert_int_equal(wait_left(), 0);
  once(LW_THROTTLE_BAD);
  assert_int_equal(wait_left(), 10 * SECOND);
}

/* Its failure still makes the pause longer. */
static void a_probe_may_be_asked_for(void **state) {
  (void)state;
  use_breaker(1, 5 * SECOND, MINUTE);
  once(LW_THROTTLE_BAD);
  now += SECOND;
  lw_throttle_probe(&throttle);
  start();
  assert_int_equal(wait_left(), NEVER);
  finish(LW_THROTTLE_BAD);
  assert_int_equal(wait_left(), 10 * SECOND);
  set_up(NULL);
  lw_throttle_probe(&throttle);
  assert_false(lw_throttle_broken(&throttle));
}

static void without_a_breaker_nothing_opens(void **state) {
  (void)state;
  for (int i = 0; i < 1000; i++) once(LW_THROTTLE_BAD);
  assert_false(lw_throttle_broken(&throttle));
  use_breaker(2, HOUR, HOUR);
  once(LW_THROTTLE_BAD);
  assert_false(lw_throttle_broken(&throttle)); /* a row begins with the breaker */
  once(LW_THROTTLE_BAD);
  assert_int_equal(wait_left(), HOUR);
  limits.breaker_failures = 0; /* taken away while it is open */
  once(LW_THROTTLE_BAD);
  assert_false(lw_throttle_broken(&throttle));
}

/* A dead endpoint costs a request in a quarter of an hour, not one in every five seconds. */
static void a_dead_endpoint_is_probed_less_and_less(void **state) {
  (void)state;
  use_breaker(10, 5 * SECOND, 15 * MINUTE);
  int requests = 0;
  for (int64_t end = now + 24 * HOUR; now < end; now += wait_left()) {
    once(LW_THROTTLE_BAD);
    requests++;
  }
  /* ten, then pauses of 5, 10, … 640 seconds (21 minutes), then of 15 minutes */
  assert_in_range(requests, 10 + 7 + 94, 10 + 8 + 96);
}

/* -- holds, and all together ------------------------------------------------------------------------ */

static void a_hold_lasts(void **state) {
  (void)state;
  lw_throttle_hold(&throttle, now + MINUTE);
  lw_throttle_hold(&throttle, now + SECOND);
  assert_int_equal(wait_left(), MINUTE);
  now += MINUTE;
  assert_int_equal(wait_left(), 0);
  lw_throttle_hold(&throttle, now - HOUR);
  once(LW_THROTTLE_GOOD);
}

static void the_latest_of_all_counts(void **state) {
  (void)state;
  use_breaker(1, 10 * SECOND, MINUTE);
  limits.rate_count = 1;
  limits.rate_period = 20 * SECOND;
  once(LW_THROTTLE_BAD);
  assert_int_equal(wait_left(), 20 * SECOND);
  limits.rate_period = 2 * SECOND;
  assert_int_equal(wait_left(), 10 * SECOND);
  lw_throttle_hold(&throttle, now + 30 * SECOND);
  assert_int_equal(wait_left(), 30 * SECOND);
  now += 30 * SECOND;
  start();
  assert_int_equal(wait_left(), NEVER);
}

static void the_usual_duration_follows(void **state) {
  (void)state;
  start();
  lw_throttle_finish(&throttle, &limits, now, LW_THROTTLE_GOOD, 100 * MS);
  assert_int_equal(throttle.usual, 100 * MS);
  start();
  lw_throttle_finish(&throttle, &limits, now, LW_THROTTLE_BAD, 500 * MS);
  assert_int_equal(throttle.usual, 200 * MS);
  int answers = 0;
  for (; throttle.usual <= LW_THROTTLE_SLOW; answers++) {
    start();
    lw_throttle_finish(&throttle, &limits, now, LW_THROTTLE_NEUTRAL, 10 * SECOND);
  }
  assert_int_equal(answers, 1);
  for (answers = 0; throttle.usual > LW_THROTTLE_SLOW; answers++) {
    start();
    lw_throttle_finish(&throttle, &limits, now, LW_THROTTLE_GOOD, 10 * MS);
  }
  assert_int_equal(answers, 4);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(so_many_run_at_once),
      TEST(a_lowered_limit_waits),
      TEST(the_rate_is_exact_over_hours),
      TEST(looking_often_loses_nothing),
      TEST(four_that_share_keep_the_rate_together),
      TEST(the_wait_is_exact_to_the_tick),
      TEST(an_idle_hour_fills_the_bucket_only),
      TEST(what_was_not_sent_gives_its_token_back),
      TEST(limits_may_change_at_any_time),
      TEST(no_number_overflows),
      TEST(results_move_the_breaker),
      TEST(half_open_lets_one_through),
      TEST(late_results_change_nothing),
      TEST(an_unsent_probe_decides_nothing),
      TEST(a_probe_may_be_asked_for),
      TEST(without_a_breaker_nothing_opens),
      TEST(a_dead_endpoint_is_probed_less_and_less),
      TEST(a_hold_lasts),
      TEST(the_latest_of_all_counts),
      TEST(the_usual_duration_follows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
