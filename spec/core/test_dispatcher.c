/* The dispatcher on a real file, with a small HTTP receiver on loopback. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "local_settings.h"

#define NO_BOUNDS .since = -1, .before = -1
enum { MAX_PEERS = 256, MAX_SEEN = 4096, BODY_SIZE = 32, PATIENCE_MS = 20000 };

static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

static int64_t ticks_ms(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->ticks(clock->context) / 1000;
}

static int64_t now_ms(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->now(clock->context);
}

/* -- the receiver ---------------------------------------------------------------------------------- */

struct request {
  char id[LW_ID_TEXT_SIZE], body[BODY_SIZE];
};

static struct receiver {
  int listener, port;
  pthread_t thread, peers[MAX_PEERS];
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int fds[MAX_PEERS], peer_count;
  int to_fail; /* so many requests get a 500 */
  bool shut;   /* answers wait until it is opened */
  bool over;
  struct request seen[MAX_SEEN];
  int seen_count;
} receiver;

static bool read_request(int fd, char *text, size_t size) {
  size_t length = 0;
  for (;;) {
    text[length] = '\0';
    const char *end = strstr(text, "\r\n\r\n");
    const char *line = strstr(text, "Content-Length: ");
    if (end && line && length >= (size_t)(end + 4 - text) + strtoul(line + 16, NULL, 10)) return true;
    ssize_t got = recv(fd, text + length, size - 1 - length, 0);
    if (got <= 0) return false;
    length += (size_t)got;
  }
}

/* Notes the request and waits for its answer. */
static const char *judge(const char *text) {
  struct receiver *r = &receiver;
  pthread_mutex_lock(&r->mutex);
  if (r->seen_count == MAX_SEEN) abort();
  struct request *request = &r->seen[r->seen_count++];
  snprintf(request->id, sizeof request->id, "%.36s", strstr(text, "Webhook-Id: ") + 12);
  snprintf(request->body, sizeof request->body, "%s", strstr(text, "\r\n\r\n") + 4);
  pthread_cond_broadcast(&r->changed);
  while (r->shut && !r->over) pthread_cond_wait(&r->changed, &r->mutex);
  bool bad = r->to_fail > 0;
  if (bad) r->to_fail--;
  pthread_mutex_unlock(&r->mutex);
  return bad ? "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"
             : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
}

