/* What a webhook's URL must look like: http or https, a host, nothing that curl would read otherwise. */
#ifndef LW_TRANSPORT_URL_H
#define LW_TRANSPORT_URL_H

#include <stdbool.h>

#include "base/error.h"

#define LW_URL_MAX 2048

/* Checks `url` with libcurl's own parser (curl_url), so that what is accepted here is what is called
 * later. Refuses: empty, longer than LW_URL_MAX, control characters or spaces, other schemes (the
 * message names the scheme), no host, a fragment is allowed. Code "invalid". The message never
 * repeats credentials or the query. */
bool lw_url_check(const char *url, struct lw_error *error);

#endif
