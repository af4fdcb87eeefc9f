/* The store: webhooks, messages, deliveries, attempts and the dispatchers that claim them, in a database.
 * The SQL here is the part that SQLite (3.35) and PostgreSQL share; store/driver.h is all that a database
 * must offer. A handle is used by one thread at a time; open one per thread.
 *
 * Every function returns false and fills `error` on failure. Codes: "full" (disk), "corrupt" (not a
 * database, or damaged), "unwritable", "locked", "store" (anything else), "key" (of encryption: see
 * lw_store_open_sealed; nothing was written). After a failure inside a transaction call lw_store_rollback;
 * after "key" the transaction may go on as well. Strings and bytes passed in are not kept. What comes out in
 * a page or list is owned by it and freed with it. */
#ifndef LW_STORE_STORE_H
#define LW_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/id.h"

#define LW_STORE_PAGE_ROWS 100
#define LW_STORE_PAGE_BYTES (1024 * 1024) /* a page ends after the row that passes this */

struct lw_store;
struct lw_vault; /* store/vault.h */

enum lw_status { LW_PENDING, LW_SUCCEEDED, LW_FAILED, LW_CANCELED };
const char *lw_status_name(enum lw_status status); /* "pending", "succeeded", "failed", "canceled" */
bool lw_status_parse(const char *name, enum lw_status *status);

/* A file path (made with mode 0600 when new, WAL, synchronous=FULL, busy timeout 10 s). Checks that it is a
 * database, and creates or upgrades the schema (user_version-like row in table meta; a newer schema is
 * refused). */
struct lw_store *lw_store_open(const char *path, struct lw_error *error);
/* The same with the URLs, secrets and settings of webhooks sealed under the vault's first key (NULL: plain).
 * The vault must outlive the handle. A plain database is sealed at once and then written anew as a whole, so
 * that no plain text stays in its unused parts (as long as that takes nobody else can write); one under an
 * old key of the vault is sealed anew; each in one transaction. "key": the database is under no key of the
 * vault, or it is sealed and there is no vault. Afterwards, when another process changes the key: what was
 * sealed under the new one has a `problem` here, and webhooks can be neither inserted nor updated ("key").
 * Everything else goes on. */
struct lw_store *lw_store_open_sealed(const char *path, const struct lw_vault *vault, struct lw_error *error);
/* ":memory:" only: no second handle can be opened on it (lw_store_is_private), so its user shares one. */
bool lw_store_is_private(const struct lw_store *store);
void lw_store_close(struct lw_store *store); /* NULL is fine */
/* From `until` (ticks of the system clock, see base/clock.h) on nothing waits for a lock that another process
 * holds: what waits then, or comes later and finds it, fails with "locked". Any thread. */
void lw_store_limit_wait(struct lw_store *store, int64_t until);

/* A commit waits for the disk before it returns and before others may write. After this call (outside a
 * transaction) the commits of this handle do not: they are as safe as others when the process dies; when the
 * machine does, the last of them may be lost, from the end, up to the last sync. */
bool lw_store_sync_later(struct lw_store *store, struct lw_error *error);
/* Outside a transaction: waits until all that was committed, by anybody, is on disk; others read and write
 * meanwhile. False: it is there for all to see, but may be lost when the machine dies. */
bool lw_store_sync(struct lw_store *store, struct lw_error *error);
/* Rows written through this handle, in a number that is good for one thing: it has changed when some were. */
int64_t lw_store_written(const struct lw_store *store);
bool lw_store_begin(struct lw_store *store, struct lw_error *error); /* takes the write lock at once */
bool lw_store_commit(struct lw_store *store, struct lw_error *error);
void lw_store_rollback(struct lw_store *store);

/* -- the write-ahead log -------------------------------------------------------------------------- */
/* 32 MiB: so long the log may get before it is begun anew. The longer, the more pages that were written many
 * times are moved into the database once. */
#define LW_STORE_LOG_PAGES 8000
/* It is moved in steps: what is written to the database at a time stands in the disk's way to the log. */
#define LW_STORE_LOG_STEP 2000
#define LW_STORE_LOG_MOST_PAGES 32000 /* and so long while somebody else is to do it */
/* Another handle does the checkpoints; this one's commits do them only when the log grows past the second. */
void lw_store_leave_checkpoints(struct lw_store *store);
/* Pages in the log after the last commit through this handle. */
int lw_store_log_pages(const struct lw_store *store);
/* Moves what the log holds into the database while others read and write. From LW_STORE_LOG_PAGES on also the
 * last of it, while they wait (for two syncs of the disk): then the next commit writes to the log's
 * beginning. (A log that only grows is the slower one: where a file system has to find new blocks a sync
 * takes several times as long. ext4 writes the data, then that the blocks hold data, then the size, one after
 * the other.) Gives up soon when others are in the way; the next one does it then. */
