/* Settings as lines "name=value\n", durations in milliseconds. A header is a line of its own, "header=Name:
 * value". */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "delivery/settings.h"
#include "store/store.h"

#define NONE "none" /* no retry, no rate limit, no breaker: said, which is not the same as left out */

/* -- numbers ----------------------------------------------------------------------------------------- */

/* Digits up to `end`, which becomes the rest. */
static bool take_number(const char **text, char end, int64_t highest, int64_t *value) {
  const char *at = *text;
  int64_t number = 0;
  for (; *at >= '0' && *at <= '9'; at++) {
    if (number > (highest - (*at - '0')) / 10) return false;
    number = number * 10 + (*at - '0');
  }
  if (at == *text || *at != end) return false;
  *text = end == '\0' ? at : at + 1;
  *value = number;
  return true;
}

static bool read_number(const char *text, int64_t *value) {
  return take_number(&text, '\0', INT64_MAX, value);
}

static bool take_int(const char **text, char end, int *value) {
  int64_t number;
  if (!take_number(text, end, INT32_MAX, &number)) return false;
  *value = (int)number;
  return true;
}

static bool take_ticks(const char **text, char end, int64_t *ticks) {
  int64_t milliseconds;
  if (!take_number(text, end, INT64_MAX / LW_SETTINGS_TICKS, &milliseconds)) return false;
  *ticks = milliseconds * LW_SETTINGS_TICKS;
  return true;
}

static void write_ticks(struct lw_buffer *out, int64_t ticks) {
  lw_json_integer(out, ticks / LW_SETTINGS_TICKS);
}

static bool is(const char *text, const char *word) {
  return strcmp(text, word) == 0;
}

/* -- fields ------------------------------------------------------------------------------------------ */

static bool read_timeout(struct lw_settings *settings, const char *text) {
  return read_number(text, &settings->request.timeout);
}

static void write_timeout(const struct lw_settings *settings, struct lw_buffer *out) {
  lw_json_integer(out, settings->request.timeout);
}

static bool read_connect_timeout(struct lw_settings *settings, const char *text) {
  return read_number(text, &settings->request.connect_timeout);
}

static void write_connect_timeout(const struct lw_settings *settings, struct lw_buffer *out) {
  lw_json_integer(out, settings->request.connect_timeout);
}

static bool read_max_response_body(struct lw_settings *settings, const char *text) {
  int64_t bytes;
  if (!take_number(&text, '\0', INT32_MAX, &bytes)) return false;
  settings->request.max_response_body = (size_t)bytes;
  return true;
}

static void write_max_response_body(const struct lw_settings *settings, struct lw_buffer *out) {
  lw_json_integer(out, (int64_t)settings->request.max_response_body);
}

static bool read_http_version(struct lw_settings *settings, const char *text) {
  settings->request.http_version = is(text, "1.1") ? LW_HTTP_1_1 : LW_HTTP_2;
  return is(text, "1.1") || is(text, "2");
}

static void write_http_version(const struct lw_settings *settings, struct lw_buffer *out) {
  lw_buffer_append_text(out, settings->request.http_version == LW_HTTP_1_1 ? "1.1" : "2");
}

static bool read_retry(struct lw_settings *settings, const char *text) {
  struct lw_retry_schedule *retry = &settings->retry;
  retry->count = 0;
  if (is(text, NONE)) return true;
  for (bool more = true; more; retry->count++) {
    if (retry->count == LW_RETRY_MAX_DELAYS) return false;
    more = strchr(text, ',') != NULL;
    if (!take_number(&text, more ? ',' : '\0', INT64_MAX, &retry->delays[retry->count])) return false;
  }
  return true;
}

static void write_retry(const struct lw_settings *settings, struct lw_buffer *out) {
  if (settings->retry.count == 0) lw_buffer_append_text(out, NONE);
  for (int i = 0; i < settings->retry.count; i++) {
    if (i > 0) lw_buffer_append_char(out, ',');
    lw_json_integer(out, settings->retry.delays[i]);
  }
}

static bool read_disable_after(struct lw_settings *settings, const char *text) {
  return read_number(text, &settings->disable_after);
}

static void write_disable_after(const struct lw_settings *settings, struct lw_buffer *out) {
  lw_json_integer(out, settings->disable_after);
}

static bool read_max_in_flight(struct lw_settings *settings, const char *text) {
  return take_int(&text, '\0', &settings->limits.max_in_flight);
}

static void write_max_in_flight(const struct lw_settings *settings, struct lw_buffer *out) {
  lw_json_integer(out, settings->limits.max_in_flight);
}

static bool read_ordered(struct lw_settings *settings, const char *text) {
  settings->limits.ordered = is(text, "true");
  return is(text, "true") || is(text, "false");
}

