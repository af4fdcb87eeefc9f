#include "delivery/metrics.h"

#include <stdio.h>
#include <string.h>

/* -- histograms ----------------------------------------------------------------------------------- */

#define MS INT64_C(1000)
#define S INT64_C(1000000)

const struct lw_histogram_bounds lw_attempt_bounds = {12,
                                                      {5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS,
                                                       500 * MS, 1 * S, 2500 * MS, 5 * S, 10 * S, 30 * S}};

/* The same, and then steps of the retry schedule. */
const struct lw_histogram_bounds lw_latency_bounds = {
    18,
    {5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, 1 * S, 2500 * MS, 5 * S, 10 * S, 30 * S,
     60 * S, 300 * S, 1800 * S, 7200 * S, 43200 * S, 259200 * S}};

#undef MS
#undef S

void lw_histogram_observe(struct lw_histogram *histogram, const struct lw_histogram_bounds *bounds,
                          int64_t microseconds) {
  if (microseconds < 0) microseconds = 0;
  size_t at = 0;
  while (at < bounds->count && microseconds > bounds->bounds[at]) at++;
  /* One place behind the last bound of the longest list, whatever this list's length. */
  histogram->counts[at < bounds->count ? at : LW_HISTOGRAM_MAX_BOUNDS]++;
  histogram->sum += microseconds;
}

void lw_histogram_add(struct lw_histogram *histogram, const struct lw_histogram *other) {
  for (size_t i = 0; i <= LW_HISTOGRAM_MAX_BOUNDS; i++) histogram->counts[i] += other->counts[i];
  histogram->sum += other->sum;
}

int64_t lw_histogram_count(const struct lw_histogram *histogram) {
  int64_t count = 0;
  for (size_t i = 0; i <= LW_HISTOGRAM_MAX_BOUNDS; i++) count += histogram->counts[i];
  return count;
}

/* -- counters ------------------------------------------------------------------------------------- */

static const char *const kind_names[LW_ATTEMPT_KINDS] = {
    [LW_ATTEMPT_SUCCESS] = "success",
    [LW_ATTEMPT_TIMEOUT] = "timeout",
    [LW_ATTEMPT_DNS] = "dns",
    [LW_ATTEMPT_CONNECT] = "connect",
    [LW_ATTEMPT_TLS] = "tls",
    [LW_ATTEMPT_RESET] = "reset",
    [LW_ATTEMPT_REFUSED_ADDRESS] = "refused_address",
    [LW_ATTEMPT_TOO_LARGE] = "too_large",
    [LW_ATTEMPT_NETWORK] = "network",
    [LW_ATTEMPT_STATUS_3XX] = "status_3xx",
    [LW_ATTEMPT_STATUS_4XX] = "status_4xx",
    [LW_ATTEMPT_STATUS_5XX] = "status_5xx",
    [LW_ATTEMPT_OTHER] = "other",
};

const char *lw_attempt_kind_name(enum lw_attempt_kind kind) {
  return kind_names[kind];
}

static enum lw_attempt_kind kind_of_error(const char *code) {
  for (int kind = LW_ATTEMPT_TIMEOUT; kind <= LW_ATTEMPT_NETWORK; kind++)
    if (strcmp(kind_names[kind], code) == 0) return (enum lw_attempt_kind)kind;
  return LW_ATTEMPT_OTHER;
}

enum lw_attempt_kind lw_attempt_kind_of(const char *error_code, int status) {
  if (error_code) return kind_of_error(error_code);
  switch (status / 100) {
    case 2:
      return LW_ATTEMPT_SUCCESS;
    case 3:
      return LW_ATTEMPT_STATUS_3XX;
    case 4:
      return LW_ATTEMPT_STATUS_4XX;
    case 5:
      return LW_ATTEMPT_STATUS_5XX;
    default:
      return LW_ATTEMPT_OTHER;
  }
}

void lw_metrics_add(struct lw_metrics *metrics, const struct lw_metrics *other) {
  metrics->events += other->events;
  for (int kind = 0; kind < LW_ATTEMPT_KINDS; kind++) metrics->attempts[kind] += other->attempts[kind];
  metrics->succeeded += other->succeeded;
  metrics->given_up += other->given_up;
  metrics->canceled += other->canceled;
  metrics->webhooks_disabled += other->webhooks_disabled;
  metrics->store_failures += other->store_failures;
  metrics->leases_lost += other->leases_lost;
  lw_histogram_add(&metrics->durations, &other->durations);
  lw_histogram_add(&metrics->latencies, &other->latencies);
}

int64_t lw_metrics_attempts(const struct lw_metrics *metrics) {
  int64_t attempts = 0;
  for (int kind = 0; kind < LW_ATTEMPT_KINDS; kind++) attempts += metrics->attempts[kind];
  return attempts;
}

/* -- text ----------------------------------------------------------------------------------------- */

enum { NUMBER_SIZE = 40 };

bool lw_metrics_write_label(struct lw_buffer *text, const char *value) {
  for (; *value; value++) {
    if (*value == '\n')
      lw_buffer_append_text(text, "\\n");
    else if (*value == '\\' || *value == '"')
      lw_buffer_append(text, (char[]){'\\', *value}, 2);
    else
      lw_buffer_append_char(text, *value);
  }
  return !text->failed;
}

/* Seconds without zeros at the end: 0.005, 1, 2.5. */
static void write_seconds(struct lw_buffer *text, int64_t microseconds) {
  char number[NUMBER_SIZE];
  int length = snprintf(number, sizeof number, "%lld.%06lld", (long long)(microseconds / 1000000),
                        (long long)(microseconds % 1000000));
  while (number[length - 1] == '0') length--;
  if (number[length - 1] == '.') length--;
  lw_buffer_append(text, number, (size_t)length);
}

