#include "delivery/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/store.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, DAY = 24 * 60 * MINUTE }; /* milliseconds */

static const enum lw_setting text_fields[] = {LW_SET_USER_AGENT, LW_SET_CA_FILE, LW_SET_CLIENT_CERT,
                                              LW_SET_CLIENT_KEY, LW_SET_PROXY,   LW_SET_AUTHORIZATION};

/* -- making and freeing ------------------------------------------------------------------------------ */

struct lw_settings *lw_settings_new(void) {
  struct lw_settings *settings = calloc(1, sizeof *settings);
  if (settings == NULL) return NULL;
  atomic_init(&settings->references, 1);
  settings->request.serial = lw_request_options_serial();
  return settings;
}

struct lw_settings *lw_settings_keep(struct lw_settings *settings) {
  atomic_fetch_add(&settings->references, 1);
  return settings;
}

static void forget_header(struct lw_settings *settings, size_t at) {
  lw_wipe_text(&settings->headers[at].name);
  lw_wipe_text(&settings->headers[at].value);
  settings->headers[at] = settings->headers[--settings->header_count];
}

static void forget_headers(struct lw_settings *settings) {
  while (settings->header_count > 0) forget_header(settings, settings->header_count - 1);
  free(settings->headers);
  settings->headers = NULL;
}

void lw_settings_drop(struct lw_settings *settings) {
  if (settings == NULL || atomic_fetch_sub(&settings->references, 1) > 1) return;
  for (size_t i = 0; i < sizeof text_fields / sizeof *text_fields; i++)
    lw_settings_set_text(settings, text_fields[i], NULL);
  forget_headers(settings);
  free(settings);
}

struct lw_settings *lw_settings_default(void) {
  struct lw_settings *settings = lw_settings_new();
  if (settings == NULL) return NULL;
  settings->given = LW_SET_TIMEOUT | LW_SET_CONNECT_TIMEOUT | LW_SET_MAX_RESPONSE_BODY | LW_SET_HTTP_VERSION |
                    LW_SET_RETRY | LW_SET_DISABLE_AFTER | LW_SET_MAX_IN_FLIGHT | LW_SET_ORDERED |
                    LW_SET_RATE_LIMIT | LW_SET_BREAKER;
  settings->request.timeout = 15 * SECOND;
  settings->request.connect_timeout = 5 * SECOND;
  settings->request.max_response_body = 20000;
  settings->request.http_version = LW_HTTP_2;
  settings->retry = lw_retry_default();
  settings->disable_after = 5 * DAY;
  settings->limits = (struct lw_limits){.max_in_flight = 16,
                                        .breaker_failures = 10,
                                        .breaker_pause = INT64_C(5) * SECOND * LW_SETTINGS_TICKS,
                                        .breaker_max_pause = INT64_C(15) * MINUTE * LW_SETTINGS_TICKS};
  return settings;
}

/* -- texts and lists --------------------------------------------------------------------------------- */

/* NULL: the field is no text. The strings are ours, whatever the options' const says. */
static const char **text_slot(struct lw_settings *settings, enum lw_setting field) {
  switch (field) {
    case LW_SET_USER_AGENT:
      return &settings->request.user_agent;
    case LW_SET_CA_FILE:
      return &settings->request.ca_file;
    case LW_SET_CLIENT_CERT:
      return &settings->request.client_cert;
    case LW_SET_CLIENT_KEY:
      return &settings->request.client_key;
    case LW_SET_PROXY:
      return &settings->request.proxy;
    case LW_SET_AUTHORIZATION:
      return &settings->authorization;
    default:
      return NULL;
  }
}

const char *lw_settings_text(const struct lw_settings *settings, enum lw_setting field) {
  const char **slot = text_slot((struct lw_settings *)settings, field);
  return slot ? *slot : NULL;
}

bool lw_settings_set_text(struct lw_settings *settings, enum lw_setting field, const char *text) {
  const char **slot = text_slot(settings, field);
  char *copy = text ? strdup(text) : NULL;
  if (slot == NULL || (text != NULL && copy == NULL)) return false;
  char *old = (char *)*slot;
  lw_wipe_text(&old);
  *slot = copy;
  if (copy != NULL)
    settings->given |= field;
  else
    settings->given &= ~(unsigned)field;
  return true;
}

static bool out_of_memory(struct lw_error *error) {
  return lw_fail(error, "memory", "out of memory");
}

static bool append_header(struct lw_settings *settings, const char *name, const char *value) {
  size_t count = settings->header_count;
  struct lw_setting_header *headers = realloc(settings->headers, (count + 1) * sizeof *headers);
  if (headers == NULL) return false;
  settings->headers = headers;
  headers[count] = (struct lw_setting_header){strdup(name), strdup(value)};
  settings->header_count++;
  settings->given |= LW_SET_HEADERS;
  if (headers[count].name != NULL && headers[count].value != NULL) return true;
  forget_header(settings, count);
  return false;
}

bool lw_settings_add_header(struct lw_settings *settings, const char *name, const char *value,
                            struct lw_error *error) {
  if (settings->header_count >= LW_SETTINGS_MAX_HEADERS)
    return lw_fail(error, "invalid", "headers: more than %d", LW_SETTINGS_MAX_HEADERS);
  return append_header(settings, name, value) || out_of_memory(error);
}

