/* The driver for SQLite 3.35 and later. The database file is in WAL mode with synchronous=FULL: a commit that
 * returned survives a power cut (unless the handle syncs later), and readers never wait for a writer. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/driver.h"
#include "store/wal.h"

#define BUSY_TIMEOUT_MS 10000
#define BUSY_PAUSE_MS 20
#define USER_SPACE 4096 /* bytes for a user's entry in the system's list */
/* Less at first: most locks are held for one commit, and who looks rarely is passed over by a process that
 * commits without a break. */
#define BUSY_SHARE 16        /* of the time that it has waited, the part to pause for, */
#define BUSY_FIRST_PAUSE 200 /* and so many microseconds at least */
#define LINE_PATIENCE_MS 200 /* whoever heads the line for longer has stalled */
#define LOG_LIMIT 1000       /* pages; SQLite's own, until limit_log says something else */
#define LOG_TRIES 50         /* to be alone with the write-ahead log, */
#define LOG_PAUSE_US 100     /* so many microseconds apart */
#define PRAGMAS                 \
  "PRAGMA synchronous = FULL;"  \
  "PRAGMA cache_size = -65536;" \
  "PRAGMA foreign_keys = OFF;"

struct lw_db {
  sqlite3 *handle;
  char *path;
  _Atomic int64_t wait_until; /* ticks; set by any thread */
  int64_t busy_since;         /* ticks; when the last wait for a lock began */
  bool on_disk;
  int wal; /* its file, for the line before the write lock and for syncing */
  sqlite3_stmt *begin, *commit, *rollback;
  bool shrinks;  /* the file was made so that it can */
  bool doubtful; /* a sync failed: what the log holds may not be on disk, whatever the next one says */
  int log_pages; /* after the last commit */
  int log_limit; /* from so many on a commit moves them into the database */
};

struct lw_statement {
  struct lw_db *db;
  sqlite3_stmt *handle;
  int bind_code; /* the first bind that failed, or SQLITE_OK */
  int64_t changes;
  unsigned char index[LW_DRIVER_PARAMETERS + 1]; /* SQLite numbers $n by first appearance, not by n */
};

/* -- locks --------------------------------------------------------------------------------------- */

static int64_t now_ticks(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->ticks(clock->context);
}

/* SQLite asks, after each failed try, whether to try again; its own timeout could not be shortened by another
 * thread while it waits. */
static int wait_for_lock(void *context, int tries) {
  struct lw_db *db = context;
  int64_t now = now_ticks();
  if (tries == 0) db->busy_since = now;
  int64_t end = db->busy_since + BUSY_TIMEOUT_MS * 1000;
  int64_t limit = atomic_load(&db->wait_until);
  if (now >= (limit < end ? limit : end)) return 0;
  int64_t pause = (now - db->busy_since) / BUSY_SHARE;
  if (pause < BUSY_FIRST_PAUSE) pause = BUSY_FIRST_PAUSE;
  usleep(pause < BUSY_PAUSE_MS * 1000 ? (useconds_t)pause : BUSY_PAUSE_MS * 1000);
  return 1;
}

/* To its head, unless somebody stays there for too long. */
static void stand_in_line(struct lw_db *db) {
  int64_t end = now_ticks() + LINE_PATIENCE_MS * 1000;
  int tries = 0;
  while (!lw_wal_enter(db->wal) && now_ticks() < end && wait_for_lock(db, tries)) tries++;
}

static void limit_wait(struct lw_db *db, int64_t until) {
  atomic_store(&db->wait_until, until);
}

static double waited(const struct lw_db *db) {
  return db->busy_since == 0 ? 0.0 : (double)(now_ticks() - db->busy_since) / 1e6;
}

/* -- errors -------------------------------------------------------------------------------------- */

