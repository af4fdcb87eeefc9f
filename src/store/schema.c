/* The tables, and the upgrade of a database to the ones this version knows. */
#include <stdio.h>

#include "store/store_private.h"

/* The tables of schema 1, and below them what every later schema changed: a new file goes the same way as an
 * old one. {b} bytes, {i} integer, {k} the options of a table read by its key alone. Ids are 16 bytes that
 * sort by time. messages.app_id is '' where there is none, because NULLs would never collide in the unique
 * index. */
static const char *const tables[] = {
    "CREATE TABLE webhooks (id {b} NOT NULL PRIMARY KEY, app_id TEXT, name TEXT, url TEXT NOT NULL, format "
    "TEXT,"
    " events TEXT NOT NULL, signing_secret TEXT, enabled {i} NOT NULL, created_at {i} NOT NULL,"
    " updated_at {i} NOT NULL)",
    "CREATE TABLE messages (id {b} NOT NULL PRIMARY KEY, app_id TEXT NOT NULL DEFAULT '', event TEXT NOT "
    "NULL,"
    " idempotency_key TEXT, body {b} NOT NULL)",
    "CREATE UNIQUE INDEX messages_key ON messages (app_id, idempotency_key) WHERE idempotency_key IS NOT "
    "NULL",
    "CREATE TABLE deliveries (id {b} NOT NULL PRIMARY KEY, message_id {b} NOT NULL, webhook_id {b} NOT NULL,"
    " status TEXT NOT NULL, attempts {i} NOT NULL, tries {i} NOT NULL, due_at {i} NOT NULL, claimed_by {b},"
    " reason TEXT, body {b})",
    "CREATE INDEX deliveries_pending ON deliveries (claimed_by, due_at) WHERE status = 'pending'",
    "CREATE INDEX deliveries_failed ON deliveries (id) WHERE status = 'failed'",
    "CREATE TABLE attempts (delivery_id {b} NOT NULL, number {i} NOT NULL, sent_at {i} NOT NULL,"
    " duration {i} NOT NULL, response_status_code {i} NOT NULL, response_headers {b}, response_body {b},"
    " response_body_cut {i} NOT NULL, error TEXT, cause TEXT, PRIMARY KEY (delivery_id, number)){k}",
    "CREATE TABLE dispatchers (id {b} NOT NULL PRIMARY KEY, lease_until {i} NOT NULL)",
    "INSERT INTO meta (name, value) VALUES ('webhooks_version', 1)",
    "INSERT INTO meta (name, value) VALUES ('schema', 1)",
};

/* Schema 2 is the first one. Append only: files out there have taken the ones before. */
static const char *const upgrades[] = {
    "ALTER TABLE webhooks ADD COLUMN disabled_reason TEXT",
    "ALTER TABLE webhooks ADD COLUMN filter TEXT",
    "ALTER TABLE webhooks ADD COLUMN channels TEXT",
    "CREATE INDEX deliveries_message ON deliveries (message_id)",
    "ALTER TABLE deliveries ADD COLUMN cause TEXT", /* of the first attempt; NULL: an emit */
    "ALTER TABLE attempts ADD COLUMN response_headers_cut {i} NOT NULL DEFAULT 0",
    "ALTER TABLE webhooks ADD COLUMN signing TEXT",
    "ALTER TABLE webhooks ADD COLUMN old_secrets TEXT",
    "ALTER TABLE webhooks ADD COLUMN settings TEXT",
    "ALTER TABLE webhooks ADD COLUMN failing_since {i}", /* NULL: its last attempt was a success */
    /* What waits, what is claimed and what goes one at a time, apart: a delivery that is claimed as it is
     * inserted costs one index. They are looked up by webhook, by dispatcher, and by the first that is due.
     */
    "DROP INDEX deliveries_pending",
    "ALTER TABLE deliveries ADD COLUMN ordered {i}", /* 1: one at a time, in the order of the ids; or NULL */
    "CREATE INDEX deliveries_line ON deliveries (webhook_id, due_at, id)"
    " WHERE status = 'pending' AND claimed_by IS NULL AND ordered IS NULL",
    "CREATE INDEX deliveries_ordered ON deliveries (webhook_id, id) WHERE status = 'pending' AND ordered = 1",
    "CREATE INDEX deliveries_claimed ON deliveries (claimed_by)"
    " WHERE status = 'pending' AND claimed_by IS NOT NULL",
    "CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status = 'pending' AND claimed_by IS NULL",
    /* No row, or the key that webhooks are sealed under. */
    "CREATE TABLE keys (id {b} NOT NULL PRIMARY KEY)",
    /* How many deliveries of it there are, for whoever deletes one: only that was looked up by message, and
     * an index is a page more to write with every event. NULL: nobody knows, since a process of an older
     * version that still ran inserted it, and it stays. */
    "ALTER TABLE messages ADD COLUMN deliveries {i}",
    "UPDATE messages SET deliveries = (SELECT count(*) FROM deliveries d WHERE d.message_id = messages.id)",
    "DROP INDEX deliveries_message",
};