void lw_store_shorten_log(struct lw_store *store);

/* -- webhooks ------------------------------------------------------------------------------------ */
struct lw_webhook {
  struct lw_id id;
  char *app_id, *name, *url, *format;
  char *events;         /* names and patterns joined by ',' ("*" for all) */
  char *signing_secret; /* NULL: none */
  bool enabled;
  char *disabled_reason; /* why the dispatcher disabled it; NULL: it did not */
  char *filter;          /* NULL: none; a text as delivery/filter.h has it */
  char *channels;        /* NULL: none; names joined by ',' */
  char *signing;         /* NULL: "capawesome"; or names of schemes joined by ',' */
  char *old_secrets;     /* NULL: none; those that a rotation replaced, as delivery/signing.h has them */
  char *settings;        /* NULL: none; a text as delivery/settings.h has it; may hold secrets */
  int64_t failing_since; /* milliseconds: its first failure since its last success; 0: it does not fail. Only
                            read here; enabling a disabled webhook forgets it */
  int64_t created_at, updated_at;
  char *problem; /* NULL; or why what is sealed could not be opened: a sentence that names the webhook. Then
                    url, signing_secret, old_secrets and settings are NULL. Only read here */
};
struct lw_webhook_list {
  struct lw_webhook *items;
  size_t count;
};
struct lw_webhook_filter {
  const char *app_id; /* NULL: any */
  const char *query;  /* NULL, or part of the name or URL, in any case of A to Z */
  int64_t limit, offset;
};
void lw_wipe_text(char **text);                    /* overwrites and frees it; NULL is fine */
void lw_webhook_clear(struct lw_webhook *webhook); /* frees and wipes its strings */
void lw_webhook_list_free(struct lw_webhook_list *list);
/* Replaces what is sealed in the database by copies of what `known` has. False: no memory. */
bool lw_webhook_copy_sealed(struct lw_webhook *webhook, const struct lw_webhook *known);

bool lw_store_insert_webhook(struct lw_store *, const struct lw_webhook *, struct lw_error *);
/* Writes all fields of the row with that id; *found says whether there was one. */
bool lw_store_update_webhook(struct lw_store *, const struct lw_webhook *, bool *found, struct lw_error *);
/* *changed: it was enabled until now. */
bool lw_store_disable_webhook(struct lw_store *, const struct lw_id *, const char *reason, int64_t now,
                              bool *changed, struct lw_error *);
/* Its attempts fail since `now`, unless they failed already; *since is the first failure's time. */
bool lw_store_webhook_fails(struct lw_store *, const struct lw_id *, int64_t now, int64_t *since,
                            struct lw_error *);
/* It had a success: failing_since is 0 again. */
bool lw_store_webhook_works(struct lw_store *, const struct lw_id *, struct lw_error *);
bool lw_store_delete_webhook(struct lw_store *, const struct lw_id *, bool *found, struct lw_error *);
/* "key": it has a problem, which is the message. */
bool lw_store_get_webhook(struct lw_store *, const struct lw_id *, struct lw_webhook *, bool *found,
                          struct lw_error *);
bool lw_store_list_webhooks(struct lw_store *, const struct lw_webhook_filter *, struct lw_webhook_list *,
                            struct lw_error *);
/* Grows with every insert, update and delete of a webhook by any process. */
bool lw_store_webhooks_version(struct lw_store *, int64_t *version, struct lw_error *);

/* -- messages and deliveries ---------------------------------------------------------------------- */
struct lw_message_row {
  struct lw_id id;
  const char *app_id; /* NULL allowed */
  const char *event;
  const char *key;    /* idempotency key within app_id, or NULL */
  int64_t keys_since; /* milliseconds: a message that is older gives its key up to this one */
  const char *body;
  size_t body_length;
  int64_t deliveries; /* how many will be inserted for it, in the same transaction */
};
/* With a key that the app used since then: nothing is inserted and `existing` is that message; else a zero
 * id.
 */
bool lw_store_insert_message(struct lw_store *, const struct lw_message_row *, struct lw_id *existing,
                             struct lw_error *);

struct lw_delivery_row {
  struct lw_id id, message_id, webhook_id;
  int64_t due_at;
  const struct lw_id *claimed_by; /* NULL: anybody may claim it */
  bool test;                      /* its first attempt is triggered by "test", not "emit" */
  bool ordered;                   /* its webhook's deliveries go one at a time, in the order of their ids */
  const char *body;               /* NULL: the message's body; else its own (a chat format) */
  size_t body_length;
};
bool lw_store_insert_delivery(struct lw_store *, const struct lw_delivery_row *, struct lw_error *);