bool lw_settings_add_network(struct lw_settings *settings, const char *text, struct lw_error *error) {
  struct lw_address_policy *policy = &settings->request.addresses;
  struct lw_error cause;
  if (policy->count >= LW_SETTINGS_MAX_NETWORKS)
    return lw_fail(error, "invalid", "allow_networks: more than %d networks", LW_SETTINGS_MAX_NETWORKS);
  if (!lw_network_parse(text, &policy->allowed[policy->count], &cause))
    return lw_fail(error, cause.code, "allow_networks: %.400s", cause.message);
  policy->count++;
  settings->given |= LW_SET_ALLOW_NETWORKS;
  return true;
}

/* -- putting together -------------------------------------------------------------------------------- */

void lw_settings_clear(struct lw_settings *settings, unsigned fields) {
  for (size_t i = 0; i < sizeof text_fields / sizeof *text_fields; i++)
    if (fields & text_fields[i]) lw_settings_set_text(settings, text_fields[i], NULL);
  if (fields & LW_SET_HEADERS) forget_headers(settings);
  if (fields & LW_SET_ALLOW_NETWORKS) settings->request.addresses.count = 0;
  settings->given &= ~fields;
}

static void copy_numbers(struct lw_settings *to, const struct lw_settings *from, unsigned fields) {
  if (fields & LW_SET_TIMEOUT) to->request.timeout = from->request.timeout;
  if (fields & LW_SET_CONNECT_TIMEOUT) to->request.connect_timeout = from->request.connect_timeout;
  if (fields & LW_SET_MAX_RESPONSE_BODY) to->request.max_response_body = from->request.max_response_body;
  if (fields & LW_SET_HTTP_VERSION) to->request.http_version = from->request.http_version;
  if (fields & LW_SET_RETRY) to->retry = from->retry;
  if (fields & LW_SET_DISABLE_AFTER) to->disable_after = from->disable_after;
  if (fields & LW_SET_MAX_IN_FLIGHT) to->limits.max_in_flight = from->limits.max_in_flight;
  if (fields & LW_SET_ORDERED) to->limits.ordered = from->limits.ordered;
  if (fields & LW_SET_RATE_LIMIT) {
    to->limits.rate_count = from->limits.rate_count;
    to->limits.rate_period = from->limits.rate_period;
  }
  if (fields & LW_SET_BREAKER) {
    to->limits.breaker_failures = from->limits.breaker_failures;
    to->limits.breaker_pause = from->limits.breaker_pause;
    to->limits.breaker_max_pause = from->limits.breaker_max_pause;
  }
  to->given |= fields;
}

static bool copy_texts(struct lw_settings *to, const struct lw_settings *from, unsigned fields) {
  for (size_t i = 0; i < sizeof text_fields / sizeof *text_fields; i++) {
    enum lw_setting field = text_fields[i];
    if ((fields & field) && !lw_settings_set_text(to, field, lw_settings_text(from, field))) return false;
  }
  return true;
}

static void remove_header(struct lw_settings *settings, const char *name) {
  for (size_t i = settings->header_count; i-- > 0;)
    if (strcasecmp(settings->headers[i].name, name) == 0) forget_header(settings, i);
}

/* Two of one name in `from` stay two: that is for the check to see. */
static bool add_headers(struct lw_settings *to, const struct lw_settings *from) {
  for (size_t i = 0; i < from->header_count; i++) remove_header(to, from->headers[i].name);
  for (size_t i = 0; i < from->header_count; i++)
    if (!append_header(to, from->headers[i].name, from->headers[i].value)) return false;
  return true;
}

static void add_networks(struct lw_settings *to, const struct lw_settings *from) {
  struct lw_address_policy *policy = &to->request.addresses;
  if (from->request.addresses.allow_all) policy->allow_all = true;
  for (size_t i = 0; i < from->request.addresses.count && policy->count < LW_ADDRESS_MAX_NETWORKS; i++)
    policy->allowed[policy->count++] = from->request.addresses.allowed[i];
}

static bool add_fields(struct lw_settings *to, const struct lw_settings *from, unsigned fields) {
  copy_numbers(to, from, fields);
  add_networks(to, from);
  return copy_texts(to, from, fields) && (!(fields & LW_SET_HEADERS) || add_headers(to, from));
}

bool lw_settings_change(struct lw_settings *settings, const struct lw_settings *changes) {
  lw_settings_clear(settings, changes->given);
  return add_fields(settings, changes, changes->given);
}

struct lw_settings *lw_settings_merge(const struct lw_settings *webhook,
                                      const struct lw_settings *dispatcher) {
  struct lw_settings *merged = lw_settings_new();
  if (merged == NULL) return NULL;
  bool ok = add_fields(merged, dispatcher, dispatcher->given);
  if (webhook->given & LW_SET_CLIENT_CERT) lw_settings_clear(merged, LW_SET_CLIENT_KEY);
  if (webhook->given & LW_SET_AUTHORIZATION) remove_header(merged, "Authorization");
  if (ok && add_fields(merged, webhook, webhook->given)) return merged;
  lw_settings_drop(merged);
  return NULL;
}