static void write_ordered(const struct lw_settings *settings, struct lw_buffer *out) {
  lw_buffer_append_text(out, settings->limits.ordered ? "true" : "false");
}

/* count/period */
static bool read_rate_limit(struct lw_settings *settings, const char *text) {
  struct lw_limits *limits = &settings->limits;
  limits->rate_count = 0;
  if (is(text, NONE)) return true;
  return take_int(&text, '/', &limits->rate_count) && limits->rate_count > 0 &&
         take_ticks(&text, '\0', &limits->rate_period);
}

static void write_rate_limit(const struct lw_settings *settings, struct lw_buffer *out) {
  if (settings->limits.rate_count == 0) {
    lw_buffer_append_text(out, NONE);
    return;
  }
  lw_json_integer(out, settings->limits.rate_count);
  lw_buffer_append_char(out, '/');
  write_ticks(out, settings->limits.rate_period);
}

/* failures/pause/max_pause */
static bool read_breaker(struct lw_settings *settings, const char *text) {
  struct lw_limits *limits = &settings->limits;
  limits->breaker_failures = 0;
  if (is(text, NONE)) return true;
  return take_int(&text, '/', &limits->breaker_failures) && limits->breaker_failures > 0 &&
         take_ticks(&text, '/', &limits->breaker_pause) &&
         take_ticks(&text, '\0', &limits->breaker_max_pause);
}

static void write_breaker(const struct lw_settings *settings, struct lw_buffer *out) {
  if (settings->limits.breaker_failures == 0) {
    lw_buffer_append_text(out, NONE);
    return;
  }
  lw_json_integer(out, settings->limits.breaker_failures);
  lw_buffer_append_char(out, '/');
  write_ticks(out, settings->limits.breaker_pause);
  lw_buffer_append_char(out, '/');
  write_ticks(out, settings->limits.breaker_max_pause);
}

/* Fields whose read is NULL are texts. */
static const struct field {
  const char *name;
  enum lw_setting setting;
  bool (*read)(struct lw_settings *settings, const char *text);
  void (*write)(const struct lw_settings *settings, struct lw_buffer *out);
} fields[] = {
    {"timeout", LW_SET_TIMEOUT, read_timeout, write_timeout},
    {"connect_timeout", LW_SET_CONNECT_TIMEOUT, read_connect_timeout, write_connect_timeout},
    {"max_response_body", LW_SET_MAX_RESPONSE_BODY, read_max_response_body, write_max_response_body},
    {"http_version", LW_SET_HTTP_VERSION, read_http_version, write_http_version},
    {"user_agent", LW_SET_USER_AGENT, NULL, NULL},
    {"ca_file", LW_SET_CA_FILE, NULL, NULL},
    {"client_cert", LW_SET_CLIENT_CERT, NULL, NULL},
    {"client_key", LW_SET_CLIENT_KEY, NULL, NULL},
    {"proxy", LW_SET_PROXY, NULL, NULL},
    {"retry", LW_SET_RETRY, read_retry, write_retry},
    {"disable_after", LW_SET_DISABLE_AFTER, read_disable_after, write_disable_after},
    {"max_in_flight", LW_SET_MAX_IN_FLIGHT, read_max_in_flight, write_max_in_flight},
    {"ordered", LW_SET_ORDERED, read_ordered, write_ordered},
    {"rate_limit", LW_SET_RATE_LIMIT, read_rate_limit, write_rate_limit},
    {"breaker", LW_SET_BREAKER, read_breaker, write_breaker},
    {"authorization", LW_SET_AUTHORIZATION, NULL, NULL},
};

/* -- reading ----------------------------------------------------------------------------------------- */

static bool out_of_memory(struct lw_error *error) {
  return lw_fail(error, "memory", "out of memory");
}

static const struct field *find_field(const char *name) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (is(fields[i].name, name)) return &fields[i];
  return NULL;
}

static bool read_field(struct lw_settings *settings, const struct field *field, const char *value,
                       struct lw_error *error) {
  if (settings->given & field->setting)
    return lw_fail(error, "invalid", "settings: '%s' stands twice", field->name);
  settings->given |= field->setting;
  if (field->read == NULL)
    return lw_settings_set_text(settings, field->setting, value) || out_of_memory(error);
  return field->read(settings, value) ||
         lw_fail(error, "invalid", "settings: '%s' cannot be read", field->name);
}

static bool read_header(struct lw_settings *settings, char *line, struct lw_error *error) {
  char *end = strstr(line, ": ");
  if (end == NULL) return lw_fail(error, "invalid", "settings: a header has no ': '");
  *end = '\0';
  return lw_settings_add_header(settings, line, end + 2, error);
}

