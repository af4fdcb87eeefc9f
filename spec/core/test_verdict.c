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
      {599, {A, A, A, A}}, {101, {F, F, F, F}}, {103, {F, F, F, F}}, {303, {F, F, F, F}}, {414, {F, F, F, F}},
      {421, {F, F, F, F}}, {423, {F, F, F, F}}, {424, {F, F, F, F}}, {428, {F, F, F, F}}, {431, {F, F, F, F}},
      {499, {F, F, F, F}}, {505, {A, A, A, A}}, {507, {A, A, A, A}}, {520, {A, A, A, A}},
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
      assert_int_equal(verdict.pause, 0);
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
      struct lw_response response = answer(200, "Retry-After: 9\nX-RateLimit-Remaining: 0\n", NULL);
      response.error_code = table[i].code;
      struct lw_verdict verdict = lw_verdict_of(formats[f], &response, 0);
      assert_int_equal(verdict.kind, table[i].kind);
      assert_int_equal(verdict.wait, 0);
      assert_int_equal(verdict.pause, 0);
      assert_true((table[i].kind == F) == (verdict.reason != NULL));
    }
  }
}

/* What the services write into their errors, at statuses they give and at ones they do not. */
static void every_chat_error_has_its_verdict(void **state) {
  (void)state;
#define DISCORD(code) "{\"message\": \"x\", \"code\": " #code "}"
#define NESTED(code) "{\"errors\":{\"a\":{\"_errors\":[{\"code\":\"BASE\"}]}},\"code\":" #code "}"
  static const struct {
    int status;
    const char *body;
    int kinds[4];       /* raw, slack, discord, teams */
    const char *reason; /* part of the format's own one, where it has one */
  } table[] = {
      {400, DISCORD(50035), {F, F, F, F}, "50035"},
      {400, NESTED(50035), {F, F, F, F}, "50035"},
      {400, "{\"code\"\n:\t50035}", {F, F, F, F}, "50035"},
      {400, DISCORD(50006), {F, F, F, F}, "50006"},
      {400, DISCORD(50109), {F, F, F, F}, "50109"},
      {413, DISCORD(40005), {F, F, F, F}, "40005"},
      {401, DISCORD(50027), {F, F, F, F}, "50027"},
      {400, DISCORD(220001), {F, F, F, F}, "220001"},
      {408, DISCORD(50035), {A, F, F, A}, "50035"},
      {425, DISCORD(50006), {A, F, F, A}, "50006"},
      {404, DISCORD(10015), {F, F, D, F}, NULL},
      {404, DISCORD(50027), {F, F, D, F}, NULL},
      {404, DISCORD(130000), {F, F, D, F}, NULL},
      {410, DISCORD(50027), {D, D, D, D}, NULL},
      {429, DISCORD(50035), {A, A, A, A}, NULL},
      {500, DISCORD(50035), {A, A, A, A}, NULL},
      {400, DISCORD(130000), {F, F, A, F}, NULL},
      {403, DISCORD(130000), {F, F, A, F}, NULL},
      {409, NESTED(130000), {F, F, A, F}, NULL},
      {429, DISCORD(130000), {A, A, A, A}, NULL},
      {503, DISCORD(130000), {A, A, A, A}, NULL},
      {400, DISCORD(1300000), {F, F, F, F}, "400: "},
      {400, DISCORD(13000), {F, F, F, F}, "400: "},
      {400, DISCORD(99999999999999999999), {F, F, F, F}, "400: "},
      {400, DISCORD("130000"), {F, F, F, F}, "400: "},
      {400, "{\"code\":", {F, F, F, F}, "400: "},
      {400, "\"code\"", {F, F, F, F}, "400: "},
      {400, "{\"barcode\":130000}", {F, F, F, F}, "400: "},
      {400, "invalid_payload", {F, F, F, F}, "invalid_payload"},
      {403, "invalid_token", {F, F, F, F}, "invalid_token"},
      {404, "no_service", {F, F, D, F}, "no_service"},
      {404, "no_active_hooks", {F, F, D, F}, "no_active_hooks"},
      {403, "action_prohibited", {F, F, F, F}, "action_prohibited"},
      {404, "channel_not_found", {F, F, D, F}, "channel_not_found"},
      {410, "channel_is_archived", {D, D, D, D}, NULL},
      {408, "invalid_payload", {A, F, A, A}, "invalid_payload"},
      {429, "no_service", {A, A, A, A}, NULL},
      {500, "no_service", {A, A, A, A}, NULL},
      {400, "{\"error\":{\"code\":\"WorkflowTriggerIsNotEnabled\"}}", {F, F, F, F}, "switched off"},
      {400, "{\"error\":{\"code\":\"TriggerInputSchemaMismatch\"}}", {F, F, F, F}, "another kind"},
      {401, "{\"error\":{\"code\":\"DirectApiAuthorizationRequired\"}}", {F, F, F, F}, "signature"},
      {404, "{\"error\":{\"code\":\"WorkflowNotFound\"}}", {F, F, D, F}, "does not exist"},
      {408, "{\"error\":{\"code\":\"WorkflowNotFound\"}}", {A, F, A, F}, "does not exist"},
      {502, "{\"error\":{\"code\":\"WorkflowNotFound\"}}", {A, A, A, A}, NULL},
      {200, "no_service " DISCORD(50035), {S, S, S, S}, NULL},
      {204, DISCORD(130000), {S, S, S, S}, NULL},
      {302, DISCORD(130000), {F, F, F, F}, "redirect"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    bool told = table[i].reason == NULL;
    for (int f = 0; f < 4; f++) {
      struct lw_response response = answer(table[i].status, NULL, table[i].body);
      struct lw_verdict verdict = lw_verdict_of(formats[f], &response, 0);
      if (verdict.kind != (enum lw_verdict_kind)table[i].kinds[f])
        fail_msg("%d %s for %s is %d", table[i].status, table[i].body, formats[f], (int)verdict.kind);
      if (table[i].reason && verdict.reason && strstr(verdict.reason, table[i].reason)) told = true;
    }
    if (!told) fail_msg("%d %s: the reason is missing", table[i].status, table[i].body);
  }
#undef DISCORD
#undef NESTED
}

/* For how long the whole webhook is left alone. */
static void every_answer_has_its_pause(void **state) {
  (void)state;
#define LIMITS(remaining, reset) "X-RateLimit-Remaining: " remaining "\nX-RateLimit-Reset-After: " reset "\n"
  static const struct {
    int status;
    const char *headers, *body;
    int64_t discord, others;
  } table[] = {
      {200, "", NULL, 0, 0},
      {200, "Retry-After: 7\n", NULL, 0, 0},
      {400, "Retry-After: 7\n", NULL, 0, 0},
      {408, "Retry-After: 7\n", NULL, 0, 0},
      {500, "Retry-After: 7\n", NULL, 0, 0},
      {429, "Retry-After: 7\n", NULL, 7000, 7000},
      {503, "Retry-After: 7\n", NULL, 7000, 7000},
      {503, "Retry-After: 86401\n", NULL, 86400000, 86400000},
      {429, "Retry-After: soon\n", NULL, 0, 0},
      {429, "", NULL, 0, 0},
      {429, "Retry-After: 7\n", "{\"retry_after\":6.35}", 6350, 7000},
      {429, "", "{\"retry_after\":0.5}", 500, 0},
      {503, "", "{\"retry_after\":0.5}", 0, 0},
      {204, LIMITS("0", "1.5"), NULL, 1500, 0},
      {200, LIMITS("0", "0.001"), NULL, 1, 0},
      {400, LIMITS("0", "2"), NULL, 2000, 0},
      {404, LIMITS("0", "2"), NULL, 2000, 0},
      {204, LIMITS("1", "1.5"), NULL, 0, 0},
      {204, LIMITS("00", "1.5"), NULL, 0, 0},
      {204, LIMITS("", "1.5"), NULL, 0, 0},
      {204, LIMITS("0", ""), NULL, 0, 0},
      {204, LIMITS("0", "x"), NULL, 0, 0},
      {204, LIMITS("0", "-1"), NULL, 0, 0},
      {204, LIMITS("0", "1.5s"), NULL, 0, 0},
      {204, LIMITS("0", "99999999999999999999"), NULL, 86400000, 0},
      {204, "x-ratelimit-reset-after: 3\nx-ratelimit-remaining: 0\n", NULL, 3000, 0},
      {204, "X-RateLimit-Remaining: 0\n", NULL, 0, 0},
      {429, "Retry-After: 2\n" LIMITS("0", "1.25"), NULL, 2000, 2000},
      {429, "Retry-After: 2\n" LIMITS("0", "3.25"), "{\"retry_after\":0.5}", 3250, 2000},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    for (int f = 0; f < 4; f++) {
      struct lw_response response = answer(table[i].status, table[i].headers, table[i].body);
      struct lw_verdict verdict = lw_verdict_of(formats[f], &response, 0);
      int64_t expected = strcmp(formats[f], "discord") == 0 ? table[i].discord : table[i].others;
      if (verdict.pause != expected)
        fail_msg("row %zu for %s: %lld", i, formats[f], (long long)verdict.pause);
    }
  }
#undef LIMITS
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
      cmocka_unit_test(every_chat_error_has_its_verdict),   cmocka_unit_test(every_answer_has_its_pause),
      cmocka_unit_test(retry_after_is_obeyed_within_a_day), cmocka_unit_test(discord_says_it_in_fractions),
      cmocka_unit_test(the_default_schedule_takes_days),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