/* nginx's workers, for one, run as somebody else than who started it: the error says who that is. */
static bool fail_unwritable(struct lw_error *error, const char *path, const char *why) {
  char space[USER_SPACE];
  struct passwd entry, *user = NULL;
  getpwuid_r(geteuid(), &entry, space, sizeof space, &user);
  return lw_fail(error, "unwritable",
                 "cannot write to the database %s: %s; the file and its folder must be writable by user id "
                 "%ld (%s)",
                 path, why, (long)geteuid(), user ? user->pw_name : "without a name");
}

static bool fail_full(struct lw_error *error, const char *path) {
  return lw_fail(error, "full", "the disk is full: %s cannot grow; free space, nothing stored is lost", path);
}

/* SQLite forgets the system's error when a COMMIT fails, so errno is asked first; `run` and `step` clear it.
 */
static bool fail_io(struct lw_db *db, int number, struct lw_error *error) {
  if (number == 0) number = sqlite3_system_errno(db->handle);
  /* A quota or a file size limit is a full disk to whoever has to mend it. */
  if (number == ENOSPC || number == EDQUOT || number == EFBIG) return fail_full(error, db->path);
  return lw_fail(error, "store", "reading or writing the database %s failed: %s (SQLite error %d, %s)",
                 db->path, sqlite3_errmsg(db->handle), sqlite3_extended_errcode(db->handle),
                 number != 0 ? strerror(number) : "no system error");
}

/* SQLite's messages name tables, columns and SQL, never bound values: no secret can leak through them. */
static bool fail(struct lw_db *db, int code, struct lw_error *error) {
  int number, system_error = errno;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return fail_full(error, db->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return lw_fail(
          error, "corrupt",
          "%s is not a database or is damaged; it was left as it is: restore a copy, or give another path",
          db->path);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      number = sqlite3_system_errno(db->handle);
      return fail_unwritable(error, db->path, number != 0 ? strerror(number) : sqlite3_errmsg(db->handle));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return lw_fail(error, "locked",
                     "the database %s is locked by another process (waited %.1f s); try again", db->path,
                     waited(db));
    case SQLITE_NOMEM:
      return lw_fail(error, "memory", "out of memory in the database %s", db->path);
    case SQLITE_IOERR:
      return fail_io(db, system_error, error);
    default:
      return lw_fail(error, "store", "the database %s failed: %s (SQLite error %d)", db->path,
                     sqlite3_errmsg(db->handle), code);
  }
}

/* -- opening ------------------------------------------------------------------------------------- */

/* WAL needs to make files beside the database. */
static bool check_folder(const char *path, struct lw_error *error) {
  char folder[PATH_MAX] = ".";
  const char *slash = strrchr(path, '/');
  if (slash != NULL) {
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof folder) return fail_unwritable(error, path, strerror(ENAMETOOLONG));
    memcpy(folder, path, length);
    folder[length] = '\0';
  }
  if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0)
    return fail_unwritable(error, path, strerror(errno));
  return true;
}

/* SQLite would make the file with the umask's mode; signing secrets ask for 0600. An existing file is only
 * looked at: closing a descriptor of it would drop the locks of this process's other handles. */
static bool prepare_file(const char *path, struct lw_error *error) {
  if (!check_folder(path, error)) return false;
  int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) {
    close(file);
    return true;
  }
  if (errno != EEXIST) return fail_unwritable(error, path, strerror(errno));
  struct stat status;
  if (stat(path, &status) != 0) return fail_unwritable(error, path, strerror(errno));
  if (S_ISDIR(status.st_mode)) return fail_unwritable(error, path, "it is a folder, not a file");
  if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0)
    return fail_unwritable(error, path, strerror(errno));
  return true;
}

/* Runs a PRAGMA that answers with one integer. */
static int ask(struct lw_db *db, const char *pragma, int64_t *value) {
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->handle, pragma, -1, &statement, NULL);
  if (code != SQLITE_OK) return code;
  *value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
  return sqlite3_finalize(statement);
}

/* A file can shrink in steps only when that is said before anything is written to it
 * (https://www.sqlite.org/pragma.html#pragma_auto_vacuum). */
