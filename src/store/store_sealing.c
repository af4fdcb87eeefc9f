/* Which texts of a webhook are sealed, and under which key a database is: the table `keys` has no row (it is
 * plain) or the id of the one key that seals them all. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_private.h"

/* Their order is that of the SQL below. */
static const struct {
  const char *column;
  size_t offset;
} fields[] = {
    {"url", offsetof(struct lw_webhook, url)},
    {"signing_secret", offsetof(struct lw_webhook, signing_secret)},
    {"old_secrets", offsetof(struct lw_webhook, old_secrets)},
    {"settings", offsetof(struct lw_webhook, settings)},
};
enum { FIELDS = sizeof fields / sizeof fields[0], PROBLEM_SIZE = 256 };

static char **field_of(struct lw_webhook *webhook, size_t field) {
  return (char **)((char *)webhook + fields[field].offset);
}

static struct lw_vault_place place_of(const struct lw_webhook *webhook, size_t field) {
  return (struct lw_vault_place){.table = "webhooks", .column = fields[field].column, .row = &webhook->id};
}

/* -- one webhook --------------------------------------------------------------------------------- */

bool lw_webhook_seal(struct lw_store *store, const struct lw_webhook *webhook, struct lw_webhook *sealed,
                     struct lw_error *error) {
  *sealed = *webhook;
  if (store->vault == NULL) return true;
  for (size_t i = 0; i < FIELDS; i++) *field_of(sealed, i) = NULL;
  for (size_t i = 0; i < FIELDS; i++) {
    const char *text = *field_of((struct lw_webhook *)webhook, i);
    struct lw_vault_place place = place_of(webhook, i);
    if (text == NULL) continue;
    char *made = lw_vault_seal(store->vault, &place, text, error);
    if (made == NULL) return false;
    *field_of(sealed, i) = made;
  }
  return true;
}

void lw_webhook_drop_sealed(struct lw_store *store, struct lw_webhook *sealed) {
  if (store->vault == NULL) return;
  for (size_t i = 0; i < FIELDS; i++) free(*field_of(sealed, i));
}

/* "key": the text cannot be opened with the keys there are. */
static bool open_field(struct lw_store *store, const struct lw_webhook *webhook, size_t field, char **text,
                       struct lw_error *error) {
  struct lw_vault_place place = place_of(webhook, field);
  if (store->vault == NULL)
    return lw_fail(error, "key", "the database was encrypted since it was opened: open it with the key");
  char *opened = lw_vault_open(store->vault, &place, *text, error);
  if (opened == NULL) return false;
  free(*text);
  *text = opened;
  return true;
}

static bool open_fields(struct lw_store *store, struct lw_webhook *webhook, size_t *failed,
                        struct lw_error *error) {
  for (size_t i = 0; i < FIELDS; i++) {
    char **text = field_of(webhook, i);
    *failed = i;
    if (*text != NULL && !open_field(store, webhook, i, text, error)) return false;
  }
  return true;
}

/* Says why, and leaves nothing that could be taken for its texts. */
static bool mark_unreadable(struct lw_webhook *webhook, const char *column, const char *why) {
  char id[LW_ID_TEXT_SIZE], problem[PROBLEM_SIZE];
  for (size_t i = 0; i < FIELDS; i++) lw_wipe_text(field_of(webhook, i));
  lw_id_format(&webhook->id, id);
  snprintf(problem, sizeof problem, "webhook %s: its %s cannot be decrypted: %.120s", id, column, why);
  webhook->problem = strdup(problem);
  return webhook->problem != NULL;
}

bool lw_webhook_unseal(struct lw_store *store, struct lw_webhook *webhook, bool sealed) {
  struct lw_error error;
  size_t failed = 0;
  if (!sealed && store->vault == NULL) return true;
  if (!sealed) return mark_unreadable(webhook, fields[0].column, "the database is no longer encrypted");
  if (open_fields(store, webhook, &failed, &error)) return true;
  return strcmp(error.code, "key") == 0 && mark_unreadable(webhook, fields[failed].column, error.message);
}

