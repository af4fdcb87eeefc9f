/* The line before a database's write lock. SQLite gives the lock to whoever asks when it happens to be free:
 * of two processes that write all the time, the one that has just written asks first, and the other waits,
 * for tens of milliseconds and more. Whoever asks from the head of a line, and goes to its end afterwards,
 * waits for one transaction of each of the others.
 *
 * The head of the line is a lock on a byte of the write-ahead log, far beyond its end: a file that is there
 * as long as anybody has the database open, and that SQLite itself never locks
 * (https://www.sqlite.org/walformat.html, "WAL locks" are in the shm file). It is an open file description
 * lock (fcntl(2)), so that two handles of one process are two in the line; the kernel frees it when its
 * process dies. Who is in the line only decides who waits: nothing breaks where it cannot be made. */
#ifndef LW_STORE_WRITE_LINE_H
#define LW_STORE_WRITE_LINE_H

#include <stdbool.h>

enum { LW_NO_LINE = -1 };

/* For a database that is open in WAL mode. LW_NO_LINE: there is none, and everybody is always at its head. */
int lw_write_line_open(const char *database);
void lw_write_line_close(int line);

/* Whether it is at the head now; it stays there until it steps back. */
bool lw_write_line_enter(int line);
void lw_write_line_leave(int line);

#endif
