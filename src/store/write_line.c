#include "store/write_line.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define HEAD (INT64_C(1) << 62) /* the byte: no log gets that long */

int lw_write_line_open(const char *database) {
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%s-wal", database);
  if (length < 0 || length >= (int)sizeof path) return LW_NO_LINE;
  int line = open(path, O_RDWR | O_CLOEXEC);
  return line < 0 ? LW_NO_LINE : line;
}

void lw_write_line_close(int line) {
  if (line != LW_NO_LINE) close(line);
}

#ifdef F_OFD_SETLK

static bool set(int line, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = HEAD, .l_len = 1};
  return fcntl(line, F_OFD_SETLK, &lock) == 0;
}

bool lw_write_line_enter(int line) {
  return line == LW_NO_LINE || set(line, F_WRLCK) || (errno != EAGAIN && errno != EACCES);
}

void lw_write_line_leave(int line) {
  if (line != LW_NO_LINE) set(line, F_UNLCK);
}

#else /* a system without such locks */

bool lw_write_line_enter(int line) {
  (void)line;
  return true;
}

void lw_write_line_leave(int line) {
  (void)line;
}

#endif