static void *serve_peer(void *argument) {
  int *fd = argument;
  char text[4096];
  while (read_request(*fd, text, sizeof text)) {
    const char *answer = judge(text);
    if (send(*fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) break;
  }
  pthread_mutex_lock(&receiver.mutex);
  close(*fd);
  *fd = -1;
  pthread_mutex_unlock(&receiver.mutex);
  return NULL;
}

static void *serve(void *argument) {
  struct receiver *r = &receiver;
  (void)argument;
  for (int fd; (fd = accept(r->listener, NULL, NULL)) >= 0;) {
    pthread_mutex_lock(&r->mutex);
    if (r->peer_count == MAX_PEERS) abort();
    int *slot = &r->fds[r->peer_count];
    *slot = fd;
    pthread_create(&r->peers[r->peer_count++], NULL, serve_peer, slot);
    pthread_mutex_unlock(&r->mutex);
  }
  return NULL;
}

static void start_receiver(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  struct receiver *r = &receiver;
  memset(r, 0, sizeof *r);
  pthread_mutex_init(&r->mutex, NULL);
  pthread_cond_init(&r->changed, NULL);
  r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(r->listener, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(getsockname(r->listener, (struct sockaddr *)&address, &length), 0);
  r->port = ntohs(address.sin_port);
  assert_int_equal(listen(r->listener, MAX_PEERS), 0);
  pthread_create(&r->thread, NULL, serve, NULL);
}

static void stop_receiver(void) {
  struct receiver *r = &receiver;
  shutdown(r->listener, SHUT_RDWR);
  pthread_join(r->thread, NULL);
  close(r->listener);
  pthread_mutex_lock(&r->mutex);
  r->over = true;
  pthread_cond_broadcast(&r->changed);
  for (int i = 0; i < r->peer_count; i++)
    if (r->fds[i] >= 0) shutdown(r->fds[i], SHUT_RDWR);
  pthread_mutex_unlock(&r->mutex);
  for (int i = 0; i < r->peer_count; i++) pthread_join(r->peers[i], NULL);
  pthread_mutex_destroy(&r->mutex);
  pthread_cond_destroy(&r->changed);
}

static void set_receiver(bool shut, int to_fail) {
  pthread_mutex_lock(&receiver.mutex);
  receiver.shut = shut;
  receiver.to_fail = to_fail;
  pthread_cond_broadcast(&receiver.changed);
  pthread_mutex_unlock(&receiver.mutex);
}

static int received(void) {
  pthread_mutex_lock(&receiver.mutex);
  int count = receiver.seen_count;
  pthread_mutex_unlock(&receiver.mutex);
  return count;
}

static void wait_received(int count) {
  int64_t end = ticks_ms() + PATIENCE_MS;
  while (received() < count) {
    if (ticks_ms() > end) fail_msg("%d of %d requests came", received(), count);
    usleep(2000);
  }
}

static int times_received(const char *body) {
  int times = 0;
  pthread_mutex_lock(&receiver.mutex);
  for (int i = 0; i < receiver.seen_count; i++) times += strcmp(receiver.seen[i].body, body) == 0;
  pthread_mutex_unlock(&receiver.mutex);
  return times;
}

/* -- dispatchers and stores ------------------------------------------------------------------------ */

static char folder[64], path[96];

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/lw-dispatcher-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  start_receiver();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  stop_receiver();
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  return rmdir(folder);
}

static struct lw_dispatcher_options options(void) {
  struct lw_retry_schedule retry = {.count = 4, .delays = {20, 20, 20, 20}};
  return (struct lw_dispatcher_options){.settings = local_settings(PATIENCE_MS, retry),
                                        .connections = 32,
                                        .max_in_flight_per_host = 32,
                                        .lease = PATIENCE_MS};
}

/* With a reference to the settings that it takes over. */
static struct lw_dispatcher *open_with(struct lw_dispatcher_options options) {
  struct lw_dispatcher *dispatcher;
  OK((dispatcher = lw_dispatcher_open(path, &options, &error)) != NULL);
  lw_settings_drop(options.settings);
  return dispatcher;
}

static bool insert_webhook(struct lw_store *store, void *context, struct lw_error *failure) {
  return lw_store_insert_webhook(store, context, failure);
}

static void add_webhook(struct lw_dispatcher *dispatcher) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", receiver.port);
  struct lw_webhook webhook = {.app_id = (char *)"shop",
                               .name = (char *)"w",
                               .url = url,
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .signing_secret = (char *)"secret",
                               .enabled = true};
  lw_id_floor(now_ms(), &webhook.id);
  OK(lw_dispatcher_write(dispatcher, insert_webhook, &webhook, &error));
}

static struct lw_dispatcher *open_dispatcher(void) {
  struct lw_dispatcher *dispatcher = open_with(options());
  add_webhook(dispatcher);
  return dispatcher;
}

static struct lw_emit_item item_of(const char *body) {
  return (struct lw_emit_item){.app_id = "shop", .event = "e", .body = body, .body_length = strlen(body)};
}

static bool emit(struct lw_dispatcher *dispatcher, const char *body, struct lw_error *failure) {
  struct lw_emit_item item = item_of(body);
  return lw_dispatcher_emit(dispatcher, &item, 1, failure);
}

static bool enqueue(struct lw_dispatcher *dispatcher, const char *body, struct lw_error *failure) {
  struct lw_emit_item item = item_of(body);
  return lw_dispatcher_enqueue(dispatcher, &item, 1, failure);
}

