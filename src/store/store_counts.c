/* How the deliveries stand: all together, and each webhook's. */
#include <stdlib.h>

#include "store/store_private.h"

/* -- all ------------------------------------------------------------------------------------------ */

static bool read_counts(struct lw_row *row, void *context) {
  struct lw_store_counts *counts = context;
  counts->claimed = lw_row_integer(row, 0);
  counts->pending = counts->claimed + lw_row_integer(row, 1);
  counts->due = lw_row_integer(row, 2);
  counts->next_due = lw_row_integer(row, 3);
  return true;
}

bool lw_store_counts(struct lw_store *store, int64_t now, struct lw_store_counts *counts,
                     struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_COUNTS,
               "SELECT (SELECT count(*) FROM deliveries WHERE status = 'pending' AND claimed_by IS NOT NULL),"
               " count(*), count(CASE WHEN due_at <= $1 THEN 1 END), COALESCE(min(due_at), -1)"
               " FROM deliveries WHERE status = 'pending' AND claimed_by IS NULL",
               error);
  *counts = (struct lw_store_counts){.next_due = -1};
  if (statement == NULL) return false;
  store->driver->bind_integer(statement, 1, now);
  return lw_each(store, statement, read_counts, counts, NULL, error);
}

/* -- each webhook's ------------------------------------------------------------------------------- */

void lw_webhook_counts_free(struct lw_webhook_counts_list *list) {
  free(list->items);
  *list = (struct lw_webhook_counts_list){.count = 0};
}

static bool read_webhook_counts(struct lw_row *row, void *context) {
  struct lw_webhook_counts_list *list = context;
  struct lw_webhook_counts *items = lw_row_grow(row, list->items, list->count, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  struct lw_webhook_counts *item = &items[list->count++];
  lw_row_id(row, 0, &item->id);
  item->pending = lw_row_integer(row, 1);
  item->due = lw_row_integer(row, 2);
  item->next_due = lw_row_integer(row, 3);
  item->succeeded = lw_row_integer(row, 4);
  item->failed = lw_row_integer(row, 5);
  return true;
}

/* Grouped first, so that the webhooks join to a row each. */
bool lw_store_webhook_counts(struct lw_store *store, int64_t now, struct lw_webhook_counts_list *list,
                             struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_WEBHOOK_COUNTS,
      "SELECT w.id, COALESCE(c.pending, 0), COALESCE(c.due, 0), COALESCE(c.next_due, -1),"
      " COALESCE(c.succeeded, 0), COALESCE(c.failed, 0) FROM webhooks w LEFT JOIN (SELECT webhook_id,"
      " count(CASE WHEN status = 'pending' THEN 1 END) AS pending,"
      " count(CASE WHEN status = 'pending' AND claimed_by IS NULL AND due_at <= $1 THEN 1 END) AS due,"
      " min(CASE WHEN status = 'pending' AND claimed_by IS NULL THEN due_at END) AS next_due,"
      " count(CASE WHEN status = 'succeeded' THEN 1 END) AS succeeded,"
      " count(CASE WHEN status = 'failed' THEN 1 END) AS failed"
      " FROM deliveries GROUP BY webhook_id) c ON c.webhook_id = w.id ORDER BY w.id",
      error);
  *list = (struct lw_webhook_counts_list){.count = 0};
  if (statement == NULL) return false;
  store->driver->bind_integer(statement, 1, now);
  if (lw_each(store, statement, read_webhook_counts, list, NULL, error)) return true;
  lw_webhook_counts_free(list);
  return false;
}
