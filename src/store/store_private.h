/* What the parts of the store share: prepared statements, rows, and SQL made from a filter. */
#ifndef LW_STORE_STORE_PRIVATE_H
#define LW_STORE_STORE_PRIVATE_H

#include "base/buffer.h"
#include "store/driver.h"
#include "store/store.h"
#include "store/vault.h"

/* Statements whose text never changes have a place of their own: no search on the hot paths. */
enum lw_slot {
  LW_SQL_VERSION,
  LW_SQL_VERSION_GROW,
  LW_SQL_WEBHOOK_INSERT,
  LW_SQL_WEBHOOK_UPDATE,
  LW_SQL_WEBHOOK_DELETE,
  LW_SQL_WEBHOOK_DISABLE,
  LW_SQL_WEBHOOK_FAILS,
  LW_SQL_WEBHOOK_WORKS,
  LW_SQL_WEBHOOK_FAILING,
  LW_SQL_WEBHOOK_GET,
  LW_SQL_MESSAGE_INSERT,
  LW_SQL_MESSAGE_EXISTING,
  LW_SQL_MESSAGE_GIVE_UP_KEY,
  LW_SQL_DELIVERY_INSERT,
  LW_SQL_NEXT_DUE,
  LW_SQL_NEXT_LINE,
  LW_SQL_NEXT_ORDERED_LINE,
  LW_SQL_CLAIM_LINE,
  LW_SQL_CLAIM_HEAD,
  LW_SQL_CLAIM,
  LW_SQL_RELEASE,
  LW_SQL_RELEASE_ALL,
  LW_SQL_RECORD,
  LW_SQL_RECORD_LOST,
  LW_SQL_ATTEMPTS_OF,
  LW_SQL_ATTEMPT_INSERT,
  LW_SQL_CANCEL_WAITING,
  LW_SQL_CANCEL_ORDERED,
  LW_SQL_CANCEL_CLAIMED,
  LW_SQL_HEARTBEAT,
  LW_SQL_RENEW,
  LW_SQL_DISPATCHERS,
  LW_SQL_TAKE_OVER,
  LW_SQL_FORGET_ENDED,
  LW_SQL_FORGET,
  LW_SQL_COUNTS,
  LW_SQL_WEBHOOK_COUNTS,
  LW_SQL_ATTEMPTS,
  LW_SQL_RESEND,
  LW_SQL_OLD_DELIVERIES,
  LW_SQL_OLD_MESSAGES,
  LW_SQL_PRUNE_ATTEMPTS,
  LW_SQL_PRUNE_DELIVERY,
  LW_SQL_PRUNE_MESSAGE,
  LW_SQL_LEAVE_MESSAGE,
  LW_SQL_PRUNE_LONELY,
  LW_SQL_KEY,
  LW_SQL_WEBHOOK_SEAL,
  LW_SQL_SLOTS
};

#define LW_STATEMENT_CACHE 24 /* statements made from filters; the least recently used one goes */

struct lw_cached {
  char *sql;
  struct lw_statement *statement;
  uint64_t used;
};

struct lw_store {
  const struct lw_driver *driver;
  struct lw_db *db;
  const struct lw_vault *vault; /* NULL: the database is plain */
  bool is_private, in_transaction;
  int64_t canceled; /* deliveries, through this handle */
  bool unsettled;   /* something was pruned, and its space not yet given back */
  struct lw_statement *slots[LW_SQL_SLOTS];
  struct lw_cached cache[LW_STATEMENT_CACHE];
  uint64_t uses;
};

bool lw_schema_prepare(struct lw_store *store, struct lw_error *error);

/* -- sealing (store_sealing.c) ----------------------------------------------------------------------------
 */
/* When a handle is opened: seals a plain database, or one under an old key anew. False also with "key". */
bool lw_sealing_prepare(struct lw_store *store, struct lw_error *error);
/* In a transaction: false with "key" when the database's key is no longer the one that this handle seals
 * with. */