static void drain(struct lw_dispatcher *dispatcher) {
  int64_t left = 0;
  OK(lw_dispatcher_drain(dispatcher, PATIENCE_MS, &left, &error));
  assert_int_equal(left, 0);
}

static void close_dispatcher(struct lw_dispatcher *dispatcher) {
  OK(lw_dispatcher_close(dispatcher, PATIENCE_MS, &error));
}

static void assert_logged(const char *status, int64_t expected) {
  struct lw_store *store = lw_store_open(path, &error);
  struct lw_log_filter filter = {.status = status, NO_BOUNDS};
  int64_t count = -1;
  OK(lw_store_log_count(store, &filter, &count, &error));
  assert_int_equal(count, expected);
  lw_store_close(store);
}

static struct lw_store_counts counts(void) {
  struct lw_store *store = lw_store_open(path, &error);
  struct lw_store_counts counts;
  OK(lw_store_counts(store, now_ms(), &counts, &error));
  lw_store_close(store);
  return counts;
}

static void execute(const char *sql) {
  sqlite3 *handle;
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  sqlite3_busy_timeout(handle, PATIENCE_MS);
  if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
    fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
  sqlite3_close(handle);
}

/* -- emitting -------------------------------------------------------------------------------------- */

enum { EMITTERS = 4, EACH = 60 };

struct emitter {
  struct lw_dispatcher *dispatcher;
  pthread_t thread;
  int number;
  bool ok;
};

/* Every second event is not waited for. */
static void *emit_many(void *argument) {
  struct emitter *emitter = argument;
  emitter->ok = true;
  for (int i = 0; i < EACH; i++) {
    char body[BODY_SIZE];
    struct lw_error failure;
    snprintf(body, sizeof body, "%d-%d", emitter->number, i);
    bool ok =
        i % 2 == 0 ? emit(emitter->dispatcher, body, &failure) : enqueue(emitter->dispatcher, body, &failure);
    emitter->ok = emitter->ok && ok;
  }
  return NULL;
}

static void emit_from_threads(struct lw_dispatcher *one, struct lw_dispatcher *two) {
  struct emitter emitters[EMITTERS];
  for (int i = 0; i < EMITTERS; i++) {
    emitters[i] = (struct emitter){.dispatcher = i % 2 == 0 ? one : two, .number = i};
    pthread_create(&emitters[i].thread, NULL, emit_many, &emitters[i]);
  }
  for (int i = 0; i < EMITTERS; i++) {
    pthread_join(emitters[i].thread, NULL);
    assert_true(emitters[i].ok);
  }
}

static void assert_all_received_once(void) {
  for (int number = 0; number < EMITTERS; number++)
    for (int i = 0; i < EACH; i++) {
      char body[BODY_SIZE];
      snprintf(body, sizeof body, "%d-%d", number, i);
      if (times_received(body) != 1) fail_msg("%s came %d times", body, times_received(body));
    }
  assert_int_equal(received(), EMITTERS * EACH);
}

static void threads_emit_and_all_arrives(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  emit_from_threads(dispatcher, dispatcher);
  drain(dispatcher);
  assert_all_received_once();
  struct lw_dispatcher_stats stats;
  OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  assert_int_equal(stats.since_open.events, EMITTERS * EACH);
  assert_int_equal(stats.since_open.succeeded, EMITTERS * EACH);
  assert_int_equal(stats.now.pending + stats.now.queued + stats.now.in_flight + stats.since_open.given_up, 0);
  close_dispatcher(dispatcher);
  assert_logged("succeeded", EMITTERS * EACH);
}

static void two_dispatchers_share_a_file(void **state) {
  (void)state;
  struct lw_dispatcher *one = open_dispatcher();
  struct lw_dispatcher *two = open_with(options());
  emit_from_threads(one, two);
  drain(one);
  drain(two);
  drain(one);
  assert_all_received_once();
  close_dispatcher(two);
  close_dispatcher(one);
  assert_logged("succeeded", EMITTERS * EACH);
}