static int prepare_to_shrink(struct lw_db *db) {
  enum { INCREMENTAL = 2 };
  int64_t value = 0;
  int code = ask(db, "PRAGMA page_count", &value);
  if (code == SQLITE_OK && value == 0)
    code = sqlite3_exec(db->handle, "PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL);
  if (code == SQLITE_OK) code = ask(db, "PRAGMA auto_vacuum", &value);
  db->shrinks = value == INCREMENTAL;
  return code;
}

/* One try to enter WAL mode. SQLite answers with the mode that holds afterwards. */
static int enter_wal(struct lw_db *db, bool *entered) {
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
  if (code != SQLITE_OK) return code;
  code = sqlite3_step(statement);
  if (code == SQLITE_ROW) {
    const char *mode = (const char *)sqlite3_column_text(statement, 0);
    *entered = mode != NULL && strcmp(mode, "wal") == 0;
  }
  int last = sqlite3_finalize(statement);
  return code == SQLITE_ROW ? SQLITE_OK : last;
}

static bool set_up(struct lw_db *db, bool in_memory, struct lw_error *error) {
  sqlite3_extended_result_codes(db->handle, 1);
  sqlite3_busy_handler(db->handle, wait_for_lock, db);
  bool wal = false;
  int code = prepare_to_shrink(db);
  if (code == SQLITE_OK) code = enter_wal(db, &wal);
  /* The change to WAL does not always wait for the lock by itself. */
  for (int waited = 0; (code & 0xff) == SQLITE_BUSY && waited < BUSY_TIMEOUT_MS; waited += BUSY_PAUSE_MS) {
    sqlite3_sleep(BUSY_PAUSE_MS);
    code = prepare_to_shrink(db);
    if (code == SQLITE_OK) code = enter_wal(db, &wal);
  }
  if (code != SQLITE_OK) return fail(db, code, error);
  if (!wal && !in_memory)
    return lw_fail(error, "store", "the database %s cannot use a write-ahead log; put it on a local disk",
                   db->path);
  code = sqlite3_exec(db->handle, PRAGMAS, NULL, NULL, NULL);
  if (code == SQLITE_OK) code = sqlite3_prepare_v2(db->handle, "BEGIN IMMEDIATE", -1, &db->begin, NULL);
  if (code == SQLITE_OK) code = sqlite3_prepare_v2(db->handle, "COMMIT", -1, &db->commit, NULL);
  if (code == SQLITE_OK) code = sqlite3_prepare_v2(db->handle, "ROLLBACK", -1, &db->rollback, NULL);
  return code == SQLITE_OK || fail(db, code, error);
}

static void close_db(struct lw_db *db) {
  sqlite3_finalize(db->begin);
  sqlite3_finalize(db->commit);
  sqlite3_finalize(db->rollback);
  sqlite3_close(db->handle);
  lw_wal_close(db->wal);
  free(db->path);
  free(db);
}

/* Pages of the log that are not in the database yet (https://www.sqlite.org/walformat.html#walidxfmt). A code
 * of SQLite's. */
static int count_unmoved(struct lw_db *db, uint32_t *pages) {
  enum { REGION = 32768, MOST_FRAME = 16, BACKFILLED = 96 };
  sqlite3_file *file = NULL;
  void volatile *index = NULL;
  int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (code != SQLITE_OK) return code;
  if (file->pMethods == NULL || file->pMethods->iVersion < 2) return SQLITE_IOERR_SHMMAP;
  code = file->pMethods->xShmMap(file, 0, REGION, 0, &index);
  if (code != SQLITE_OK || index == NULL) return code != SQLITE_OK ? code : SQLITE_IOERR_SHMMAP;
  const volatile char *bytes = index;
  *pages =
      *(const volatile uint32_t *)(bytes + MOST_FRAME) - *(const volatile uint32_t *)(bytes + BACKFILLED);
  return SQLITE_OK;
}

/* *pages: in the log, in all, and *moved: of those, into the database. A code of SQLite's; SQLITE_DONE: there
 * was nothing to move, and both are 0. */
static int checkpoint(struct lw_db *db, int mode, int *pages, int *moved) {
  uint32_t unmoved = 0;
  *pages = *moved = 0;
  if (!db->on_disk) return SQLITE_DONE;
  if (!lw_wal_begin_checkpoint(db->wal)) return SQLITE_BUSY;
  int code = count_unmoved(db, &unmoved);
  if (code == SQLITE_OK)
    code = unmoved > 0 ? sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, pages, moved) : SQLITE_DONE;
  lw_wal_end_checkpoint(db->wal);
  return code;
}

