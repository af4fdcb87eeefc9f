/* Credentials in a webhook's URL: they go out as an Authorization header and stand in no URL that is shown,
 * logged or looked for. */
#ifndef LW_DELIVERY_CREDENTIALS_H
#define LW_DELIVERY_CREDENTIALS_H

#include <stdbool.h>

#include "base/error.h"
#include "delivery/settings.h"

/* Where *url holds user:password@, they become the settings' authorization ("Basic …", RFC 7617), and *url
 * (malloc'd) is replaced by one without them; else nothing changes. For a URL that passed lw_url_check. */
bool lw_credentials_move(char **url, struct lw_settings *settings, struct lw_error *error);

#endif
