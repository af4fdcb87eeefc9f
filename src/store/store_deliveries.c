/* Messages, deliveries and their attempts: the paths that run once or more for every delivery. Statements are
 * prepared once, and nothing is copied on the way in. */
#include <stdlib.h>

#include "store/store_private.h"

/* -- in ------------------------------------------------------------------------------------------ */

static bool read_id(struct lw_row *row, void *context) {
  lw_row_id(row, 0, context);
  return true;
}

static bool find_existing(struct lw_store *store, const struct lw_message_row *message,
                          struct lw_id *existing, struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_MESSAGE_EXISTING,
               "SELECT id FROM messages WHERE app_id = $1 AND idempotency_key = $2", error);
  if (statement == NULL) return false;
  store->driver->bind_text(statement, 1, message->app_id != NULL ? message->app_id : "");
  store->driver->bind_text(statement, 2, message->key);
  return lw_each(store, statement, read_id, existing, NULL, error);
}

static bool give_up_key(struct lw_store *store, const struct lw_id *message, struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_MESSAGE_GIVE_UP_KEY, "UPDATE messages SET idempotency_key = NULL WHERE id = $1", error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, message);
  return lw_run(store, statement, NULL, error);
}

static bool insert_message(struct lw_store *store, const struct lw_message_row *message,
                           struct lw_id *existing, struct lw_error *error) {
  const struct lw_driver *driver = store->driver;
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_MESSAGE_INSERT,
               "INSERT INTO messages (id, app_id, event, idempotency_key, body, deliveries)"
               " VALUES ($1, $2, $3, $4, $5, $6)"
               " ON CONFLICT (app_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING",
               error);
  *existing = (struct lw_id){{0}};
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, &message->id);
  driver->bind_text(statement, 2, message->app_id != NULL ? message->app_id : "");
  driver->bind_text(statement, 3, message->event);
  driver->bind_text(statement, 4, message->key);
  driver->bind_bytes(statement, 5, message->body != NULL ? message->body : "", message->body_length);
  driver->bind_integer(statement, 6, message->deliveries);
  int64_t changes;
  if (!lw_run(store, statement, &changes, error)) return false;
  return changes > 0 || find_existing(store, message, existing, error);
}

/* The transaction holds the write lock from its beginning: of two processes with the same key one is first.
 */
bool lw_store_insert_message(struct lw_store *store, const struct lw_message_row *message,
                             struct lw_id *existing, struct lw_error *error) {
  static const struct lw_id none;
  struct lw_scope scope;
  if (!lw_scope_begin(store, &scope, error)) return false;
  bool good = insert_message(store, message, existing, error);
  if (good && !lw_id_equal(existing, &none) && lw_id_time(existing) < message->keys_since)
    good = give_up_key(store, existing, error) && insert_message(store, message, existing, error);
  return lw_scope_end(store, &scope, good, error);
}

bool lw_store_insert_delivery(struct lw_store *store, const struct lw_delivery_row *delivery,
                              struct lw_error *error) {
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_DELIVERY_INSERT,
      "INSERT INTO deliveries (id, message_id, webhook_id, status, attempts, tries, due_at, claimed_by, body,"
      " cause, ordered) VALUES ($1, $2, $3, 'pending', 0, 0, $4, $5, $6, $7, CASE WHEN $8 = 1 THEN 1 END)",
      error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, &delivery->id);
  lw_bind_id(store, statement, 2, &delivery->message_id);
  lw_bind_id(store, statement, 3, &delivery->webhook_id);
  store->driver->bind_integer(statement, 4, delivery->due_at);
  lw_bind_id(store, statement, 5, delivery->claimed_by);
  store->driver->bind_bytes(statement, 6, delivery->body, delivery->body_length);
  store->driver->bind_text(statement, 7, delivery->test ? "test" : NULL);
  store->driver->bind_integer(statement, 8, delivery->ordered);
  return lw_run(store, statement, NULL, error);
}

/* -- out: the outcome of an attempt -------------------------------------------------------------- */

static bool read_integer(struct lw_row *row, void *context) {
  *(int64_t *)context = lw_row_integer(row, 0);
  return true;
}

static bool add_attempt(struct lw_store *store, const struct lw_outcome *outcome, int64_t number,
                        struct lw_error *error) {
  const struct lw_driver *driver = store->driver;
  struct lw_statement *statement = lw_fixed(
      store, LW_SQL_ATTEMPT_INSERT,
      "INSERT INTO attempts (delivery_id, number, sent_at, duration, response_status_code, response_headers,"
      " response_body, response_body_cut, error, cause, response_headers_cut)"
      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
      error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, &outcome->delivery_id);
  driver->bind_integer(statement, 2, number);
  driver->bind_integer(statement, 3, outcome->sent_at);
  driver->bind_integer(statement, 4, outcome->duration);
  driver->bind_integer(statement, 5, outcome->response_status_code);
  driver->bind_bytes(statement, 6, outcome->response_headers, outcome->response_headers_length);
  driver->bind_bytes(statement, 7, outcome->response_body, outcome->response_body_length);
  driver->bind_integer(statement, 8, outcome->response_body_cut);
  driver->bind_text(statement, 9, outcome->error);
  driver->bind_text(statement, 10, outcome->trigger);
  driver->bind_integer(statement, 11, outcome->response_headers_cut);
  return lw_run(store, statement, NULL, error);
}

