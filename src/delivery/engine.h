/* The dispatcher's inside: the mailbox, and the thread that empties it. dispatcher.c is the face. */
#ifndef LW_DELIVERY_ENGINE_H
#define LW_DELIVERY_ENGINE_H

#include <pthread.h>
#include <sys/types.h>

#include "base/clock.h"
#include "delivery/bodies.h"
#include "delivery/care.h"
#include "delivery/claims.h"
#include "delivery/dispatcher.h"
#include "delivery/flight.h"
#include "delivery/keeper.h"
#include "delivery/reader.h"
#include "delivery/routing.h"
#include "delivery/turns.h"

enum { LW_FINAL_TRIES = 3 }; /* how often a closing dispatcher tries to store what waits */

struct lw_command_list {
  struct lw_command *first, *last; /* last: only where there is a first */
  size_t events, bytes;
};

struct lw_load { /* flights in memory */
  int64_t count;
  int64_t slow; /* of those: claimed for lines that were not prompt */
  size_t bytes; /* of their bodies */
};

struct lw_dispatcher {
  pid_t pid;
  const struct lw_clock *clock;
  struct lw_dispatcher_options options;
  struct lw_id id;
  struct lw_store *store; /* the engine's */
  struct lw_reader reader;
  struct lw_keeper keeper;
  struct lw_sender *sender;
  struct lw_lane *lane;
  pthread_t thread;

  pthread_mutex_t mutex;   /* guards what follows up to the blank line */
  pthread_cond_t wake;     /* the engine waits on it */
  pthread_cond_t answered; /* callers wait on it: a command is done, the mailbox has room, all is idle */
  struct lw_command_list mailbox, line; /* delivery/mailbox.h */
  int64_t first_posted;                 /* ticks: when the first in the mailbox came */
  size_t calls;                         /* commands that were started and are not done */
  struct lw_turns turns;
  struct lw_flight *outcomes; /* newest first */
  size_t outcome_count;
  int64_t outcomes_since; /* ticks: when the first of them came */
  bool urgent;            /* one of them is waited for by what is behind it in its line */
  bool news;              /* outcomes came that the engine should hear of: the first, or enough */
  bool closing;           /* no new commands */
  bool retiring;          /* claim nothing more */
  bool quiet;             /* closing, and nothing is claimed or submitted any more */
  bool stop;              /* write the last outcomes and end */
  bool writing;           /* what was taken from the mailbox is not committed yet */
  bool gathering;         /* the engine has woken up for what is in the mailbox, and waits for more */
  int64_t in_flight;
  struct lw_metrics metrics; /* since open, of what is committed */
  struct lw_id_generator message_ids;

  struct lw_routing routing; /* from here on: the engine's own */
  struct lw_bodies bodies;   /* of the event that is being stored */
  struct lw_id_generator ids;
  struct lw_command *taken;             /* in the running transaction */
  struct lw_flight *returned;           /* outcomes in the running transaction */
  struct lw_flight *planned;            /* claimed in it, to be submitted after the commit */
  struct lw_load planning, claimed;     /* of `planned`; of all that wait, run or have returned */
  struct lw_line *hungry, *last_hungry; /* lines that may claim more; last: only where there is a first */
  struct lw_walk walk;
  int64_t heartbeat_at, claim_at; /* wall clock, milliseconds */
  int64_t sync_at;                /* ticks: when what was committed has to be on disk, if unsynced */
  bool unsynced;
  int64_t answered_at;                   /* ticks: when callers were answered last */
  int64_t retry_pause;                   /* milliseconds to wait after a failed transaction */
  bool renew;                            /* there is a lease */
  bool sweeping;                         /* a webhook went: its line is to be freed after the commit */
  struct lw_metrics staged;              /* of the running transaction: counted when it is committed */
  struct lw_record_queue staged_records; /* told when it is committed */
  int64_t canceled_before;               /* the store's count when the transaction began */
  bool store_failing;                    /* the last transaction was refused by the store */
  size_t unreadable_told;                /* so many webhooks could not be decrypted when that was told last */
  bool retired;                          /* `retiring`, and what was queued for sending is called back */
  bool winding_down; /* `closing`, as it was when the turn began: while it is false the lane is open */
  struct lw_care care;
};

void *lw_engine_run(void *dispatcher);
/* Under the lock: flights that left their line, chained by `next`, come back without having been sent. */
void lw_engine_withdraw(struct lw_dispatcher *dispatcher, struct lw_flight *flights);
void lw_engine_done(struct lw_request *request, void *dispatcher); /* the lane's callbacks */
void lw_engine_idle(void *dispatcher);

#endif