static int wait_briefly(void *context, int tries) {
  (void)context;
  if (tries >= LOG_TRIES) return 0;
  usleep(LOG_PAUSE_US);
  return 1;
}

/* SQLite syncs the database only at the end of a checkpoint that has moved all, and nobody appended
 * meanwhile. */
static bool sync_database(struct lw_db *db) {
  sqlite3_file *file = NULL;
  int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  return code == SQLITE_OK && file->pMethods != NULL &&
         file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK;
}

/* The first checkpoint moves nearly all, and meanwhile others append. The second one moves and syncs the
 * rest, while nobody may write. After a failed sync there is none through this handle: its next sync would be
 * a success. */
static void shorten_log(struct lw_db *db, int restart_at) {
  int pages, moved;
  if (db->doubtful || checkpoint(db, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved) != SQLITE_OK) return;
  db->doubtful = !sync_database(db);
  if (db->doubtful || pages < restart_at) return;
  stand_in_line(db);
  sqlite3_busy_handler(db->handle, wait_briefly, NULL);
  checkpoint(db, SQLITE_CHECKPOINT_FULL, &pages, &moved);
  sqlite3_busy_handler(db->handle, wait_for_lock, db);
  lw_wal_leave(db->wal);
}

/* In place of SQLite's automatic checkpoints, which are such a hook too. */
static int note_log(void *context, sqlite3 *handle, const char *name, int pages) {
  struct lw_db *db = context;
  int all, moved;
  (void)handle, (void)name;
  db->log_pages = pages;
  if (pages >= db->log_limit) checkpoint(db, SQLITE_CHECKPOINT_PASSIVE, &all, &moved);
  return SQLITE_OK;
}

static void limit_log(struct lw_db *db, int pages) {
  db->log_limit = pages;
}

static int log_pages(const struct lw_db *db) {
  return db->log_pages;
}

static struct lw_db *open_db(const char *path, struct lw_error *error) {
  bool in_memory = strcmp(path, ":memory:") == 0;
  if (!in_memory && !prepare_file(path, error)) return NULL;
  struct lw_db *db = calloc(1, sizeof *db);
  if (db != NULL) {
    db->path = strdup(path);
    db->on_disk = !in_memory;
    db->wal = LW_NO_WAL;
    atomic_init(&db->wait_until, INT64_MAX);
  }
  if (db == NULL || db->path == NULL) {
    free(db);
    lw_fail(error, "memory", "out of memory opening the database %s", path);
    return NULL;
  }
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
  db->log_limit = LOG_LIMIT;
  if (code == SQLITE_OK) sqlite3_wal_hook(db->handle, note_log, db);
  if (code == SQLITE_OK ? set_up(db, in_memory, error) : fail(db, code, error)) return db;
  close_db(db);
  return NULL;
}

/* -- transactions -------------------------------------------------------------------------------- */

static bool run(struct lw_db *db, sqlite3_stmt *statement, struct lw_error *error) {
  errno = 0;
  db->busy_since = 0;
  int code = sqlite3_step(statement);
  bool done = code == SQLITE_DONE || fail(db, code, error);
  sqlite3_reset(statement);
  return done;
}

