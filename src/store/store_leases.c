/* The leases of the dispatchers, and what becomes of the claims of one whose lease ended. */
#include "store/store_private.h"

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

static bool read_count(struct lw_row *row, void *context) {
  *(int64_t *)context = lw_row_integer(row, 0);
  return true;
}

bool lw_store_dispatchers(struct lw_store *store, int64_t *count, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_DISPATCHERS, "SELECT count(*) FROM dispatchers", error);
  *count = 0;
  return statement != NULL && lw_each(store, statement, read_count, count, NULL, error);
}
