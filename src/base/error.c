#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

bool lw_fail(struct lw_error *error, const char *code, const char *format, ...) {
  if (error == NULL) return false;
  snprintf(error->code, sizeof error->code, "%s", code);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return false;
}
