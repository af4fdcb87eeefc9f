/* Who sends what: claims on pending deliveries, and the leases of the dispatchers that hold them. */
#include <stdlib.h>
#include <string.h>

#include "store/store_private.h"

/* -- claims -------------------------------------------------------------------------------------- */

struct claimed {
  struct lw_claim claim;
  int64_t due_at;
};
struct claimed_list {
  struct claimed *items;
  size_t count;
};

void lw_claim_list_free(struct lw_claim_list *list) {
  for (size_t i = 0; i < list->count; i++) {
    free(list->items[i].event);
    free(list->items[i].body);
  }
  free(list->items);
  *list = (struct lw_claim_list){.count = 0};
}

static bool read_claimed(struct lw_row *row, void *context) {
  struct claimed_list *list = context;
  struct claimed *items = lw_row_grow(row, list->items, list->count, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  struct claimed *item = &items[list->count++];
  lw_row_id(row, 0, &item->claim.id);
  lw_row_id(row, 1, &item->claim.webhook_id);
  item->claim.attempts = (int32_t)lw_row_integer(row, 2);
  item->claim.tries = (int32_t)lw_row_integer(row, 3);
  item->due_at = lw_row_integer(row, 4);
  return true;
}

/* RETURNING promises no order. */
static int compare_due(const void *left, const void *right) {
  const struct claimed *a = left, *b = right;
  if (a->due_at != b->due_at) return a->due_at < b->due_at ? -1 : 1;
  return memcmp(a->claim.id.bytes, b->claim.id.bytes, sizeof a->claim.id.bytes);
}

static bool read_body(struct lw_row *row, void *context) {
  struct lw_claim *claim = context;
  claim->event = lw_row_text(row, 0);
  claim->body = lw_row_bytes(row, 1, &claim->body_length);
  claim->own_body = lw_row_integer(row, 2) != 0;
  claim->test = lw_row_integer(row, 3) != 0;
  return true;
}

static bool read_bodies(struct lw_store *store, struct lw_claim_list *list, struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(store, LW_SQL_CLAIM_BODY,
                                            "SELECT COALESCE(m.event, ''), COALESCE(d.body, m.body),"
                                            " CASE WHEN d.body IS NULL THEN 0 ELSE 1 END,"
                                            " CASE WHEN d.cause = 'test' THEN 1 ELSE 0 END FROM deliveries d"
                                            " LEFT JOIN messages m ON m.id = d.message_id WHERE d.id = $1",
                                            error);
  if (statement == NULL) return false;
  for (size_t i = 0; i < list->count; i++) {
    lw_bind_id(store, statement, 1, &list->items[i].id);
    if (!lw_each(store, statement, read_body, &list->items[i], NULL, error)) return false;
  }
  return true;
}

static bool take_claims(struct lw_store *store, const struct lw_id *dispatcher, int64_t now, int limit,
                        struct claimed_list *taken, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_CLAIM,
               "UPDATE deliveries SET claimed_by = $1 WHERE id IN (SELECT id FROM deliveries"
               " WHERE status = 'pending' AND claimed_by IS NULL AND due_at <= $2 ORDER BY due_at LIMIT $3)"
               " RETURNING id, webhook_id, attempts, tries, due_at",
               error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, dispatcher);
  store->driver->bind_integer(statement, 2, now);
  store->driver->bind_integer(statement, 3, limit > 0 ? limit : 0);
  return lw_each(store, statement, read_claimed, taken, NULL, error);
}

static bool list_claims(struct claimed_list *taken, struct lw_claim_list *list, struct lw_error *error) {
  if (taken->count == 0) return true;
  list->items = calloc(taken->count, sizeof *list->items);
  if (list->items == NULL) return lw_fail(error, "memory", "out of memory claiming deliveries");
  qsort(taken->items, taken->count, sizeof *taken->items, compare_due);
  for (size_t i = 0; i < taken->count; i++) list->items[i] = taken->items[i].claim;
  list->count = taken->count;
  return true;
}

