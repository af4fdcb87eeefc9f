/* The sender's insides, shared by sender.c (lanes, starting, stopping) and sender_loop.c (the thread). */
#ifndef LW_TRANSPORT_SENDER_LOOP_H
#define LW_TRANSPORT_SENDER_LOOP_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/sender.h"
#include "transport/sender_sockets.h"
#include "transport/sender_transfer.h"

#define LW_SENDER_NEVER INT64_MAX /* ticks that never come */

struct lw_request_list {
  struct lw_request *first;
  struct lw_request *last;
};

struct lw_lane {
  struct lw_sender *sender;
  int max_in_flight;
  lw_request_done *done;
  lw_lane_idle *idle;
  void *context;
  atomic_int running;

  /* Under sender->mutex. */
  unsigned recalls; /* requests that were submitted at a lower number are not to be started */
  bool recalling;   /* in sender->recalling */
  struct lw_lane *next_recalling;
  size_t submitted; /* requests in sender->inbox */
  bool closed;
  pthread_cond_t closed_changed;

  /* Written by the closer before the lane joins sender->closing, then the thread's. */
  int64_t deadline;
  struct lw_lane *next_closing;

  /* The thread's. */
  struct lw_request_list waiting;
  unsigned recalled;             /* `recalls` as the thread knows it */
  struct lw_transfer *transfers; /* running */
  struct lw_transfer *spare;
  int spares;
  bool closing;
  bool touched;   /* in sender->touched */
  bool came_back; /* done was called since the last idle */
  struct lw_lane *next_touched;
};

struct lw_sender {
  pthread_t thread;
  pid_t owner;
  int users; /* under shared_mutex */
  CURLM *multi;
  struct lw_sockets sockets;
  int wakeup;

  pthread_mutex_t mutex;
  struct lw_request_list inbox;
  struct lw_lane *recalling;
  struct lw_lane *closing; /* newly closing lanes */
  bool asleep;             /* the thread waits and nobody has woken it yet */
  bool stopping;

  /* The thread's. */
  int64_t timer; /* ticks at which curl wants to be called, or NEVER */
  struct lw_lane *closing_lanes;
  struct lw_lane *touched;
};

/* Makes the multi handle, the epoll and the eventfd; false with errno or a reason in `error`. */
bool lw_sender_prepare(struct lw_sender *sender, struct lw_error *error);
void lw_sender_dispose(struct lw_sender *sender);

/* The thread's function; `sender` is its argument. */
void *lw_sender_run(void *sender);

/* With sender->mutex held: says whether the caller has to write the eventfd after unlocking. A thread
 * that is awake looks into its inbox before it sleeps, so only the first submit of many pays a write. */
bool lw_sender_claim_wakeup(struct lw_sender *sender);
void lw_sender_wake(const struct lw_sender *sender);

void lw_request_list_append(struct lw_request_list *list, struct lw_request *first, struct lw_request *last);

#endif