/* What a name can look like in any version; anything else may be a secret, and is not repeated. */
static bool plausible_name(const char *name) {
  size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789");
  return length > 0 && length <= 32 && name[length] == '\0';
}

static bool read_line(struct lw_settings *settings, char *line, struct lw_error *error) {
  char *value = strchr(line, '=');
  if (value == NULL) return lw_fail(error, "invalid", "settings: a line has no '='");
  *value++ = '\0';
  const struct field *field = find_field(line);
  if (field != NULL) return read_field(settings, field, value, error);
  if (is(line, "header")) return read_header(settings, value, error);
  if (is(line, "allow_network")) return lw_settings_add_network(settings, value, error);
  if (!plausible_name(line)) return lw_fail(error, "invalid", "settings: a line has no name");
  return lw_fail(error, "newer", "settings: a newer version of lua-webhook wrote '%s'", line);
}

/* Writes into `text`, which it owns. */
static bool read_lines(struct lw_settings *settings, char *text, struct lw_error *error) {
  for (char *line = text; *line != '\0';) {
    char *end = strchr(line, '\n');
    if (end == NULL) return lw_fail(error, "invalid", "settings: the last line has no end");
    *end = '\0';
    if (!read_line(settings, line, error)) return false;
    line = end + 1;
  }
  return lw_settings_check(settings, error);
}

static bool read_text(struct lw_settings *settings, const char *text, struct lw_error *error) {
  size_t length = strnlen(text, LW_SETTINGS_MAX_TEXT + 1);
  if (length > LW_SETTINGS_MAX_TEXT)
    return lw_fail(error, "invalid", "settings: longer than %d bytes", LW_SETTINGS_MAX_TEXT);
  char *copy = strndup(text, length);
  if (copy == NULL) return out_of_memory(error);
  bool ok = read_lines(settings, copy, error);
  OPENSSL_cleanse(copy, length);
  free(copy);
  return ok;
}

struct lw_settings *lw_settings_parse(const char *text, struct lw_error *error) {
  struct lw_settings *settings = lw_settings_new();
  if (settings == NULL) {
    out_of_memory(error);
    return NULL;
  }
  if (text == NULL || read_text(settings, text, error)) return settings;
  lw_settings_drop(settings);
  return NULL;
}

/* -- writing ----------------------------------------------------------------------------------------- */

static void write_line(struct lw_buffer *out, const char *name, const char *value) {
  lw_buffer_append_text(out, name);
  lw_buffer_append_char(out, '=');
  lw_buffer_append_text(out, value);
  lw_buffer_append_char(out, '\n');
}

static void write_fields(const struct lw_settings *settings, struct lw_buffer *out) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const struct field *field = &fields[i];
    if (!(settings->given & field->setting)) continue;
    if (field->write == NULL) {
      write_line(out, field->name, lw_settings_text(settings, field->setting));
      continue;
    }
    lw_buffer_append_text(out, field->name);
    lw_buffer_append_char(out, '=');
    field->write(settings, out);
    lw_buffer_append_char(out, '\n');
  }
}

static void write_lists(const struct lw_settings *settings, struct lw_buffer *out) {
  char network[LW_ADDRESS_TEXT_SIZE];
  for (size_t i = 0; i < settings->request.addresses.count; i++) {
    lw_network_format(&settings->request.addresses.allowed[i], network);
    write_line(out, "allow_network", network);
  }
  for (size_t i = 0; i < settings->header_count; i++) {
    lw_buffer_append_text(out, "header=");
    lw_buffer_append_text(out, settings->headers[i].name);
    lw_buffer_append_text(out, ": ");
    lw_buffer_append_text(out, settings->headers[i].value);
    lw_buffer_append_char(out, '\n');
  }
}

/* The buffer has all its memory from the start: growing would leave secrets behind. */
bool lw_settings_format(const struct lw_settings *settings, char **text, struct lw_error *error) {
  struct lw_buffer out;
  *text = NULL;
  lw_buffer_init(&out, LW_SETTINGS_MAX_TEXT);
  out.data = malloc(LW_SETTINGS_MAX_TEXT);
  if (out.data == NULL) return out_of_memory(error);
  out.capacity = LW_SETTINGS_MAX_TEXT;
  write_fields(settings, &out);
  write_lists(settings, &out);
  bool ok = !out.failed ||
            lw_fail(error, "invalid", "settings: longer than %d bytes together", LW_SETTINGS_MAX_TEXT);
  if (ok && out.length > 0) {
    *text = strndup(out.data, out.length);
    ok = *text != NULL || out_of_memory(error);
  }
  OPENSSL_cleanse(out.data, out.length);
  lw_buffer_free(&out);
  return ok;
}
