/* Opening, transactions, and the statement machinery that the other parts of the store use. */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#include "store/store_private.h"

static const char *const status_names[] = {"pending", "succeeded", "failed", "canceled"};

const char *lw_status_name(enum lw_status status) {
  return status_names[status];
}

bool lw_status_parse(const char *name, enum lw_status *status) {
  for (int i = LW_PENDING; i <= LW_CANCELED; i++) {
    if (strcmp(name, status_names[i]) != 0) continue;
    *status = (enum lw_status)i;
    return true;
  }
  return false;
}

/* -- open and close ------------------------------------------------------------------------------ */

struct lw_store *lw_store_open(const char *path, struct lw_error *error) {
  return lw_store_open_sealed(path, NULL, error);
}

struct lw_store *lw_store_open_sealed(const char *path, const struct lw_vault *vault,
                                      struct lw_error *error) {
  struct lw_store *store = calloc(1, sizeof *store);
  if (store == NULL) {
    lw_fail(error, "memory", "out of memory opening the database %s", path);
    return NULL;
  }
  store->driver = &lw_sqlite_driver;
  store->vault = vault;
  store->is_private = strcmp(path, ":memory:") == 0;
  store->db = store->driver->open(path, error);
  if (store->db != NULL) store->driver->limit_log(store->db, LW_STORE_LOG_PAGES);
  if (store->db != NULL && lw_schema_prepare(store, error) && lw_sealing_prepare(store, error)) return store;
  lw_store_close(store);
  return NULL;
}

bool lw_store_is_private(const struct lw_store *store) {
  return store->is_private;
}

void lw_store_limit_wait(struct lw_store *store, int64_t until) {
  store->driver->limit_wait(store->db, until);
}

void lw_store_close(struct lw_store *store) {
  if (store == NULL) return;
  if (store->in_transaction) lw_store_rollback(store);
  for (int i = 0; i < LW_SQL_SLOTS; i++) store->driver->finalize(store->slots[i]);
  for (int i = 0; i < LW_STATEMENT_CACHE; i++) {
    store->driver->finalize(store->cache[i].statement);
    free(store->cache[i].sql);
  }
  if (store->db != NULL) store->driver->close(store->db);
  free(store);
}

/* -- transactions -------------------------------------------------------------------------------- */

bool lw_store_sync_later(struct lw_store *store, struct lw_error *error) {
  return store->driver->sync_later(store->db, error);
}

bool lw_store_sync(struct lw_store *store, struct lw_error *error) {
  return store->driver->sync(store->db, error);
}

int64_t lw_store_written(const struct lw_store *store) {
  return store->driver->written(store->db);
}

void lw_store_leave_checkpoints(struct lw_store *store) {
  store->driver->limit_log(store->db, LW_STORE_LOG_MOST_PAGES);
}

int lw_store_log_pages(const struct lw_store *store) {
  return store->driver->log_pages(store->db);
}

void lw_store_shorten_log(struct lw_store *store) {
  store->driver->shorten_log(store->db, LW_STORE_LOG_PAGES);
}

bool lw_store_begin(struct lw_store *store, struct lw_error *error) {
  if (!store->driver->begin(store->db, error)) return false;
  store->in_transaction = true;
  return true;
}

bool lw_store_commit(struct lw_store *store, struct lw_error *error) {
  if (!store->driver->commit(store->db, error)) return false;
  store->in_transaction = false;
  return true;
}

void lw_store_rollback(struct lw_store *store) {
  store->driver->rollback(store->db);
  store->in_transaction = false;
}

bool lw_scope_begin(struct lw_store *store, struct lw_scope *scope, struct lw_error *error) {
  scope->own = !store->in_transaction;
  return !scope->own || lw_store_begin(store, error);
}

bool lw_scope_end(struct lw_store *store, struct lw_scope *scope, bool good, struct lw_error *error) {
  if (!scope->own) return good;
  if (good && lw_store_commit(store, error)) return true;
  lw_store_rollback(store);
  return false;
}

/* -- statements ---------------------------------------------------------------------------------- */

struct lw_statement *lw_fixed(struct lw_store *store, enum lw_slot slot, const char *sql,
                              struct lw_error *error) {
  if (store->slots[slot] == NULL) store->slots[slot] = store->driver->prepare(store->db, sql, error);
  return store->slots[slot];
}

struct lw_statement *lw_cached(struct lw_store *store, const char *sql, struct lw_error *error) {
  struct lw_cached *entry = &store->cache[0];
  for (int i = 0; i < LW_STATEMENT_CACHE; i++) {
    struct lw_cached *other = &store->cache[i];
    if (other->sql != NULL && strcmp(other->sql, sql) == 0) {
      other->used = ++store->uses;
      return other->statement;
    }
    if (other->used < entry->used) entry = other;
  }
  struct lw_statement *statement = store->driver->prepare(store->db, sql, error);
  if (statement == NULL) return NULL;
  char *copy = strdup(sql);
  if (copy == NULL) {
    store->driver->finalize(statement);
    lw_fail(error, "memory", "out of memory preparing a statement");
    return NULL;
  }
  store->driver->finalize(entry->statement);
  free(entry->sql);
  *entry = (struct lw_cached){.sql = copy, .statement = statement, .used = ++store->uses};
  return statement;
}

