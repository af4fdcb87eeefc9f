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

/* Splits "https://user:password@host/" (RFC 3986, section 3.2.1). For a URL that passed lw_url_check.
 * *plain: the URL without them; *credentials: "user:password", percent-decoded. Both malloc'd, and both NULL
 * where the URL holds none. False: memory, or "invalid" where they cannot be decoded to a line of text, or
 * the user has a colon (RFC 7617, section 2). */
bool lw_url_split_credentials(const char *url, char **plain, char **credentials, struct lw_error *error);

#endif
