#include "delivery/verdict.h"

#include <string.h>
#include <strings.h>

#include "delivery/chat_errors.h"
#include "transport/http_date.h"

/* -- reasons -------------------------------------------------------------------------------------- */

static const struct {
  int status;
  const char *reason;
} reasons[] = {
    {400, "400: the receiver does not accept this message"},
    {401, "401: the receiver wants other credentials"},
    {402, "402: the receiver wants to be paid"},
    {403, "403: the receiver forbids it"},
    {404, "404: the receiver does not know this URL"},
    {405, "405: the receiver takes no POST at this URL"},
    {406, "406: the receiver cannot answer acceptably"},
    {409, "409: the receiver sees a conflict"},
    {411, "411: the receiver wants a length"},
    {413, "413: the message is too large for the receiver"},
    {414, "414: the URL is too long for the receiver"},
    {415, "415: the receiver does not take this content type"},
    {422, "422: the receiver cannot process this message"},
};

static const char *reason_of(int status) {
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].status == status) return reasons[i].reason;
  if (status >= 300 && status <= 399)
    return "a redirect: redirects are not followed, change the webhook's URL";
  if (status < 200) return "the receiver gave no final answer";
  return "the receiver refused the message for good";
}

/* -- how long to wait ----------------------------------------------------------------------------- */

/* The value of a header of the answer ("name: value\n" lines), or NULL. */
static const char *find_header(const struct lw_response *response, const char *name, size_t *length) {
  const char *at = response->headers;
  const char *end = at ? at + response->headers_length : NULL;
  size_t name_length = strlen(name);
  while (at < end) {
    const char *line_end = memchr(at, '\n', (size_t)(end - at));
    if (line_end == NULL) line_end = end;
    if ((size_t)(line_end - at) > name_length && at[name_length] == ':' &&
        strncasecmp(at, name, name_length) == 0) {
      at += name_length + 1;
      while (at < line_end && *at == ' ') at++;
      while (line_end > at && (line_end[-1] == ' ' || line_end[-1] == '\r')) line_end--;
      *length = (size_t)(line_end - at);
      return at;
    }
    at = line_end + 1;
  }
  return NULL;
}

static int64_t bounded(int64_t milliseconds) {
  if (milliseconds < 0) return 0;
  return milliseconds > LW_VERDICT_LONGEST_WAIT ? LW_VERDICT_LONGEST_WAIT : milliseconds;
}

static bool digit(char c) {
  return c >= '0' && c <= '9';
}

/* A number of seconds: digits, and perhaps a point and digits. Returns its length, 0 where there is none. */
static size_t read_seconds(const char *text, size_t length, int64_t *milliseconds) {
  size_t at = 0;
  int64_t seconds = 0;
  for (; at < length && digit(text[at]); at++)
    if (seconds <= LW_VERDICT_LONGEST_WAIT) seconds = seconds * 10 + (text[at] - '0');
  *milliseconds = seconds * 1000;
  if (at == 0 || at == length || text[at] != '.') return at;
  int64_t unit = 100;
  for (at++; at < length && digit(text[at]); at++, unit /= 10) *milliseconds += unit * (text[at] - '0');
  return at;
}

/* RFC 9110, section 10.2.3: seconds, or a date. */
static int64_t retry_after(const struct lw_response *response, int64_t now) {
  size_t length;
  int64_t wait, date;
  const char *value = find_header(response, "retry-after", &length);
  if (value == NULL || length == 0) return 0;
  if (read_seconds(value, length, &wait) == length) return bounded(wait);
  return lw_http_date_parse(value, length, &date) ? bounded(date - now) : 0;
}

/* Discord's 429 says it more exactly in its JSON: {"retry_after":0.65,…}; an edge server's is HTML. */
static int64_t discord_retry_after(const struct lw_response *response) {
  static const char key[] = "\"retry_after\":";
  const char *at = response->body ? memmem(response->body, response->body_length, key, sizeof key - 1) : NULL;
  if (at == NULL) return 0;
  const char *end = response->body + response->body_length;
  at += sizeof key - 1;
  while (at < end && *at == ' ') at++;
  int64_t wait;
  return read_seconds(at, (size_t)(end - at), &wait) > 0 ? bounded(wait) : 0;
}

