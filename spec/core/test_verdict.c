/* What each answer means for each format, and the schedule of days, in milliseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/retry.h"
#include "delivery/verdict.h"
#include "transport/http_date.h"

enum { S = LW_VERDICT_SUCCESS, A = LW_VERDICT_AGAIN, F = LW_VERDICT_FINAL, D = LW_VERDICT_DISABLE };

static const char *const formats[] = {"raw", "slack", "discord", "teams"};

static struct lw_response answer(int status, const char *headers, const char *body) {
  return (struct lw_response){.status = status,
                              .headers = (char *)headers,
                              .headers_length = headers ? strlen(headers) : 0,
                              .body = (char *)body,
                              .body_length = body ? strlen(body) : 0};
}

static void every_status_has_its_verdict(void **state) {
  (void)state;
  static const struct {
    int status;
    int kinds[4]; /* raw, slack, discord, teams */
  } table[] = {
      {100, {F, F, F, F}}, {200, {S, S, S, S}}, {201, {S, S, S, S}}, {202, {S, S, S, S}}, {204, {S, S, S, S}},
      {299, {S, S, S, S}}, {300, {F, F, F, F}}, {301, {F, F, F, F}}, {302, {F, F, F, F}}, {304, {F, F, F, F}},
      {307, {F, F, F, F}}, {308, {F, F, F, F}}, {400, {F, F, F, F}}, {401, {F, F, F, F}}, {402, {F, F, F, F}},
      {403, {F, F, F, F}}, {404, {F, F, D, F}}, {405, {F, F, F, F}}, {406, {F, F, F, F}}, {408, {A, F, A, A}},
      {409, {F, F, F, F}}, {410, {D, D, D, D}}, {411, {F, F, F, F}}, {413, {F, F, F, F}}, {415, {F, F, F, F}},
      {418, {F, F, F, F}}, {422, {F, F, F, F}}, {425, {A, F, A, A}}, {429, {A, A, A, A}}, {451, {F, F, F, F}},
      {500, {A, A, A, A}}, {501, {A, A, A, A}}, {502, {A, A, A, A}}, {503, {A, A, A, A}}, {504, {A, A, A, A}},
      {599, {A, A, A, A}},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    for (int f = 0; f < 4; f++) {
      struct lw_response response = answer(table[i].status, NULL, NULL);
      struct lw_verdict verdict = lw_verdict_of(formats[f], &response, 0);
      if (verdict.kind != (enum lw_verdict_kind)table[i].kinds[f])
        fail_msg("%d for %s is %d", table[i].status, formats[f], (int)verdict.kind);
      bool reasoned = verdict.kind == LW_VERDICT_FINAL || verdict.kind == LW_VERDICT_DISABLE;
      assert_true(reasoned == (verdict.reason != NULL));
      assert_int_equal(verdict.wait, 0);
    }
  }
}

static void every_failure_has_its_verdict(void **state) {
  (void)state;
  static const struct {
    const char *code;
    int kind;
  } table[] = {{"timeout", A}, {"dns", A},       {"connect", A}, {"tls", A},
               {"reset", A},   {"too_large", A}, {"network", A}, {"refused_address", F}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    for (int f = 0; f < 4; f++) {
      struct lw_response response = {.error_code = table[i].code, .status = 200};
      assert_int_equal(lw_verdict_of(formats[f], &response, 0).kind, table[i].kind);
    }
  }
}

static void retry_after_is_obeyed_within_a_day(void **state) {
  (void)state;
  const int64_t now = INT64_C(784111777000); /* Sun, 06 Nov 1994 08:49:37 GMT */
  static const struct {
    const char *headers;
    int64_t wait;
  } table[] = {
      {"Retry-After: 120\n", 120000},
      {"server: x\nretry-after:7\nx: y\n", 7000},
      {"Retry-After: 1.5\n", 1500},
      {"Retry-After: 0\n", 0},
      {"Retry-After: 86400\n", 86400000},
      {"Retry-After: 86401\n", 86400000},
      {"Retry-After: 99999999999999999999999999\n", 86400000},
      {"Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\n", 60000},
      {"Retry-After: Sunday, 06-Nov-94 08:50:37 GMT\n", 60000},
      {"Retry-After: Sun Nov  6 08:50:37 1994\n", 60000},
      {"Retry-After: Sun, 06 Nov 1994 08:48:37 GMT\n", 0},
      {"Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\n", 86400000},
      {"Retry-After: -5\n", 0},
      {"Retry-After: soon\n", 0},
      {"Retry-After:\n", 0},
      {"Retry-After: 5 apples\n", 0},
      {"X-Retry-After: 5\n", 0},
      {"", 0},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_response response = answer(503, table[i].headers, NULL);
    struct lw_verdict verdict = lw_verdict_of("raw", &response, now);
    assert_int_equal(verdict.kind, LW_VERDICT_AGAIN);
    if (verdict.wait != table[i].wait) fail_msg("%s waits %lld", table[i].headers, (long long)verdict.wait);
  }
}

static void discord_says_it_in_fractions(void **state) {
  (void)state;
  static const struct {
    const char *body;
    int64_t wait;
  } table[] = {{"{\"message\":\"…\",\"retry_after\":0.65,\"global\":false}", 650},
               {"{\"retry_after\": 12}", 12000},
               {"{\"retry_after\":1.2345678}", 1234},
               {"{\"retry_after\":1e99}", 1000},
               {"{\"retry_after\":\"x\"}", 3000},
               {"{\"retry_after\":", 3000},
               {"<html>edge</html>", 3000},
               {NULL, 3000}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_response response = answer(429, "Retry-After: 3\n", table[i].body);
    assert_int_equal(lw_verdict_of("discord", &response, 0).wait, table[i].wait);
    assert_int_equal(lw_verdict_of("raw", &response, 0).wait, 3000);
  }
}

/* Every step at both ends of the jitter: more than three days in all, and never one try too many. */
static void the_default_schedule_takes_days(void **state) {
  (void)state;
  static const int64_t seconds[] = {5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};
  struct lw_retry_schedule schedule = lw_retry_default();
  int64_t total = 0;
  for (int tries = 1; tries <= 9; tries++) {
    assert_int_equal(lw_retry_delay(&schedule, tries, 0), seconds[tries - 1] * 800);
    assert_int_equal(lw_retry_delay(&schedule, tries, UINT32_MAX), seconds[tries - 1] * 1200);
    total += seconds[tries - 1];
  }
  assert_true(total > 3 * 24 * 3600);
  assert_int_equal(lw_retry_delay(&schedule, 10, 0), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_status_has_its_verdict),       cmocka_unit_test(every_failure_has_its_verdict),
      cmocka_unit_test(retry_after_is_obeyed_within_a_day), cmocka_unit_test(discord_says_it_in_fractions),
      cmocka_unit_test(the_default_schedule_takes_days),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
