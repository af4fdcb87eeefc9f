#include "store/seen.h"

#include <stdlib.h>
#include <unistd.h>

#include "store/driver.h"

/* More are forgotten than added, so old ids do not pile up; few enough that no add is slow. */
#define FORGET_AT_ONCE "8"

static const char *const tables[] = {
    "CREATE TABLE IF NOT EXISTS seen (id BLOB NOT NULL PRIMARY KEY, ends_at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS seen_ends_at ON seen (ends_at)",
};

/* One statement decides, so two processes cannot both find an id new. */
static const char add_sql[] =
    "INSERT INTO seen (id, ends_at) VALUES ($1, $2)"
    " ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at WHERE seen.ends_at <= $3";
static const char forget_sql[] =
    "DELETE FROM seen WHERE id IN (SELECT id FROM seen WHERE ends_at <= $1 ORDER BY ends_at "
    "LIMIT " FORGET_AT_ONCE ")";
static const char remove_sql[] = "DELETE FROM seen WHERE id = $1";

struct lw_seen {
  const struct lw_driver *driver;
  struct lw_db *db;
  struct lw_statement *add, *forget, *remove;
  pid_t owner;
};

static bool run(struct lw_seen *seen, struct lw_statement *statement, struct lw_error *error) {
  bool done = seen->driver->step(statement, error) == LW_STEP_DONE;
  seen->driver->reset(statement);
  return done;
}

static bool make_tables(struct lw_seen *seen, struct lw_error *error) {
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    struct lw_statement *statement = seen->driver->prepare(seen->db, tables[i], error);
    bool done = statement != NULL && run(seen, statement, error);
    seen->driver->finalize(statement);
    if (!done) return false;
  }
  return true;
}

static bool prepare(struct lw_seen *seen, struct lw_error *error) {
  seen->add = seen->driver->prepare(seen->db, add_sql, error);
  if (seen->add != NULL) seen->forget = seen->driver->prepare(seen->db, forget_sql, error);
  if (seen->forget != NULL) seen->remove = seen->driver->prepare(seen->db, remove_sql, error);
  return seen->remove != NULL;
}

struct lw_seen *lw_seen_open(const char *path, struct lw_error *error) {
  struct lw_seen *seen = calloc(1, sizeof *seen);
  if (seen == NULL) {
    lw_fail(error, "memory", "out of memory opening the database %s", path);
    return NULL;
  }
  seen->driver = &lw_sqlite_driver;
  seen->owner = getpid();
  seen->db = seen->driver->open(path, error);
  if (seen->db != NULL && make_tables(seen, error) && prepare(seen, error)) return seen;
  lw_seen_close(seen);
  return NULL;
}

void lw_seen_close(struct lw_seen *seen) {
  if (seen == NULL) return;
  /* In a child, closing would drop the parent's locks: its memory goes with the process. */
  if (seen->db != NULL && seen->owner == getpid()) {
    seen->driver->finalize(seen->add);
    seen->driver->finalize(seen->forget);
    seen->driver->finalize(seen->remove);
    seen->driver->close(seen->db);
  }
  free(seen);
}

static bool add(struct lw_seen *seen, struct lw_bytes id, int64_t now, int64_t ends_at, bool *is_new,
                struct lw_error *error) {
  const struct lw_driver *driver = seen->driver;
  driver->bind_bytes(seen->add, 1, id.data, id.length);
  driver->bind_integer(seen->add, 2, ends_at);
  driver->bind_integer(seen->add, 3, now);
  if (!run(seen, seen->add, error)) return false;
  *is_new = driver->changes(seen->add) > 0;
  driver->bind_integer(seen->forget, 1, now);
  return run(seen, seen->forget, error);
}

static bool begin(struct lw_seen *seen, struct lw_error *error) {
  if (seen->owner != getpid())
    return lw_fail(error, "forked", "the store of seen ids was opened before a fork; open it after");
  return seen->driver->begin(seen->db, error);
}

static bool end(struct lw_seen *seen, bool done, struct lw_error *error) {
  if (done && seen->driver->commit(seen->db, error)) return true;
  seen->driver->rollback(seen->db);
  return false;
}

bool lw_seen_add(struct lw_seen *seen, struct lw_bytes id, int64_t now, int64_t ends_at, bool *is_new,
                 struct lw_error *error) {
  return begin(seen, error) && end(seen, add(seen, id, now, ends_at, is_new, error), error);
}

bool lw_seen_remove(struct lw_seen *seen, struct lw_bytes id, struct lw_error *error) {
  if (!begin(seen, error)) return false;
  seen->driver->bind_bytes(seen->remove, 1, id.data, id.length);
  return end(seen, run(seen, seen->remove, error), error);
}