/* X-RateLimit-Remaining: 0 and X-RateLimit-Reset-After: 1.5 */
static int64_t discord_reset_after(const struct lw_response *response) {
  size_t length;
  int64_t wait;
  const char *remaining = find_header(response, "x-ratelimit-remaining", &length);
  if (remaining == NULL || length != 1 || *remaining != '0') return 0;
  const char *reset = find_header(response, "x-ratelimit-reset-after", &length);
  if (reset == NULL || length == 0) return 0;
  return read_seconds(reset, length, &wait) == length ? bounded(wait) : 0;
}

static bool is(const char *text, const char *word) {
  return text && strcmp(text, word) == 0;
}

static int64_t wait_of(const char *format, const struct lw_response *response, int64_t now) {
  if (response->status == 429 && is(format, "discord")) {
    int64_t exact = discord_retry_after(response);
    if (exact > 0) return exact;
  }
  return retry_after(response, now);
}

static int64_t pause_of(const char *format, const struct lw_response *response, int64_t now) {
  bool asks = response->status == 429 || response->status == 503;
  int64_t pause = asks ? wait_of(format, response, now) : 0;
  int64_t reset = is(format, "discord") ? discord_reset_after(response) : 0;
  return reset > pause ? reset : pause;
}

/* -- the verdict ---------------------------------------------------------------------------------- */

static struct lw_verdict of_failure(const struct lw_response *response) {
  if (is(response->error_code, "refused_address"))
    return (struct lw_verdict){.kind = LW_VERDICT_FINAL,
                               .reason = "the address is one that may not be called"};
  return (struct lw_verdict){.kind = LW_VERDICT_AGAIN};
}

/* Slack calls every 4xx but 429 permanent. */
static bool may_come_again(const char *format, int status) {
  if (status == 429 || status >= 500) return true;
  return (status == 408 || status == 425) && !is(format, "slack");
}

static struct lw_verdict of_status(const char *format, int status) {
  if (status >= 200 && status <= 299) return (struct lw_verdict){.kind = LW_VERDICT_SUCCESS};
  if (status == 410)
    return (struct lw_verdict){.kind = LW_VERDICT_DISABLE, .reason = "410: the receiver is gone for good"};
  if (status == 404 && is(format, "discord"))
    return (struct lw_verdict){.kind = LW_VERDICT_DISABLE,
                               .reason = "404: Discord does not know this webhook any more"};
  if (may_come_again(format, status)) return (struct lw_verdict){.kind = LW_VERDICT_AGAIN};
  return (struct lw_verdict){.kind = LW_VERDICT_FINAL, .reason = reason_of(status)};
}

/* An error that is permanent does not keep a webhook that is gone from being disabled. */
static struct lw_verdict of_answer(const char *format, const struct lw_response *response) {
  struct lw_verdict verdict = of_status(format, response->status);
  if (response->status < 400 || response->status > 499 || response->status == 429) return verdict;
  struct lw_chat_error said = lw_chat_error_of(format, response);
  if (said.kind == LW_CHAT_OVERLOADED && response->status != 404)
    return (struct lw_verdict){.kind = LW_VERDICT_AGAIN};
  if (said.kind != LW_CHAT_PERMANENT || verdict.kind == LW_VERDICT_DISABLE) return verdict;
  return (struct lw_verdict){.kind = LW_VERDICT_FINAL, .reason = said.reason};
}

struct lw_verdict lw_verdict_of(const char *format, const struct lw_response *response, int64_t now) {
  if (response->error_code) return of_failure(response);
  struct lw_verdict verdict = of_answer(format, response);
  if (verdict.kind == LW_VERDICT_AGAIN) verdict.wait = wait_of(format, response, now);
  verdict.pause = pause_of(format, response, now);
  return verdict;
}
