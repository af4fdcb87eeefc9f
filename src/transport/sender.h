/* The sender: takes HTTP requests, gives back responses. One thread drives one curl multi handle
 * (socket interface over epoll); connections are kept and reused; HTTP/2 over TLS.
 *
 * One sender serves the whole process: lw_sender_acquire starts it for the first user, the last
 * lw_sender_release stops it and joins its thread. Each user opens a lane: a queue with a limit on how many
 * of its requests run at once. Requests are started in the order they were submitted.
 *
 * Locks: a file-local mutex guards the shared instance and its user count; `sender->mutex` guards
 * the list of submitted requests and the lanes' closing flags. Neither is held while curl runs or a callback
 * is called. Signals are blocked in the thread. After a fork the child's lw_sender_acquire starts a new
 * sender (pids are compared) and leaves the parent's alone. */
#ifndef LW_TRANSPORT_SENDER_H
#define LW_TRANSPORT_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "transport/request_options.h"

#define LW_SENDER_MAX_RESPONSE_HEADERS 8192 /* bytes kept of the answer's header lines */
#define LW_SENDER_HEADER_FLOOD (256 * 1024) /* header bytes after which the transfer is given up */
#define LW_SENDER_DRAIN (64 * 1024)         /* body bytes read past the cap to keep a connection */
#define LW_RESPONSE_ERROR_SIZE 256
#define LW_REQUEST_TEXT 1024 /* bytes of URL and header lines that need no memory of their own */

struct lw_sender;
struct lw_lane;

struct lw_lane_options {
  int max_in_flight; /* 1 to 1024 */
};

/* What happened. Owned by the request; valid until lw_request_free. */
struct lw_response {
  int status;       /* 0: no answer */
  int64_t sent_at;  /* milliseconds since the epoch, when the attempt started */
  int64_t duration; /* microseconds */
  const char *
      headers; /* "name: value\n" lines of the last answer as received, cut at the named limit; may be NULL */
  size_t headers_length;
  bool headers_cut; /* there were more than were kept */
  char *body;       /* binary-safe, at most max_response_body; may be NULL */
  size_t body_length;
  bool body_cut;          /* there was more than was kept */
  const char *error_code; /* NULL when an answer was read: "timeout", "dns", "connect", "tls",
                             "refused_address", "reset", "too_large", "canceled", "network"; static strings */
  /* For people; "" when an answer was read. A timeout is called a timeout, with how long. */
  char error[LW_RESPONSE_ERROR_SIZE];
};

/* One POST. Allocate with lw_request_new, fill, submit; it belongs to the sender until `done` is
 * called with it, then to `done`, who frees it. */
struct lw_request {
  void *context;    /* the caller's own */
  const char *url;  /* copied by lw_request_new */
  const char *body; /* not copied: must live until done */
  size_t body_length;
  const struct lw_request_options *options; /* not copied: must live, unchanged, until done */
  struct curl_slist *headers;               /* made by lw_request_add_header */
  struct lw_response response;
  struct lw_lane *lane;    /* the sender's, from here on */
  unsigned recalls;        /* of the lane, when it was submitted */
  struct lw_request *next; /* (the caller's too, to submit a list) */
  struct curl_slist **headers_end;
  struct lw_request_text *more_text; /* what did not fit into `text` */
  struct lw_buffer answer_headers, answer_body;
  size_t text_used;
  _Alignas(void *) char text[LW_REQUEST_TEXT];
};

/* NULL when memory is out. */
struct lw_request *lw_request_new(const char *url);
/* `value` must not hold CR, LF or NUL (false if it does, or if memory is out). */
bool lw_request_add_header(struct lw_request *request, const char *name, const char *value);
void lw_request_free(struct lw_request *request); /* NULL is fine; wipes URL and header values */

struct lw_sender *lw_sender_acquire(struct lw_error *error); /* NULL on failure */
void lw_sender_release(struct lw_sender *sender);

/* `done` is called on the sender's thread, once for every submitted request, many in a row at times;
 * it must be quick and must not call back into the sender, except lw_lane_submit. After a batch of
 * them `idle` (may be NULL) is called once, so that a receiver can be woken once for many. */
typedef void lw_request_done(struct lw_request *request, void *context);
typedef void lw_lane_idle(void *context);

struct lw_lane *lw_lane_open(struct lw_sender *sender, const struct lw_lane_options *options,
                             lw_request_done *done, lw_lane_idle *idle, void *context,
                             struct lw_error *error);

/* Takes the list chained by `next`. Any thread. Submitted after close: done is called with "canceled". */
void lw_lane_submit(struct lw_lane *lane, struct lw_request *list);

/* What was submitted so far and has not been started when the sender next looks will not be: it comes back as
 * "canceled". Any thread; returns at once. */
void lw_lane_recall(struct lw_lane *lane);

/* Requests not yet started come back at once as "canceled"; running ones may go on until `deadline_ms`
 * (milliseconds from now; 0: they are ended at once) and then come back as "canceled". Returns when every
 * request is back; the lane is freed. Call from any thread but the sender's. */
void lw_lane_close(struct lw_lane *lane, int64_t deadline_ms);

/* Requests of the lane that were started and are not done (any thread). */
int lw_lane_running(const struct lw_lane *lane);

#endif
