/* The file of SQLite's write-ahead log, for what SQLite itself does not do with it.
 *
 * The line before the write lock. SQLite gives the lock to whoever asks when it happens to be free: of two
 * processes that write all the time, the one that has just written asks first, and the other waits, for tens
 * of milliseconds and more. Whoever asks from the head of a line, and goes to its end afterwards, waits for
 * one transaction of each of the others. The head is a lock on a byte of the log, far beyond its end: a file
 * that is there as long as anybody has the database open, and that SQLite itself never locks
 * (https://www.sqlite.org/walformat.html, "WAL locks" are in the shm file). It is an open file description
 * lock (fcntl(2)), so that two handles of one process are two in the line; the kernel frees it when its
 * process dies. Who is in the line only decides who waits: nothing breaks where it cannot be made.
 *
 * Syncing after the commit. With synchronous=FULL SQLite waits for the disk while it holds the write lock,
 * and all other writers wait along. With NORMAL a commit is written to the log and not waited for; whoever
 * then syncs the log, through any descriptor, has on disk all that was committed before
 * (https://www.sqlite.org/pragma.html#pragma_synchronous: "a transaction committed in WAL mode with
 * synchronous=NORMAL might roll back following a power loss"), and disturbs nobody meanwhile.
 *
 * Checkpoints. SQLite before 3.51.3 can lose commits and damage the file when a checkpoint begins at a moment
 * when all is moved already, and somebody else's commit begins the log anew at that same moment
 * (https://www.sqlite.org/wal.html#walresetbug). While something is left to move, and nobody else may move
 * it, that cannot be: so ours hold a lock and look first. */
#ifndef LW_STORE_WAL_H
#define LW_STORE_WAL_H

#include <stdbool.h>

enum { LW_NO_WAL = -1 };

/* For a database that is open in WAL mode. LW_NO_WAL: it cannot be opened, and everybody is always at the
 * head of the line. */
int lw_wal_open(const char *database);
void lw_wal_close(int wal);

/* Whether it is at the head now; it stays there until it steps back. */
bool lw_wal_enter(int wal);
void lw_wal_leave(int wal);

/* Only one at a time moves the log into the database, of all handles of all processes that do it with us.
 * False: somebody else does. */
bool lw_wal_begin_checkpoint(int wal);
void lw_wal_end_checkpoint(int wal);

/* Returns when what was written to the log before is on disk. False: errno says why not; it may never be
 * (fsync(2): the system tells once and forgets what it could not write). */
bool lw_wal_sync(int wal);

#endif
