/* Who sends what: claims on pending deliveries, webhook by webhook. */
#include <stdlib.h>

#include "store/store_private.h"

void lw_claim_list_free(struct lw_claim_list *list) {
  for (size_t i = 0; i < list->count; i++) free(list->items[i].body);
  free(list->items);
  *list = (struct lw_claim_list){.count = 0};
}

/* -- looking -------------------------------------------------------------------------------------- */

static bool read_due_at(struct lw_row *row, void *context) {
  *(int64_t *)context = lw_row_integer(row, 0);
  return true;
}

bool lw_store_next_due(struct lw_store *store, int64_t *due_at, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_NEXT_DUE,
               "SELECT due_at FROM deliveries WHERE status = 'pending' AND claimed_by IS NULL"
               " ORDER BY due_at LIMIT 1",
               error);
  *due_at = -1;
  return statement != NULL && lw_each(store, statement, read_due_at, due_at, NULL, error);
}

static bool read_line(struct lw_row *row, void *context) {
  struct lw_due_line *line = context;
  lw_row_id(row, 0, &line->webhook_id);
  line->due_at = lw_row_integer(row, 1);
  return true;
}

/* A jump from webhook to webhook on the index, however many deliveries each has. */
static bool next_line(struct lw_store *store, struct lw_statement *statement, const struct lw_id *after,
                      struct lw_due_line *line, bool *found, struct lw_error *error) {
  static const struct lw_id lowest;
  *found = false;
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, after ? after : &lowest);
  int64_t rows;
  if (!lw_each(store, statement, read_line, line, &rows, error)) return false;
  *found = rows > 0;
  return true;
}

bool lw_store_next_line(struct lw_store *store, const struct lw_id *after, struct lw_due_line *line,
                        bool *found, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_NEXT_LINE,
               "SELECT webhook_id, due_at FROM deliveries WHERE status = 'pending' AND claimed_by IS NULL"
               " AND ordered IS NULL AND webhook_id > $1 ORDER BY webhook_id, due_at LIMIT 1",
               error);
  return next_line(store, statement, after, line, found, error);
}

bool lw_store_next_ordered_line(struct lw_store *store, const struct lw_id *after, struct lw_due_line *line,
                                bool *found, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_NEXT_ORDERED_LINE,
               "SELECT webhook_id, due_at FROM deliveries WHERE status = 'pending' AND ordered = 1"
               " AND webhook_id > $1 ORDER BY webhook_id, id LIMIT 1",
               error);
  return next_line(store, statement, after, line, found, error);
}

/* -- claiming ------------------------------------------------------------------------------------- */

#define CLAIM_COLUMNS                                                        \
  "d.id, d.attempts, d.tries, CASE WHEN d.cause = 'test' THEN 1 ELSE 0 END," \
  " CASE WHEN d.body IS NULL THEN 0 ELSE 1 END, COALESCE(d.body, m.body), d.webhook_id"
#define CLAIM_JOIN " FROM deliveries d LEFT JOIN messages m ON m.id = d.message_id"

struct reading {
  struct lw_claim_list *list;
  size_t limit, bytes;
};

static bool read_claim(struct lw_row *row, void *context) {
  struct reading *reading = context;
  struct lw_claim_list *list = reading->list;
  struct lw_claim *items = lw_row_grow(row, list->items, list->count, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  struct lw_claim *claim = &items[list->count++];
  lw_row_id(row, 0, &claim->id);
  claim->attempts = (int32_t)lw_row_integer(row, 1);
  claim->tries = (int32_t)lw_row_integer(row, 2);
  claim->test = lw_row_integer(row, 3) != 0;
  claim->own_body = lw_row_integer(row, 4) != 0;
  claim->body = lw_row_bytes(row, 5, &claim->body_length);
  lw_row_id(row, 6, &claim->webhook_id);
  reading->bytes += claim->body_length;
  list->more = reading->bytes >= LW_CLAIM_BYTES || list->count >= reading->limit;
  return !list->more;
}

/* A claim that somebody else was quicker to make leaves the list. (In SQLite the write lock rules that out.)
 */
static bool take(struct lw_store *store, const struct lw_id *dispatcher, struct lw_claim_list *list,
                 struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_CLAIM,
      "UPDATE deliveries SET claimed_by = $2 WHERE id = $1 AND claimed_by IS NULL AND status = 'pending'",
      error);
  if (statement == NULL) return false;
  size_t taken = 0;
  for (size_t i = 0; i < list->count; i++) {
    int64_t changes;
    lw_bind_id(store, statement, 1, &list->items[i].id);
    lw_bind_id(store, statement, 2, dispatcher);
    if (!lw_run(store, statement, &changes, error)) return false;
    struct lw_claim claim = list->items[i];
    list->items[i].body = NULL;
    if (changes > 0)
      list->items[taken++] = claim;
    else
      free(claim.body);
  }
  list->count = taken;
  return true;
}

