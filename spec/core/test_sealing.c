/* Sealed webhooks on real files: what stands in the columns, and what becomes of what does not open. */
#include <openssl/rand.h>
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

#include "store/store.h"
#include "store/vault.h"

#define NOW 1700000000000

static char folder[64], path[96];
static struct lw_store *store;
static struct lw_vault *first, *second, *both; /* the second key, and the first as the old one */
static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

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

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/lw-sealing-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  first = make_vault("1");
  second = make_vault("2");
  both = make_vault("21");
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  lw_store_close(store);
  store = NULL;
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  lw_vault_free(first);
  lw_vault_free(second);
  lw_vault_free(both);
  return rmdir(folder);
}

static void open_with(const struct lw_vault *vault) {
  lw_store_close(store);
  OK((store = lw_store_open_sealed(path, vault, &error)) != NULL);
}

static void refuses_to_open(const struct lw_vault *vault) {
  assert_null(lw_store_open_sealed(path, vault, &error));
  assert_string_equal(error.code, "key");
}

static struct lw_id id_of(uint8_t n) {
  return (struct lw_id){{7, n}};
}

/* `full`: with all that is sealed. */
static void add_webhook(uint8_t n, bool full) {
  struct lw_webhook webhook = {.id = id_of(n),
                               .app_id = (char *)"shop",
                               .name = (char *)"name",
                               .url = (char *)"https://a.test/tell-nobody",
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .enabled = true,
                               .created_at = NOW,
                               .updated_at = NOW};
  if (full) {
    webhook.signing_secret = (char *)"tell-nobody-secret";
    webhook.old_secrets = (char *)"1 tell-nobody-old";
    webhook.settings = (char *)"header=Authorization: tell-nobody";
  }
  OK(lw_store_insert_webhook(store, &webhook, &error));
}

static void is_whole(uint8_t n) {
  struct lw_webhook webhook;
  struct lw_id id = id_of(n);
  bool found;
  OK(lw_store_get_webhook(store, &id, &webhook, &found, &error));
  assert_true(found);
  assert_string_equal(webhook.url, "https://a.test/tell-nobody");
  assert_string_equal(webhook.signing_secret, "tell-nobody-secret");
  assert_string_equal(webhook.old_secrets, "1 tell-nobody-old");
  assert_string_equal(webhook.settings, "header=Authorization: tell-nobody");
  assert_null(webhook.problem);
  lw_webhook_clear(&webhook);
}

/* Its problem says this, and get fails with it; nothing of its texts is left. */
static void has_problem(uint8_t n, const char *wanted) {
  struct lw_webhook_list list;
  struct lw_webhook_filter all = {.limit = -1};
  struct lw_id id = id_of(n);
  OK(lw_store_list_webhooks(store, &all, &list, &error));
  bool seen = false;
  for (size_t i = 0; i < list.count; i++) {
    const struct lw_webhook *webhook = &list.items[i];
    if (!lw_id_equal(&webhook->id, &id)) continue;
    seen = true;
    assert_non_null(webhook->problem);
    if (strstr(webhook->problem, wanted) == NULL) fail_msg("'%s' is not in '%s'", wanted, webhook->problem);
    assert_null(strstr(webhook->problem, "tell-nobody"));
    assert_null(webhook->url);
    assert_null(webhook->signing_secret);
    assert_null(webhook->old_secrets);
    assert_null(webhook->settings);
    assert_string_equal(webhook->name, "name");
    struct lw_webhook got;
    bool found;
    assert_false(lw_store_get_webhook(store, &id, &got, &found, &error));
    assert_string_equal(error.code, "key");
    assert_string_equal(error.message, webhook->problem);
  }
  assert_true(seen);
  lw_webhook_list_free(&list);
}

/* The database's own words, as an attacker or another program has them. */
static int take_number(void *number, int count, char **values, char **names) {
  (void)count;
  (void)names;
  *(int *)number = (int)strtol(values[0], NULL, 10);
  return 0;
}

