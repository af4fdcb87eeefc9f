/* Days in milliseconds: a dispatcher whose clock the test moves. It stands still in between, so that what the
 * dispatcher does at a moment can be looked at; nothing wakes it but settle(). */
#ifndef LW_SPEC_MOVED_CLOCK_H
#define LW_SPEC_MOVED_CLOCK_H

#include <stdatomic.h>

#include "scene.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static struct {
  _Atomic int64_t now;     /* milliseconds */
  _Atomic uint32_t jitter; /* what a retry's delay is drawn from: the middle of its range is 0x80000000 */
} moved;

static inline int64_t moved_now(void *context) {
  (void)context;
  return moved.now;
}

static inline int64_t moved_ticks(void *context) {
  (void)context;
  return moved.now * 1000;
}

/* Four bytes are a jitter's; ids, which must differ, take more. */
static inline void moved_random(void *context, void *bytes, size_t length) {
  uint32_t jitter = moved.jitter;
  (void)context;
  if (length == sizeof jitter)
    memcpy(bytes, &jitter, sizeof jitter);
  else
    lw_system_clock()->random(NULL, bytes, length);
}

static const struct lw_clock moved_clock = {moved_now, moved_ticks, moved_random, NULL};

static inline int open_moved_scene(void **state) {
  (void)state;
  const struct lw_clock *system = lw_system_clock();
  moved.now = system->now(system->context) / SECOND * SECOND;
  moved.jitter = 0x80000000;
  return open_scene(&moved_clock);
}

/* No breaker, one try, and a lease that outlives every move. */
static inline struct lw_dispatcher_options moved_options(void) {
  struct lw_dispatcher_options options = {
      .settings = local_settings(PATIENCE_MS, (struct lw_retry_schedule){.count = 0}),
      .connections = 32,
      .max_in_flight_per_host = 32,
      .lease = 365 * DAY,
      .clock = &moved_clock};
  options.settings->limits.breaker_failures = 0;
  return options;
}

static inline bool do_nothing(struct lw_store *store, void *context, struct lw_error *failure) {
  (void)store, (void)context, (void)failure;
  return true;
}

/* The dispatcher writes down what came back, looks for what is due, and sends it. */
static inline void look(struct lw_dispatcher *dispatcher) {
  OK(lw_dispatcher_write(dispatcher, do_nothing, NULL, &error));
}

static inline int64_t count_in_store(const char *sql) {
  sqlite3 *handle;
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  sqlite3_busy_timeout(handle, PATIENCE_MS);
  if (sqlite3_prepare_v2(handle, sql, -1, &statement, NULL) != SQLITE_OK)
    fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int64_t count = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(handle);
  return count;
}

/* Lets it look until so many attempts are written down. */
static inline void settle(struct lw_dispatcher *dispatcher, int attempts) {
  int64_t end = ticks_ms() + PATIENCE_MS;
  for (;;) {
    look(dispatcher);
    int64_t made = count_in_store("SELECT count(*) FROM attempts");
    if (made == attempts) return;
    if (made > attempts || ticks_ms() > end) fail_msg("%d attempts, not %d", (int)made, attempts);
    usleep(1000);
  }
}

/* Lets it look until so many requests have come, whatever they are answered. */
static inline void settle_received(struct lw_dispatcher *dispatcher, int requests) {
  for (int64_t end = ticks_ms() + PATIENCE_MS; received() < requests; usleep(1000)) {
    if (ticks_ms() > end) fail_msg("%d of %d requests came", received(), requests);
    look(dispatcher);
  }
}

/* What is under way is in its claims: none, and nothing was sent. */
static inline void assert_rests(struct lw_dispatcher *dispatcher) {
  for (int i = 0; i < 3; i++) look(dispatcher);
  assert_int_equal(count_in_store("SELECT count(*) FROM deliveries WHERE claimed_by IS NOT NULL"), 0);
}

/* The delivery of the event with that body, as it is in the store. */
struct logged {
  enum lw_status status;
  int32_t attempts;
  int64_t due_at;
  char reason[128];
};

static inline struct logged logged(const char *body) {
  struct lw_store *store = lw_store_open(path, &error);
  struct lw_log_filter filter = {NO_BOUNDS};
  struct lw_log_page page;
  struct logged found = {.attempts = -1};
  OK(lw_store_log_page(store, &filter, NULL, &page, &error));
  for (size_t i = 0; i < page.count; i++) {
    const struct lw_log_row *row = &page.rows[i];
    if (row->request_body_length != strlen(body) || memcmp(row->request_body, body, strlen(body)) != 0)
      continue;
    found = (struct logged){.status = row->status, .attempts = row->attempts, .due_at = row->due_at};
    snprintf(found.reason, sizeof found.reason, "%s", row->reason ? row->reason : "");
  }
  lw_log_page_free(&page);
  lw_store_close(store);
  if (found.attempts < 0) fail_msg("no delivery of '%s'", body);
  return found;
}

static inline struct lw_webhook webhook_of(const struct lw_id *id) {
  struct lw_store *store = lw_store_open(path, &error);
  struct lw_webhook webhook;
  bool found = false;
  OK(lw_store_get_webhook(store, id, &webhook, &found, &error));
  assert_true(found);
  lw_store_close(store);
  return webhook;
}

#endif
