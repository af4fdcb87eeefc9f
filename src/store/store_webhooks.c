/* Webhooks, and the version that tells other processes that they changed. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_private.h"

#define COLUMNS                                                                                              \
  "id, app_id, name, url, format, events, signing_secret, enabled, created_at, updated_at, disabled_reason," \
  " filter, channels, signing, old_secrets, settings, failing_since"
#define READ_COLUMNS COLUMNS ", (SELECT count(*) FROM keys)"

void lw_wipe_text(char **text) {
  if (*text != NULL) OPENSSL_cleanse(*text, strlen(*text));
  free(*text);
  *text = NULL;
}

void lw_webhook_clear(struct lw_webhook *webhook) {
  lw_wipe_text(&webhook->url); /* Slack's, Discord's and Teams' are secrets as they are */
  lw_wipe_text(&webhook->signing_secret);
  lw_wipe_text(&webhook->old_secrets);
  lw_wipe_text(&webhook->settings);
  free(webhook->app_id);
  free(webhook->name);
  free(webhook->format);
  free(webhook->events);
  free(webhook->disabled_reason);
  free(webhook->filter);
  free(webhook->channels);
  free(webhook->signing);
  free(webhook->problem);
  *webhook = (struct lw_webhook){.enabled = false};
}

void lw_webhook_list_free(struct lw_webhook_list *list) {
  for (size_t i = 0; i < list->count; i++) lw_webhook_clear(&list->items[i]);
  free(list->items);
  *list = (struct lw_webhook_list){.count = 0};
}

/* -- writing ------------------------------------------------------------------------------------- */

static void bind_webhook(struct lw_store *store, struct lw_statement *statement,
                         const struct lw_webhook *webhook) {
  const struct lw_driver *driver = store->driver;
  lw_bind_id(store, statement, 1, &webhook->id);
  driver->bind_text(statement, 2, webhook->app_id);
  driver->bind_text(statement, 3, webhook->name);
  driver->bind_text(statement, 4, webhook->url);
  driver->bind_text(statement, 5, webhook->format);
  driver->bind_text(statement, 6, webhook->events);
  driver->bind_text(statement, 7, webhook->signing_secret);
  driver->bind_integer(statement, 8, webhook->enabled);
  driver->bind_integer(statement, 9, webhook->created_at);
  driver->bind_integer(statement, 10, webhook->updated_at);
  driver->bind_text(statement, 11, webhook->disabled_reason);
  driver->bind_text(statement, 12, webhook->filter);
  driver->bind_text(statement, 13, webhook->channels);
  driver->bind_text(statement, 14, webhook->signing);
  driver->bind_text(statement, 15, webhook->old_secrets);
  driver->bind_text(statement, 16, webhook->settings);
}

static bool grow_version(struct lw_store *store, struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_VERSION_GROW, "UPDATE meta SET value = value + 1 WHERE name = 'webhooks_version'", error);
  return statement != NULL && lw_run(store, statement, NULL, error);
}

/* Runs a bound statement and grows the version with it, both or none. */
static bool change(struct lw_store *store, struct lw_statement *statement, bool *found,
                   struct lw_error *error) {
  struct lw_scope scope;
  int64_t changes = 0;
  if (!lw_scope_begin(store, &scope, error)) {
    store->driver->reset(statement);
    return false;
  }
  bool good = lw_run(store, statement, &changes, error);
  if (good && changes > 0) good = grow_version(store, error);
  if (found != NULL) *found = good && changes > 0;
  return lw_scope_end(store, &scope, good, error);
}

/* Seals and binds; `statement` is run as `change` does, where the database's key is still ours. */
static bool write_webhook(struct lw_store *store, struct lw_statement *statement,
                          const struct lw_webhook *webhook, bool *found, struct lw_error *error) {
  struct lw_scope scope;
  struct lw_webhook sealed;
  if (!lw_scope_begin(store, &scope, error)) return false;
  bool good = lw_sealing_check(store, error);
  if (good) {
    good = lw_webhook_seal(store, webhook, &sealed, error);
    if (good) {
      bind_webhook(store, statement, &sealed);
      good = change(store, statement, found, error);
    }
    lw_webhook_drop_sealed(store, &sealed);
  }
  return lw_scope_end(store, &scope, good, error);
}