static int sql(const char *text) {
  sqlite3 *db;
  int number = -1;
  char *problem = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  if (sqlite3_exec(db, text, take_number, &number, &problem) != SQLITE_OK) fail_msg("%s", problem);
  sqlite3_close(db);
  return number;
}

static void test_four_columns_are_sealed(void **state) {
  (void)state;
  open_with(first);
  add_webhook(1, true);
  add_webhook(2, false);
  assert_int_equal(sql("SELECT count(*) FROM webhooks WHERE substr(url, 1, 3) = 'v1:'"), 2);
  assert_int_equal(sql("SELECT count(*) FROM webhooks WHERE substr(signing_secret, 1, 3) = 'v1:'"
                       " AND substr(old_secrets, 1, 3) = 'v1:' AND substr(settings, 1, 3) = 'v1:'"),
                   1);
  assert_int_equal(sql("SELECT count(*) FROM webhooks WHERE signing_secret IS NULL"
                       " AND old_secrets IS NULL AND settings IS NULL"),
                   1);
  is_whole(1);
  open_with(first);
  is_whole(1);
}

static void test_a_plain_database_is_sealed_when_it_gets_a_key(void **state) {
  (void)state;
  open_with(NULL);
  add_webhook(1, true);
  is_whole(1);
  open_with(first);
  is_whole(1);
  assert_int_equal(sql("SELECT count(*) FROM webhooks WHERE url LIKE 'v1:%' AND settings LIKE 'v1:%'"), 1);
  refuses_to_open(NULL);
  refuses_to_open(second);
}

static void test_the_key_changes_for_all_at_once(void **state) {
  (void)state;
  open_with(first);
  for (uint8_t n = 1; n <= 50; n++) add_webhook(n, true);
  open_with(both);
  for (uint8_t n = 1; n <= 50; n++) is_whole(n);
  refuses_to_open(first);
  open_with(second);
  for (uint8_t n = 1; n <= 50; n++) is_whole(n);
}

static void test_texts_open_only_in_their_place(void **state) {
  (void)state;
  open_with(first);
  for (uint8_t n = 1; n <= 4; n++) add_webhook(n, true);
  sql("UPDATE webhooks SET settings = url WHERE id = x'07010000000000000000000000000000'");
  sql("UPDATE webhooks SET signing_secret = (SELECT signing_secret FROM webhooks"
      " WHERE id = x'07010000000000000000000000000000') WHERE id = x'07020000000000000000000000000000'");
  sql("UPDATE webhooks SET url = 'https://attacker.test/' WHERE id = x'07030000000000000000000000000000'");
  has_problem(1,
              "07010000-0000-0000-0000-000000000000: its settings cannot be decrypted: it was changed, or");
  has_problem(2,
              "07020000-0000-0000-0000-000000000000: its signing_secret cannot be decrypted: it was changed");
  has_problem(3, "its url cannot be decrypted: it is not encrypted, though the database is");
  is_whole(4);
}

static void test_what_does_not_open_stays_as_it_is_when_the_key_changes(void **state) {
  (void)state;
  open_with(first);
  add_webhook(1, true);
  add_webhook(2, true);
  sql("UPDATE webhooks SET url = settings WHERE id = x'07010000000000000000000000000000'");
  open_with(both);
  has_problem(1, "its url cannot be decrypted: it was changed");
  is_whole(2);
  open_with(second);
  has_problem(1, "its url cannot be decrypted: it is encrypted under another key");
  is_whole(2);
}

/* Another process made it plain (or so it says): nothing that is read then is taken for genuine. */
static void test_a_database_that_lost_its_key_is_not_trusted(void **state) {
  (void)state;
  open_with(first);
  add_webhook(1, true);
  sql("DELETE FROM keys");
  sql("UPDATE webhooks SET url = 'https://attacker.test/'");
  has_problem(1, "the database is no longer encrypted");
}

static bool change(uint8_t n, bool *found) {
  struct lw_webhook webhook = {.id = id_of(n), .url = (char *)"http://b.test/", .events = (char *)"*"};
  return lw_store_update_webhook(store, &webhook, found, &error);
}

