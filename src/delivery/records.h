/* What happened, for the application's logger: records go from the dispatcher's threads to a queue, and the
 * application takes them on its own thread, when it likes. The queue is bounded: the oldest record goes when
 * it is full, and the next taker learns how many went.
 *
 * A record never holds a secret, a URL or a body: its texts are our own, the sender's descriptions of a
 * failure (which name the host alone) and the store's error messages. */
#ifndef LW_DELIVERY_RECORDS_H
#define LW_DELIVERY_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/task.h"

#define LW_RECORDS_MAX 1000    /* records that wait to be taken */
#define LW_RECORD_WORD_SIZE 24 /* bytes of each text with its final zero; a longer one is cut */
#define LW_RECORD_REASON_SIZE 128
#define LW_RECORD_TEXT_SIZE 480

enum lw_record_event {
  LW_RECORD_ATTEMPT_FAILED,      /* warn: it will be tried again */
  LW_RECORD_DELIVERY_FAILED,     /* error: given up */
  LW_RECORD_WEBHOOK_DISABLED,    /* error: by the dispatcher */
  LW_RECORD_WEBHOOK_FAILING,     /* warn: its breaker opened */
  LW_RECORD_WEBHOOK_WORKS,       /* info: its breaker closed */
  LW_RECORD_STORE_FAILED,        /* error: once, until it works again */
  LW_RECORD_STORE_RECOVERED,     /* info */
  LW_RECORD_LEASE_LOST,          /* warn: others took over our deliveries while we were stalled */
  LW_RECORD_TAKEN_OVER,          /* info: we freed what a dead dispatcher had claimed */
  LW_RECORD_WEBHOOKS_UNREADABLE, /* error: count webhooks cannot be decrypted; webhook_id is the first */
  LW_RECORD_RECORDS_DROPPED      /* warn: the queue was full; made by lw_records_take */
};
const char *lw_record_event_name(enum lw_record_event event); /* "attempt_failed", … */
const char *lw_record_level(enum lw_record_event event);      /* "info", "warn", "error" */

struct lw_record {
  struct lw_record *next;
  int64_t time; /* milliseconds since the epoch */
  enum lw_record_event event;
  struct lw_id delivery_id, webhook_id; /* zero: it is about none */
  int32_t attempt;                      /* the attempt's number; 0: it is about none */
  int status;                           /* of the answer; 0: none */
  char error[LW_RECORD_WORD_SIZE];      /* a word: "timeout", "status_5xx", "full"; "": none */
  char reason[LW_RECORD_REASON_SIZE];   /* why it is final, for people; "": it is not */
  int64_t count;                        /* of what the event is about, where that is many; else 0 */
  char message[LW_RECORD_TEXT_SIZE];    /* a sentence for people */
};

/* -- a queue: a pure struct ----------------------------------------------------------------------- */
struct lw_record_queue {
  struct lw_record *first, *last;
  size_t count;
  int64_t dropped;
};
/* Copies the record to the end; the oldest goes when there are LW_RECORDS_MAX. Without memory it is dropped.
 */
void lw_record_queue_push(struct lw_record_queue *queue, const struct lw_record *record);
/* Moves everything from `other`, which is then empty. */
void lw_record_queue_append(struct lw_record_queue *queue, struct lw_record_queue *other);
/* The oldest into *record; false: there is none. */
bool lw_record_queue_pop(struct lw_record_queue *queue, struct lw_record *record);
void lw_record_queue_clear(struct lw_record_queue *queue); /* also forgets what was dropped */

/* -- the queue between the threads ---------------------------------------------------------------- */
struct lw_records;

/* NULL when memory is out. `all` false: only LW_RECORD_WEBHOOK_DISABLED is kept, so that nothing else can
 * push it out. While records wait, `completions` (NULL: none) ask for attention. A
 * dispatcher that it was given to does not keep it. */
struct lw_records *lw_records_new(bool all, struct lw_completions *completions);
struct lw_records *lw_records_keep(struct lw_records *records);                       /* any thread */
void lw_records_drop(struct lw_records *records);                                     /* NULL is fine */
bool lw_records_wanted(const struct lw_records *records, enum lw_record_event event); /* NULL: nothing is */
/* Any thread. */
void lw_records_append(struct lw_records *records, struct lw_record_queue *queue);
/* Any thread. What was dropped is told first. False: there is none, or this is a fork of its maker. */
bool lw_records_take(struct lw_records *records, struct lw_record *record);
int64_t lw_records_dropped(struct lw_records *records); /* since it was made */

#endif