bool lw_store_claim(struct lw_store *store, const struct lw_id *dispatcher, int64_t now, int limit,
                    struct lw_claim_list *list, struct lw_error *error) {
  struct lw_scope scope;
  struct claimed_list taken = {.count = 0};
  *list = (struct lw_claim_list){.count = 0};
  /* In one transaction: a body that cannot be read must not leave claims that nobody works on. */
  if (!lw_scope_begin(store, &scope, error)) return false;
  bool good = take_claims(store, dispatcher, now, limit, &taken, error) && list_claims(&taken, list, error) &&
              read_bodies(store, list, error);
  free(taken.items);
  good = lw_scope_end(store, &scope, good, error);
  if (!good) lw_claim_list_free(list);
  return good;
}

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

/* -- leases -------------------------------------------------------------------------------------- */

static bool run_lease(struct lw_store *store, struct lw_statement *statement, const struct lw_id *dispatcher,
                      int64_t lease_until, int64_t *changes, struct lw_error *error) {
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, dispatcher);
  store->driver->bind_integer(statement, 2, lease_until);
  return lw_run(store, statement, changes, error);
}

bool lw_store_heartbeat(struct lw_store *store, const struct lw_id *dispatcher, int64_t lease_until,
                        bool renew, bool *lost, struct lw_error *error) {
  *lost = false;
  if (renew) {
    int64_t changes;
    struct lw_statement *statement =
        lw_fixed(store, LW_SQL_RENEW, "UPDATE dispatchers SET lease_until = $2 WHERE id = $1", error);
    if (!run_lease(store, statement, dispatcher, lease_until, &changes, error)) return false;
    if (changes > 0) return true;
    *lost = true; /* a new lease follows, so that the dispatcher can go on with new claims */
  }
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_HEARTBEAT,
               "INSERT INTO dispatchers (id, lease_until) VALUES ($1, $2)"
               " ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until",
               error);
  return run_lease(store, statement, dispatcher, lease_until, NULL, error);
}

static bool run_at(struct lw_store *store, struct lw_statement *statement, int64_t now, int64_t *changes,
                   struct lw_error *error) {
  if (statement == NULL) return false;
  store->driver->bind_integer(statement, 1, now);
  return lw_run(store, statement, changes, error);
}

/* A claim of a dispatcher without a row is freed too: one that was taken over may have claimed again before
 * it noticed, and then died. */
static bool take_over(struct lw_store *store, int64_t now, int64_t *freed, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_TAKE_OVER,
               "UPDATE deliveries SET claimed_by = NULL WHERE status = 'pending' AND claimed_by IS NOT NULL"
               " AND claimed_by NOT IN (SELECT id FROM dispatchers WHERE lease_until >= $1)",
               error);
  if (!run_at(store, statement, now, freed, error)) return false;
  statement = lw_fixed(store, LW_SQL_FORGET_ENDED, "DELETE FROM dispatchers WHERE lease_until < $1", error);
  return run_at(store, statement, now, NULL, error);
}

bool lw_store_take_over(struct lw_store *store, int64_t now, int64_t *freed, struct lw_error *error) {
  struct lw_scope scope;
  *freed = 0;
  if (!lw_scope_begin(store, &scope, error)) return false;
  return lw_scope_end(store, &scope, take_over(store, now, freed, error), error);
}

bool lw_store_forget_dispatcher(struct lw_store *store, const struct lw_id *dispatcher,
                                struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_FORGET, "DELETE FROM dispatchers WHERE id = $1", error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, dispatcher);
  return lw_run(store, statement, NULL, error);
}

/* -- counts -------------------------------------------------------------------------------------- */

static bool read_counts(struct lw_row *row, void *context) {
  struct lw_store_counts *counts = context;
  counts->pending = lw_row_integer(row, 0);
  counts->claimed = lw_row_integer(row, 1);
  counts->due = lw_row_integer(row, 2);
  counts->next_due = lw_row_integer(row, 3);
  return true;
}

bool lw_store_counts(struct lw_store *store, int64_t now, struct lw_store_counts *counts,
                     struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_COUNTS,
      "SELECT count(*), count(claimed_by), count(CASE WHEN claimed_by IS NULL AND due_at <= $1 THEN 1 END),"
      " COALESCE(min(CASE WHEN claimed_by IS NULL THEN due_at END), -1)"
      " FROM deliveries WHERE status = 'pending'",
      error);
  *counts = (struct lw_store_counts){.next_due = -1};
  if (statement == NULL) return false;
  store->driver->bind_integer(statement, 1, now);
  return lw_each(store, statement, read_counts, counts, NULL, error);
}