static bool sync_later(struct lw_db *db, struct lw_error *error) {
  errno = 0;
  int code = sqlite3_exec(db->handle, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
  return code == SQLITE_OK || fail(db, code, error);
}

/* The other way to the disk: all that the log holds goes into the database, and that is synced. */
static bool checkpoint_all(struct lw_db *db, struct lw_error *error) {
  int pages, moved, tries = 0, code;
  errno = 0;
  do code = checkpoint(db, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
  while (code == SQLITE_BUSY && wait_for_lock(db, tries++)); /* another one is under way */
  if (code != SQLITE_OK && code != SQLITE_DONE) return fail(db, code, error);
  if (!sync_database(db)) return fail_io(db, errno, error);
  if (moved == pages) return true;
  return lw_fail(error, "store", "the write-ahead log of %s cannot be synced, and is in use; try again",
                 db->path);
}

static bool sync_log(struct lw_db *db, struct lw_error *error) {
  if (!db->on_disk) return true;
  if (!db->doubtful && db->wal != LW_NO_WAL && lw_wal_sync(db->wal)) return true;
  db->doubtful = db->wal != LW_NO_WAL;
  if (!checkpoint_all(db, error)) return false;
  db->doubtful = false;
  return true;
}

/* It counts those of transactions that are rolled back, too, and may begin anew at zero some day. */
static int64_t written(struct lw_db *db) {
  return sqlite3_total_changes(db->handle);
}

static bool begin(struct lw_db *db, struct lw_error *error) {
  stand_in_line(db);
  bool begun = run(db, db->begin, error);
  lw_wal_leave(db->wal);
  /* From the first transaction on the log is there. */
  if (begun && db->wal == LW_NO_WAL && db->on_disk) db->wal = lw_wal_open(db->path);
  return begun;
}

static bool commit(struct lw_db *db, struct lw_error *error) {
  /* A full disk may have made SQLite roll back already: then there is nothing that a COMMIT could keep. */
  if (sqlite3_get_autocommit(db->handle))
    return lw_fail(error, "store", "the transaction on %s was rolled back after an earlier error", db->path);
  return run(db, db->commit, error);
}

static void rollback(struct lw_db *db) {
  if (!sqlite3_get_autocommit(db->handle)) run(db, db->rollback, NULL);
}

/* -- space --------------------------------------------------------------------------------------- */

static int look_at_space(struct lw_db *db, bool *more) {
  int64_t pages = 0, unused = 0;
  int code = ask(db, "PRAGMA freelist_count", &unused);
  if (code == SQLITE_OK) code = ask(db, "PRAGMA page_count", &pages);
  *more = unused > pages / 10;
  return code;
}

static bool shrink(struct lw_db *db, int pages, bool *more, struct lw_error *error) {
  char pragma[64];
  *more = false;
  if (!db->shrinks) return true;
  errno = 0;
  int code = look_at_space(db, more);
  if (code == SQLITE_OK && *more) {
    snprintf(pragma, sizeof pragma, "PRAGMA incremental_vacuum(%d)", pages);
    code = sqlite3_exec(db->handle, pragma, NULL, NULL, NULL);
    if (code == SQLITE_OK) code = look_at_space(db, more);
  }
  return code == SQLITE_OK || fail(db, code, error);
}

/* Where all is moved already a checkpoint would not begin: one page is written, which changes nothing. */
static bool settle(struct lw_db *db) {
  uint32_t unmoved = 0;
  int pages, moved;
  if (!db->on_disk) return true;
  sqlite3_busy_timeout(db->handle, 0);
  int code = count_unmoved(db, &unmoved);
  if (code == SQLITE_OK && unmoved == 0)
    code = sqlite3_exec(db->handle, "PRAGMA user_version = 0", NULL, NULL, NULL);
  if (code == SQLITE_OK) code = checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE, &pages, &moved);
  sqlite3_busy_handler(db->handle, wait_for_lock, db);
  return code == SQLITE_OK;
}

/* VACUUM goes through a temporary file and the write-ahead log (https://www.sqlite.org/lang_vacuum.html). */
static bool rewrite(struct lw_db *db, struct lw_error *error) {
  errno = 0;
  db->busy_since = 0;
  int code = sqlite3_exec(db->handle, "VACUUM", NULL, NULL, NULL);
  return code == SQLITE_OK || fail(db, code, error);
}

/* -- statements ---------------------------------------------------------------------------------- */

static void finalize(struct lw_statement *statement) {
  if (statement == NULL) return;
  sqlite3_finalize(statement->handle);
  free(statement);
}

static struct lw_statement *prepare(struct lw_db *db, const char *sql, struct lw_error *error) {
  struct lw_statement *statement = calloc(1, sizeof *statement);
  if (statement == NULL) {
    lw_fail(error, "memory", "out of memory preparing a statement");
    return NULL;
  }
  statement->db = db;
  int code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->handle, NULL);
  if (code != SQLITE_OK) {
    fail(db, code, error);
    free(statement);
    return NULL;
  }
  int count = sqlite3_bind_parameter_count(statement->handle);
  for (int index = 1; index <= count && index <= LW_DRIVER_PARAMETERS; index++) {
    const char *name = sqlite3_bind_parameter_name(statement->handle, index);
    long number = name != NULL ? strtol(name + 1, NULL, 10) : 0;
    if (number >= 1 && number <= LW_DRIVER_PARAMETERS) statement->index[number] = (unsigned char)index;
  }
  return statement;
}

