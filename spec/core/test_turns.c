/* Whose turn it is, with an invented clock: hours pass in microseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "delivery/turns.h"

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
enum { CONNECTIONS = 256, PER_HOST = 64, IN_FLIGHT = 16, CLAIMS = 5000 };

static struct lw_turns turns;
static struct lw_limits usual_limits;
static int64_t now;

static int set_up(void **state) {
  (void)state;
  now = 1000 * SECOND;
  usual_limits = (struct lw_limits){.max_in_flight = IN_FLIGHT};
  lw_turns_init(&turns, CONNECTIONS, PER_HOST, CLAIMS);
  return 0;
}

static void free_waiting(struct lw_line *line, void *context) {
  (void)context;
  for (struct lw_flight *flight = lw_turns_withdraw(&turns, line), *next; flight; flight = next) {
    next = flight->next;
    lw_flight_free(flight);
  }
}

static int tear_down(void **state) {
  (void)state;
  lw_turns_each(&turns, free_waiting, NULL);
  lw_turns_free(&turns);
  return 0;
}

static struct lw_id id_of(int n) {
  struct lw_id id = {{0}};
  memcpy(id.bytes, &n, sizeof n);
  return id;
}

/* A line with a host of its own, unless one is given. */
static struct lw_line *line_of(int n, const struct lw_limits *limits, const char *host) {
  char own[32];
  struct lw_id id = id_of(n);
  snprintf(own, sizeof own, "host%d:443", n);
  struct lw_line *line = lw_turns_line(&turns, &id, limits ? limits : &usual_limits, host ? host : own);
  assert_non_null(line);
  line->routed = true;
  return line;
}

static struct lw_flight *add(struct lw_line *line) {
  struct lw_id id = {{0}};
  struct lw_flight *flight = lw_flight_new(&id, "", 0);
  assert_non_null(flight);
  flight->request = lw_request_new("http://host/");
  flight->line = line;
  flight->prepared_at = now;
  lw_turns_add(&turns, flight);
  return flight;
}

static void add_many(struct lw_line *line, int count) {
  for (int i = 0; i < count; i++) add(line);
}

static struct lw_flight *take(void) {
  struct lw_flight *stale = NULL;
  struct lw_flight *list = lw_turns_take(&turns, now, &stale);
  assert_null(stale);
  return list;
}

static int count_of(const struct lw_flight *list) {
  int count = 0;
  for (; list; list = list->next) count++;
  return count;
}

static void finish(struct lw_flight *flight, enum lw_throttle_result result, int64_t duration) {
  flight->request->response.duration = duration;
  lw_turns_finish(&turns, flight, now, result);
  lw_flight_free(flight);
}

static void finish_all(struct lw_flight *list, int64_t duration) {
  while (list) {
    struct lw_flight *next = list->next;
    finish(list, LW_THROTTLE_GOOD, duration);
    list = next;
  }
}

/* One request of the line that took so long. */
static void prove(struct lw_line *line, int64_t duration) {
  add(line);
  struct lw_flight *list = take();
  assert_int_equal(count_of(list), 1);
  finish_all(list, duration);
}

/* -- who is next ---------------------------------------------------------------------------------- */

static void test_lines_take_turns(void **state) {
  (void)state;
  struct lw_line *lines[3] = {line_of(1, NULL, NULL), line_of(2, NULL, NULL), line_of(3, NULL, NULL)};
  for (int i = 0; i < 3; i++) add_many(lines[i], 4);
  struct lw_flight *list = take();
  struct lw_flight *flight = list;
  for (int i = 0; i < 12; i++, flight = flight->next) assert_ptr_equal(flight->line, lines[i % 3]);
  assert_null(flight);
  finish_all(list, MS);
}

static void test_a_line_keeps_its_order(void **state) {
  (void)state;
  struct lw_line *line = line_of(1, NULL, NULL);
  struct lw_flight *first = add(line), *second = add(line);
  struct lw_flight *list = take();
  assert_ptr_equal(list, first);
  assert_ptr_equal(list->next, second);
  finish_all(list, MS);
}