/* An event is in neither the mailbox nor the store while it is being written: here, while the engine waits
 * for the lock. */
static void drain_waits_for_what_is_being_written(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  struct lw_store *other = lw_store_open(path, &error);
  struct lw_dispatcher_stats stats = {.now.queued = 1};
  int64_t left = 0;
  drain(dispatcher);
  OK(lw_store_begin(other, &error));
  OK(enqueue(dispatcher, "a", &error));
  while (stats.now.queued > 0) OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  assert_false(lw_dispatcher_drain(dispatcher, 100, &left, &error));
  assert_string_equal(error.code, "timeout");
  lw_store_rollback(other);
  lw_store_close(other);
  drain(dispatcher);
  assert_int_equal(received(), 1);
  close_dispatcher(dispatcher);
}

static void a_failing_store_loses_nothing(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  execute("ALTER TABLE messages RENAME TO hidden");
  for (int i = 0; i < 10; i++) OK(enqueue(dispatcher, "kept", &error));
  assert_false(emit(dispatcher, "refused", &error));
  assert_string_equal(error.code, "store");
  assert_false(lw_dispatcher_flush(dispatcher, 50, &error));
  assert_string_equal(error.code, "timeout");
  execute("ALTER TABLE hidden RENAME TO messages");
  OK(lw_dispatcher_flush(dispatcher, PATIENCE_MS, &error));
  drain(dispatcher);
  assert_int_equal(times_received("kept"), 10);
  assert_int_equal(times_received("refused"), 0);
  close_dispatcher(dispatcher);
  assert_logged("succeeded", 10);
}

/* -- attempts -------------------------------------------------------------------------------------- */

static void wait_succeeded(struct lw_dispatcher *dispatcher, int64_t count) {
  int64_t end = ticks_ms() + PATIENCE_MS;
  struct lw_dispatcher_stats stats = {.now.queued = 0};
  while (stats.since_open.succeeded < count) {
    if (ticks_ms() > end) fail_msg("%d of %d succeeded", (int)stats.since_open.succeeded, (int)count);
    usleep(2000);
    OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  }
}

static void assert_attempts(const char *const *triggers, size_t count) {
  struct lw_store *store = lw_store_open(path, &error);
  struct lw_log_filter filter = {NO_BOUNDS};
  struct lw_log_page page;
  OK(lw_store_log_page(store, &filter, NULL, &page, &error));
  assert_int_equal(page.count, 1);
  struct lw_attempt_list list;
  OK(lw_store_attempts(store, &page.rows[0].id, &list, &error));
  assert_int_equal(list.count, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(list.items[i].number, i + 1);
    assert_string_equal(list.items[i].trigger, triggers[i]);
  }
  assert_int_equal(page.rows[0].status, LW_SUCCEEDED);
  lw_attempt_list_free(&list);
  lw_log_page_free(&page);
  lw_store_close(store);
}

static bool resend_all(struct lw_store *store, void *context, struct lw_error *failure) {
  struct lw_log_filter filter = {NO_BOUNDS};
  struct lw_id_list list;
  bool ok = lw_store_find_resendable(store, &filter, NULL, 100, &list, failure) &&
            lw_store_resend(store, &list, now_ms(), context, failure);
  lw_id_list_free(&list);
  return ok;
}

static void failures_are_retried_and_successes_resent(void **state) {
  static const char *const triggers[] = {"emit", "retry", "retry", "resend"};
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  set_receiver(false, 2);
  OK(emit(dispatcher, "again", &error));
  wait_succeeded(dispatcher, 1);
  int64_t resent = 0;
  OK(lw_dispatcher_write(dispatcher, resend_all, &resent, &error));
  assert_int_equal(resent, 1);
  drain(dispatcher);
  close_dispatcher(dispatcher);
  assert_int_equal(times_received("again"), 4);
  for (int i = 1; i < 4; i++) assert_string_equal(receiver.seen[i].id, receiver.seen[0].id);
  assert_attempts(triggers, 4);
}