enum { TABLES = sizeof tables / sizeof tables[0], SCHEMA = 1 + sizeof upgrades / sizeof upgrades[0] };

static void add_word(struct lw_buffer *sql, const struct lw_driver *driver, char word) {
  lw_buffer_append_text(sql, word == 'b'   ? driver->bytes_type
                             : word == 'i' ? driver->integer_type
                                           : driver->keyed_table_options);
}

static bool execute(struct lw_store *store, const char *text, struct lw_error *error) {
  struct lw_buffer sql;
  lw_buffer_init(&sql, 4096);
  for (const char *at = text; *at != '\0'; at++) {
    if (*at == '{') {
      add_word(&sql, store->driver, at[1]);
      at += 2;
    } else {
      lw_buffer_append_char(&sql, *at);
    }
  }
  if (!lw_buffer_append_char(&sql, '\0')) {
    lw_buffer_free(&sql);
    return lw_fail(error, "memory", "out of memory making the tables");
  }
  struct lw_statement *statement = store->driver->prepare(store->db, sql.data, error);
  lw_buffer_free(&sql);
  bool done = statement != NULL && lw_run(store, statement, NULL, error);
  store->driver->finalize(statement);
  return done;
}

static bool read_version(struct lw_row *row, void *context) {
  *(int64_t *)context = lw_row_integer(row, 0);
  return true;
}

static bool schema_version(struct lw_store *store, int64_t *version, struct lw_error *error) {
  const char *sql = "SELECT value FROM meta WHERE name = 'schema'";
  struct lw_statement *statement = store->driver->prepare(store->db, sql, error);
  *version = 0;
  bool done = statement != NULL && lw_each(store, statement, read_version, version, NULL, error);
  store->driver->finalize(statement);
  return done;
}

static bool create_tables(struct lw_store *store, struct lw_error *error) {
  for (size_t i = 0; i < TABLES; i++)
    if (!execute(store, tables[i], error)) return false;
  return true;
}

static bool upgrade(struct lw_store *store, int64_t version, struct lw_error *error) {
  if (version == SCHEMA) return true;
  for (int64_t i = version; i < SCHEMA; i++)
    if (!execute(store, upgrades[i - 1], error)) return false;
  char update[80];
  snprintf(update, sizeof update, "UPDATE meta SET value = %d WHERE name = 'schema'", (int)SCHEMA);
  return execute(store, update, error);
}

static bool create_or_upgrade(struct lw_store *store, struct lw_error *error) {
  int64_t version;
  if (!execute(store, "CREATE TABLE IF NOT EXISTS meta (name TEXT NOT NULL PRIMARY KEY, value {i} NOT NULL)",
               error))
    return false;
  if (!schema_version(store, &version, error)) return false;
  if (version == 0) {
    version = 1;
    if (!create_tables(store, error)) return false;
  }
  if (version >= 1 && version <= SCHEMA) return upgrade(store, version, error);
  return lw_fail(error, "store",
                 "the database has schema %lld, this version knows schema %d; use the version that made it",
                 (long long)version, (int)SCHEMA);
}

/* One transaction, under the write lock: two processes that open a new file make its tables once, and an
 * upgrade is there as a whole or not at all. */
bool lw_schema_prepare(struct lw_store *store, struct lw_error *error) {
  struct lw_scope scope;
  if (!lw_scope_begin(store, &scope, error)) return false;
  return lw_scope_end(store, &scope, create_or_upgrade(store, error), error);
}