static void test_no_more_than_the_connections(void **state) {
  (void)state;
  for (int n = 0; n < 400; n++) prove(line_of(n, NULL, NULL), MS);
  for (int n = 0; n < 400; n++) add(line_of(n, NULL, NULL));
  struct lw_flight *all = take();
  assert_int_equal(count_of(all), CONNECTIONS);
  assert_null(take());
  finish_all(all, MS);
  all = take();
  assert_int_equal(count_of(all), 400 - CONNECTIONS);
  finish_all(all, MS);
}

static void test_max_in_flight(void **state) {
  (void)state;
  struct lw_line *line = line_of(1, NULL, NULL);
  add_many(line, 2 * IN_FLIGHT);
  struct lw_flight *list = take(), *rest = list->next;
  assert_int_equal(count_of(list), IN_FLIGHT);
  finish(list, LW_THROTTLE_GOOD, MS);
  list = take();
  assert_int_equal(count_of(list), 1);
  finish_all(list, MS);
  finish_all(rest, MS);
}

static void test_ordered_goes_one_at_a_time(void **state) {
  (void)state;
  struct lw_limits ordered = {.max_in_flight = IN_FLIGHT, .ordered = true};
  add_many(line_of(1, &ordered, NULL), 3);
  for (int i = 0; i < 3; i++) {
    struct lw_flight *list = take();
    assert_int_equal(count_of(list), 1);
    assert_null(take());
    finish_all(list, MS);
  }
}

static void test_a_host_has_a_limit(void **state) {
  (void)state;
  for (int n = 0; n < 100; n++) prove(line_of(n, NULL, "shared:443"), MS);
  for (int n = 0; n < 100; n++) add(line_of(n, NULL, "shared:443"));
  add_many(line_of(100, NULL, NULL), 2);
  struct lw_flight *list = take();
  assert_int_equal(count_of(list), PER_HOST + 2);
  finish_all(list, MS);
  finish_all(take(), MS);
}

static void test_the_slow_leave_a_part_of_their_host(void **state) {
  (void)state;
  struct lw_line *prompt = line_of(1, NULL, "shared:443");
  prove(prompt, MS);
  for (int n = 10; n < 210; n++) add_many(line_of(n, NULL, "shared:443"), 2);
  struct lw_flight *slow = take();
  assert_int_equal(count_of(slow), PER_HOST * 7 / 8);
  add_many(prompt, 3);
  struct lw_flight *list = take();
  assert_int_equal(count_of(list), 3);
  finish_all(list, MS);
  finish_all(slow, 10 * SECOND);
  finish_all(take(), 10 * SECOND);
}

static void test_a_webhook_that_moves_takes_its_requests_along(void **state) {
  (void)state;
  struct lw_line *line = line_of(1, NULL, "old:443");
  add_many(line, IN_FLIGHT);
  struct lw_flight *list = take();
  assert_ptr_equal(line_of(1, NULL, "new:443"), line);
  finish_all(list, MS); /* with a count gone wrong this would end below zero, and the next ones never start */
  for (int n = 0; n < 2 * PER_HOST; n++) {
    prove(line_of(10 + n, NULL, "old:443"), MS);
    prove(line_of(1000 + n, NULL, "new:443"), MS);
  }
  for (int n = 0; n < 2 * PER_HOST; n++) {
    add(line_of(10 + n, NULL, "old:443"));
    add(line_of(1000 + n, NULL, "new:443"));
  }
  list = take();
  assert_int_equal(count_of(list), 2 * PER_HOST);
  finish_all(list, MS);
}

static void test_a_hold_ends_with_its_host(void **state) {
  (void)state;
  struct lw_line *line = line_of(1, NULL, "old:443");
  lw_throttle_hold(&line->throttle, now + SECOND);
  add_many(line, 1);
  line_of(1, NULL, "old:443");
  assert_null(take());
  line_of(1, NULL, "new:443");
  add_many(line_of(2, NULL, "old:443"), 1);
  lw_flight_free(lw_turns_withdraw(&turns, line));
  add_many(line, 1);
  struct lw_flight *list = take();
  assert_int_equal(count_of(list), 2);
  finish_all(list, MS);
}

/* -- time ----------------------------------------------------------------------------------------- */

