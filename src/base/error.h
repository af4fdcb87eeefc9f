/* One shape for everything that can fail: a word for programs, a sentence for people.
 * The caller owns the struct; functions that fail fill it and return false (or NULL). Passing NULL
 * is allowed where the caller does not care. */
#ifndef LW_BASE_ERROR_H
#define LW_BASE_ERROR_H

#include <stdbool.h>

#define LW_ERROR_CODE_SIZE 24
#define LW_ERROR_MESSAGE_SIZE 512

struct lw_error {
  char code[LW_ERROR_CODE_SIZE];       /* "invalid", "timeout", "busy", "full", "closed", … */
  char message[LW_ERROR_MESSAGE_SIZE]; /* what failed, on what, and what to do; cut when longer */
};

/* Fills `error` (printf style) and returns false, so that a function can `return lw_fail(…)`. */
bool lw_fail(struct lw_error *error, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
