/* What settings may be. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "delivery/settings.h"
#include "transport/url.h"

static bool check_range(const char *field, int64_t value, int64_t low, int64_t high, struct lw_error *error) {
  if (value >= low && value <= high) return true;
  return lw_fail(error, "invalid", "%s: must be %lld to %lld", field, (long long)low, (long long)high);
}

/* Milliseconds, told in seconds as people give them; `low` is 0 or 1. */
static bool check_time(const char *field, int64_t value, int64_t low, int64_t high, struct lw_error *error) {
  if (value >= low && value <= high) return true;
  return lw_fail(error, "invalid", "%s: must be %s to %lld seconds", field, low == 0 ? "0" : "0.001",
                 (long long)high / 1000);
}

/* -- numbers ----------------------------------------------------------------------------------------- */

static bool check_request(const struct lw_settings *settings, struct lw_error *error) {
  const struct lw_request_options *request = &settings->request;
  unsigned given = settings->given;
  if ((given & LW_SET_TIMEOUT) && !check_time("timeout", request->timeout, 1, LW_SETTINGS_MAX_TIMEOUT, error))
    return false;
  if ((given & LW_SET_CONNECT_TIMEOUT) &&
      !check_time("connect_timeout", request->connect_timeout, 1, LW_SETTINGS_MAX_TIMEOUT, error))
    return false;
  return !(given & LW_SET_MAX_RESPONSE_BODY) || request->max_response_body <= LW_SETTINGS_MAX_RESPONSE_BODY ||
         lw_fail(error, "invalid", "max_response_body: must be 0 to %d bytes", LW_SETTINGS_MAX_RESPONSE_BODY);
}

static bool check_retry(const struct lw_settings *settings, struct lw_error *error) {
  char field[32];
  if (!(settings->given & LW_SET_RETRY)) return true;
  int count = settings->retry.count;
  if (count < 0 || count > LW_RETRY_MAX_DELAYS)
    return lw_fail(error, "invalid", "retry: more than %d delays", LW_RETRY_MAX_DELAYS);
  for (int i = 0; i < count; i++) {
    snprintf(field, sizeof field, "retry: delay %d", i + 1);
    if (!check_time(field, settings->retry.delays[i], 0, LW_SETTINGS_LONGEST, error)) return false;
  }
  return true;
}

static bool check_rate(const struct lw_limits *limits, struct lw_error *error) {
  if (limits->rate_count == 0) return true;
  return check_range("rate_limit: requests", limits->rate_count, 1, LW_RATE_MAX_COUNT, error) &&
         check_time("rate_limit: seconds", limits->rate_period / LW_SETTINGS_TICKS, 1,
                    LW_RATE_MAX_PERIOD / LW_SETTINGS_TICKS, error);
}

static bool check_breaker(const struct lw_limits *limits, struct lw_error *error) {
  const int64_t longest = LW_BREAKER_MAX_PAUSE / LW_SETTINGS_TICKS;
  if (limits->breaker_failures == 0) return true;
  if (!check_range("breaker: failures", limits->breaker_failures, 1, LW_SETTINGS_MAX_FAILURES, error) ||
      !check_time("breaker: pause", limits->breaker_pause / LW_SETTINGS_TICKS, 1, longest, error) ||
      !check_time("breaker: max_pause", limits->breaker_max_pause / LW_SETTINGS_TICKS, 1, longest, error))
    return false;
  return limits->breaker_pause <= limits->breaker_max_pause ||
         lw_fail(error, "invalid", "breaker: max_pause is shorter than pause");
}

static bool check_limits(const struct lw_settings *settings, struct lw_error *error) {
  unsigned given = settings->given;
  const struct lw_limits *limits = &settings->limits;
  if ((given & LW_SET_MAX_IN_FLIGHT) &&
      !check_range("max_in_flight", limits->max_in_flight, 1, LW_SETTINGS_MAX_IN_FLIGHT, error))
    return false;
  if ((given & LW_SET_DISABLE_AFTER) && settings->disable_after != 0 &&
      !check_time("disable_after", settings->disable_after, 1, LW_SETTINGS_MAX_DISABLE_AFTER, error))
    return false;
  return (!(given & LW_SET_RATE_LIMIT) || check_rate(limits, error)) &&
         (!(given & LW_SET_BREAKER) || check_breaker(limits, error));
}

/* -- texts ------------------------------------------------------------------------------------------- */

