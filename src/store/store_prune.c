/* Forgetting what is old, in steps that are short enough to stand between the transactions of deliveries. */
#include <stdlib.h>

#include "store/store_private.h"

struct old {
  struct lw_id id, message_id;
  bool pending;
};
struct old_list {
  struct old *items;
  size_t count;
};

static bool read_old(struct lw_row *row, void *context) {
  struct old_list *list = context;
  struct old *items = lw_row_grow(row, list->items, list->count, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  struct old *item = &items[list->count++];
  lw_row_id(row, 0, &item->id);
  lw_row_id(row, 1, &item->message_id);
  item->pending = lw_row_integer(row, 2) != 0;
  return true;
}

/* The oldest rows above `after`. */
static bool find_old(struct lw_store *store, struct lw_statement *statement, const struct lw_id *after,
                     int64_t before, struct old_list *list, struct lw_error *error) {
  struct lw_id bound;
  if (statement == NULL) return false;
  lw_id_floor(before, &bound);
  lw_bind_id(store, statement, 1, after);
  lw_bind_id(store, statement, 2, &bound);
  store->driver->bind_integer(statement, 3, LW_PRUNE_ROWS);
  return lw_each(store, statement, read_old, list, NULL, error);
}

static bool change_where(struct lw_store *store, enum lw_slot slot, const char *sql, const struct lw_id *id,
                         int64_t *rows, struct lw_error *error) {
  int64_t changes;
  struct lw_statement *statement = lw_fixed(store, slot, sql, error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, id);
  if (!lw_run(store, statement, &changes, error)) return false;
  *rows += changes;
  return true;
}

static bool delete_delivery(struct lw_store *store, const struct lw_id *id, int64_t *rows,
                            struct lw_error *error) {
  return change_where(store, LW_SQL_PRUNE_ATTEMPTS, "DELETE FROM attempts WHERE delivery_id = $1", id, rows,
                      error) &&
         change_where(store, LW_SQL_PRUNE_DELIVERY, "DELETE FROM deliveries WHERE id = $1", id, rows, error);
}

/* The message goes with the last of its deliveries, and its idempotency key is free again with it. */
static bool leave_message(struct lw_store *store, const struct lw_id *message, int64_t *rows,
                          struct lw_error *error) {
  int64_t before = *rows, ignored = 0;
  return change_where(store, LW_SQL_PRUNE_MESSAGE, "DELETE FROM messages WHERE id = $1 AND deliveries <= 1",
                      message, rows, error) &&
         (*rows > before || change_where(store, LW_SQL_LEAVE_MESSAGE,
                                         "UPDATE messages SET deliveries = deliveries - 1 WHERE id = $1",
                                         message, &ignored, error));
}

static bool prune_deliveries(struct lw_store *store, struct lw_prune *prune, int64_t limit, int64_t *pruned,
                             struct old_list *list, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_OLD_DELIVERIES,
               "SELECT id, message_id, CASE WHEN status = 'pending' THEN 1 ELSE 0 END FROM deliveries"
               " WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3",
               error);
  if (!find_old(store, statement, &prune->delivery, prune->before, list, error)) return false;
  int64_t rows = 0;
  size_t at = 0;
  while (at < list->count && rows < LW_PRUNE_ROWS && *pruned < limit) {
    const struct old *old = &list->items[at++];
    prune->delivery = old->id;
    if (old->pending) continue;
    if (!delete_delivery(store, &old->id, &rows, error)) return false;
    if (!leave_message(store, &old->message_id, &rows, error)) return false;
    ++*pruned;
  }
  prune->deliveries_done = at == list->count && list->count < LW_PRUNE_ROWS;
  return true;
}

/* The messages that went to no webhook at all. */
static bool prune_messages(struct lw_store *store, struct lw_prune *prune, struct old_list *list,
                           struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_OLD_MESSAGES,
               "SELECT id, id, 0 FROM messages WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3", error);
  if (!find_old(store, statement, &prune->message, prune->before, list, error)) return false;
  int64_t rows = 0;
  for (size_t i = 0; i < list->count; i++) {
    prune->message = list->items[i].id;
    if (!change_where(store, LW_SQL_PRUNE_LONELY, "DELETE FROM messages WHERE id = $1 AND deliveries = 0",
                      &prune->message, &rows, error))
      return false;
  }
  prune->done = list->count < LW_PRUNE_ROWS;
  return true;
}

bool lw_store_prune(struct lw_store *store, struct lw_prune *prune, int64_t limit, int64_t *pruned,
                    struct lw_error *error) {
  struct lw_scope scope;
  struct lw_prune before = *prune;
  struct old_list list = {.count = 0};
  *pruned = 0;
  if (!lw_scope_begin(store, &scope, error)) return false;
  bool good = prune->deliveries_done ? prune_messages(store, prune, &list, error)
                                     : prune_deliveries(store, prune, limit, pruned, &list, error);
  good = lw_scope_end(store, &scope, good, error);
  if (!good) *prune = before;
  if (*pruned > 0) store->unsettled = true;
  free(list.items);
  return good;
}

/* -- giving the space back ----------------------------------------------------------------------- */

bool lw_store_shrink(struct lw_store *store, bool *more, struct lw_error *error) {
  return store->driver->shrink(store->db, LW_SHRINK_PAGES, more, error);
}

bool lw_store_unsettled(const struct lw_store *store) {
  return store->unsettled;
}

void lw_store_settle(struct lw_store *store) {
  if (store->driver->settle(store->db)) store->unsettled = false;
}
