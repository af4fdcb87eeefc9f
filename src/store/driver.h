/* What a database must offer to hold a store. The SQL that passes through is the part that SQLite and
 * PostgreSQL share, with parameters $1 to $9; what differs between them is named here.
 *
 * Bound text and bytes are not copied: they must stay valid until `reset`. A failing bind is remembered and
 * reported by the next `step`. What a column returns is valid until the next `step` or `reset`. */
#ifndef LW_STORE_DRIVER_H
#define LW_STORE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define LW_DRIVER_PARAMETERS 32

struct lw_db;
struct lw_statement;

enum lw_step { LW_STEP_FAILED, LW_STEP_ROW, LW_STEP_DONE };

struct lw_driver {
  /* Words for CREATE TABLE. */
  const char *bytes_type, *integer_type;
  const char *keyed_table_options; /* for a table that is read by its primary key only, or "" */

  struct lw_db *(*open)(const char *path, struct lw_error *error);
  void (*close)(struct lw_db *db);                     /* after all its statements were finalized */
  void (*limit_wait)(struct lw_db *db, int64_t until); /* see lw_store_limit_wait */

  bool (*sync_later)(struct lw_db *db, struct lw_error *error); /* see lw_store_sync_later */
  bool (*sync)(struct lw_db *db, struct lw_error *error);
  bool (*begin)(struct lw_db *db, struct lw_error *error); /* takes the write lock at once */
  bool (*commit)(struct lw_db *db, struct lw_error *error);
  void (*rollback)(struct lw_db *db);   /* harmless when the database has rolled back by itself */
  int64_t (*written)(struct lw_db *db); /* see lw_store_written */

  /* Gives up to `pages` of the space that deleted rows left back to the file system, as long as more than a
   * tenth of the database is free (that much is soon written to again). *more: there is more to give back.
   * Inside a transaction or not. A database that cannot do it (yet) has nothing to give. */
  bool (*shrink)(struct lw_db *db, int pages, bool *more, struct lw_error *error);
  /* Outside a transaction: moves what the write-ahead log holds into the database and empties it. Never
   * waits: false when somebody is using them. */
  bool (*settle)(struct lw_db *db);

  /* Outside a transaction: writes the whole database anew, so that nothing of what was deleted or overwritten
   * stays in it. Waits for the write lock, and needs as much free space again. */
  bool (*rewrite)(struct lw_db *db, struct lw_error *error);

  /* The write-ahead log (store.h); a database without one has nothing to do. limit_log: from so many pages on
   * a commit makes a checkpoint. */
  void (*limit_log)(struct lw_db *db, int pages);
  int (*log_pages)(const struct lw_db *db);
  void (*shorten_log)(struct lw_db *db, int restart_at);

  struct lw_statement *(*prepare)(struct lw_db *db, const char *sql, struct lw_error *error);
  void (*finalize)(struct lw_statement *statement); /* NULL is fine */
  void (*bind_integer)(struct lw_statement *statement, int parameter, int64_t value);
  void (*bind_text)(struct lw_statement *statement, int parameter, const char *text); /* NULL: SQL's NULL */
  void (*bind_bytes)(struct lw_statement *statement, int parameter, const void *bytes, size_t length);
  enum lw_step (*step)(struct lw_statement *statement, struct lw_error *error);
  int64_t (*changes)(struct lw_statement *statement); /* rows written, once `step` said LW_STEP_DONE */
  void (*reset)(struct lw_statement *statement);
  int64_t (*column_integer)(struct lw_statement *statement, int column); /* columns count from 0 */
  /* Text or bytes; NULL for SQL's NULL, never for an empty value. */
  const void *(*column_bytes)(struct lw_statement *statement, int column, size_t *length);
};

extern const struct lw_driver lw_sqlite_driver;

#endif