/* A delivery that was claimed and is to be sent. */
struct lw_claim {
  struct lw_id id, webhook_id;
  int32_t attempts; /* attempts made so far */
  int32_t tries;    /* attempts made since the emit or the last resend: the place in the retry schedule */
  char *body;
  size_t body_length;
  bool own_body; /* not the message's raw one */
  bool test;
};
struct lw_claim_list {
  struct lw_claim *items;
  size_t count;
  bool more; /* it ended at its limit: there may be more */
};
#define LW_CLAIM_BYTES (8 * 1024 * 1024) /* a list of claims ends after the body that passes this */
void lw_claim_list_free(struct lw_claim_list *list);

/* due_at of the first delivery that is pending and unclaimed, or -1. */
bool lw_store_next_due(struct lw_store *, int64_t *due_at, struct lw_error *);
/* A webhook that has pending deliveries, and when the first of them is due. */
struct lw_due_line {
  struct lw_id webhook_id;
  int64_t due_at;
};
/* The first webhook with unclaimed ones whose id comes after `after` (NULL: the first of all). */
bool lw_store_next_line(struct lw_store *, const struct lw_id *after, struct lw_due_line *, bool *found,
                        struct lw_error *);
/* The same for deliveries that are ordered, claimed or not: due_at is that of the oldest. */
bool lw_store_next_ordered_line(struct lw_store *, const struct lw_id *after, struct lw_due_line *,
                                bool *found, struct lw_error *);
/* Claims up to `limit` (1 or more) of a webhook's pending, unclaimed, unordered deliveries due at `now`,
 * oldest due first. */
bool lw_store_claim(struct lw_store *, const struct lw_id *dispatcher, const struct lw_id *webhook,
                    int64_t now, int limit, struct lw_claim_list *, struct lw_error *);
/* Claims the oldest pending one of a webhook's ordered deliveries, unless anybody holds it or it is not due:
 * then nothing. */
bool lw_store_claim_head(struct lw_store *, const struct lw_id *dispatcher, const struct lw_id *webhook,
                         int64_t now, struct lw_claim_list *, struct lw_error *);
/* What waits for a webhook, claimed or not, is ordered from now on, or no longer. */
bool lw_store_order_line(struct lw_store *, const struct lw_id *webhook, bool ordered, struct lw_error *);
/* Gives back a claim unsent; due at once. */
bool lw_store_release(struct lw_store *, const struct lw_id *delivery, const struct lw_id *dispatcher,
                      struct lw_error *);
bool lw_store_release_all(struct lw_store *, const struct lw_id *dispatcher, struct lw_error *);

struct lw_outcome {
  struct lw_id delivery_id, dispatcher;
  enum lw_status status; /* LW_PENDING: to be tried again at due_at */
  int64_t due_at;
  int64_t sent_at, duration;                    /* milliseconds since the epoch; microseconds */
  int response_status_code;                     /* 0: none */
  const char *response_headers, *response_body; /* NULL: none */
  size_t response_headers_length, response_body_length;
  bool response_headers_cut, response_body_cut;
  const char *error;   /* NULL: an answer was read */
  const char *trigger; /* "emit", "test", "retry", "resend" */
  const char *reason;  /* why a final failure is final, or NULL */
};
/* Adds the attempt (number = attempts so far + 1), and sets status, due_at, tries + 1 and frees the claim.
 * Where the claim is no longer ours (lease lost, canceled meanwhile): the attempt is still added, and the
 * status changes only to succeeded. */
bool lw_store_record(struct lw_store *, const struct lw_outcome *, struct lw_error *);

bool lw_store_cancel_webhook(struct lw_store *, const struct lw_id *webhook, const char *reason,
                             struct lw_error *);
/* Deliveries canceled through this handle, also in transactions that were rolled back. */
int64_t lw_store_canceled(const struct lw_store *);

/* -- dispatchers (leases) -------------------------------------------------------------------------- */
/* Inserts or prolongs. *lost: the row was there before (`renew`) and is gone: others took over. */
bool lw_store_heartbeat(struct lw_store *, const struct lw_id *dispatcher, int64_t lease_until, bool renew,
                        bool *lost, struct lw_error *);
/* Frees the claims of dispatchers whose lease ended before `now`, and forgets them. *freed counts deliveries.
 */
bool lw_store_take_over(struct lw_store *, int64_t now, int64_t *freed, struct lw_error *);
bool lw_store_forget_dispatcher(struct lw_store *, const struct lw_id *, struct lw_error *);
/* How many have a lease. */
bool lw_store_dispatchers(struct lw_store *, int64_t *count, struct lw_error *);

struct lw_store_counts {
  int64_t pending;  /* all with status pending */
  int64_t claimed;  /* of those: claimed by any dispatcher */
  int64_t due;      /* of those: not claimed, due_at <= now */
  int64_t next_due; /* due_at of the first unclaimed pending one, or -1 */
};
bool lw_store_counts(struct lw_store *, int64_t now, struct lw_store_counts *, struct lw_error *);