static void a_used_up_schedule_fails(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  set_receiver(false, 1000);
  OK(emit(dispatcher, "never", &error));
  wait_received(5);
  while (counts().pending > 0) usleep(2000);
  close_dispatcher(dispatcher);
  assert_int_equal(received(), 5);
  assert_logged("failed", 1);
}

/* -- ends ------------------------------------------------------------------------------------------ */

static void close_gives_flights_back(void **state) {
  (void)state;
  struct lw_dispatcher_options few = options();
  few.connections = 2;
  struct lw_dispatcher *dispatcher = open_with(few);
  add_webhook(dispatcher);
  set_receiver(true, 0);
  char body[BODY_SIZE];
  for (int i = 0; i < 6; i++) {
    snprintf(body, sizeof body, "%d", i);
    OK(emit(dispatcher, body, &error));
  }
  wait_received(2);
  OK(lw_dispatcher_close(dispatcher, 50, &error));
  struct lw_store_counts left = counts();
  assert_int_equal(left.pending, 6);
  assert_int_equal(left.claimed, 0);
  assert_int_equal(left.due, 6);
  set_receiver(false, 0);
  dispatcher = open_with(options());
  drain(dispatcher);
  close_dispatcher(dispatcher);
  for (int i = 0; i < 6; i++) {
    snprintf(body, sizeof body, "%d", i);
    assert_in_range(times_received(body), 1, 2);
  }
  assert_logged("succeeded", 6);
}

static void close_stores_what_waits(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  for (int i = 0; i < 500; i++) OK(enqueue(dispatcher, "w", &error));
  OK(lw_dispatcher_close(dispatcher, 0, &error));
  assert_logged(NULL, 500);
  assert_int_equal(counts().claimed, 0);
}

/* It used to wait for three times the busy timeout: 30 s. */
static void close_does_not_wait_for_a_locked_database(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  for (int i = 0; i < 3; i++) OK(enqueue(dispatcher, "lost", &error));
  usleep(20000); /* the engine waits for the lock */
  int64_t began = ticks_ms();
  assert_false(lw_dispatcher_close(dispatcher, 100, &error));
  assert_in_range(ticks_ms() - began, LW_CLOSE_GRACE_MS / 2, 5000);
  assert_string_equal(error.code, "store");
  assert_non_null(strstr(error.message, "3 queued events"));
  lw_store_rollback(other);
  lw_store_close(other);
  assert_logged(NULL, 0);
}

static void close_waits_for_a_short_lock(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher();
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  OK(enqueue(dispatcher, "kept", &error));
  usleep(20000);
  OK(lw_store_commit(other, &error));
  OK(lw_dispatcher_close(dispatcher, 0, &error));
  lw_store_close(other);
  assert_logged(NULL, 1);
}

/* -- a lost lease ---------------------------------------------------------------------------------- */

/* What another dispatcher does after this one has stalled for longer than its lease. */
static void take_claims(struct lw_store *other, const struct lw_id *thief, size_t expected) {
  struct lw_claim_list list;
  int64_t freed = 0, far = now_ms() + 1000 * PATIENCE_MS;
  bool lost;
  OK(lw_store_begin(other, &error));
  OK(lw_store_take_over(other, far, &freed, &error));
  OK(lw_store_heartbeat(other, thief, far, false, &lost, &error));
  struct lw_due_line line;
  OK(lw_store_next_line(other, NULL, &line, &lost, &error));
  OK(lw_store_claim(other, thief, &line.webhook_id, now_ms(), 100, &list, &error));
  OK(lw_store_commit(other, &error));
  assert_int_equal(list.count, expected);
  lw_claim_list_free(&list);
}

