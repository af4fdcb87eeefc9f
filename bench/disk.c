/* How long this disk takes to keep what is written, without us: writes of a size that a commit of ours has,
 * one after the other into a file that has its size already, each synced. Usage: disk <file> <seconds> Prints
 * p50 and p99 of the syncs in milliseconds. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WRITE_SIZE = 24 * 1024, FILE_SIZE = 8 * 1024 * 1024, PAUSE_US = 1000, MOST = 100000 };

static double now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b) {
  double one = *(const double *)a, other = *(const double *)b;
  return (one > other) - (one < other);
}

static void must(int good, const char *what) {
  if (good) return;
  perror(what);
  exit(1);
}

int main(int count, char **arguments) {
  static char bytes[WRITE_SIZE];
  static double times[MOST];
  if (count != 3) {
    fprintf(stderr, "usage: disk <file> <seconds>\n");
    return 2;
  }
  int file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  must(file >= 0, arguments[1]);
  memset(bytes, 'x', sizeof bytes);
  for (off_t at = 0; at < FILE_SIZE; at += WRITE_SIZE)
    must(pwrite(file, bytes, sizeof bytes, at) == sizeof bytes, "pwrite");
  must(fsync(file) == 0, "fsync");
  int made = 0;
  for (double end = now_ms() + atof(arguments[2]) * 1e3; made < MOST && now_ms() < end; made++) {
    off_t at = (off_t)made * WRITE_SIZE % FILE_SIZE;
    must(pwrite(file, bytes, sizeof bytes, at) == sizeof bytes, "pwrite");
    double began = now_ms();
    must(fdatasync(file) == 0, "fdatasync");
    times[made] = now_ms() - began;
    usleep(PAUSE_US);
  }
  qsort(times, (size_t)made, sizeof *times, compare);
  printf("%.3f %.3f\n", times[made / 2], times[made * 99 / 100]);
  unlink(arguments[1]);
  return 0;
}
