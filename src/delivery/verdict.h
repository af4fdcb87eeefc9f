/* What an attempt's outcome means: a pure function of the answer, so that every rule stands in a table of
 * tests.
 *
 * 2xx is a success. 408, 425, 429, 5xx and every failure to get an answer (DNS, connect, TLS, timeout, reset)
 * are tried again, after what Retry-After asks for where that is longer than the schedule (RFC 9110,
 * section 10.2.3). 410 disables the webhook (Standard Webhooks, "Responding to failures"), and so does
 * Discord's 404: its documentation asks never to call such a URL again. Any other answer is final at once.
 * What a chat service says in the body of a 4xx but 429 goes before its status (chat_errors.h), but for
 * Discord's 404.
 *
 * An answer can also ask that the whole webhook be left alone for a while: 429 and 503 do by Retry-After, and
 * Discord by the headers of any answer that used up its rate
 * (https://discord.com/developers/docs/topics/rate-limits). */
#ifndef LW_DELIVERY_VERDICT_H
#define LW_DELIVERY_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/sender.h"

#define LW_VERDICT_LONGEST_WAIT (INT64_C(24) * 3600 * 1000) /* milliseconds that a receiver can ask for */

enum lw_verdict_kind {
  LW_VERDICT_SUCCESS,
  LW_VERDICT_AGAIN,
  LW_VERDICT_FINAL,  /* failed; another try would fail the same way */
  LW_VERDICT_DISABLE /* failed, and the webhook is to be disabled */
};

struct lw_verdict {
  enum lw_verdict_kind kind;
  int64_t wait;       /* LW_VERDICT_AGAIN: milliseconds that the receiver asks for; 0: nothing */
  int64_t pause;      /* milliseconds for which nothing more should be sent to this webhook; 0: none */
  const char *reason; /* FINAL and DISABLE: why, for people; static */
};

/* `format` is the webhook's ("raw", "slack", …); `now`: milliseconds since the epoch. */
struct lw_verdict lw_verdict_of(const char *format, const struct lw_response *response, int64_t now);

#endif