bool lw_webhook_copy_sealed(struct lw_webhook *webhook, const struct lw_webhook *known) {
  for (size_t i = 0; i < FIELDS; i++) {
    const char *text = *field_of((struct lw_webhook *)known, i);
    char *copy = text != NULL ? strdup(text) : NULL;
    lw_wipe_text(field_of(webhook, i));
    *field_of(webhook, i) = copy;
    if (text != NULL && copy == NULL) return false;
  }
  return true;
}

/* -- the database's key -------------------------------------------------------------------------- */

struct key_row {
  uint8_t id[LW_VAULT_KEY_ID_SIZE];
  bool found;
};

static bool read_key_row(struct lw_row *row, void *context) {
  struct key_row *key = context;
  size_t length;
  char *bytes = lw_row_bytes(row, 0, &length);
  key->found = true;
  if (bytes != NULL && length == sizeof key->id) memcpy(key->id, bytes, length);
  free(bytes);
  return true;
}

static bool read_key(struct lw_store *store, struct key_row *key, struct lw_error *error) {
  *key = (struct key_row){.found = false};
  struct lw_statement *statement = lw_fixed(store, LW_SQL_KEY, "SELECT id FROM keys", error);
  return statement != NULL && lw_each(store, statement, read_key_row, key, NULL, error);
}

static bool is_own_key(const struct lw_store *store, const struct key_row *key) {
  uint8_t own[LW_VAULT_KEY_ID_SIZE];
  lw_vault_key_id(store->vault, own);
  return memcmp(own, key->id, sizeof own) == 0;
}

bool lw_sealing_check(struct lw_store *store, struct lw_error *error) {
  struct key_row key;
  if (!read_key(store, &key, error)) return false;
  bool same = store->vault == NULL ? !key.found : key.found && is_own_key(store, &key);
  return same || lw_fail(error, "key",
                         "the database's encryption key was changed since it was opened:"
                         " nothing is written; open it again with the key of now");
}

/* -- sealing all of it --------------------------------------------------------------------------- */

/* Only the id and the sealed texts are set. */
static bool read_texts(struct lw_row *row, void *context) {
  struct lw_webhook_list *list = context;
  struct lw_webhook *items = lw_row_grow(row, list->items, list->count, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  struct lw_webhook *webhook = &items[list->count++];
  lw_row_id(row, 0, &webhook->id);
  for (size_t i = 0; i < FIELDS; i++) *field_of(webhook, i) = lw_row_text(row, (int)i + 1);
  return true;
}

static bool write_texts(struct lw_store *store, const struct lw_webhook *webhook, struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_WEBHOOK_SEAL,
      "UPDATE webhooks SET url = $2, signing_secret = $3, old_secrets = $4, settings = $5 WHERE id = $1",
      error);
  struct lw_webhook sealed;
  if (statement == NULL) return false;
  bool good = lw_webhook_seal(store, webhook, &sealed, error);
  if (good) {
    lw_bind_id(store, statement, 1, &webhook->id);
    for (size_t i = 0; i < FIELDS; i++)
      store->driver->bind_text(statement, (int)i + 2, *field_of(&sealed, i));
    good = lw_run(store, statement, NULL, error);
  }
  lw_webhook_drop_sealed(store, &sealed);
  return good;
}

/* One that does not open stays as it is: it must not keep the others under the old key. */
static bool seal_anew(struct lw_store *store, struct lw_webhook *webhook, bool sealed,
                      struct lw_error *error) {
  size_t failed;
  if (sealed && !open_fields(store, webhook, &failed, error)) return strcmp(error->code, "key") == 0;
  return write_texts(store, webhook, error);
}

static bool seal_webhooks(struct lw_store *store, bool sealed, struct lw_error *error) {
  struct lw_webhook_list list = {.count = 0};
  struct lw_query query;
  lw_query_init(&query, "SELECT id, url, signing_secret, old_secrets, settings FROM webhooks");
  bool good = lw_query_each(store, &query, read_texts, &list, NULL, error);
  for (size_t i = 0; good && i < list.count; i++) good = seal_anew(store, &list.items[i], sealed, error);
  lw_webhook_list_free(&list);
  return good;
}

