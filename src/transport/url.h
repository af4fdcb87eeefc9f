/* What a webhook's URL must look like: http or https, a host, nothing that curl would read otherwise. */
#ifndef LW_TRANSPORT_URL_H
#define LW_TRANSPORT_URL_H

#include <stdbool.h>

#include "base/error.h"
#include "transport/address.h"

#define LW_URL_MAX 2048
#define LW_URL_HOST_SIZE 272 /* a name of 253 characters, a port, and room for brackets */

/* Checks `url` with libcurl's own parser (curl_url), so that what is accepted here is what is called
 * later. Refuses: empty, longer than LW_URL_MAX, control characters or spaces, other schemes (the
 * message names the scheme), no host, a fragment is allowed. Code "invalid". The message never
 * repeats credentials or the query. */
bool lw_url_check(const char *url, struct lw_error *error);

/* "example.com:443", in small letters: the same for every URL that leads there; "" where the URL is not
 * valid. */
void lw_url_host(const char *url, char host[LW_URL_HOST_SIZE]);

/* The same for a proxy's: http or https, with a host, perhaps with credentials; no path, query or fragment.
 * Without a port it is 1080 for http and 443 for https, as curl has it. Code "invalid"; the message repeats
 * nothing of the URL but its scheme. */
bool lw_url_check_proxy(const char *url, struct lw_error *error);

/* For a URL that another host (a proxy) will call: false where its host is an address that the policy
 * refuses, in any of the forms that a resolver takes for one (0x7f.1, 2130706433), or no plain name.
 * `refused` then says which; it is left alone otherwise. */
bool lw_url_host_allowed(const char *url, const struct lw_address_policy *policy,
                         char refused[LW_ADDRESS_TEXT_SIZE]);

#endif
