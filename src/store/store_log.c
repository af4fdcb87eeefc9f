/* The log: deliveries newest first, their attempts, and resending them. The creation time of a delivery is in
 * its id, so a page is one scan down the ids and a time bound is an id. */
#include <stdlib.h>

#include "store/store_private.h"

#define ATTEMPT_COLUMNS                                                                                     \
  "a.number, a.sent_at, a.duration, a.response_status_code, a.response_headers, a.response_body, a.error, " \
  "a.cause,"                                                                                                \
  " a.response_body_cut, a.response_headers_cut"
#define LAST_TIME (((int64_t)1 << 48) - 1) /* an id has 48 bits for the time */

const char lw_log_join[] = " LEFT JOIN messages m ON m.id = d.message_id";

/* -- freeing ------------------------------------------------------------------------------------- */

static void clear_attempt(struct lw_attempt *attempt) {
  free(attempt->response_headers);
  free(attempt->response_body);
  free(attempt->error);
  free(attempt->trigger);
}

void lw_log_page_free(struct lw_log_page *page) {
  for (size_t i = 0; i < page->count; i++) {
    struct lw_log_row *row = &page->rows[i];
    free(row->app_id);
    free(row->event);
    free(row->reason);
    free(row->request_body);
    clear_attempt(&row->last);
  }
  free(page->rows);
  *page = (struct lw_log_page){.count = 0};
}

void lw_attempt_list_free(struct lw_attempt_list *list) {
  for (size_t i = 0; i < list->count; i++) clear_attempt(&list->items[i]);
  free(list->items);
  *list = (struct lw_attempt_list){.count = 0};
}

/* -- conditions ---------------------------------------------------------------------------------- */

static void add_time(struct lw_query *query, const char *sql, int64_t milliseconds) {
  struct lw_id id;
  if (milliseconds < 0) return;
  lw_id_floor(milliseconds < LAST_TIME ? milliseconds : LAST_TIME, &id);
  lw_query_id(query, sql, &id);
}

bool lw_log_conditions(struct lw_query *query, const struct lw_log_filter *filter, struct lw_error *error) {
  enum lw_status status;
  if (filter->status != NULL && !lw_status_parse(filter->status, &status)) {
    lw_buffer_free(&query->sql);
    return lw_fail(error, "invalid", "'%s' is no status; it is pending, succeeded, failed or canceled",
                   filter->status);
  }
  lw_query_add(query, " WHERE 1 = 1");
  if (filter->id != NULL) lw_query_id(query, " AND d.id = ?", filter->id);
  if (filter->webhook_id != NULL) lw_query_id(query, " AND d.webhook_id = ?", filter->webhook_id);
  /* COALESCE keeps the join a left one: deliveries stay the table that is scanned. */
  if (filter->event != NULL) lw_query_text(query, " AND COALESCE(m.event, '') = ?", filter->event);
  if (filter->status != NULL) {
    /* Written out, because a partial index is not used for a parameter. */
    lw_query_add(query, " AND d.status = '");
    lw_query_add(query, lw_status_name(status));
    lw_query_add(query, "'");
  }
  if (filter->unsuccessful) lw_query_add(query, " AND d.status IN ('failed', 'canceled')");
  add_time(query, " AND d.id >= ?", filter->since);
  add_time(query, " AND d.id < ?", filter->before);
  return true;
}

/* -- reading ------------------------------------------------------------------------------------- */

static void read_attempt(struct lw_row *row, int column, struct lw_attempt *attempt) {
  attempt->number = (int32_t)lw_row_integer(row, column);
  attempt->sent_at = lw_row_integer(row, column + 1);
  attempt->duration = lw_row_integer(row, column + 2);
  attempt->response_status_code = (int)lw_row_integer(row, column + 3);
  attempt->response_headers = lw_row_bytes(row, column + 4, &attempt->response_headers_length);
  attempt->response_body = lw_row_bytes(row, column + 5, &attempt->response_body_length);
  attempt->error = lw_row_text(row, column + 6);
  attempt->trigger = lw_row_text(row, column + 7);
  attempt->response_body_cut = lw_row_integer(row, column + 8) != 0;
  attempt->response_headers_cut = lw_row_integer(row, column + 9) != 0;
}

struct page_reading {
  struct lw_log_page *page;
  size_t bytes;
};

static void read_delivery(struct lw_row *row, struct lw_log_row *item) {
  lw_row_id(row, 0, &item->id);
  lw_row_id(row, 1, &item->message_id);
  lw_row_id(row, 2, &item->webhook_id);
  item->app_id = lw_row_text(row, 3);
  item->event = lw_row_text(row, 4);
  item->reason = lw_row_text(row, 5);
  char *status = lw_row_text(row, 6);
  if (status != NULL) lw_status_parse(status, &item->status);
  free(status);
  item->attempts = (int32_t)lw_row_integer(row, 7);
  item->due_at = lw_row_integer(row, 8);
  item->request_body = lw_row_bytes(row, 9, &item->request_body_length);
}

static bool read_page_row(struct lw_row *row, void *context) {
  struct page_reading *reading = context;
  struct lw_log_page *page = reading->page;
  struct lw_log_row *rows = lw_row_grow(row, page->rows, page->count, sizeof *rows);
  if (rows == NULL) return false;
  page->rows = rows;
  struct lw_log_row *item = &rows[page->count++];
  read_delivery(row, item);
  read_attempt(row, 10, &item->last);
  reading->bytes +=
      item->request_body_length + item->last.response_headers_length + item->last.response_body_length;
  return reading->bytes <= LW_STORE_PAGE_BYTES;
}