static bool execute(struct lw_store *store, const char *sql, struct lw_error *error) {
  struct lw_statement *statement = lw_cached(store, sql, error);
  return statement != NULL && lw_run(store, statement, NULL, error);
}

static bool write_key(struct lw_store *store, struct lw_error *error) {
  uint8_t id[LW_VAULT_KEY_ID_SIZE];
  if (!execute(store, "DELETE FROM keys", error)) return false;
  struct lw_statement *statement = lw_cached(store, "INSERT INTO keys (id) VALUES ($1)", error);
  if (statement == NULL) return false;
  lw_vault_key_id(store->vault, id);
  store->driver->bind_bytes(statement, 1, id, sizeof id);
  return lw_run(store, statement, NULL, error);
}

/* Where there never was a webhook (the version starts with 1), no plain text can have stayed anywhere. */
static bool note_remains(struct lw_store *store, struct lw_error *error) {
  return execute(store,
                 "INSERT INTO meta (name, value) SELECT 'plain_remains', 1 FROM meta"
                 " WHERE name = 'webhooks_version' AND value > 1",
                 error);
}

/* What the database needs before this handle can use it. */
enum need { NOTHING, SEALING, NEW_KEY };

static bool find_need(struct lw_store *store, enum need *need, struct lw_error *error) {
  struct key_row key;
  *need = NOTHING;
  if (!read_key(store, &key, error)) return false;
  if (store->vault == NULL)
    return !key.found || lw_fail(error, "key", "the database is encrypted: give encryption_key");
  if (!key.found)
    *need = SEALING;
  else if (!is_own_key(store, &key))
    *need = NEW_KEY;
  if (*need != NEW_KEY || lw_vault_has_key(store->vault, key.id)) return true;
  return lw_fail(error, "key",
                 "the database is encrypted under another key than encryption_key"
                 " (one that it had before belongs into old_encryption_keys)");
}

/* In a transaction; another process may have done it while we waited for the lock. */
static bool fulfil(struct lw_store *store, struct lw_error *error) {
  enum need need;
  if (!find_need(store, &need, error)) return false;
  if (need == NOTHING) return true;
  store->unsettled = true;
  return seal_webhooks(store, need == NEW_KEY, error) && write_key(store, error) &&
         (need == NEW_KEY || note_remains(store, error)) &&
         execute(store, "UPDATE meta SET value = value + 1 WHERE name = 'webhooks_version'", error);
}

static bool read_found(struct lw_row *row, void *context) {
  (void)row;
  *(bool *)context = true;
  return true;
}

/* What was deleted or overwritten before the sealing stays in unused parts of a database, until it is written
 * anew. Noted in the database, so that an open that failed in between is made up for by the next one. */
static bool remove_remains(struct lw_store *store, struct lw_error *error) {
  bool remains = false;
  struct lw_query query;
  lw_query_init(&query, "SELECT 1 FROM meta WHERE name = 'plain_remains'");
  if (!lw_query_each(store, &query, read_found, &remains, NULL, error)) return false;
  if (!remains) return true;
  store->unsettled = true;
  return store->driver->rewrite(store->db, error) &&
         execute(store, "DELETE FROM meta WHERE name = 'plain_remains'", error);
}

bool lw_sealing_prepare(struct lw_store *store, struct lw_error *error) {
  enum need need;
  struct lw_scope scope;
  if (!find_need(store, &need, error)) return false;
  if (store->vault == NULL) return true;
  if (need != NOTHING) {
    if (!lw_scope_begin(store, &scope, error)) return false;
    if (!lw_scope_end(store, &scope, fulfil(store, error), error)) return false;
  }
  if (!remove_remains(store, error)) return false;
  /* The write-ahead log still has the pages of before. Where somebody uses it, it goes later. */
  if (store->unsettled) lw_store_settle(store);
  return true;
}
