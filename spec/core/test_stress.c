/* Several dispatchers on one file, each in a thread of its own that emits, resends, creates, changes,
 * disables and deletes webhooks, closes its dispatcher and opens another one, as dice say whose seeds are
 * fixed. What happens when is up to the system; what must hold at the end is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "local_settings.h"
#include "receiver.h"

enum { PATIENCE_MS = 60000, PLAYERS = 3, MOVES = 350, EVENTS = PLAYERS * MOVES * 3, PASSING = 6 };

static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

/* The disk's speed is not tested here. (SQLite, which is linked dynamically, calls these.) */
__attribute__((visibility("default"))) int fdatasync(int fd) {
  (void)fd;
  return 0;
}
__attribute__((visibility("default"))) int fsync(int fd) {
  (void)fd;
  return 0;
}

static int64_t now_ms(void) {
  return lw_system_clock()->now(NULL);
}

/* -- the receiver ---------------------------------------------------------------------------------- */

static char folder[64], path[96];
static struct receiver receiver;

/* Every seventh request fails; a delivery has more tries than that. */
static const char *judge(const struct receiver_request *request, void *context) {
  int *requests = context;
  (void)request;
  return ++*requests % 7 == 0 ? RECEIVER_NO : RECEIVER_OK;
}

static int requests_seen;

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/lw-stress-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  receiver_start(&receiver, judge, &requests_seen);
  return 0;
}

