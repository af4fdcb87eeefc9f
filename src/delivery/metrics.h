/* What a dispatcher counts, and how it reads for Prometheus. Pure structs: whoever shares one guards it (the
 * dispatcher's mutex guards its own). What happens in a transaction is counted in a struct of its own, which
 * is added to the other at the commit; a transaction that is rolled back has counted nothing. */
#ifndef LW_DELIVERY_METRICS_H
#define LW_DELIVERY_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

#define LW_METRICS_MAX_TEXT (64 * 1024) /* bytes; more than every family with the longest numbers */

/* -- histograms ----------------------------------------------------------------------------------- */

#define LW_HISTOGRAM_MAX_BOUNDS 20

/* Upper bounds in microseconds, rising; a value that equals one is inside. */
struct lw_histogram_bounds {
  size_t count;
  int64_t bounds[LW_HISTOGRAM_MAX_BOUNDS];
};
extern const struct lw_histogram_bounds lw_attempt_bounds; /* 5 ms to 30 s */
extern const struct lw_histogram_bounds lw_latency_bounds; /* 5 ms to 3 days: retries take long */

/* A zeroed one is empty. */
struct lw_histogram {
  int64_t counts[LW_HISTOGRAM_MAX_BOUNDS + 1]; /* each value once; the last place: past every bound */
  int64_t sum;                                 /* microseconds */
};
/* A negative value (a clock that was set back) counts as 0. */
void lw_histogram_observe(struct lw_histogram *histogram, const struct lw_histogram_bounds *bounds,
                          int64_t microseconds);
void lw_histogram_add(struct lw_histogram *histogram, const struct lw_histogram *other);
int64_t lw_histogram_count(const struct lw_histogram *histogram);

/* -- counters ------------------------------------------------------------------------------------- */

enum lw_attempt_kind {
  LW_ATTEMPT_SUCCESS,
  LW_ATTEMPT_TIMEOUT,
  LW_ATTEMPT_DNS,
  LW_ATTEMPT_CONNECT,
  LW_ATTEMPT_TLS,
  LW_ATTEMPT_RESET,
  LW_ATTEMPT_REFUSED_ADDRESS,
  LW_ATTEMPT_TOO_LARGE,
  LW_ATTEMPT_NETWORK,
  LW_ATTEMPT_STATUS_3XX,
  LW_ATTEMPT_STATUS_4XX,
  LW_ATTEMPT_STATUS_5XX,
  LW_ATTEMPT_OTHER,
  LW_ATTEMPT_KINDS
};
/* "success", "timeout", …, "status_4xx", …, "other" */
const char *lw_attempt_kind_name(enum lw_attempt_kind kind);
/* `error_code`: the sender's, or NULL where there was an answer, with `status`. */
enum lw_attempt_kind lw_attempt_kind_of(const char *error_code, int status);

struct lw_metrics {
  int64_t events;                        /* stored */
  int64_t attempts[LW_ATTEMPT_KINDS];    /* made, by what came of them */
  int64_t succeeded, given_up, canceled; /* deliveries */
  int64_t webhooks_disabled;             /* by the dispatcher, not by their owner */
  int64_t store_failures;                /* transactions that the store refused; they are tried again */
  int64_t leases_lost;
  struct lw_histogram durations; /* of attempts */
  struct lw_histogram latencies; /* of deliveries that were never resent: from the emit to the success */
};
void lw_metrics_add(struct lw_metrics *metrics, const struct lw_metrics *other);
int64_t lw_metrics_attempts(const struct lw_metrics *metrics); /* of every kind */

/* -- text ----------------------------------------------------------------------------------------- */

/* What is now: of the store, and of this dispatcher. */
struct lw_gauges {
  int64_t queued;       /* events in the mailbox */
  int64_t in_flight;    /* deliveries claimed by this dispatcher */
  int64_t requests;     /* of those: sent, and not answered yet */
  int64_t broken;       /* webhooks whose breaker is open or half-open here */
  int64_t pending, due; /* deliveries; due: unclaimed, and their time has come */
  int64_t oldest_due;   /* milliseconds since the time of the oldest due one came; 0: there is none */
};

/* The text exposition format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format). False: out of memory. */
bool lw_metrics_write(const struct lw_metrics *metrics, const struct lw_gauges *gauges,
                      struct lw_buffer *text);
/* The value of a label inside its quotes: backslash, quote and line feed are escaped. */
bool lw_metrics_write_label(struct lw_buffer *text, const char *value);

#endif
