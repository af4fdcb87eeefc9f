/* What curl is told about how a request is sent. Internal to the sender. */
#ifndef LW_TRANSPORT_SENDER_OPTIONS_H
#define LW_TRANSPORT_SENDER_OPTIONS_H

#include <curl/curl.h>
#include <stdbool.h>

#include "transport/request_options.h"

/* For a handle that is new or was reset (curl_easy_reset): what an option does not say has curl's default. */
CURLcode lw_sender_options_set(CURL *easy, const struct lw_request_options *options);

/* The connection of such a request to an https URL must carry no other: it is a proxy's tunnel that was
 * opened with credentials, and curl before 8.19.0 would hand it to requests that have others or none
 * (CVE-2026-3784). */
bool lw_sender_options_private_tunnel(const struct lw_request_options *options);

#endif