static void test_nothing_is_written_under_a_key_of_before(void **state) {
  (void)state;
  open_with(first);
  add_webhook(1, true);
  struct lw_store *other = lw_store_open_sealed(path, both, &error);
  assert_non_null(other);
  OK(lw_store_begin(store, &error));
  bool found;
  struct lw_webhook webhook = {.id = id_of(2), .url = (char *)"http://b.test/", .events = (char *)"*"};
  assert_false(change(1, &found));
  assert_string_equal(error.code, "key");
  assert_false(lw_store_insert_webhook(store, &webhook, &error));
  assert_string_equal(error.code, "key");
  /* The transaction goes on. */
  struct lw_id existing;
  struct lw_message_row message = {.id = id_of(9), .event = "e", .body = "b", .body_length = 1};
  OK(lw_store_insert_message(store, &message, &existing, &error));
  OK(lw_store_commit(store, &error));
  assert_int_equal(sql("SELECT count(*) FROM messages"), 1);
  has_problem(1, "under another key");
  struct lw_id id = id_of(1);
  OK(lw_store_delete_webhook(store, &id, &found, &error));
  assert_true(found);
  lw_store_close(other);
}

static bool on_disk(const char *text) {
  static char bytes[1024 * 1024];
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t length = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  assert_in_range(length, 1, sizeof bytes - 1);
  return memmem(bytes, length, text, strlen(text)) != NULL;
}

/* A process that died between the sealing and the writing anew. Some SQLites (Debian's) erase what is deleted
 * by default, most do not. */
static void test_remains_are_removed_by_the_next_open(void **state) {
  (void)state;
  open_with(first);
  add_webhook(1, true);
  sql("PRAGMA secure_delete = OFF; INSERT INTO meta (name, value) VALUES ('plain_remains', 1);"
      "INSERT INTO meta (name, value) VALUES ('tell-nobody-remains', 1);"
      "DELETE FROM meta WHERE name = 'tell-nobody-remains'");
  sql("PRAGMA wal_checkpoint(TRUNCATE)");
  assert_true(on_disk("tell-nobody-remains"));
  open_with(first);
  assert_false(on_disk("tell-nobody-remains"));
  assert_int_equal(sql("SELECT count(*) FROM meta WHERE name = 'plain_remains'"), 0);
  is_whole(1);
}

/* -- sealing fails half-way ---------------------------------------------------------------------------- */

static int bytes_left;

static int some_bytes(unsigned char *bytes, int count) {
  memset(bytes, bytes_left, (size_t)count);
  return bytes_left-- > 0;
}

static void test_a_failed_sealing_changes_nothing(void **state) {
  (void)state;
  open_with(NULL);
  add_webhook(1, true);
  add_webhook(2, true);
  lw_store_close(store);
  store = NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  static const RAND_METHOD broken = {.bytes = some_bytes, .pseudorand = some_bytes};
  const RAND_METHOD *before = RAND_get_rand_method();
  for (int i = 0; i < 8; i++) {
    bytes_left = i; /* eight texts are to be sealed */
    RAND_set_rand_method(&broken);
    struct lw_store *opened = lw_store_open_sealed(path, first, &error);
    RAND_set_rand_method(before);
    assert_null(opened);
    assert_string_equal(error.code, "crypto");
  }
#pragma GCC diagnostic pop
  open_with(NULL);
  is_whole(1);
  is_whole(2);
  open_with(first);
  is_whole(1);
  is_whole(2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_four_columns_are_sealed),
      TEST(test_a_plain_database_is_sealed_when_it_gets_a_key),
      TEST(test_the_key_changes_for_all_at_once),
      TEST(test_texts_open_only_in_their_place),
      TEST(test_what_does_not_open_stays_as_it_is_when_the_key_changes),
      TEST(test_a_database_that_lost_its_key_is_not_trusted),
      TEST(test_nothing_is_written_under_a_key_of_before),
      TEST(test_remains_are_removed_by_the_next_open),
      TEST(test_a_failed_sealing_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
