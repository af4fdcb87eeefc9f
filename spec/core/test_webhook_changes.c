/* What an owner changes of a webhook. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/webhook_changes.h"
#include "delivery/webhook_rules.h"

#define SECRET "hunter2"

static struct lw_webhook webhook;
static struct lw_webhook_changes changes;
static struct lw_error error;

static void give(enum lw_webhook_field field, const char *text) {
  changes.fields[field].given = true;
  free(changes.fields[field].text);
  changes.fields[field].text = text ? strdup(text) : NULL;
}

static void give_settings(const char *text, unsigned cleared) {
  lw_settings_drop(changes.settings);
  changes.settings = lw_settings_parse(text, &error);
  if (changes.settings == NULL) fail_msg("%s", error.message);
  changes.cleared = cleared;
}

static void apply(void) {
  if (!lw_webhook_change(&webhook, &changes, &error)) fail_msg("%s", error.message);
  if (!lw_webhook_check(&webhook, &error)) fail_msg("%s", error.message);
  lw_webhook_changes_clear(&changes);
}

static int set_up(void **state) {
  (void)state;
  webhook = (struct lw_webhook){.enabled = true};
  give(LW_WEBHOOK_NAME, "a");
  give(LW_WEBHOOK_URL, "https://example.com/x");
  give(LW_WEBHOOK_FORMAT, "raw");
  give(LW_WEBHOOK_EVENTS, "*");
  apply();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lw_webhook_clear(&webhook);
  lw_webhook_changes_clear(&changes);
  return 0;
}

static void assert_settings(const char *expected) {
  if (expected == NULL)
    assert_null(webhook.settings);
  else
    assert_string_equal(webhook.settings, expected);
}

static void only_what_is_given_changes(void **state) {
  (void)state;
  assert_string_equal(webhook.app_id, "");
  give(LW_WEBHOOK_NAME, "b");
  give(LW_WEBHOOK_CHANNELS, "c,d");
  apply();
  assert_string_equal(webhook.name, "b");
  assert_string_equal(webhook.channels, "c,d");
  assert_string_equal(webhook.url, "https://example.com/x");
  assert_string_equal(webhook.events, "*");
  assert_settings(NULL);
  give(LW_WEBHOOK_CHANNELS, NULL);
  apply();
  assert_null(webhook.channels);
  assert_string_equal(webhook.name, "b");
}

static void changes_can_be_applied_again(void **state) {
  (void)state;
  give(LW_WEBHOOK_URL, "https://u:" SECRET "@example.com/y");
  give_settings("timeout=1\n", 0);
  assert_true(lw_webhook_change(&webhook, &changes, &error));
  assert_true(lw_webhook_change(&webhook, &changes, &error));
  apply();
  assert_string_equal(webhook.url, "https://example.com/y");
  assert_settings("timeout=1\nauthorization=Basic dTpodW50ZXIy\n");
}

static void settings_are_added_and_cleared(void **state) {
  (void)state;
  give_settings("timeout=1\nretry=none\nheader=A: b\n", 0);
  apply();
  assert_settings("timeout=1\nretry=none\nheader=A: b\n");
  give_settings("retry=7\n", LW_SET_TIMEOUT | LW_SET_PROXY);
  apply();
  assert_settings("retry=7\nheader=A: b\n");
  give_settings(NULL, ~0u);
  apply();
  assert_settings(NULL);
}

static void another_url_forgets_the_credentials(void **state) {
  (void)state;
#define STORED "timeout=1\nauthorization=Basic dTpw\n"
  static const struct {
    const char *url, *expected_url, *expected;
  } table[] = {
      {"https://example.com/y", "https://example.com/y", "timeout=1\n"},
      {"https://example.com/x", "https://example.com/x", STORED}, /* what the record shows */
      {"https://v:q@example.com/x", "https://example.com/x", "timeout=1\nauthorization=Basic djpx\n"},
      {"https://v:q@example.com/y", "https://example.com/y", "timeout=1\nauthorization=Basic djpx\n"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    give(LW_WEBHOOK_URL, "https://u:p@example.com/x");
    give_settings("timeout=1\n", 0);
    apply();
    assert_settings(STORED);
    give(LW_WEBHOOK_NAME, "b");
    apply();
    assert_settings(STORED);
    give(LW_WEBHOOK_URL, table[i].url);
    apply();
    assert_string_equal(webhook.url, table[i].expected_url);
    assert_settings(table[i].expected);
  }