/* A line of its own in a request and in the store: no line ends, and no other control characters. */
static bool plain_text(const char *text) {
  for (const unsigned char *at = (const unsigned char *)text; *at; at++)
    if ((*at < ' ' && *at != '\t') || *at == 0x7f) return false;
  return true;
}

static bool check_text(const char *field, const char *text, size_t longest, struct lw_error *error) {
  if (text == NULL) return true;
  if (*text == '\0') return lw_fail(error, "invalid", "%s: is empty", field);
  if (strnlen(text, longest + 1) > longest)
    return lw_fail(error, "invalid", "%s: longer than %zu bytes", field, longest);
  return plain_text(text) || lw_fail(error, "invalid", "%s: holds a control character", field);
}

static bool check_texts(const struct lw_settings *settings, struct lw_error *error) {
  const struct lw_request_options *request = &settings->request;
  if (!check_text("user_agent", request->user_agent, LW_SETTINGS_MAX_USER_AGENT, error) ||
      !check_text("ca_file", request->ca_file, LW_SETTINGS_MAX_PATH, error) ||
      !check_text("client_cert", request->client_cert, LW_SETTINGS_MAX_PATH, error) ||
      !check_text("client_key", request->client_key, LW_SETTINGS_MAX_PATH, error) ||
      !check_text("the URL's credentials", settings->authorization, LW_SETTINGS_MAX_HEADER, error))
    return false;
  if (request->client_key && !request->client_cert)
    return lw_fail(error, "invalid", "client_key: needs a client_cert");
  return request->proxy == NULL || lw_url_check_proxy(request->proxy, error);
}

/* -- headers ----------------------------------------------------------------------------------------- */

/* Ours, and those of a single connection (RFC 9110, 7.6.1), which are libcurl's. */
static const char *const reserved[] = {
    "Connection",        "Content-Length",      "Content-Type",     "Expect",      "Host",
    "Keep-Alive",        "Proxy-Authorization", "Proxy-Connection", "TE",          "Trailer",
    "Upgrade",           "Transfer-Encoding",   "Webhook-Id",       "X-Signature", "Webhook-Signature",
    "Webhook-Timestamp",
};

static bool is_token(const char *name) {
  static const char characters[] =
      "!#$%&'*+-.^_`|~0123456789"
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return *name != '\0' && name[strspn(name, characters)] == '\0';
}

static bool check_name(const char *name, struct lw_error *error) {
  if (!is_token(name))
    return lw_fail(error, "invalid", "headers: a name must be letters, digits and !#$%%&'*+-.^_`|~");
  if (strcasecmp(name, "User-Agent") == 0)
    return lw_fail(error, "invalid", "headers: User-Agent has a setting of its own, user_agent");
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (strcasecmp(name, reserved[i]) == 0)
      return lw_fail(error, "invalid", "headers: %s is set by us and cannot be overridden", reserved[i]);
  return true;
}

static bool check_header(const struct lw_setting_header *header, struct lw_error *error) {
  if (strnlen(header->name, LW_SETTINGS_MAX_HEADER + 1) + strnlen(header->value, LW_SETTINGS_MAX_HEADER + 1) >
      LW_SETTINGS_MAX_HEADER)
    return lw_fail(error, "invalid", "headers: %.40s is longer than %d bytes", header->name,
                   LW_SETTINGS_MAX_HEADER);
  if (!check_name(header->name, error)) return false;
  return plain_text(header->value) ||
         lw_fail(error, "invalid", "headers: the value of %.60s holds CR, LF or another control character",
                 header->name);
}

static bool check_headers(const struct lw_settings *settings, struct lw_error *error) {
  if (settings->header_count > LW_SETTINGS_MAX_HEADERS)
    return lw_fail(error, "invalid", "headers: more than %d", LW_SETTINGS_MAX_HEADERS);
  for (size_t i = 0; i < settings->header_count; i++) {
    const struct lw_setting_header *header = &settings->headers[i];
    if (!check_header(header, error)) return false;
    if (settings->authorization && strcasecmp(header->name, "Authorization") == 0)
      return lw_fail(error, "invalid", "headers: Authorization is made from the credentials in the URL");
    for (size_t before = 0; before < i; before++)
      if (strcasecmp(settings->headers[before].name, header->name) == 0)
        return lw_fail(error, "invalid", "headers: %.60s stands twice", header->name);
  }
  return true;
}

/* -- all together ------------------------------------------------------------------------------------ */

bool lw_settings_check(const struct lw_settings *settings, struct lw_error *error) {
  return check_request(settings, error) && check_retry(settings, error) && check_limits(settings, error) &&
         check_texts(settings, error) && check_headers(settings, error);
}
