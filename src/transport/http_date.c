#include "transport/http_date.h"

#include <curl/curl.h>
#include <string.h>

enum { LONGEST_DATE = 64 };

bool lw_http_date_parse(const char *text, size_t length, int64_t *milliseconds) {
  char date[LONGEST_DATE];
  if (length == 0 || length >= sizeof date || memchr(text, '\0', length)) return false;
  memcpy(date, text, length);
  date[length] = '\0';
  time_t seconds = curl_getdate(date, NULL);
  if (seconds < 0) return false;
  *milliseconds = (int64_t)seconds * 1000;
  return true;
}