struct lw_webhook_counts {
  struct lw_id id;
  int64_t pending, due; /* as above */
  int64_t next_due;     /* as above: due_at of its first unclaimed pending one, or -1 */
  int64_t succeeded, failed;
};
struct lw_webhook_counts_list {
  struct lw_webhook_counts *items;
  size_t count;
};
void lw_webhook_counts_free(struct lw_webhook_counts_list *list);
/* One for every webhook there is, in the order of their ids. Reads every delivery. */
bool lw_store_webhook_counts(struct lw_store *, int64_t now, struct lw_webhook_counts_list *,
                             struct lw_error *);

/* -- the log ---------------------------------------------------------------------------------------- */
struct lw_log_filter {
  const struct lw_id *id; /* just that delivery */
  const struct lw_id *webhook_id;
  const char *event;
  const char *status;    /* one of the four names */
  bool unsuccessful;     /* just failed and canceled ones */
  int64_t since, before; /* emitted at or after, before; milliseconds; -1: no bound */
};
struct lw_attempt {
  int32_t number;
  int64_t sent_at, duration;
  int response_status_code;
  char *response_headers, *response_body, *error, *trigger; /* NULL where absent */
  size_t response_headers_length, response_body_length;
  bool response_headers_cut, response_body_cut;
};
struct lw_log_row {
  struct lw_id id, message_id, webhook_id;
  char *app_id, *event, *reason; /* NULL where absent */
  enum lw_status status;
  int32_t attempts;
  int64_t due_at;
  char *request_body;
  size_t request_body_length;
  struct lw_attempt last; /* zeroed where attempts is 0 */
};
struct lw_log_page {
  struct lw_log_row *rows;
  size_t count;
};
void lw_log_page_free(struct lw_log_page *page);
/* Newest first (ids descending), starting below `after` (NULL: from the newest). count 0: the end. */
bool lw_store_log_page(struct lw_store *, const struct lw_log_filter *, const struct lw_id *after,
                       struct lw_log_page *, struct lw_error *);
bool lw_store_log_count(struct lw_store *, const struct lw_log_filter *, int64_t *count, struct lw_error *);

struct lw_attempt_list {
  struct lw_attempt *items;
  size_t count;
};
void lw_attempt_list_free(struct lw_attempt_list *list);
bool lw_store_attempts(struct lw_store *, const struct lw_id *delivery, struct lw_attempt_list *,
                       struct lw_error *);

struct lw_id_list {
  struct lw_id *items;
  size_t count;
};
void lw_id_list_free(struct lw_id_list *list);
/* Up to `limit` matching finished deliveries of enabled webhooks, oldest first, above `after` (NULL: from the
 * oldest). Fewer: the end. */
bool lw_store_find_resendable(struct lw_store *, const struct lw_log_filter *, const struct lw_id *after,
                              int limit, struct lw_id_list *, struct lw_error *);
/* Makes those of them that are still finished pending again: due now, tries 0, unclaimed. *resent counts
 * them.
 */
bool lw_store_resend(struct lw_store *, const struct lw_id_list *, int64_t now, int64_t *resent,
                     struct lw_error *);

/* -- pruning ---------------------------------------------------------------------------------------- */
/* A walk from the oldest delivery and message on. Start with `before` set and the rest zero. */
struct lw_prune {
  int64_t before;                 /* milliseconds: what was made earlier may go */
  struct lw_id delivery, message; /* the last ones looked at */
  bool deliveries_done, done;     /* done: nothing more to look at */
};
#define LW_PRUNE_ROWS 500 /* rows that one step looks at, and about as many that it deletes */

/* One step, to be called until `done`: deletes up to `limit` finished deliveries with their attempts, and
 * messages that no delivery needs any more. *pruned counts deliveries. Nothing pending goes. After a failure
 * the walk is where it was. */
bool lw_store_prune(struct lw_store *, struct lw_prune *prune, int64_t limit, int64_t *pruned,
                    struct lw_error *error);

#define LW_SHRINK_PAGES 256 /* 1 MiB */
/* One step, in a transaction or not: gives space that pruning left back to the file system. Up to a tenth of
 * the file stays free, for what comes. *more: call again. */
bool lw_store_shrink(struct lw_store *, bool *more, struct lw_error *);
/* Something was pruned through this handle, and lw_store_settle did not run since. */
bool lw_store_unsettled(const struct lw_store *);
/* Outside a transaction, when there is nothing more to shrink: makes the files on disk as small as they can
 * be without waiting for anybody; later again when somebody was in the way. */
void lw_store_settle(struct lw_store *);

#endif