static void write_integer(struct lw_buffer *text, int64_t value) {
  char number[NUMBER_SIZE];
  snprintf(number, sizeof number, "%lld", (long long)value);
  lw_buffer_append_text(text, number);
}

static void write_family(struct lw_buffer *text, const char *name, const char *type, const char *help) {
  const char *const parts[] = {"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) lw_buffer_append_text(text, parts[i]);
}

/* name{label="value"}, or the name alone where `label` is NULL; the sample's value follows. */
static void write_name(struct lw_buffer *text, const char *name, const char *label, const char *value) {
  lw_buffer_append_text(text, name);
  if (label) {
    lw_buffer_append_char(text, '{');
    lw_buffer_append_text(text, label);
    lw_buffer_append_text(text, "=\"");
    lw_metrics_write_label(text, value);
    lw_buffer_append_text(text, "\"}");
  }
  lw_buffer_append_char(text, ' ');
}

static void write_sample(struct lw_buffer *text, const char *name, const char *label, const char *value,
                         int64_t number) {
  write_name(text, name, label, value);
  write_integer(text, number);
  lw_buffer_append_char(text, '\n');
}

static void write_single(struct lw_buffer *text, const char *name, const char *type, const char *help,
                         int64_t number) {
  write_family(text, name, type, help);
  write_sample(text, name, NULL, "", number);
}

/* `bound` in microseconds; negative: +Inf. */
static void write_bucket(struct lw_buffer *text, const char *name, int64_t bound, int64_t count) {
  lw_buffer_append_text(text, name);
  lw_buffer_append_text(text, "_bucket{le=\"");
  if (bound < 0)
    lw_buffer_append_text(text, "+Inf");
  else
    write_seconds(text, bound);
  lw_buffer_append_text(text, "\"} ");
  write_integer(text, count);
  lw_buffer_append_char(text, '\n');
}

static void write_histogram(struct lw_buffer *text, const char *name, const char *help,
                            const struct lw_histogram *histogram, const struct lw_histogram_bounds *bounds) {
  int64_t below = 0, count = lw_histogram_count(histogram);
  write_family(text, name, "histogram", help);
  for (size_t i = 0; i < bounds->count; i++) {
    below += histogram->counts[i];
    write_bucket(text, name, bounds->bounds[i], below);
  }
  write_bucket(text, name, -1, count);
  lw_buffer_append_text(text, name);
  lw_buffer_append_text(text, "_sum ");
  write_seconds(text, histogram->sum);
  lw_buffer_append_char(text, '\n');
  lw_buffer_append_text(text, name);
  write_sample(text, "_count", NULL, "", count);
}

static void write_counters(const struct lw_metrics *metrics, struct lw_buffer *text) {
  write_single(text, "webhook_events_total", "counter", "Events stored.", metrics->events);
  write_family(text, "webhook_attempts_total", "counter", "HTTP requests made, by what came of them.");
  for (int kind = 0; kind < LW_ATTEMPT_KINDS; kind++)
    write_sample(text, "webhook_attempts_total", "outcome", kind_names[kind], metrics->attempts[kind]);
  write_family(text, "webhook_deliveries_total", "counter", "Deliveries finished, by how.");
  write_sample(text, "webhook_deliveries_total", "status", "succeeded", metrics->succeeded);
  write_sample(text, "webhook_deliveries_total", "status", "failed", metrics->given_up);
  write_sample(text, "webhook_deliveries_total", "status", "canceled", metrics->canceled);
  write_single(text, "webhook_disabled_total", "counter", "Webhooks disabled by the dispatcher.",
               metrics->webhooks_disabled);
  write_single(text, "webhook_store_failures_total", "counter", "Transactions that the store refused.",
               metrics->store_failures);
  write_single(text, "webhook_leases_lost_total", "counter",
               "Times that other dispatchers took over while this one was stalled.", metrics->leases_lost);
}

static void write_gauges(const struct lw_gauges *gauges, struct lw_buffer *text) {
  write_single(text, "webhook_deliveries_pending", "gauge", "Deliveries in the store that are not finished.",
               gauges->pending);
  write_single(text, "webhook_deliveries_due", "gauge",
               "Deliveries in the store whose time has come and that nobody has claimed.", gauges->due);
  write_family(text, "webhook_oldest_due_seconds", "gauge", "How long the oldest due delivery waits.");
  write_name(text, "webhook_oldest_due_seconds", NULL, "");
  write_seconds(text, gauges->oldest_due * 1000);
  lw_buffer_append_char(text, '\n');
  write_single(text, "webhook_in_flight", "gauge", "Deliveries claimed by this dispatcher.",
               gauges->in_flight);
  write_single(text, "webhook_requests_running", "gauge", "Requests under way.", gauges->requests);
  write_single(text, "webhook_breakers_open", "gauge", "Webhooks that fail and are called less and less.",
               gauges->broken);
  write_single(text, "webhook_queued_events", "gauge", "Events that wait to be stored.", gauges->queued);
}

bool lw_metrics_write(const struct lw_metrics *metrics, const struct lw_gauges *gauges,
                      struct lw_buffer *text) {
  write_counters(metrics, text);
  write_histogram(text, "webhook_attempt_duration_seconds", "How long attempts take.", &metrics->durations,
                  &lw_attempt_bounds);
  write_histogram(text, "webhook_delivery_latency_seconds",
                  "From the emit to the success of a delivery that was never resent.", &metrics->latencies,
                  &lw_latency_bounds);
  write_gauges(gauges, text);
  return !text->failed;
}
