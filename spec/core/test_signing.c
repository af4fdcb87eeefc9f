/* The schemes and secrets that a webhook is signed with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/signing.h"

#define FIRST "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
#define SECOND "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
#define THIRD "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpBQkNERUY="

static struct lw_webhook hook;
static struct lw_error error;

static int set_up(void **state) {
  (void)state;
  hook = (struct lw_webhook){.signing = strdup("standard"), .signing_secret = strdup(FIRST)};
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lw_webhook_clear(&hook);
  return 0;
}

static void set(char **text, const char *value) {
  free(*text);
  *text = value ? strdup(value) : NULL;
}

static void rotate(const char *secret, int64_t until, int64_t now) {
  if (!lw_signing_rotate(&hook, secret, until, now, &error)) fail_msg("%s", error.message);
  assert_string_equal(hook.signing_secret, secret);
}

/* Signatures of a delivery made now. */
static int count_signatures(int64_t now) {
  struct lw_signed made;
  struct lw_signer *signer = lw_signer_new(&hook, &error);
  if (signer == NULL) fail_msg("%s", error.message);
  assert_true(lw_signer_sign(signer, (struct lw_bytes){"id", 2}, (struct lw_bytes){"body", 4}, now, &made));
  assert_int_equal(made.count, 3);
  int count = 0;
  for (size_t i = 0; i < made.headers[2].value.length; i++) count += made.headers[2].value.data[i] == ',';
  lw_signer_free(signer);
  return count;
}

static void test_names(void **state) {
  (void)state;
  assert_true(lw_signing_has(NULL, "capawesome"));
  assert_false(lw_signing_has(NULL, "standard"));
  assert_true(lw_signing_has("capawesome,standard", "capawesome"));
  assert_true(lw_signing_has("capawesome,standard", "standard"));
  assert_false(lw_signing_has("standards,xstandard", "standard"));
}

static void refused(const char *what) {
  assert_false(lw_signing_check(&hook, &error));
  assert_string_equal(error.code, "invalid");
  if (strstr(error.message, what) == NULL) fail_msg("%s", error.message);
}

static void test_check(void **state) {
  (void)state;
  assert_true(lw_signing_check(&hook, &error));
  set(&hook.signing_secret, "no such form");
  refused("signing_secret: ");
  assert_null(strstr(error.message, "no such form"));
  set(&hook.signing, NULL);
  assert_true(lw_signing_check(&hook, &error));
  set(&hook.signing, "capawesome,github");
  refused("'github'");
  set(&hook.signing, "");
  refused("empty");
}

static void test_old_secrets_sign_until_their_time(void **state) {
  (void)state;
  assert_int_equal(count_signatures(1000), 1);
  rotate(SECOND, 3000, 1000);
  assert_string_equal(hook.old_secrets, "3000 " FIRST);
  rotate(THIRD, 5000, 2000);
  assert_string_equal(hook.old_secrets, "5000 " SECOND ",3000 " FIRST);
  assert_int_equal(count_signatures(2999), 3);
  assert_int_equal(count_signatures(3000), 2);
  assert_int_equal(count_signatures(5000), 1);
}

static void test_what_no_longer_signs_is_forgotten(void **state) {
  (void)state;
  rotate(SECOND, 3000, 1000);
  rotate(THIRD, 5000, 2000);
  assert_true(lw_signing_expire(&hook, 2999, &error));
  assert_string_equal(hook.old_secrets, "5000 " SECOND ",3000 " FIRST);
  assert_true(lw_signing_expire(&hook, 3000, &error));
  assert_string_equal(hook.old_secrets, "5000 " SECOND);
  assert_true(lw_signing_expire(&hook, 5000, &error));
  assert_null(hook.old_secrets);
  rotate(FIRST, 9000, 6000);
  set(&hook.signing, NULL); /* no scheme with a list */
  assert_true(lw_signing_expire(&hook, 6000, &error));
  assert_null(hook.old_secrets);
}

static void test_a_secret_signs_once(void **state) {
  (void)state;
  rotate(SECOND, 3000, 1000);
  rotate(FIRST, 3000, 1000);
  assert_string_equal(hook.old_secrets, "3000 " SECOND);
  assert_false(lw_signing_rotate(&hook, FIRST, 3000, 1000, &error));
  assert_string_equal(error.code, "invalid");
  rotate(SECOND, 1000, 1000); /* no overlap */
  assert_null(hook.old_secrets);
}

static void test_damaged_old_secrets_do_not_keep_the_others_from_signing(void **state) {
  (void)state;
  static const char one_good[] = "3000 short,3000 " SECOND;
  const char *damaged[] = {"x", ",,,", "3000", "3000 ", " 3000", "3000 short", one_good, "3000  x"};
  for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
    set(&hook.old_secrets, damaged[i]);
    assert_int_equal(count_signatures(1000), strstr(damaged[i], SECOND) ? 2 : 1);
    assert_true(lw_signing_expire(&hook, 3000, &error));
    assert_null(hook.old_secrets);
  }
  set(&hook.signing_secret, "short");
  assert_null(lw_signer_new(&hook, &error));
  assert_string_equal(error.code, "bad_secret");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_names),
      TEST(test_check),
      TEST(test_old_secrets_sign_until_their_time),
      TEST(test_what_no_longer_signs_is_forgotten),
      TEST(test_a_secret_signs_once),
      TEST(test_damaged_old_secrets_do_not_keep_the_others_from_signing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