bool lw_store_log_page(struct lw_store *store, const struct lw_log_filter *filter, const struct lw_id *after,
                       struct lw_log_page *page, struct lw_error *error) {
  struct lw_query query;
  struct page_reading reading = {.page = page};
  *page = (struct lw_log_page){.count = 0};
  lw_query_init(&query,
                "SELECT d.id, d.message_id, d.webhook_id, NULLIF(m.app_id, ''), m.event, d.reason, d.status,"
                " d.attempts, d.due_at, COALESCE(d.body, m.body), " ATTEMPT_COLUMNS " FROM deliveries d");
  lw_query_add(&query, lw_log_join);
  lw_query_add(&query, " LEFT JOIN attempts a ON a.delivery_id = d.id AND a.number = d.attempts");
  if (!lw_log_conditions(&query, filter, error)) return false;
  if (after != NULL) lw_query_id(&query, " AND d.id < ?", after);
  lw_query_integer(&query, " ORDER BY d.id DESC LIMIT ?", LW_STORE_PAGE_ROWS);
  if (lw_query_each(store, &query, read_page_row, &reading, NULL, error)) return true;
  lw_log_page_free(page);
  return false;
}

static bool read_count(struct lw_row *row, void *context) {
  *(int64_t *)context = lw_row_integer(row, 0);
  return true;
}

bool lw_store_log_count(struct lw_store *store, const struct lw_log_filter *filter, int64_t *count,
                        struct lw_error *error) {
  struct lw_query query;
  *count = 0;
  lw_query_init(&query, "SELECT count(*) FROM deliveries d");
  if (filter->event != NULL) lw_query_add(&query, lw_log_join);
  if (!lw_log_conditions(&query, filter, error)) return false;
  return lw_query_each(store, &query, read_count, count, NULL, error);
}

static bool read_listed(struct lw_row *row, void *context) {
  struct lw_attempt_list *list = context;
  struct lw_attempt *items = lw_row_grow(row, list->items, list->count, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  read_attempt(row, 0, &items[list->count++]);
  return true;
}

bool lw_store_attempts(struct lw_store *store, const struct lw_id *delivery, struct lw_attempt_list *list,
                       struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_ATTEMPTS,
      "SELECT " ATTEMPT_COLUMNS " FROM attempts a WHERE a.delivery_id = $1 ORDER BY a.number", error);
  *list = (struct lw_attempt_list){.count = 0};
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, delivery);
  if (lw_each(store, statement, read_listed, list, NULL, error)) return true;
  lw_attempt_list_free(list);
  return false;
}

/* -- resending ----------------------------------------------------------------------------------- */

void lw_id_list_free(struct lw_id_list *list) {
  free(list->items);
  *list = (struct lw_id_list){.count = 0};
}

static bool read_id(struct lw_row *row, void *context) {
  struct lw_id_list *list = context;
  struct lw_id *items = lw_row_grow(row, list->items, list->count, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  lw_row_id(row, 0, &items[list->count++]);
  return true;
}

bool lw_store_find_resendable(struct lw_store *store, const struct lw_log_filter *filter,
                              const struct lw_id *after, int limit, struct lw_id_list *list,
                              struct lw_error *error) {
  struct lw_query query;
  *list = (struct lw_id_list){.count = 0};
  lw_query_init(&query, "SELECT d.id FROM deliveries d");
  if (filter->event != NULL) lw_query_add(&query, lw_log_join);
  if (!lw_log_conditions(&query, filter, error)) return false;
  if (after != NULL) lw_query_id(&query, " AND d.id > ?", after);
  lw_query_add(&query,
               " AND d.status <> 'pending'"
               " AND EXISTS (SELECT 1 FROM webhooks w WHERE w.id = d.webhook_id AND w.enabled = 1)");
  lw_query_integer(&query, " ORDER BY d.id LIMIT ?", limit);
  if (lw_query_each(store, &query, read_id, list, NULL, error)) return true;
  lw_id_list_free(list);
  return false;
}

static bool resend_all(struct lw_store *store, const struct lw_id_list *list, int64_t now, int64_t *resent,
                       struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_RESEND,
      "UPDATE deliveries SET status = 'pending', tries = 0, due_at = $2, claimed_by = NULL, reason = NULL"
      " WHERE id = $1 AND status <> 'pending'",
      error);
  if (statement == NULL) return false;
  for (size_t i = 0; i < list->count; i++) {
    int64_t changes;
    lw_bind_id(store, statement, 1, &list->items[i]);
    store->driver->bind_integer(statement, 2, now);
    if (!lw_run(store, statement, &changes, error)) return false;
    *resent += changes;
  }
  return true;
}

bool lw_store_resend(struct lw_store *store, const struct lw_id_list *list, int64_t now, int64_t *resent,
                     struct lw_error *error) {
  struct lw_scope scope;
  *resent = 0;
  if (!lw_scope_begin(store, &scope, error)) return false;
  return lw_scope_end(store, &scope, resend_all(store, list, now, resent, error), error);
}