static void keep_code(struct lw_statement *statement, int code) {
  if (statement->bind_code == SQLITE_OK) statement->bind_code = code;
}

static void bind_integer(struct lw_statement *statement, int parameter, int64_t value) {
  keep_code(statement, sqlite3_bind_int64(statement->handle, statement->index[parameter], value));
}

static void bind_text(struct lw_statement *statement, int parameter, const char *text) {
  keep_code(statement,
            sqlite3_bind_text(statement->handle, statement->index[parameter], text, -1, SQLITE_STATIC));
}

static void bind_bytes(struct lw_statement *statement, int parameter, const void *bytes, size_t length) {
  keep_code(statement, sqlite3_bind_blob64(statement->handle, statement->index[parameter], bytes, length,
                                           SQLITE_STATIC));
}

static enum lw_step step(struct lw_statement *statement, struct lw_error *error) {
  errno = 0;
  statement->db->busy_since = 0;
  int code = statement->bind_code != SQLITE_OK ? statement->bind_code : sqlite3_step(statement->handle);
  if (code == SQLITE_ROW) return LW_STEP_ROW;
  if (code == SQLITE_DONE) {
    statement->changes = sqlite3_changes(statement->db->handle);
    return LW_STEP_DONE;
  }
  fail(statement->db, code, error);
  return LW_STEP_FAILED;
}

static int64_t changes(struct lw_statement *statement) {
  return statement->changes;
}

static void reset(struct lw_statement *statement) {
  sqlite3_reset(statement->handle);
  statement->bind_code = SQLITE_OK;
}

static int64_t column_integer(struct lw_statement *statement, int column) {
  return sqlite3_column_int64(statement->handle, column);
}

static const void *column_bytes(struct lw_statement *statement, int column, size_t *length) {
  *length = 0;
  if (sqlite3_column_type(statement->handle, column) == SQLITE_NULL) return NULL;
  const void *bytes = sqlite3_column_blob(statement->handle, column);
  if (bytes == NULL) return ""; /* SQLite's answer for an empty value */
  *length = (size_t)sqlite3_column_bytes(statement->handle, column);
  return bytes;
}

const struct lw_driver lw_sqlite_driver = {
    .bytes_type = "BLOB",
    .integer_type = "INTEGER",
    .keyed_table_options = " WITHOUT ROWID",
    .open = open_db,
    .close = close_db,
    .limit_wait = limit_wait,
    .sync_later = sync_later,
    .sync = sync_log,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .written = written,
    .shrink = shrink,
    .settle = settle,
    .rewrite = rewrite,
    .limit_log = limit_log,
    .log_pages = log_pages,
    .shorten_log = shorten_log,
    .prepare = prepare,
    .finalize = finalize,
    .bind_integer = bind_integer,
    .bind_text = bind_text,
    .bind_bytes = bind_bytes,
    .step = step,
    .changes = changes,
    .reset = reset,
    .column_integer = column_integer,
    .column_bytes = column_bytes,
};
