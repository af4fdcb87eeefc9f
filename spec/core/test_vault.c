/* Sealed texts: what opens, and that nothing else does. */
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/encoding.h"
#include "store/store.h"
#include "store/vault.h"

enum { KEY_ID = 8, NONCE = 12, TAG = 16, OVERHEAD = KEY_ID + NONCE + TAG };

#define TEXT "https://hooks.example.test/services/T0/B0/tell-nobody"

static struct lw_error error;
static const struct lw_id row = {{1, 2, 3}}, other_row = {{1, 2, 4}};
static const struct lw_vault_place url = {"webhooks", "url", &row};

/* A vault with the keys that these bytes fill, the first one first. */
static struct lw_vault *make_vault(const char *fills) {
  struct lw_vault *vault = lw_vault_new(&error);
  assert_non_null(vault);
  for (; *fills != '\0'; fills++) {
    uint8_t key[LW_VAULT_KEY_SIZE];
    memset(key, *fills, sizeof key);
    assert_true(lw_vault_add_key(vault, key, &error));
  }
  return vault;
}

static char *seal(const struct lw_vault *vault, const char *text) {
  char *sealed = lw_vault_seal(vault, &url, text, &error);
  if (sealed == NULL) fail_msg("%s: %s", error.code, error.message);
  return sealed;
}

static void opens(const struct lw_vault *vault, const char *sealed, const char *wanted) {
  char *text = lw_vault_open(vault, &url, sealed, &error);
  if (text == NULL) fail_msg("%s: %s", error.code, error.message);
  assert_string_equal(text, wanted);
  lw_wipe_text(&text);
}

/* The message tells nothing of what is inside, in either form. */
static void refuses(const struct lw_vault *vault, const struct lw_vault_place *place, const char *sealed,
                    const char *wanted) {
  assert_null(lw_vault_open(vault, place, sealed, &error));
  assert_string_equal(error.code, "key");
  if (strstr(error.message, wanted) == NULL) fail_msg("'%s' is not in '%s'", wanted, error.message);
  assert_null(strstr(error.message, "tell-nobody"));
  if (*sealed != '\0') assert_null(strstr(error.message, sealed));
}

static void test_round_trip(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  char *large = malloc(LW_VAULT_MAX_TEXT + 2);
  assert_non_null(large);
  memset(large, 'x', LW_VAULT_MAX_TEXT + 1);
  static const size_t lengths[] = {0, 1, 15, 16, 17, 64 * 1024, LW_VAULT_MAX_TEXT};
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    large[lengths[i]] = '\0';
    char *sealed = seal(vault, large);
    assert_int_equal(strlen(sealed), 3 + LW_BASE64_LENGTH(OVERHEAD + lengths[i]));
    opens(vault, sealed, large);
    free(sealed);
    large[lengths[i]] = 'x';
  }
  large[LW_VAULT_MAX_TEXT + 1] = '\0';
  assert_null(lw_vault_seal(vault, &url, large, &error));
  assert_string_equal(error.code, "invalid");
  free(large);
  lw_vault_free(vault);
}

static void test_hides_the_text_and_never_repeats_itself(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  char *first = seal(vault, TEXT), *second = seal(vault, TEXT);
  assert_null(strstr(first, "tell-nobody"));
  uint8_t bytes[2][256];
  size_t length;
  for (int i = 0; i < 2; i++) {
    const char *text = (i == 0 ? first : second) + 3;
    assert_int_equal(
        lw_base64_decode((struct lw_bytes){text, strlen(text)}, bytes[i], sizeof bytes[i], &length), 1);
    assert_int_equal(length, OVERHEAD + strlen(TEXT));
  }
  assert_memory_equal(bytes[0], bytes[1], KEY_ID);
  assert_memory_not_equal(bytes[0] + KEY_ID, bytes[1] + KEY_ID, NONCE);
  assert_memory_not_equal(bytes[0] + KEY_ID + NONCE, bytes[1] + KEY_ID + NONCE, strlen(TEXT));
  free(first);
  free(second);
  lw_vault_free(vault);
}