static bool read_and_take(struct lw_store *store, const struct lw_id *dispatcher,
                          struct lw_statement *statement, size_t limit, struct lw_claim_list *list,
                          struct lw_error *error) {
  struct reading reading = {.list = list, .limit = limit};
  return lw_each(store, statement, read_claim, &reading, NULL, error) && take(store, dispatcher, list, error);
}

/* In one transaction: a body that cannot be read must not leave claims that nobody works on. */
static bool claim(struct lw_store *store, const struct lw_id *dispatcher, struct lw_statement *statement,
                  size_t limit, struct lw_claim_list *list, struct lw_error *error) {
  struct lw_scope scope;
  if (!lw_scope_begin(store, &scope, error)) {
    store->driver->reset(statement);
    return false;
  }
  bool good =
      lw_scope_end(store, &scope, read_and_take(store, dispatcher, statement, limit, list, error), error);
  if (!good) lw_claim_list_free(list);
  return good;
}

bool lw_store_claim(struct lw_store *store, const struct lw_id *dispatcher, const struct lw_id *webhook,
                    int64_t now, int limit, struct lw_claim_list *list, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_CLAIM_LINE,
               "SELECT " CLAIM_COLUMNS CLAIM_JOIN
               " WHERE d.webhook_id = $1 AND d.status = 'pending' AND d.claimed_by IS NULL"
               " AND d.ordered IS NULL AND d.due_at <= $2 ORDER BY d.due_at, d.id",
               error);
  *list = (struct lw_claim_list){.count = 0};
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, webhook);
  store->driver->bind_integer(statement, 2, now);
  return claim(store, dispatcher, statement, (size_t)limit, list, error);
}

bool lw_store_claim_head(struct lw_store *store, const struct lw_id *dispatcher, const struct lw_id *webhook,
                         int64_t now, struct lw_claim_list *list, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_CLAIM_HEAD,
               "SELECT " CLAIM_COLUMNS CLAIM_JOIN
               " WHERE d.id = (SELECT id FROM deliveries WHERE webhook_id = $1 AND status = 'pending'"
               " AND ordered = 1 ORDER BY id LIMIT 1) AND d.claimed_by IS NULL AND d.due_at <= $2",
               error);
  *list = (struct lw_claim_list){.count = 0};
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, webhook);
  store->driver->bind_integer(statement, 2, now);
  return claim(store, dispatcher, statement, 1, list, error);
}

static bool run_for(struct lw_store *store, const char *sql, const struct lw_id *webhook,
                    struct lw_error *error) {
  struct lw_statement *statement = lw_cached(store, sql, error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, webhook);
  return lw_run(store, statement, NULL, error);
}

/* What waits and what is claimed: each has an index. */
bool lw_store_order_line(struct lw_store *store, const struct lw_id *webhook, bool ordered,
                         struct lw_error *error) {
#define ORDER "UPDATE deliveries SET ordered = 1 WHERE webhook_id = $1 AND status = 'pending' AND "
  if (ordered)
    return run_for(store, ORDER "claimed_by IS NULL AND ordered IS NULL", webhook, error) &&
           run_for(store, ORDER "claimed_by IS NOT NULL AND ordered IS NULL", webhook, error);
#undef ORDER
  return run_for(store,
                 "UPDATE deliveries SET ordered = NULL WHERE webhook_id = $1 AND status = 'pending'"
                 " AND ordered = 1",
                 webhook, error);
}

/* -- giving back ---------------------------------------------------------------------------------- */

bool lw_store_release(struct lw_store *store, const struct lw_id *delivery, const struct lw_id *dispatcher,
                      struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_RELEASE,
      "UPDATE deliveries SET claimed_by = NULL WHERE id = $1 AND claimed_by = $2 AND status = 'pending'",
      error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, delivery);
  lw_bind_id(store, statement, 2, dispatcher);
  return lw_run(store, statement, NULL, error);
}

bool lw_store_release_all(struct lw_store *store, const struct lw_id *dispatcher, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_RELEASE_ALL,
               "UPDATE deliveries SET claimed_by = NULL WHERE claimed_by = $1 AND status = 'pending'", error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, dispatcher);
  return lw_run(store, statement, NULL, error);
}