static void test_a_rate_lets_sleep(void **state) {
  (void)state;
  struct lw_limits two = {.max_in_flight = IN_FLIGHT, .rate_count = 2, .rate_period = SECOND};
  add_many(line_of(1, &two, NULL), 4);
  assert_int_equal(lw_turns_next(&turns), LW_THROTTLE_NEVER);
  struct lw_flight *list = take();
  assert_int_equal(count_of(list), 2);
  finish_all(list, MS);
  assert_null(take());
  assert_int_equal(lw_turns_next(&turns), now + SECOND / 2);
  now += SECOND / 2 - 1;
  assert_null(take());
  now += 1;
  list = take();
  assert_int_equal(count_of(list), 1);
  finish_all(list, MS);
}

static void test_dispatchers_share_a_rate(void **state) {
  (void)state;
  struct lw_limits eight = {.max_in_flight = IN_FLIGHT, .rate_count = 8, .rate_period = SECOND};
  turns.share = 4;
  add_many(line_of(1, &eight, NULL), 8);
  struct lw_flight *list = take();
  assert_int_equal(count_of(list), 2);
  finish_all(list, MS);
}

static void test_what_waited_too_long_is_given_back(void **state) {
  (void)state;
  struct lw_line *line = line_of(1, NULL, NULL);
  struct lw_flight *old = add(line), *stale = NULL;
  now += LW_TURNS_FRESH + 1;
  struct lw_flight *fresh = add(line);
  struct lw_flight *list = lw_turns_take(&turns, now, &stale);
  assert_ptr_equal(list, fresh);
  assert_ptr_equal(stale, old);
  assert_null(stale->next);
  lw_flight_free(stale);
  finish_all(list, MS);
}

static void test_unsent_gives_its_place_back(void **state) {
  (void)state;
  struct lw_limits one = {.max_in_flight = 1, .rate_count = 1, .rate_period = SECOND};
  struct lw_line *line = line_of(1, &one, NULL);
  struct lw_flight *flight = add(line);
  assert_ptr_equal(take(), flight);
  lw_turns_unsent(&turns, flight, now);
  lw_turns_add(&turns, flight);
  assert_ptr_equal(take(), flight);
  finish(flight, LW_THROTTLE_GOOD, MS);
  assert_int_equal(turns.slots.running, 0);
  assert_int_equal(turns.slots.slow, 0);
}

/* -- the slow and the prompt ----------------------------------------------------------------------- */

static void test_whoever_comes_next_finds_a_connection(void **state) {
  (void)state;
  for (int n = 0; n < 200; n++) add_many(line_of(n, NULL, NULL), 100);
  struct lw_flight *all = take();
  assert_true(count_of(all) < CONNECTIONS);
  add(line_of(1000, NULL, NULL));
  struct lw_flight *list = take();
  assert_int_equal(count_of(list), 1);
  finish_all(list, MS);
  finish_all(all, MS);
}

static void test_a_part_is_kept_for_the_prompt(void **state) {
  (void)state;
  struct lw_line *prompt = line_of(1, NULL, NULL);
  prove(prompt, 10 * MS);
  for (int n = 10; n < 410; n++) prove(line_of(n, NULL, NULL), 10 * SECOND);
  /* Twelve take what is open to those that have requests under way already; */
  for (int n = 10; n < 22; n++) add_many(line_of(n, NULL, NULL), 30);
  struct lw_flight *first = take();
  assert_in_range(count_of(first), CONNECTIONS * 3 / 4 - IN_FLIGHT, CONNECTIONS * 3 / 4);
  /* the others get one each, */
  for (int n = 22; n < 410; n++) add_many(line_of(n, NULL, NULL), 3);
  struct lw_flight *others = take();
  assert_int_equal(count_of(first) + count_of(others), CONNECTIONS * 7 / 8);
  /* and the rest is for whoever answers at once. */
  add_many(prompt, IN_FLIGHT);
  struct lw_flight *list = take();
  assert_int_equal(count_of(list), IN_FLIGHT);
  finish_all(list, MS);
  finish_all(others, 10 * SECOND);
  finish_all(first, 10 * SECOND);
}

static void test_silence_makes_slow(void **state) {
  (void)state;
  struct lw_line *line = line_of(1, NULL, NULL);
  prove(line, MS);
  add(line);
  struct lw_flight *first = take();
  assert_true(line->prompt);
  now += LW_THROTTLE_SLOW + 1;
  add(line);
  struct lw_flight *second = take();
  assert_false(line->prompt);
  assert_int_equal(turns.slots.slow, 2);
  finish_all(first, LW_THROTTLE_SLOW);
  finish_all(second, MS);
  assert_int_equal(turns.slots.slow, 0);
}