bool lw_store_insert_webhook(struct lw_store *store, const struct lw_webhook *webhook,
                             struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_WEBHOOK_INSERT,
               "INSERT INTO webhooks (" COLUMNS
               ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, NULL)",
               error);
  return statement != NULL && write_webhook(store, statement, webhook, NULL, error);
}

bool lw_store_update_webhook(struct lw_store *store, const struct lw_webhook *webhook, bool *found,
                             struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_WEBHOOK_UPDATE,
      "UPDATE webhooks SET app_id = $2, name = $3, url = $4, format = $5, events = $6, signing_secret = $7,"
      " enabled = $8, created_at = $9, updated_at = $10, disabled_reason = $11, filter = $12, channels = $13,"
      " signing = $14, old_secrets = $15, settings = $16,"
      " failing_since = CASE WHEN enabled = 0 AND $8 = 1 THEN NULL ELSE failing_since END WHERE id = $1",
      error);
  return statement != NULL && write_webhook(store, statement, webhook, found, error);
}

bool lw_store_disable_webhook(struct lw_store *store, const struct lw_id *id, const char *reason, int64_t now,
                              bool *changed, struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_WEBHOOK_DISABLE,
      "UPDATE webhooks SET enabled = 0, disabled_reason = $2, updated_at = $3 WHERE id = $1 AND enabled = 1",
      error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, id);
  store->driver->bind_text(statement, 2, reason);
  store->driver->bind_integer(statement, 3, now);
  return change(store, statement, changed, error);
}

static bool read_since(struct lw_row *row, void *context) {
  *(int64_t *)context = lw_row_integer(row, 0);
  return true;
}

/* Not a change that others have to load the webhooks for: the version stays. */
bool lw_store_webhook_fails(struct lw_store *store, const struct lw_id *id, int64_t now, int64_t *since,
                            struct lw_error *error) {
  *since = now;
  struct lw_statement *mark =
      lw_fixed(store, LW_SQL_WEBHOOK_FAILS,
               "UPDATE webhooks SET failing_since = $2 WHERE id = $1 AND failing_since IS NULL", error);
  if (mark == NULL) return false;
  lw_bind_id(store, mark, 1, id);
  store->driver->bind_integer(mark, 2, now);
  if (!lw_run(store, mark, NULL, error)) return false;
  struct lw_statement *ask =
      lw_fixed(store, LW_SQL_WEBHOOK_FAILING, "SELECT failing_since FROM webhooks WHERE id = $1", error);
  if (ask == NULL) return false;
  lw_bind_id(store, ask, 1, id);
  return lw_each(store, ask, read_since, since, NULL, error);
}

bool lw_store_webhook_works(struct lw_store *store, const struct lw_id *id, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_WEBHOOK_WORKS,
               "UPDATE webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL", error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, id);
  return lw_run(store, statement, NULL, error);
}

bool lw_store_delete_webhook(struct lw_store *store, const struct lw_id *id, bool *found,
                             struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_WEBHOOK_DELETE, "DELETE FROM webhooks WHERE id = $1", error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, id);
  return change(store, statement, found, error);
}

/* -- reading ------------------------------------------------------------------------------------- */

/* What it reads is to be cleared, also on failure (no memory). */
static bool read_webhook(struct lw_row *row, struct lw_store *store, struct lw_webhook *webhook) {
  lw_row_id(row, 0, &webhook->id);
  webhook->app_id = lw_row_text(row, 1);
  webhook->name = lw_row_text(row, 2);
  webhook->url = lw_row_text(row, 3);
  webhook->format = lw_row_text(row, 4);
  webhook->events = lw_row_text(row, 5);
  webhook->signing_secret = lw_row_text(row, 6);
  webhook->enabled = lw_row_integer(row, 7) != 0;
  webhook->created_at = lw_row_integer(row, 8);
  webhook->updated_at = lw_row_integer(row, 9);
  webhook->disabled_reason = lw_row_text(row, 10);
  webhook->filter = lw_row_text(row, 11);
  webhook->channels = lw_row_text(row, 12);
  webhook->signing = lw_row_text(row, 13);
  webhook->old_secrets = lw_row_text(row, 14);
  webhook->settings = lw_row_text(row, 15);
  webhook->failing_since = lw_row_integer(row, 16);
  if (!row->failed && !lw_webhook_unseal(store, webhook, lw_row_integer(row, 17) != 0)) row->failed = true;
  return !row->failed;
}

