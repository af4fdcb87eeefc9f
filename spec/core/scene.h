/* What tests of the whole dispatcher share: a file, a receiver, webhooks and events. After cmocka.h. */
#ifndef LW_SPEC_SCENE_H
#define LW_SPEC_SCENE_H

#include <sqlite3.h>

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "local_settings.h"
#include "receiver.h"

#define NO_BOUNDS .since = -1, .before = -1

static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

enum { BODY_SIZE = 32, HEADERS_SIZE = 96, PATIENCE_MS = 20000 };

static char folder[64], path[96];
static struct receiver receiver;
static const struct lw_clock *scene_clock;

static inline int64_t ticks_ms(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->ticks(clock->context) / 1000;
}

static inline int64_t now_ms(void) {
  return scene_clock->now(scene_clock->context);
}

/* -- the receiver ---------------------------------------------------------------------------------- */

/* Under the receiver's mutex. */
static struct {
  int to_fail;                     /* so many requests get a failure */
  char failure[HEADERS_SIZE + 64]; /* the answer to them */
  bool shut;                       /* answers wait until it is opened */
  int most_running;
  int64_t at[RECEIVER_REQUESTS]; /* when each came, by the scene's clock */
} answers;

static inline const char *judge_request(const struct receiver_request *request, void *context) {
  int running = 0;
  (void)context;
  for (int i = 0; i < receiver.count; i++) running += receiver.requests[i].answer == NULL;
  if (running > answers.most_running) answers.most_running = running;
  int64_t *at = &answers.at[request - receiver.requests];
  if (*at == 0) *at = now_ms();
  if (answers.shut) return NULL;
  if (answers.to_fail == 0) return RECEIVER_OK;
  answers.to_fail--;
  return answers.failure;
}

static inline void set_receiver(bool shut, int to_fail) {
  pthread_mutex_lock(&receiver.mutex);
  answers.shut = shut;
  answers.to_fail = to_fail;
  pthread_mutex_unlock(&receiver.mutex);
  receiver_wake(&receiver);
}

/* What its failures are from now on, with these headers ("Name: value\r\n"). */
static inline void set_failure(int status, const char *headers) {
  pthread_mutex_lock(&receiver.mutex);
  snprintf(answers.failure, sizeof answers.failure, "HTTP/1.1 %d No\r\n%sContent-Length: 2\r\n\r\nno", status,
           headers);
  pthread_mutex_unlock(&receiver.mutex);
}

static inline int received(void) {
  return receiver_count(&receiver);
}

static inline struct receiver_request request_at(int index) {
  if (index >= received()) fail_msg("only %d requests came", received());
  pthread_mutex_lock(&receiver.mutex);
  struct receiver_request request = receiver.requests[index];
  pthread_mutex_unlock(&receiver.mutex);
  return request;
}

static inline int64_t came_at(int index) {
  if (index >= received()) fail_msg("only %d requests came", received());
  pthread_mutex_lock(&receiver.mutex);
  int64_t at = answers.at[index];
  pthread_mutex_unlock(&receiver.mutex);
  return at;
}

static inline int most_running(void) {
  pthread_mutex_lock(&receiver.mutex);
  int most = answers.most_running;
  pthread_mutex_unlock(&receiver.mutex);
  return most;
}

static inline void wait_received(int count) {
  int64_t end = ticks_ms() + PATIENCE_MS;
  while (received() < count) {
    if (ticks_ms() > end) fail_msg("%d of %d requests came", received(), count);
    usleep(2000);
  }
}

static inline int times_received(const char *body) {
  int times = 0;
  pthread_mutex_lock(&receiver.mutex);
  for (int i = 0; i < receiver.count; i++) times += strcmp(receiver.requests[i].body, body) == 0;
  pthread_mutex_unlock(&receiver.mutex);
  return times;
}

/* -- a file, dispatchers, webhooks, events --------------------------------------------------------- */

static inline int open_scene(const struct lw_clock *clock) {
  snprintf(folder, sizeof folder, "/tmp/lw-dispatcher-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  scene_clock = clock;
  memset(&answers, 0, sizeof answers);
  receiver_start(&receiver, judge_request, NULL);
  set_failure(500, "");
  return 0;
}

static inline int close_scene(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  receiver_stop(&receiver);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  return rmdir(folder);
}

/* With a reference to the settings that it takes over. */
static inline struct lw_dispatcher *open_with(struct lw_dispatcher_options options) {
  struct lw_dispatcher *dispatcher;
  OK((dispatcher = lw_dispatcher_open(path, &options, &error)) != NULL);
  lw_settings_drop(options.settings);
  return dispatcher;
}

static inline void close_dispatcher(struct lw_dispatcher *dispatcher) {
  OK(lw_dispatcher_close(dispatcher, PATIENCE_MS, &error));
}

static inline bool insert_webhook(struct lw_store *store, void *context, struct lw_error *failure) {
  return lw_store_insert_webhook(store, context, failure);
}

/* For the events of an app; with these settings (delivery/settings.h), or NULL. */
static inline struct lw_id add_webhook_of(struct lw_dispatcher *dispatcher, const char *app,
                                          const char *settings) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", receiver.port);
  struct lw_webhook webhook = {.app_id = (char *)app,
                               .name = (char *)"w",
                               .url = url,
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .signing_secret = (char *)"secret",
                               .enabled = true,
                               .settings = (char *)settings,
                               .created_at = now_ms(),
                               .updated_at = now_ms()};
  lw_id_floor(now_ms(), &webhook.id);
  memcpy(webhook.id.bytes + 8, app, strnlen(app, 8));
  OK(lw_dispatcher_write(dispatcher, insert_webhook, &webhook, &error));
  return webhook.id;
}

static inline struct lw_id add_webhook(struct lw_dispatcher *dispatcher, const char *settings) {
  return add_webhook_of(dispatcher, "shop", settings);
}

static inline struct lw_emit_item item_of(const char *body) {
  return (struct lw_emit_item){.app_id = "shop", .event = "e", .body = body, .body_length = strlen(body)};
}

static inline bool emit(struct lw_dispatcher *dispatcher, const char *body, struct lw_error *failure) {
  struct lw_emit_item item = item_of(body);
  return lw_dispatcher_emit(dispatcher, &item, 1, failure);
}

static inline void execute(const char *sql) {
  sqlite3 *handle;
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  sqlite3_busy_timeout(handle, PATIENCE_MS);
  if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
    fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
  sqlite3_close(handle);
}

#endif
