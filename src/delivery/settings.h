/* How one webhook's deliveries go: what the webhook says, and where it says nothing, what the dispatcher was
 * opened with. In memory it is a struct, in the store a text of lines "name=value". */
#ifndef LW_DELIVERY_SETTINGS_H
#define LW_DELIVERY_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delivery/retry.h"
#include "delivery/throttle.h"
#include "transport/request_options.h"

#define LW_SETTINGS_MAX_TEXT (64 * 1024) /* bytes of the whole text */
#define LW_SETTINGS_MAX_HEADERS 32
#define LW_SETTINGS_MAX_HEADER 4096                      /* bytes of a header's name and value */
#define LW_SETTINGS_MAX_NETWORKS 64                      /* a webhook's, and again a dispatcher's */
#define LW_SETTINGS_MAX_PATH 4096                        /* bytes of a file's name */
#define LW_SETTINGS_MAX_USER_AGENT 256                   /* bytes */
#define LW_SETTINGS_LONGEST (INT64_C(30) * 86400 * 1000) /* milliseconds: of any delay of a retry */
#define LW_SETTINGS_MAX_TIMEOUT (3600 * 1000)            /* milliseconds */
#define LW_SETTINGS_MAX_DISABLE_AFTER (INT64_C(365) * 86400 * 1000) /* milliseconds */
#define LW_SETTINGS_MAX_RESPONSE_BODY (64 * 1024 * 1024)            /* bytes */
#define LW_SETTINGS_MAX_IN_FLIGHT 1024
#define LW_SETTINGS_MAX_FAILURES 1000
#define LW_SETTINGS_TICKS 1000 /* in a millisecond: limits hold ticks, the text milliseconds */

/* Which fields were said. */
enum lw_setting {
  LW_SET_TIMEOUT = 1 << 0,
  LW_SET_CONNECT_TIMEOUT = 1 << 1,
  LW_SET_MAX_RESPONSE_BODY = 1 << 2,
  LW_SET_HTTP_VERSION = 1 << 3,
  LW_SET_USER_AGENT = 1 << 4,
  LW_SET_CA_FILE = 1 << 5,
  LW_SET_CLIENT_CERT = 1 << 6,
  LW_SET_CLIENT_KEY = 1 << 7,
  LW_SET_PROXY = 1 << 8,
  LW_SET_ALLOW_NETWORKS = 1 << 9, /* a webhook's are added to the dispatcher's; an empty list says nothing */
  LW_SET_RETRY = 1 << 10,
  LW_SET_DISABLE_AFTER = 1 << 11,
  LW_SET_MAX_IN_FLIGHT = 1 << 12,
  LW_SET_ORDERED = 1 << 13,
  LW_SET_RATE_LIMIT = 1 << 14,
  LW_SET_BREAKER = 1 << 15,
  LW_SET_HEADERS = 1 << 16,      /* as the networks; the same name, in any case, replaces the dispatcher's */
  LW_SET_AUTHORIZATION = 1 << 17 /* what stood in the URL as user:password@; beats the dispatcher's headers */
};

struct lw_setting_header {
  char *name, *value;
};

struct lw_settings {
  atomic_uint references;            /* counted by any thread */
  unsigned given;                    /* LW_SET_… */
  struct lw_request_options request; /* its strings are owned by the settings */
  struct lw_retry_schedule retry;
  int64_t disable_after; /* milliseconds of failures only; 0: never */
  struct lw_limits limits;
  struct lw_setting_header *headers;
  size_t header_count;
  const char *authorization; /* the value of that header, or NULL: a secret */
};

struct lw_settings *lw_settings_new(void); /* nothing said; NULL: memory */
struct lw_settings *lw_settings_keep(struct lw_settings *settings);
void lw_settings_drop(struct lw_settings *settings); /* the last one wipes and frees; NULL is fine */

/* All fields with the library's own defaults: timeout 15 s, connect 5 s, body 20,000 bytes, retry
 * lw_retry_default, disable_after 5 days, 16 in flight, breaker after 10 failures for 5 s up to 15 min.
 * NULL: memory. */
struct lw_settings *lw_settings_default(void);

/* What a webhook says on top of what the dispatcher says; a complete set with a serial of its own. A
 * certificate and its key come from the same one. Never fails for too many networks or headers: each side has
 * its own limit, and there is room for both. NULL: memory. */
struct lw_settings *lw_settings_merge(const struct lw_settings *webhook,
                                      const struct lw_settings *dispatcher);

/* -- changing ------------------------------------------------------------------------------------------
 * For settings that no request uses yet. False: memory (and for the list functions: there is no more room,
 * which they say; nothing else is checked before lw_settings_check). */

/* One of USER_AGENT, CA_FILE, CLIENT_CERT, CLIENT_KEY, PROXY and AUTHORIZATION. */
bool lw_settings_set_text(struct lw_settings *settings, enum lw_setting field, const char *text);
const char *lw_settings_text(const struct lw_settings *settings, enum lw_setting field);
/* Adds it, also where there is one of that name. */
bool lw_settings_add_header(struct lw_settings *settings, const char *name, const char *value,
                            struct lw_error *error);
bool lw_settings_add_network(struct lw_settings *settings, const char *text, struct lw_error *error);
void lw_settings_clear(struct lw_settings *settings, unsigned fields); /* LW_SET_…: unsays them */
/* Takes over the fields that `changes` gives: lists are replaced as a whole. */
bool lw_settings_change(struct lw_settings *settings, const struct lw_settings *changes);

/* -- the text in the store ------------------------------------------------------------------------------ */

/* NULL text: nothing said. Parsing refuses what lw_settings_check does, and unknown names (a newer version
 * wrote them) with the code "newer". */
struct lw_settings *lw_settings_parse(const char *text, struct lw_error *error);
/* *text: malloc'd, NULL where nothing is said; may hold secrets: lw_wipe_text. False: memory, or "invalid":
 * longer than LW_SETTINGS_MAX_TEXT. */
bool lw_settings_format(const struct lw_settings *settings, char **text, struct lw_error *error);

/* -- checking ------------------------------------------------------------------------------------------- */

/* False with "invalid" and a message that names the field and never repeats a value that may be secret:
 * numbers out of their range, header names that are no token (RFC 9110, 5.6.2), that stand twice or are set
 * by us, values with control characters, a proxy that is no http(s) URL, a client key without a certificate,
 * Authorization twice. */
bool lw_settings_check(const struct lw_settings *settings, struct lw_error *error);

#endif
