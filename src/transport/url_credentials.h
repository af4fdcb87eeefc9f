/* Credentials in a URL: "https://user:password@host/" (RFC 3986, section 3.2.1). */
#ifndef LW_TRANSPORT_URL_CREDENTIALS_H
#define LW_TRANSPORT_URL_CREDENTIALS_H

#include <stdbool.h>

#include "base/error.h"

/* Takes them out of a URL that passed lw_url_check. *plain: the URL without them; *credentials:
 * "user:password", percent-decoded. Both malloc'd, and both NULL where the URL holds none. False: memory, or
 * "invalid" where they cannot be decoded to a line of text, or the user has a colon (RFC 7617, section 2).
 * The message repeats nothing of the URL. */
bool lw_url_split_credentials(const char *url, char **plain, char **credentials, struct lw_error *error);

#endif
