#include "store/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define HEAD (INT64_C(1) << 62) /* the byte: no log gets that long */

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

static bool set(int wal, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = HEAD, .l_len = 1};
  return fcntl(wal, F_OFD_SETLK, &lock) == 0;
}

bool lw_wal_enter(int wal) {
  return wal == LW_NO_WAL || set(wal, F_WRLCK) || (errno != EAGAIN && errno != EACCES);
}

void lw_wal_leave(int wal) {
  if (wal != LW_NO_WAL) set(wal, F_UNLCK);
}

#else /* a system without such locks */

bool lw_wal_enter(int wal) {
  (void)wal;
  return true;
}

void lw_wal_leave(int wal) {
  (void)wal;
}

#endif
