/* What a dispatcher counts and tells when its store fails it or others take over. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "local_settings.h"

enum { PATIENCE_MS = 20000, LOOK_MS = 5, MANY = 64 };

static char folder[64], path[96];
static struct lw_dispatcher *dispatcher;
static struct lw_records *records;
static struct lw_store *other; /* another process, as far as the dispatcher can tell */
static struct lw_error error;
static int told[MANY]; /* how many records there were of each event */

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

static int set_up(void **state) {
  (void)state;
  memset(told, 0, sizeof told);
  snprintf(folder, sizeof folder, "/tmp/lw-observe-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  records = lw_records_new(true, NULL);
  other = lw_store_open(path, &error);
  struct lw_dispatcher_options options = {
      .settings = local_settings(300, (struct lw_retry_schedule){.count = 0}),
      .connections = 4,
      .max_in_flight_per_host = 4,
      .lease = 600,
      .records = records};
  dispatcher = lw_dispatcher_open(path, &options, &error);
  lw_settings_drop(options.settings);
  return dispatcher && other ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  lw_dispatcher_close(dispatcher, 0, &error);
  lw_records_drop(records);
  lw_store_close(other);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  return rmdir(folder);
}

static struct lw_dispatcher_stats stats(void) {
  struct lw_dispatcher_stats now;
  OK(lw_dispatcher_stats(dispatcher, &now, &error));
  return now;
}

/* Counts what was told so far; the last record of `event` stands in *record. */
static void listen_for(enum lw_record_event event, struct lw_record *record) {
  struct lw_record next;
  while (lw_records_take(records, &next)) {
    told[next.event]++;
    if (next.event == event) *record = next;
  }
}

static struct lw_record await_record(enum lw_record_event event) {
  struct lw_record record;
  for (int waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
    listen_for(event, &record);
    if (told[event] > 0) return record;
    usleep(LOOK_MS * 1000);
  }
  fail_msg("no record %s", lw_record_event_name(event));
  return record;
}

/* The largest file that may be written: small means a full disk. */
static void limit_files(rlim_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool emit(void) {
  struct lw_emit_item item = {.app_id = "app", .event = "e", .body = "{}", .body_length = 2, .packed = ""};
  return lw_dispatcher_emit(dispatcher, &item, 1, &error);
}

static struct lw_id add_webhook(const char *url) {
  static struct lw_id_generator ids;
  ids.clock = lw_system_clock();
  struct lw_webhook webhook = {.app_id = (char *)"app",
                               .name = (char *)"name",
                               .url = (char *)url,
                               .format = (char *)"raw",
                               .events = (char *)"*",
                               .enabled = true};
  lw_id_next(&ids, &webhook.id);
  OK(lw_store_insert_webhook(other, &webhook, &error));
  return webhook.id;
}

static void a_failing_store_is_told_once(void **state) {
  (void)state;
  OK(emit());
  limit_files(4096);
  bool first = emit(), second = emit();
  limit_files(RLIM_INFINITY);
  assert_false(first || second);
  struct lw_record record = await_record(LW_RECORD_STORE_FAILED);
  assert_string_equal(record.error, error.code);
  assert_string_equal(record.message, error.message);
  OK(emit());
  await_record(LW_RECORD_STORE_RECOVERED);
  assert_int_equal(told[LW_RECORD_STORE_FAILED], 1);
  assert_int_equal(told[LW_RECORD_STORE_RECOVERED], 1);
  assert_true(stats().since_open.store_failures >= 2);
  assert_int_equal(stats().since_open.events, 2);
}

/* A socket that takes connections and never answers. */
static int open_silence(char url[64]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int silence = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(silence, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(silence, 8), 0);
  assert_int_equal(getsockname(silence, (struct sockaddr *)&address, &size), 0);
  snprintf(url, 64, "http://127.0.0.1:%d/", ntohs(address.sin_port));
  return silence;
}

static void an_attempt_counts_once_however_often_it_is_written(void **state) {
  (void)state;
  char url[64];
  int silence = open_silence(url);
  struct lw_id webhook = add_webhook(url);
  OK(emit());
  limit_files(4096); /* before it times out */
  int64_t failures = 0;
  for (int waited = 0; failures < 4 && waited < PATIENCE_MS; waited += LOOK_MS) {
    usleep(LOOK_MS * 1000);
    failures = stats().since_open.store_failures;
    assert_int_equal(stats().since_open.attempts[LW_ATTEMPT_TIMEOUT], 0);
  }
  limit_files(RLIM_INFINITY);
  assert_true(failures >= 4);
  struct lw_record record = await_record(LW_RECORD_DELIVERY_FAILED);
  assert_true(lw_id_equal(&record.webhook_id, &webhook));
  assert_int_equal(record.attempt, 1);
  assert_string_equal(record.error, "timeout");
  int64_t left;
  OK(lw_dispatcher_drain(dispatcher, PATIENCE_MS, &left, &error));
  listen_for(LW_RECORD_DELIVERY_FAILED, &record);
  assert_int_equal(told[LW_RECORD_DELIVERY_FAILED], 1);
  struct lw_metrics counts = stats().since_open;
  assert_int_equal(counts.attempts[LW_ATTEMPT_TIMEOUT], 1);
  assert_int_equal(lw_metrics_attempts(&counts), 1);
  assert_int_equal(counts.given_up, 1);
  assert_int_equal(lw_histogram_count(&counts.durations), 1);
  close(silence);
}

static void a_lost_lease_is_told(void **state) {
  (void)state;
  const struct lw_clock *clock = lw_system_clock();
  int64_t freed;
  OK(emit()); /* the lease is there */
  OK(lw_store_take_over(other, clock->now(clock->context) + 1000000, &freed, &error));
  await_record(LW_RECORD_LEASE_LOST);
  assert_int_equal(stats().since_open.leases_lost, 1);
}

static void what_is_taken_over_is_told_and_what_is_canceled_counts(void **state) {
  (void)state;
  struct lw_id dead = {{0xde, 0xad}};
  struct lw_delivery_row row = {
      .id = {{1}}, .message_id = {{2}}, .webhook_id = {{3}}, .claimed_by = &dead}; /* of no webhook */
  OK(lw_store_insert_delivery(other, &row, &error));
  assert_int_equal(await_record(LW_RECORD_TAKEN_OVER).count, 1);
  for (int waited = 0; stats().since_open.canceled == 0 && waited < PATIENCE_MS; waited += LOOK_MS)
    usleep(LOOK_MS * 1000);
  assert_int_equal(stats().since_open.canceled, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_failing_store_is_told_once),
      TEST(an_attempt_counts_once_however_often_it_is_written),
      TEST(a_lost_lease_is_told),
      TEST(what_is_taken_over_is_told_and_what_is_canceled_counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
