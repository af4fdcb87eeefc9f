/* Settings for tests that call a receiver on this machine. */
#ifndef LW_SPEC_LOCAL_SETTINGS_H
#define LW_SPEC_LOCAL_SETTINGS_H

#include "delivery/settings.h"

/* The defaults, with loopback addresses allowed, these timeouts (milliseconds) and this schedule. */
static inline struct lw_settings *local_settings(int64_t timeout, struct lw_retry_schedule retry) {
  struct lw_error error;
  struct lw_settings *settings = lw_settings_default();
  if (settings == NULL || !lw_settings_add_network(settings, "127.0.0.0/8", &error)) return NULL;
  settings->request.timeout = settings->request.connect_timeout = timeout;
  settings->retry = retry;
  return settings;
}

#endif
