/* Dates in HTTP headers (RFC 9110, section 5.6.7), read by libcurl. */
#ifndef LW_TRANSPORT_HTTP_DATE_H
#define LW_TRANSPORT_HTTP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT" and the two obsolete forms; milliseconds since the epoch. */
bool lw_http_date_parse(const char *text, size_t length, int64_t *milliseconds);

#endif