static void a_lost_lease_recalls_what_waits(void **state) {
  static const struct lw_id thief = {{0xd1, 0xff}};
  (void)state;
  struct lw_dispatcher_options single = options();
  single.connections = 1;
  single.lease = 600;
  struct lw_dispatcher *dispatcher = open_with(single);
  add_webhook(dispatcher);
  set_receiver(true, 0);
  char body[BODY_SIZE];
  for (int i = 0; i < 5; i++) {
    snprintf(body, sizeof body, "%d", i);
    OK(emit(dispatcher, body, &error));
  }
  wait_received(1);
  struct lw_store *other = lw_store_open(path, &error);
  take_claims(other, &thief, 5);
  /* The dispatcher notices at its next heartbeat, every third of the lease; only the running one stays. */
  struct lw_dispatcher_stats stats = {.now.in_flight = 5};
  for (int64_t end = ticks_ms() + PATIENCE_MS; stats.now.in_flight > 1; usleep(2000)) {
    if (ticks_ms() > end) fail_msg("%d are still in flight", (int)stats.now.in_flight);
    OK(lw_dispatcher_stats(dispatcher, &stats, &error));
  }
  set_receiver(false, 0);
  wait_succeeded(dispatcher, 1);
  assert_int_equal(received(), 1);
  assert_int_equal(counts().claimed, 4);
  /* What the other one gives back is sent, under the new name. */
  OK(lw_store_release_all(other, &thief, &error));
  lw_store_close(other);
  drain(dispatcher);
  close_dispatcher(dispatcher);
  assert_int_equal(received(), 5);
  assert_logged("succeeded", 5);
}

/* -- handing over ---------------------------------------------------------------------------------- */

static void a_retired_dispatcher_leaves_the_rest_to_its_successor(void **state) {
  (void)state;
  struct lw_dispatcher_options single = options();
  single.connections = 1;
  struct lw_dispatcher *old = open_with(single);
  add_webhook(old);
  set_receiver(true, 0);
  char body[BODY_SIZE];
  for (int i = 0; i < 6; i++) {
    snprintf(body, sizeof body, "%d", i);
    OK(emit(old, body, &error));
  }
  wait_received(1);
  lw_dispatcher_retire(old);
  /* Five of them were only queued for sending. */
  for (int64_t end = ticks_ms() + PATIENCE_MS; counts().claimed > 1; usleep(2000))
    if (ticks_ms() > end) fail_msg("%d are still claimed", (int)counts().claimed);
  OK(emit(old, "late", &error));
  assert_int_equal(counts().due, 6);
  struct lw_dispatcher *successor = open_with(options());
  wait_received(7);
  set_receiver(false, 0);
  drain(successor);
  close_dispatcher(old);
  close_dispatcher(successor);
  for (int i = 0; i < 6; i++) {
    snprintf(body, sizeof body, "%d", i);
    assert_int_equal(times_received(body), 1);
  }
  assert_int_equal(times_received("late"), 1);
  assert_logged("succeeded", 7);
}

#define WITH_RECEIVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_RECEIVER(threads_emit_and_all_arrives),
      WITH_RECEIVER(two_dispatchers_share_a_file),
      WITH_RECEIVER(drain_waits_for_what_is_being_written),
      WITH_RECEIVER(a_failing_store_loses_nothing),
      WITH_RECEIVER(failures_are_retried_and_successes_resent),
      WITH_RECEIVER(a_used_up_schedule_fails),
      WITH_RECEIVER(close_gives_flights_back),
      WITH_RECEIVER(close_stores_what_waits),
      WITH_RECEIVER(close_does_not_wait_for_a_locked_database),
      WITH_RECEIVER(close_waits_for_a_short_lock),
      WITH_RECEIVER(a_lost_lease_recalls_what_waits),
      WITH_RECEIVER(a_retired_dispatcher_leaves_the_rest_to_its_successor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