void lw_bind_id(struct lw_store *store, struct lw_statement *statement, int parameter,
                const struct lw_id *id) {
  store->driver->bind_bytes(statement, parameter, id != NULL ? id->bytes : NULL,
                            id != NULL ? sizeof id->bytes : 0);
}

bool lw_run(struct lw_store *store, struct lw_statement *statement, int64_t *changes,
            struct lw_error *error) {
  enum lw_step step;
  do {
    step = store->driver->step(statement, error);
  } while (step == LW_STEP_ROW);
  if (changes != NULL) *changes = step == LW_STEP_DONE ? store->driver->changes(statement) : 0;
  store->driver->reset(statement);
  return step == LW_STEP_DONE;
}

/* -- rows ---------------------------------------------------------------------------------------- */

int64_t lw_row_integer(struct lw_row *row, int column) {
  return row->driver->column_integer(row->statement, column);
}

void lw_row_id(struct lw_row *row, int column, struct lw_id *id) {
  size_t length;
  const void *bytes = row->driver->column_bytes(row->statement, column, &length);
  *id = (struct lw_id){{0}};
  if (length == sizeof id->bytes) memcpy(id->bytes, bytes, length);
}

char *lw_row_bytes(struct lw_row *row, int column, size_t *length) {
  const void *bytes = row->driver->column_bytes(row->statement, column, length);
  if (bytes == NULL) return NULL;
  char *copy = malloc(*length + 1);
  if (copy == NULL) {
    row->failed = true;
    *length = 0;
    return NULL;
  }
  memcpy(copy, bytes, *length);
  copy[*length] = '\0';
  return copy;
}

char *lw_row_text(struct lw_row *row, int column) {
  size_t length;
  return lw_row_bytes(row, column, &length);
}

void *lw_row_grow(struct lw_row *row, void *items, size_t count, size_t size) {
  char *grown = items;
  /* The room is 8, 16, 32, …: the count alone tells when it is used up. */
  if (count == 0 || (count >= 8 && (count & (count - 1)) == 0)) {
    grown = realloc(items, (count == 0 ? 8 : count * 2) * size);
    if (grown == NULL) {
      row->failed = true;
      return NULL;
    }
  }
  memset(grown + count * size, 0, size);
  return grown;
}

bool lw_each(struct lw_store *store, struct lw_statement *statement, lw_row_reader read, void *context,
             int64_t *rows, struct lw_error *error) {
  struct lw_row row = {.driver = store->driver, .statement = statement};
  int64_t count = 0;
  enum lw_step step;
  while ((step = store->driver->step(statement, error)) == LW_STEP_ROW) {
    count++;
    if (!read(&row, context) || row.failed) break;
  }
  store->driver->reset(statement);
  if (rows != NULL) *rows = count;
  if (row.failed) return lw_fail(error, "memory", "out of memory reading the database");
  return step != LW_STEP_FAILED;
}

/* -- SQL from a filter --------------------------------------------------------------------------- */

void lw_query_init(struct lw_query *query, const char *sql) {
  query->count = 0;
  lw_buffer_init(&query->sql, 4096);
  lw_buffer_append_text(&query->sql, sql);
}

void lw_query_add(struct lw_query *query, const char *sql) {
  for (; *sql != '\0'; sql++) {
    if (*sql != '?') {
      lw_buffer_append_char(&query->sql, *sql);
      continue;
    }
    lw_buffer_append_char(&query->sql, '$');
    lw_buffer_append_char(&query->sql, (char)('0' + query->count));
  }
}

static struct lw_query_value *add_value(struct lw_query *query, const char *sql) {
  struct lw_query_value *value = &query->values[query->count++];
  lw_query_add(query, sql);
  return value;
}

void lw_query_integer(struct lw_query *query, const char *sql, int64_t value) {
  *add_value(query, sql) = (struct lw_query_value){.kind = LW_VALUE_INTEGER, .integer = value};
}

void lw_query_text(struct lw_query *query, const char *sql, const char *value) {
  *add_value(query, sql) = (struct lw_query_value){.kind = LW_VALUE_TEXT, .text = value};
}

void lw_query_id(struct lw_query *query, const char *sql, const struct lw_id *value) {
  *add_value(query, sql) = (struct lw_query_value){.kind = LW_VALUE_ID, .id = *value};
}

static struct lw_statement *query_statement(struct lw_store *store, struct lw_query *query,
                                            struct lw_error *error) {
  struct lw_statement *statement = NULL;
  if (lw_buffer_append_char(&query->sql, '\0'))
    statement = lw_cached(store, query->sql.data, error);
  else
    lw_fail(error, "memory", "out of memory preparing a statement");
  lw_buffer_free(&query->sql);
  return statement;
}

bool lw_query_each(struct lw_store *store, struct lw_query *query, lw_row_reader read, void *context,
                   int64_t *rows, struct lw_error *error) {
  struct lw_statement *statement = query_statement(store, query, error);
  if (statement == NULL) return false;
  for (int i = 0; i < query->count; i++) {
    const struct lw_query_value *value = &query->values[i];
    if (value->kind == LW_VALUE_INTEGER)
      store->driver->bind_integer(statement, i + 1, value->integer);
    else if (value->kind == LW_VALUE_TEXT)
      store->driver->bind_text(statement, i + 1, value->text);
    else
      lw_bind_id(store, statement, i + 1, &value->id);
  }
  return lw_each(store, statement, read, context, rows, error);
}