/* No RETURNING here and in record_lost: for it SQLite copies every page that the statement will write, to be
 * able to take back that statement alone, and that made up a quarter of a delivery's cost. */
static bool attempts_of(struct lw_store *store, const struct lw_id *delivery, int64_t *number,
                        struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_ATTEMPTS_OF, "SELECT attempts FROM deliveries WHERE id = $1", error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, delivery);
  return lw_each(store, statement, read_integer, number, NULL, error);
}

static bool record_claimed(struct lw_store *store, const struct lw_outcome *outcome, int64_t *changes,
                           struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_RECORD,
               "UPDATE deliveries SET status = $3, due_at = $4, reason = $5, attempts = attempts + 1,"
               " tries = tries + 1, claimed_by = NULL"
               " WHERE id = $1 AND claimed_by = $2 AND status = 'pending'",
               error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, &outcome->delivery_id);
  lw_bind_id(store, statement, 2, &outcome->dispatcher);
  store->driver->bind_text(statement, 3, lw_status_name(outcome->status));
  store->driver->bind_integer(statement, 4, outcome->due_at);
  store->driver->bind_text(statement, 5, outcome->reason);
  return lw_run(store, statement, changes, error);
}

/* The claim was lost, yet the request went out: a success ends the delivery whoever holds it now. */
static bool record_lost(struct lw_store *store, const struct lw_outcome *outcome, int64_t *changes,
                        struct lw_error *error) {
  struct lw_statement *statement =
      lw_fixed(store, LW_SQL_RECORD_LOST,
               "UPDATE deliveries SET attempts = attempts + 1,"
               " status = CASE WHEN $2 = 1 THEN 'succeeded' ELSE status END,"
               " reason = CASE WHEN $2 = 1 THEN NULL ELSE reason END,"
               " claimed_by = CASE WHEN $2 = 1 THEN NULL ELSE claimed_by END WHERE id = $1",
               error);
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, &outcome->delivery_id);
  store->driver->bind_integer(statement, 2, outcome->status == LW_SUCCEEDED);
  return lw_run(store, statement, changes, error);
}

static bool record(struct lw_store *store, const struct lw_outcome *outcome, struct lw_error *error) {
  int64_t changes = 0, number = 0;
  if (!record_claimed(store, outcome, &changes, error)) return false;
  if (changes == 0 && !record_lost(store, outcome, &changes, error)) return false;
  /* No row either time: the delivery was removed meanwhile, and its attempt has no place to go. */
  if (changes == 0) return true;
  return attempts_of(store, &outcome->delivery_id, &number, error) &&
         add_attempt(store, outcome, number, error);
}

bool lw_store_record(struct lw_store *store, const struct lw_outcome *outcome, struct lw_error *error) {
  struct lw_scope scope;
  if (!lw_scope_begin(store, &scope, error)) return false;
  return lw_scope_end(store, &scope, record(store, outcome, error), error);
}

static bool cancel(struct lw_store *store, struct lw_statement *statement, const struct lw_id *webhook,
                   const char *reason, struct lw_error *error) {
  if (statement == NULL) return false;
  lw_bind_id(store, statement, 1, webhook);
  store->driver->bind_text(statement, 2, reason);
  int64_t changes;
  if (!lw_run(store, statement, &changes, error)) return false;
  store->canceled += changes;
  return true;
}

/* What waits, what goes in order and what is claimed: each has an index. */
bool lw_store_cancel_webhook(struct lw_store *store, const struct lw_id *webhook, const char *reason,
                             struct lw_error *error) {
#define CANCEL                                                                \
  "UPDATE deliveries SET status = 'canceled', reason = $2, claimed_by = NULL" \
  " WHERE webhook_id = $1 AND status = 'pending' AND "
  return cancel(
             store,
             lw_fixed(store, LW_SQL_CANCEL_WAITING, CANCEL "claimed_by IS NULL AND ordered IS NULL", error),
             webhook, reason, error) &&
         cancel(store, lw_fixed(store, LW_SQL_CANCEL_ORDERED, CANCEL "ordered = 1", error), webhook, reason,
                error) &&
         cancel(store, lw_fixed(store, LW_SQL_CANCEL_CLAIMED, CANCEL "claimed_by IS NOT NULL", error),
                webhook, reason, error);
#undef CANCEL
}

int64_t lw_store_canceled(const struct lw_store *store) {
  return store->canceled;
}