/* Sealed by another implementation (Node's crypto, from what vault.h says): what is on disk stays readable.
 */
static void test_known_answer(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  opens(vault, "v1:Cd9kG+8Udw4AAQIDBAUGBwgJCgsCqYBed+qpWibjMucUqW12jIvJELMHzX8CaF0So/sgdLOYT98syg==",
        "https://example.test/a");
  lw_vault_free(vault);
}

/* Every bit of every byte: the key's id, the nonce, the ciphertext and the tag. */
static void test_every_changed_bit_is_found(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  char *sealed = seal(vault, "abc"), changed[128] = "v1:";
  uint8_t bytes[OVERHEAD + 3];
  size_t length;
  struct lw_bytes text = {sealed + 3, strlen(sealed) - 3};
  assert_int_equal(lw_base64_decode(text, bytes, sizeof bytes, &length), 1);
  for (size_t bit = 0; bit < 8 * length; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    lw_base64_encode(bytes, length, changed + 3);
    changed[3 + LW_BASE64_LENGTH(length)] = '\0';
    refuses(vault, &url, changed, bit < 8 * KEY_ID ? "another key" : "was changed");
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  lw_base64_encode(bytes, length, changed + 3);
  opens(vault, changed, "abc");
  free(sealed);
  lw_vault_free(vault);
}

/* Every character, with one that stands for other bits, and with one that cannot stand there. */
static void test_every_changed_character_is_found(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  char *sealed = seal(vault, "abc");
  for (size_t i = 0; sealed[i] != '\0'; i++) {
    char before = sealed[i];
    sealed[i] = before == 'A' ? 'B' : 'A';
    refuses(vault, &url, sealed, "");
    sealed[i] = '*';
    refuses(vault, &url, sealed, "");
    sealed[i] = before;
  }
  opens(vault, sealed, "abc");
  free(sealed);
  lw_vault_free(vault);
}

static void test_every_shorter_text_is_found(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  char *sealed = seal(vault, "abcd");
  for (size_t length = strlen(sealed); length-- > 0;) {
    sealed[length] = '\0';
    refuses(vault, &url, sealed, "");
  }
  free(sealed);
  lw_vault_free(vault);
}

static void test_opens_only_in_its_place(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  char *sealed = seal(vault, TEXT);
  const struct lw_vault_place places[] = {
      {"webhooks", "url", &other_row},
      {"webhooks", "settings", &row},
      {"webhook", "surl", &row}, /* the same characters in a row */
      {"other", "url", &row},
  };
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
    refuses(vault, &places[i], sealed, "copied from another place");
  opens(vault, sealed, TEXT);
  free(sealed);
  lw_vault_free(vault);
}

static void test_names_what_it_cannot_read(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  static const struct {
    const char *sealed, *wanted;
  } cases[] = {
      {"v2:AAAA", "newer version"}, {"v10:", "newer version"}, {"", "not encrypted"},
      {"v", "not encrypted"},       {"v1", "not encrypted"},   {"v:AAAA", "not encrypted"},
      {TEXT, "not encrypted"},      {"v1:", "damaged"},        {"v1:AAAA", "damaged"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    refuses(vault, &url, cases[i].sealed, cases[i].wanted);
  lw_vault_free(vault);
}

static void test_the_first_key_seals_and_every_one_opens(void **state) {
  (void)state;
  struct lw_vault *old = make_vault("o"), *both = make_vault("no"), *new = make_vault("n");
  char *before = seal(old, TEXT), *after = seal(both, TEXT);
  opens(both, before, TEXT);
  opens(both, after, TEXT);
  opens(new, after, TEXT);
  refuses(new, &url, before, "another key");
  refuses(old, &url, after, "another key");
  uint8_t old_id[KEY_ID], new_id[KEY_ID];
  lw_vault_key_id(old, old_id);
  lw_vault_key_id(both, new_id);
  assert_memory_not_equal(old_id, new_id, KEY_ID);
  assert_true(lw_vault_has_key(both, old_id));
  assert_true(lw_vault_has_key(both, new_id));
  assert_false(lw_vault_has_key(new, old_id));
  free(before);
  free(after);
  lw_vault_free(old);
  lw_vault_free(both);
  lw_vault_free(new);
}

static void test_takes_each_key_once_and_a_few(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("aabbccddeeffgghhii");
  uint8_t tenth[LW_VAULT_KEY_SIZE] = {0};
  assert_false(lw_vault_add_key(vault, tenth, &error));
  assert_string_equal(error.code, "invalid");
  lw_vault_free(vault);
}

/* -- without randomness -------------------------------------------------------------------------------- */

static int no_bytes(unsigned char *bytes, int count) {
  (void)bytes;
  (void)count;
  return 0;
}

static void test_without_randomness_nothing_is_sealed(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
/* OpenSSL 3 would have a provider for this. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  static const RAND_METHOD broken = {.bytes = no_bytes, .pseudorand = no_bytes};
  const RAND_METHOD *before = RAND_get_rand_method();
  assert_int_equal(RAND_set_rand_method(&broken), 1);
  char *sealed = lw_vault_seal(vault, &url, TEXT, &error);
  RAND_set_rand_method(before);
#pragma GCC diagnostic pop
  assert_null(sealed);
  assert_string_equal(error.code, "crypto");
  sealed = seal(vault, TEXT);
  opens(vault, sealed, TEXT);
  free(sealed);
  lw_vault_free(vault);
}

/* -- where the keys are -------------------------------------------------------------------------------- */

/* The flags of the mapping that holds the address (proc(5), VmFlags). */
static bool mapping_has(const void *address, const char *flag) {
  FILE *maps = fopen("/proc/self/smaps", "r");
  char line[512];
  bool inside = false, found = false;
  assert_non_null(maps);
  while (fgets(line, sizeof line, maps) != NULL) {
    char *end;
    uintptr_t from = strtoull(line, &end, 16);
    if (*end == '-') inside = from <= (uintptr_t)address && (uintptr_t)address < strtoull(end + 1, NULL, 16);
    if (inside && strncmp(line, "VmFlags:", 8) == 0) found = strstr(line, flag) != NULL;
  }
  fclose(maps);
  return found;
}

static void test_keys_are_not_dumped(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  assert_true(mapping_has(vault, " dd"));
  assert_false(mapping_has(&error, " dd"));
  lw_vault_free(vault);
}

static void test_keys_do_not_reach_a_fork(void **state) {
  (void)state;
  struct lw_vault *vault = make_vault("k");
  uint8_t id[KEY_ID];
  lw_vault_key_id(vault, id);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    bool gone = !lw_vault_has_key(vault, id);
    lw_vault_free(vault);
    _exit(gone ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_true(lw_vault_has_key(vault, id));
  lw_vault_free(vault);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_hides_the_text_and_never_repeats_itself),
      cmocka_unit_test(test_known_answer),
      cmocka_unit_test(test_every_changed_bit_is_found),
      cmocka_unit_test(test_every_changed_character_is_found),
      cmocka_unit_test(test_every_shorter_text_is_found),
      cmocka_unit_test(test_opens_only_in_its_place),
      cmocka_unit_test(test_names_what_it_cannot_read),
      cmocka_unit_test(test_the_first_key_seals_and_every_one_opens),
      cmocka_unit_test(test_takes_each_key_once_and_a_few),
      cmocka_unit_test(test_without_randomness_nothing_is_sealed),
      cmocka_unit_test(test_keys_are_not_dumped),
      cmocka_unit_test(test_keys_do_not_reach_a_fork),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