/* 200 webhooks answer after 10 s, one with 100,000 waiting after 5 ms, and one gets an event every 10 ms: its
 * requests start at once, for a minute. */
struct running {
  struct lw_flight *flight;
  int64_t until, duration;
};

static void test_a_minute_among_the_slow(void **state) {
  (void)state;
  static struct running running[CONNECTIONS];
  int count = 0, late = 0, sent = 0;
  struct lw_line *prompt = line_of(1, NULL, NULL), *long_one = line_of(2, NULL, NULL);
  prove(prompt, 5 * MS);
  for (int n = 0; n < 200; n++) line_of(10 + n, NULL, NULL);
  for (int64_t end = now + 60 * SECOND, step = 0; now < end; now += MS, step++) {
    for (int i = 0; i < count;) {
      struct running done = running[i];
      if (done.until > now) {
        i++;
        continue;
      }
      running[i] = running[--count];
      finish(done.flight, LW_THROTTLE_GOOD, done.duration);
    }
    for (int n = 0; n < 200; n++)
      if (line_of(10 + n, NULL, NULL)->waiting < 20) add(line_of(10 + n, NULL, NULL));
    while (long_one->waiting < 1000) add(long_one);
    if (step % 10 == 0) add(prompt);
    struct lw_flight *stale = NULL;
    for (struct lw_flight *list = lw_turns_take(&turns, now, &stale), *next; list; list = next) {
      next = list->next;
      bool slow = list->line != prompt && list->line != long_one;
      if (list->line == prompt) sent++;
      running[count++] = (struct running){.flight = list, .duration = slow ? 10 * SECOND : 5 * MS};
      running[count - 1].until = now + running[count - 1].duration;
    }
    while (stale) { /* the engine would give it back to the store */
      struct lw_flight *next = stale->next;
      lw_flight_free(stale);
      stale = next;
    }
    if (prompt->waiting > 0) late++;
  }
  while (count > 0) finish(running[--count].flight, LW_THROTTLE_GOOD, MS);
  assert_int_equal(late, 0);
  assert_int_equal(sent, 6000);
}

/* -- lines ---------------------------------------------------------------------------------------- */

static void test_withdraw(void **state) {
  (void)state;
  struct lw_line *line = line_of(1, NULL, NULL);
  struct lw_flight *first = add(line), *second = add(line);
  struct lw_flight *list = lw_turns_withdraw(&turns, line);
  assert_ptr_equal(list, first);
  assert_ptr_equal(list->next, second);
  assert_int_equal(line->waiting, 0);
  assert_null(take());
  lw_flight_free(first);
  lw_flight_free(second);
  add(line); /* and it goes on */
  finish_all(take(), MS);
}

static void count_lines(struct lw_line *line, void *context) {
  (void)line;
  ++*(int *)context;
}

static void test_sweep(void **state) {
  (void)state;
  int count = 0;
  for (int n = 0; n < 5; n++) line_of(n, NULL, n < 3 ? "same:443" : NULL)->routed = false;
  line_of(0, NULL, "same:443");
  line_of(1, NULL, "same:443")->routed = false;
  lw_turns_claim(&turns, line_of(1, NULL, "same:443"), 1);
  line_of(1, NULL, "same:443")->routed = false;
  lw_turns_sweep(&turns);
  lw_turns_each(&turns, count_lines, &count);
  assert_int_equal(count, 2);
}

/* -- how much to claim ----------------------------------------------------------------------------- */

static int allowance(const struct lw_line *line) {
  return lw_turns_allowance(&turns, line, now);
}

/* So many are claimed by others: slow ones and prompt ones. */
static int allowance_beside(const struct lw_line *line, int slow, int prompt) {
  struct lw_line *others[2] = {line_of(900, NULL, NULL), line_of(901, NULL, NULL)};
  others[1]->prompt = true;
  lw_turns_claim(&turns, others[0], slow - others[0]->claims);
  lw_turns_claim(&turns, others[1], prompt - others[1]->claims);
  return allowance(line);
}

