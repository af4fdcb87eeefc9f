#include "store/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define HEAD (INT64_C(1) << 62) /* the line's byte: no log gets that long */
#define CHECKPOINT (HEAD + 1)   /* and that of whoever moves the log */

int lw_wal_open(const char *database) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%s-wal", database);
  if (length < 0 || length >= (int)sizeof path) return LW_NO_WAL;
  int wal = open(path, O_RDWR | O_CLOEXEC);
  return wal < 0 ? LW_NO_WAL : wal;
}

void lw_wal_close(int wal) {
  if (wal != LW_NO_WAL) close(wal);
}

bool lw_wal_sync(int wal) {
#if defined _POSIX_SYNCHRONIZED_IO && _POSIX_SYNCHRONIZED_IO > 0
  return fdatasync(wal) == 0;
#else
  return fsync(wal) == 0;
#endif
}

#ifdef F_OFD_SETLK

static bool set(int wal, off_t byte, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
  return fcntl(wal, F_OFD_SETLK, &lock) == 0;
}

static bool take(int wal, off_t byte) {
  return wal == LW_NO_WAL || set(wal, byte, F_WRLCK) || (errno != EAGAIN && errno != EACCES);
}

bool lw_wal_enter(int wal) {
  return take(wal, HEAD);
}

void lw_wal_leave(int wal) {
  if (wal != LW_NO_WAL) set(wal, HEAD, F_UNLCK);
}

bool lw_wal_begin_checkpoint(int wal) {
  return take(wal, CHECKPOINT);
}

void lw_wal_end_checkpoint(int wal) {
  if (wal != LW_NO_WAL) set(wal, CHECKPOINT, F_UNLCK);
}

#else /* a system without such locks */

bool lw_wal_enter(int wal) {
  (void)wal;
  return true;
}

void lw_wal_leave(int wal) {
  (void)wal;
}

bool lw_wal_begin_checkpoint(int wal) {
  (void)wal;
  return true;
}

void lw_wal_end_checkpoint(int wal) {
  (void)wal;
}

#endif