bool lw_sealing_check(struct lw_store *store, struct lw_error *error);
/* A webhook for the database: its sealed texts are made, the rest is borrowed. To be dropped either way. */
bool lw_webhook_seal(struct lw_store *store, const struct lw_webhook *webhook, struct lw_webhook *sealed,
                     struct lw_error *error);
void lw_webhook_drop_sealed(struct lw_store *store, struct lw_webhook *sealed);
/* Opens what came from the database. `sealed`: the database was when it was read. One that does not open gets
 * its `problem`. False: no memory. */
bool lw_webhook_unseal(struct lw_store *store, struct lw_webhook *webhook, bool sealed);

/* -- statements: fetch, bind, run. Running resets, so a statement is free again afterwards. ------------- */
struct lw_statement *lw_fixed(struct lw_store *store, enum lw_slot slot, const char *sql,
                              struct lw_error *error);
struct lw_statement *lw_cached(struct lw_store *store, const char *sql, struct lw_error *error);
void lw_bind_id(struct lw_store *store, struct lw_statement *statement, int parameter,
                const struct lw_id *id);
/* `changes` may be NULL. */
bool lw_run(struct lw_store *store, struct lw_statement *statement, int64_t *changes, struct lw_error *error);

/* One row. Copies end in a zero byte and are the caller's; without memory `failed` is set. */
struct lw_row {
  const struct lw_driver *driver;
  struct lw_statement *statement;
  bool failed;
};
int64_t lw_row_integer(struct lw_row *row, int column);
void lw_row_id(struct lw_row *row, int column, struct lw_id *id);
char *lw_row_bytes(struct lw_row *row, int column, size_t *length); /* NULL for SQL's NULL */
char *lw_row_text(struct lw_row *row, int column);
/* The same array with room for one more item, zeroed; NULL (and row->failed) without memory. */
void *lw_row_grow(struct lw_row *row, void *items, size_t count, size_t size);

/* Reads rows until the end or until `read` returns false; *rows counts them and may be NULL. */
typedef bool (*lw_row_reader)(struct lw_row *row, void *context);
bool lw_each(struct lw_store *store, struct lw_statement *statement, lw_row_reader read, void *context,
             int64_t *rows, struct lw_error *error);

/* A transaction around several statements, unless the caller began one. */
struct lw_scope {
  bool own;
};
bool lw_scope_begin(struct lw_store *store, struct lw_scope *scope, struct lw_error *error);
bool lw_scope_end(struct lw_store *store, struct lw_scope *scope, bool good, struct lw_error *error);

/* -- SQL from a filter: each '?' of an added text becomes the number of the value that comes with it
 * --------- */
struct lw_query_value {
  enum { LW_VALUE_INTEGER, LW_VALUE_TEXT, LW_VALUE_ID } kind;
  int64_t integer;
  const char *text;
  struct lw_id id;
};
struct lw_query {
  struct lw_buffer sql;
  struct lw_query_value values[9];
  int count;
};
void lw_query_init(struct lw_query *query, const char *sql);
void lw_query_add(struct lw_query *query, const char *sql);
void lw_query_integer(struct lw_query *query, const char *sql, int64_t value);
void lw_query_text(struct lw_query *query, const char *sql,
                   const char *value); /* value must outlive the query */
void lw_query_id(struct lw_query *query, const char *sql, const struct lw_id *value);
/* Runs it and frees its text, also on failure. */
bool lw_query_each(struct lw_store *store, struct lw_query *query, lw_row_reader read, void *context,
                   int64_t *rows, struct lw_error *error);

/* The conditions of a log filter on deliveries d and messages m. */
bool lw_log_conditions(struct lw_query *query, const struct lw_log_filter *filter, struct lw_error *error);
/* " LEFT JOIN messages …": left, so that the scan stays on deliveries, in the order of their ids. */
extern const char lw_log_join[];

#endif