static void test_allowance(void **state) {
  (void)state;
  struct lw_limits ordered = {.max_in_flight = IN_FLIGHT, .ordered = true};
  struct lw_limits seldom = {.max_in_flight = IN_FLIGHT, .rate_count = 1, .rate_period = 3600 * SECOND};
  struct lw_limits often = {.max_in_flight = IN_FLIGHT, .rate_count = 100, .rate_period = 100 * SECOND};
  struct lw_line *line = line_of(1, NULL, NULL);
  assert_int_equal(allowance(line), 2 * IN_FLIGHT); /* who knows */
  assert_int_equal(allowance_beside(line, 3745, 0), 20);
  assert_int_equal(allowance_beside(line, 3750, 0), 0);             /* the last quarter is for the prompt, */
  assert_int_equal(allowance_beside(line, 0, 4000), 2 * IN_FLIGHT); /* whose own part is not the others' */
  prove(line, MS);
  assert_int_equal(allowance_beside(line, 0, 0), CLAIMS);
  assert_int_equal(allowance_beside(line, 3750, 250), 4000);
  assert_int_equal(allowance_beside(line, 0, 4000), 4000);
  assert_int_equal(allowance_beside(line, 0, 4990), 40);
  assert_int_equal(allowance_beside(line, 3750, 1250), 0);
  assert_int_equal(allowance(line_of(2, &ordered, NULL)), 1);
  assert_int_equal(allowance_beside(line_of(3, &seldom, NULL), 0, 0), 1);
  struct lw_line *steady = line_of(4, &often, NULL);
  prove(steady, MS);
  assert_int_equal(allowance(steady), 30);
}

/* A webhook's claims stand on the side where it stands itself. */
static void test_claims_follow_their_webhook(void **state) {
  (void)state;
  struct lw_line *line = line_of(1, NULL, NULL);
  lw_turns_claim(&turns, line, 7);
  assert_int_equal(turns.claims.slow, 7);
  prove(line, MS);
  assert_int_equal(turns.claims.slow, 0);
  assert_int_equal(turns.claims.running, 7);
  for (int i = 0; i < 10; i++) prove(line, 10 * SECOND);
  assert_int_equal(turns.claims.slow, 7);
  lw_turns_claim(&turns, line, -7);
  assert_int_equal(turns.claims.slow, 0);
  assert_int_equal(turns.claims.running, 0);
}

static void test_a_broken_webhook_claims_one_at_a_time(void **state) {
  (void)state;
  struct lw_limits limits = {.max_in_flight = IN_FLIGHT,
                             .breaker_failures = 2,
                             .breaker_pause = SECOND,
                             .breaker_max_pause = 60 * SECOND};
  struct lw_line *line = line_of(1, &limits, NULL);
  add_many(line, 2);
  for (struct lw_flight *list = take(), *next; list; list = next) {
    next = list->next;
    finish(list, LW_THROTTLE_BAD, MS);
  }
  assert_true(lw_throttle_broken(&line->throttle));
  assert_int_equal(allowance(line), 0);
  now += SECOND;
  assert_int_equal(allowance(line), 1);
  prove(line, MS);
  assert_int_equal(allowance(line), CLAIMS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_lines_take_turns),
      TEST(test_a_line_keeps_its_order),
      TEST(test_no_more_than_the_connections),
      TEST(test_max_in_flight),
      TEST(test_ordered_goes_one_at_a_time),
      TEST(test_a_host_has_a_limit),
      TEST(test_the_slow_leave_a_part_of_their_host),
      TEST(test_a_webhook_that_moves_takes_its_requests_along),
      TEST(test_a_hold_ends_with_its_host),
      TEST(test_a_rate_lets_sleep),
      TEST(test_dispatchers_share_a_rate),
      TEST(test_what_waited_too_long_is_given_back),
      TEST(test_unsent_gives_its_place_back),
      TEST(test_whoever_comes_next_finds_a_connection),
      TEST(test_a_part_is_kept_for_the_prompt),
      TEST(test_silence_makes_slow),
      TEST(test_a_minute_among_the_slow),
      TEST(test_withdraw),
      TEST(test_sweep),
      TEST(test_allowance),
      TEST(test_claims_follow_their_webhook),
      TEST(test_a_broken_webhook_claims_one_at_a_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