struct getting {
  struct lw_store *store;
  struct lw_webhook *webhook;
};

static bool read_one(struct lw_row *row, void *context) {
  struct getting *getting = context;
  return read_webhook(row, getting->store, getting->webhook);
}

bool lw_store_get_webhook(struct lw_store *store, const struct lw_id *id, struct lw_webhook *webhook,
                          bool *found, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_WEBHOOK_GET, "SELECT " READ_COLUMNS " FROM webhooks WHERE id = $1", error);
  *webhook = (struct lw_webhook){.enabled = false};
  *found = false;
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, id);
  int64_t rows;
  struct getting getting = {.store = store, .webhook = webhook};
  bool good = lw_each(store, statement, read_one, &getting, &rows, error);
  if (good && webhook->problem != NULL) good = lw_fail(error, "key", "%s", webhook->problem);
  if (good)
    *found = rows > 0;
  else
    lw_webhook_clear(webhook);
  return good;
}

/* -- listing ------------------------------------------------------------------------------------- */

static char lower(char character) {
  return character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
}

/* In any case of A to Z, whatever the host's locale is. */
static bool contains(const char *text, const char *part) {
  size_t length = strlen(part), most = text != NULL ? strlen(text) : 0;
  for (size_t start = 0; start + length <= most; start++) {
    size_t at = 0;
    while (at < length && lower(text[start + at]) == lower(part[at])) at++;
    if (at == length) return true;
  }
  return false;
}

struct listing {
  struct lw_store *store;
  const struct lw_webhook_filter *filter;
  struct lw_webhook_list *list;
  int64_t skipped;
};

static bool matches(const struct lw_webhook_filter *filter, const struct lw_webhook *webhook) {
  return filter->query == NULL || contains(webhook->name, filter->query) ||
         contains(webhook->url, filter->query);
}

static bool append(struct lw_row *row, struct lw_webhook_list *list, const struct lw_webhook *webhook) {
  struct lw_webhook *items = lw_row_grow(row, list->items, list->count, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  items[list->count++] = *webhook;
  return true;
}

/* The database cannot look into a sealed URL, so the search is here, and with it limit and offset. */
static bool read_listed(struct lw_row *row, void *context) {
  struct listing *listing = context;
  const struct lw_webhook_filter *filter = listing->filter;
  if (filter->limit >= 0 && (int64_t)listing->list->count >= filter->limit) return false;
  struct lw_webhook webhook = {.enabled = false};
  bool good = read_webhook(row, listing->store, &webhook);
  bool wanted = good && matches(filter, &webhook) && listing->skipped++ >= filter->offset;
  if (wanted && append(row, listing->list, &webhook)) return true;
  lw_webhook_clear(&webhook);
  return good;
}

bool lw_store_list_webhooks(struct lw_store *store, const struct lw_webhook_filter *filter,
                            struct lw_webhook_list *list, struct lw_error *error) {
  struct listing listing = {.store = store, .filter = filter, .list = list};
  struct lw_query query;
  *list = (struct lw_webhook_list){.count = 0};
  lw_query_init(&query, "SELECT " READ_COLUMNS " FROM webhooks WHERE 1 = 1");
  if (filter->app_id != NULL) lw_query_text(&query, " AND app_id = ?", filter->app_id);
  lw_query_add(&query, " ORDER BY id");
  bool good = lw_query_each(store, &query, read_listed, &listing, NULL, error);
  if (!good) lw_webhook_list_free(list);
  return good;
}

static bool read_version(struct lw_row *row, void *context) {
  *(int64_t *)context = lw_row_integer(row, 0);
  return true;
}

bool lw_store_webhooks_version(struct lw_store *store, int64_t *version, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_VERSION, "SELECT value FROM meta WHERE name = 'webhooks_version'", error);
  *version = 0;
  return statement != NULL && lw_each(store, statement, read_version, version, NULL, error);
}