#undef STORED
}

/* A database from before credentials were moved. */
static void an_old_url_gives_its_credentials_up(void **state) {
  (void)state;
  free(webhook.url);
  webhook.url = strdup("https://u:p@example.com/x");
  give(LW_WEBHOOK_NAME, "b");
  apply();
  assert_string_equal(webhook.url, "https://example.com/x");
  assert_settings("authorization=Basic dTpw\n");
}

static void what_cannot_be_is_told(void **state) {
  (void)state;
  give(LW_WEBHOOK_URL, "https://a%3Ab:" SECRET "@example.com/");
  assert_false(lw_webhook_change(&webhook, &changes, &error));
  assert_string_equal(error.code, "invalid");
  assert_string_equal(error.message, "url: the URL's user holds a colon");
  tear_down(NULL);
  set_up(NULL);
  give(LW_WEBHOOK_URL, "https://u:" SECRET "@example.com/");
  give_settings("header=authorization: Bearer " SECRET "\n", 0);
  assert_false(lw_webhook_change(&webhook, &changes, &error));
  assert_string_equal(error.message, "headers: Authorization is made from the credentials in the URL");
  tear_down(NULL);
  set_up(NULL);
  give_settings(NULL, 0);
  changes.settings->given = LW_SET_TIMEOUT;
  changes.settings->request.timeout = -1;
  assert_false(lw_webhook_change(&webhook, &changes, &error));
  assert_string_equal(error.message, "timeout: must be 0.001 to 3600 seconds");
  assert_null(webhook.settings);
  tear_down(NULL);
  set_up(NULL);
  webhook.settings = strdup("colour=red\n");
  give(LW_WEBHOOK_NAME, "b");
  assert_false(lw_webhook_change(&webhook, &changes, &error));
  assert_string_equal(error.code, "newer");
  assert_string_equal(webhook.settings, "colour=red\n");
}

/* Whatever is no URL is left to lw_webhook_check. */
static void a_bad_url_is_told_by_the_check(void **state) {
  (void)state;
  static const char *const urls[] = {"", "no", "ftp://u:p@h/", "http://u:p@/", "http://u:p@h /"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    give(LW_WEBHOOK_URL, urls[i]);
    assert_true(lw_webhook_change(&webhook, &changes, &error));
    assert_false(lw_webhook_check(&webhook, &error));
    assert_string_equal(error.code, "invalid");
    assert_memory_equal(error.message, "url: ", 5);
  }
}

static void a_new_secret_and_enabling_forget(void **state) {
  (void)state;
  webhook.old_secrets = strdup("1 old");
  webhook.disabled_reason = strdup("410");
  webhook.enabled = false;
  give(LW_WEBHOOK_NAME, "b");
  apply();
  assert_false(webhook.enabled);
  assert_string_equal(webhook.disabled_reason, "410");
  assert_string_equal(webhook.old_secrets, "1 old");
  give(LW_WEBHOOK_SIGNING_SECRET, SECRET);
  webhook.failing_since = 7;
  changes.gives_enabled = changes.enabled = true;
  apply();
  assert_true(webhook.enabled);
  assert_int_equal(webhook.failing_since, 0);
  assert_null(webhook.disabled_reason);
  assert_null(webhook.old_secrets);
  changes.gives_enabled = true;
  apply();
  assert_false(webhook.enabled);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(only_what_is_given_changes),          TEST(changes_can_be_applied_again),
      TEST(settings_are_added_and_cleared),      TEST(another_url_forgets_the_credentials),
      TEST(an_old_url_gives_its_credentials_up), TEST(what_cannot_be_is_told),
      TEST(a_bad_url_is_told_by_the_check),      TEST(a_new_secret_and_enabling_forget),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