static int tear_down(void **state) {
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

/* -- webhooks -------------------------------------------------------------------------------------- */

static struct lw_id stable_ids[2], passing_ids[PASSING];

static struct lw_webhook webhook_at(const struct lw_id *id, const char *where, const char *settings,
                                    char url[64]) {
  snprintf(url, 64, "http://127.0.0.1:%d%s", receiver.port, where);
  return (struct lw_webhook){.id = *id,
                             .app_id = (char *)"shop",
                             .name = (char *)"w",
                             .url = url,
                             .format = (char *)"raw",
                             .events = (char *)"*",
                             .settings = (char *)settings,
                             .enabled = true};
}

/* What becomes of a webhook that comes and goes. */
struct change {
  struct lw_id id;
  int what;
};

static bool put(struct lw_store *store, const struct lw_webhook *webhook, struct lw_error *failure) {
  bool found;
  if (!lw_store_update_webhook(store, webhook, &found, failure)) return false;
  return found || lw_store_insert_webhook(store, webhook, failure);
}

static bool change_webhook(struct lw_store *store, void *context, struct lw_error *failure) {
  static const char *const settings[] = {NULL, "ordered=true\n", "max_in_flight=2\nrate_limit=50/100\n",
                                         "breaker=2/5/20\n"};
  const struct change *change = context;
  char url[64];
  bool found;
  if (change->what == 4)
    return lw_store_delete_webhook(store, &change->id, &found, failure) &&
           lw_store_cancel_webhook(store, &change->id, "deleted", failure);
  if (change->what == 5)
    return lw_store_disable_webhook(store, &change->id, "disabled", now_ms(), &found, failure) &&
           lw_store_cancel_webhook(store, &change->id, "disabled", failure);
  struct lw_webhook webhook = webhook_at(&change->id, "/passing", settings[change->what], url);
  return put(store, &webhook, failure);
}

static bool add_stable(struct lw_store *store, void *context, struct lw_error *failure) {
  char url[64];
  (void)context;
  struct lw_webhook plain = webhook_at(&stable_ids[0], "/plain", NULL, url);
  if (!lw_store_insert_webhook(store, &plain, failure)) return false;
  struct lw_webhook ordered = webhook_at(&stable_ids[1], "/ordered", "ordered=true\n", url);
  return lw_store_insert_webhook(store, &ordered, failure);
}

/* What was sent to the plain webhook in the last 20 ms, or to those that come and go. */
static bool resend(struct lw_store *store, void *context, struct lw_error *failure) {
  struct lw_log_filter filter = {.since = now_ms() - 20, .before = -1, .webhook_id = context};
  struct lw_id_list list;
  int64_t resent;
  bool ok = lw_store_find_resendable(store, &filter, NULL, 20, &list, failure) &&
            lw_store_resend(store, &list, now_ms(), &resent, failure);
  lw_id_list_free(&list);
  return ok;
}

/* -- players --------------------------------------------------------------------------------------- */

static atomic_int events;

struct player {
  pthread_t thread;
  uint32_t dice;
  struct lw_dispatcher *dispatcher;
  struct lw_error error; /* with "" as its code: none */
};

static struct lw_dispatcher *open_dispatcher(struct lw_error *failure) {
  struct lw_retry_schedule retry = {.count = 9, .delays = {3, 3, 3, 3, 3, 3, 3, 3, 3}};
  struct lw_dispatcher_options options = {.settings = local_settings(PATIENCE_MS, retry),
                                          .connections = 16,
                                          .max_in_flight_per_host = 16,
                                          .lease = 10 * PATIENCE_MS};
  struct lw_dispatcher *dispatcher = lw_dispatcher_open(path, &options, failure);
  lw_settings_drop(options.settings);
  return dispatcher;
}

/* xorshift (Marsaglia, Journal of Statistical Software 8(14), 2003). */
static int roll(struct player *player, int sides) {
  player->dice ^= player->dice << 13;
  player->dice ^= player->dice >> 17;
  player->dice ^= player->dice << 5;
  return (int)(player->dice % (uint32_t)sides);
}

static bool emit(struct player *player, int count, bool waits) {
  char bodies[3][16];
  struct lw_emit_item items[3];
  for (int i = 0; i < count; i++) {
    snprintf(bodies[i], sizeof bodies[i], "%d", atomic_fetch_add(&events, 1));
    items[i] = (struct lw_emit_item){
        .app_id = "shop", .event = "e", .body = bodies[i], .body_length = strlen(bodies[i])};
  }
  return waits ? lw_dispatcher_emit(player->dispatcher, items, (size_t)count, &player->error)
               : lw_dispatcher_enqueue(player->dispatcher, items, (size_t)count, &player->error);
}

static bool reopen(struct player *player) {
  bool ok = lw_dispatcher_close(player->dispatcher, roll(player, 3) * 10, &player->error);
  player->dispatcher = open_dispatcher(&player->error);
  return ok && player->dispatcher != NULL;
}

static bool move(struct player *player) {
  struct lw_dispatcher *dispatcher = player->dispatcher;
  int face = roll(player, 100);
  if (face < 70) return emit(player, 1 + roll(player, 3), face < 35);
  if (face < 90) {
    struct change change = {.id = passing_ids[roll(player, PASSING)], .what = roll(player, 6)};
    return lw_dispatcher_write(dispatcher, change_webhook, &change, &player->error);
  }
  if (face < 97) {
    struct lw_id *id = face < 94 ? &stable_ids[0] : &passing_ids[roll(player, PASSING)];
    return lw_dispatcher_write(dispatcher, resend, id, &player->error);
  }
  return reopen(player);
}

static void *play(void *argument) {
  struct player *player = argument;
  bool ok = true;
  for (int i = 0; ok && i < MOVES; i++) ok = move(player);
  if (ok) player->error.code[0] = '\0';
  return NULL;
}

/* -- what must hold at the end --------------------------------------------------------------------- */

static void assert_all_arrived(const char *where, int count) {
  static int times[EVENTS];
  memset(times, 0, sizeof times);
  for (int i = 0; i < receiver.count; i++)
    if (strcmp(receiver.requests[i].path, where) == 0) times[strtol(receiver.requests[i].body, NULL, 10)]++;
  for (int i = 0; i < count; i++)
    if (times[i] == 0) fail_msg("event %d did not come to %s", i, where);
}

/* By the moment in their ids, which begin with it: two processes may emit in the same millisecond. */
static void assert_in_order(void) {
  enum { MOMENT = 13 }; /* 8 digits, a hyphen, 4 digits */
  const char *last = "";
  for (int i = 0; i < receiver.count; i++) {
    const struct receiver_request *request = &receiver.requests[i];
    if (strcmp(request->path, "/ordered") != 0) continue;
    if (strncmp(last, request->id, MOMENT) > 0) fail_msg("%s came after %s", request->id, last);
    last = request->id;
  }
}

static void assert_nothing_is_left(void) {
  struct lw_store_counts counts;
  struct lw_log_filter failed = {.since = -1, .before = -1, .status = "failed"};
  int64_t count;
  struct lw_store *store = lw_store_open(path, &error);
  assert_non_null(store);
  OK(lw_store_counts(store, now_ms(), &counts, &error));
  assert_int_equal(counts.pending, 0);
  assert_int_equal(counts.claimed, 0);
  OK(lw_store_log_count(store, &failed, &count, &error));
  assert_int_equal(count, 0);
  lw_store_close(store);
}

static void many_hands_lose_nothing(void **state) {
  (void)state;
  struct player players[PLAYERS];
  int64_t left = 0;
  for (int i = 0; i < 2; i++) lw_id_floor(now_ms() + i, &stable_ids[i]);
  for (int i = 0; i < PASSING; i++) lw_id_floor(now_ms() + 10 + i, &passing_ids[i]);
  for (int i = 0; i < PLAYERS; i++) {
    players[i] = (struct player){.dice = 20260000u + (uint32_t)i, .error.code = "not played"};
    OK((players[i].dispatcher = open_dispatcher(&error)) != NULL);
  }
  OK(lw_dispatcher_write(players[0].dispatcher, add_stable, NULL, &error));
  for (int i = 0; i < PLAYERS; i++) pthread_create(&players[i].thread, NULL, play, &players[i]);
  for (int i = 0; i < PLAYERS; i++) pthread_join(players[i].thread, NULL);
  for (int i = 0; i < PLAYERS; i++)
    if (players[i].error.code[0] != '\0')
      fail_msg("player %d: %s: %s", i, players[i].error.code, players[i].error.message);
  for (int i = 0; i < PLAYERS; i++)
    OK(lw_dispatcher_drain(players[i].dispatcher, PATIENCE_MS, &left, &error));
  /* A retry that was not due yet is none of what a drain waits for. */
  struct lw_dispatcher_stats stats = {.now.pending = 1};
  while (stats.now.pending > 0) {
    OK(lw_dispatcher_stats(players[0].dispatcher, &stats, &error));
    usleep(1000);
  }
  for (int i = 0; i < PLAYERS; i++) OK(lw_dispatcher_close(players[i].dispatcher, PATIENCE_MS, &error));
  assert_all_arrived("/plain", atomic_load(&events));
  assert_all_arrived("/ordered", atomic_load(&events));
  assert_in_order();
  assert_nothing_is_left();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(many_hands_lose_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
