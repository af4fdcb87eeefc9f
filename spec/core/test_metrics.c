/* Histograms, counters and their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/metrics.h"

static void a_value_stands_in_the_first_bucket_that_holds_it(void **state) {
  (void)state;
  const struct lw_histogram_bounds *const lists[] = {&lw_attempt_bounds, &lw_latency_bounds};
  for (size_t l = 0; l < 2; l++) {
    const struct lw_histogram_bounds *bounds = lists[l];
    for (size_t i = 0; i < bounds->count; i++) {
      struct lw_histogram histogram = {0};
      lw_histogram_observe(&histogram, bounds, bounds->bounds[i]);
      assert_int_equal(histogram.counts[i], 1); /* a bound is inside */
      lw_histogram_observe(&histogram, bounds, bounds->bounds[i] + 1);
      size_t next = i + 1 < bounds->count ? i + 1 : LW_HISTOGRAM_MAX_BOUNDS;
      assert_int_equal(histogram.counts[next], 1);
      assert_int_equal(histogram.sum, 2 * bounds->bounds[i] + 1);
      assert_int_equal(lw_histogram_count(&histogram), 2);
      if (i > 0) assert_true(bounds->bounds[i] > bounds->bounds[i - 1]);
    }
  }
}

static void a_negative_value_is_nothing(void **state) {
  (void)state;
  struct lw_histogram histogram = {0};
  lw_histogram_observe(&histogram, &lw_attempt_bounds, -5);
  lw_histogram_observe(&histogram, &lw_attempt_bounds, INT64_MIN);
  assert_int_equal(histogram.counts[0], 2);
  assert_int_equal(histogram.sum, 0);
}

static void everything_is_added(void **state) {
  (void)state;
  struct lw_metrics one, sum;
  int64_t *fields = (int64_t *)&one; /* nothing but 64-bit counts: a field that is forgotten shows */
  for (size_t i = 0; i < sizeof one / sizeof *fields; i++) fields[i] = (int64_t)i + 1;
  sum = one;
  lw_metrics_add(&sum, &one);
  for (size_t i = 0; i < sizeof one / sizeof *fields; i++)
    assert_int_equal(((int64_t *)&sum)[i], 2 * fields[i]);
}

static void every_outcome_has_its_kind(void **state) {
  (void)state;
  static const struct {
    const char *code;
    int status;
    const char *name;
  } table[] = {
      {NULL, 200, "success"},
      {NULL, 204, "success"},
      {NULL, 299, "success"},
      {NULL, 302, "status_3xx"},
      {NULL, 404, "status_4xx"},
      {NULL, 410, "status_4xx"},
      {NULL, 429, "status_4xx"},
      {NULL, 500, "status_5xx"},
      {NULL, 599, "status_5xx"},
      {NULL, 100, "other"},
      {NULL, 0, "other"},
      {NULL, 700, "other"},
      {"timeout", 0, "timeout"},
      {"dns", 0, "dns"},
      {"connect", 0, "connect"},
      {"tls", 0, "tls"},
      {"reset", 0, "reset"},
      {"refused_address", 0, "refused_address"},
      {"too_large", 0, "too_large"},
      {"network", 0, "network"},
      {"timeout", 200, "timeout"},
      {"something new", 0, "other"},
      {"success", 0, "other"},
      {"status_4xx", 0, "other"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    assert_string_equal(lw_attempt_kind_name(lw_attempt_kind_of(table[i].code, table[i].status)),
                        table[i].name);
}

static void labels_are_escaped(void **state) {
  (void)state;
  struct lw_buffer text;
  lw_buffer_init(&text, 1000);
  assert_true(lw_metrics_write_label(&text, "a\\b\"c\nd\xc3\xa9"));
  lw_buffer_append_char(&text, '\0');
  assert_string_equal(text.data, "a\\\\b\\\"c\\nd\xc3\xa9");
  lw_buffer_free(&text);
}

static char *write(const struct lw_metrics *metrics, const struct lw_gauges *gauges, struct lw_buffer *text) {
  lw_buffer_init(text, LW_METRICS_MAX_TEXT);
  assert_true(lw_metrics_write(metrics, gauges, text));
  assert_true(lw_buffer_append_char(text, '\0'));
  return text->data;
}

static void assert_holds(const char *text, const char *part) {
  if (text == NULL || strstr(text, part) == NULL) fail_msg("not in the text: %s\n%s", part, text ? text : "");
}

static void the_text_says_it(void **state) {
  (void)state;
  struct lw_metrics metrics = {.events = 3, .given_up = 2};
  metrics.attempts[LW_ATTEMPT_TIMEOUT] = 7;
  lw_histogram_observe(&metrics.durations, &lw_attempt_bounds, 5000);
  lw_histogram_observe(&metrics.durations, &lw_attempt_bounds, 7000);
  lw_histogram_observe(&metrics.durations, &lw_attempt_bounds, 31000000);
  struct lw_gauges gauges = {.oldest_due = 1250, .due = 1};
  struct lw_buffer text;
  const char *data = write(&metrics, &gauges, &text);
  assert_holds(data, "# TYPE webhook_events_total counter\nwebhook_events_total 3\n");
  assert_holds(data, "\nwebhook_attempts_total{outcome=\"timeout\"} 7\n");
  assert_holds(data, "\nwebhook_deliveries_total{status=\"failed\"} 2\n");
  assert_holds(data,
               "_seconds_bucket{le=\"0.005\"} 1\nwebhook_attempt_duration_seconds_bucket{le=\"0.01\"} 2\n");
  assert_holds(data,
               "_bucket{le=\"30\"} 2\nwebhook_attempt_duration_seconds_bucket{le=\"+Inf\"} 3\n"
               "webhook_attempt_duration_seconds_sum 31.012\nwebhook_attempt_duration_seconds_count 3\n");
  assert_holds(data, "\nwebhook_oldest_due_seconds 1.25\n");
  assert_holds(data, "\nwebhook_delivery_latency_seconds_sum 0\n");
  lw_buffer_free(&text);
}

static void the_longest_numbers_fit(void **state) {
  (void)state;
  struct lw_metrics metrics;
  for (size_t i = 0; i < sizeof metrics / sizeof(int64_t); i++) ((int64_t *)&metrics)[i] = INT64_MAX / 64;
  struct lw_gauges gauges;
  for (size_t i = 0; i < sizeof gauges / sizeof(int64_t); i++) ((int64_t *)&gauges)[i] = INT64_MAX;
  gauges.oldest_due = INT64_MAX / 1000;
  struct lw_buffer text;
  write(&metrics, &gauges, &text);
  assert_true(text.length < LW_METRICS_MAX_TEXT / 4);
  lw_buffer_free(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_value_stands_in_the_first_bucket_that_holds_it),
      cmocka_unit_test(a_negative_value_is_nothing),
      cmocka_unit_test(everything_is_added),
      cmocka_unit_test(every_outcome_has_its_kind),
      cmocka_unit_test(labels_are_escaped),
      cmocka_unit_test(the_text_says_it),
      cmocka_unit_test(the_longest_numbers_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
