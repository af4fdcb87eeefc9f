/* Tasks and their descriptor, and commands of a dispatcher that nobody waits for in place. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs the headers above */
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "base/task.h"
#include "delivery/dispatcher.h"
#include "local_settings.h"

enum { PATIENCE_MS = 20000, BODY_SIZE = 32 };

static struct lw_error error;

#define OK(call)                                                           \
  do {                                                                     \
    error.message[0] = '\0';                                               \
    if (!(call)) fail_msg("%s: %s: %s", #call, error.code, error.message); \
  } while (0)

static struct lw_completions *completions;
static char folder[64], path[96];
static atomic_int freed;

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/lw-tasks-XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  snprintf(path, sizeof path, "%s/store.db", folder);
  completions = lw_completions_new(&error);
  freed = 0;
  return completions ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[128];
  lw_completions_drop(completions);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
  return rmdir(folder);
}

static bool readable(int fd, int milliseconds) {
  struct pollfd wanted = {.fd = fd, .events = POLLIN};
  return poll(&wanted, 1, milliseconds) == 1;
}

/* -- tasks by themselves --------------------------------------------------------------------------- */

static void count_freed(struct lw_task *task) {
  (void)task;
  freed++;
}

static void a_descriptor_is_readable_while_something_is_done_and_not_released(void **state) {
  (void)state;
  struct lw_task one = {.id = 0}, two = {.id = 0};
  int fd = lw_completions_fd(completions, &error);
  assert_true(fd >= 0);
  assert_int_equal(lw_completions_fd(completions, &error), fd);
  lw_task_start(&one, completions, count_freed);
  lw_task_start(&two, completions, count_freed);
  assert_int_not_equal(one.id, two.id);
  assert_false(readable(fd, 0));
  lw_task_finish(&one);
  lw_task_finish(&two);
  assert_true(readable(fd, 0) && lw_task_done(&one) && lw_task_done(&two));
  lw_task_release(&two);
  assert_true(readable(fd, 0));
  lw_task_release(&one);
  assert_false(readable(fd, 0));
  lw_completions_attention(completions, true);
  assert_true(readable(fd, 0));
  lw_completions_attention(completions, false);
  assert_false(readable(fd, 0));
  assert_int_equal(freed, 2);
}

static void what_was_done_before_the_descriptor_is_told_too(void **state) {
  (void)state;
  struct lw_task task = {.id = 0};
  lw_task_start(&task, completions, count_freed);
  lw_task_finish(&task);
  assert_true(readable(lw_completions_fd(completions, &error), 0));
  lw_task_release(&task);
}

static int connect_to(const char *where) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", where);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

static void a_socket_tells_each_task_once(void **state) {
  (void)state;
  char where[LW_COMPLETIONS_PATH_SIZE], parent[LW_COMPLETIONS_PATH_SIZE], byte;
  struct lw_task tasks[3] = {{.id = 0}};
  struct stat found;
  uint64_t id;
  OK(lw_completions_listen(completions, where, &error));
  snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(where, '/') - where), where);
  assert_int_equal(stat(parent, &found), 0);
  assert_int_equal(found.st_mode & 0777, 0700);
  int fd = connect_to(where);
  assert_true(lw_completions_accept(completions));
  assert_int_not_equal(stat(where, &found), 0);
  assert_int_not_equal(stat(parent, &found), 0);
  for (int i = 0; i < 3; i++) lw_task_start(&tasks[i], completions, count_freed);
  lw_task_finish(&tasks[1]);
  lw_task_finish(&tasks[0]);
  assert_int_equal(recv(fd, &byte, 1, 0), 1);
  assert_false(readable(fd, 0)); /* one byte for both */
  assert_true(lw_completions_next(completions, &id) && id == tasks[1].id);
  lw_task_release(&tasks[0]); /* fetched before it was told */
  assert_false(lw_completions_next(completions, &id));
  lw_task_finish(&tasks[2]);
  assert_true(readable(fd, 0));
  lw_completions_hang_up(completions);
  assert_int_equal(recv(fd, &byte, 1, 0), 1);
  assert_int_equal(recv(fd, &byte, 1, 0), 0);
  close(fd);
  lw_task_release(&tasks[1]);
  lw_task_release(&tasks[2]);
  assert_int_equal(freed, 3);
}

static void nobody_but_us_may_connect(void **state) {
  (void)state;
  char where[LW_COMPLETIONS_PATH_SIZE];
  OK(lw_completions_listen(completions, where, &error));
  pid_t child = fork();
  if (child == 0) _exit(connect_to(where) >= 0 ? 0 : 1);
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_false(lw_completions_accept(completions));
}

static void in_a_fork_a_task_is_done_with_nothing_to_fetch(void **state) {
  (void)state;
  struct lw_task task = {.id = 0};
  lw_task_start(&task, completions, count_freed);
  pid_t child = fork();
  if (child == 0) {
    alarm(10);
    bool ok = lw_task_done(&task) && lw_completions_forked(completions);
    lw_task_release(&task);
    _exit(ok && freed == 0 ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_false(lw_task_done(&task));
  lw_task_finish(&task);
  lw_task_release(&task);
}

struct helped {
  struct lw_task task;
  int fd; /* its run ends when this can be read */
};

static void free_helped(struct lw_task *task) {
  free(task);
  freed++;
}

static void wait_to_end(struct lw_task *task) {
  char byte;
  if (read(((struct helped *)task)->fd, &byte, 1) != 0) abort();
}

static struct helped *new_helped(int fd) {
  struct helped *helped = calloc(1, sizeof *helped);
  helped->fd = fd;
  lw_task_start(&helped->task, completions, free_helped);
  return helped;
}

static void helpers_are_bounded_and_may_be_left_alone(void **state) {
  (void)state;
  struct helped *helped[LW_MAX_HELPERS], *late;
  int ends[2], fd = lw_completions_fd(completions, &error);
  assert_int_equal(pipe(ends), 0);
  for (int i = 0; i < LW_MAX_HELPERS; i++) {
    helped[i] = new_helped(ends[0]);
    OK(lw_task_spawn(&helped[i]->task, wait_to_end, &error));
  }
  late = new_helped(ends[0]);
  assert_false(lw_task_spawn(&late->task, wait_to_end, &error));
  assert_string_equal(error.code, "busy");
  lw_task_cancel_start(&late->task);
  free(late);
  for (int i = 1; i < LW_MAX_HELPERS; i++) lw_task_release(&helped[i]->task);
  assert_false(readable(fd, 0));
  close(ends[1]);
  assert_true(readable(fd, PATIENCE_MS));
  assert_true(lw_task_done(&helped[0]->task));
  lw_task_release(&helped[0]->task);
  for (int64_t waited = 0; freed < LW_MAX_HELPERS; waited += 2) {
    if (waited > PATIENCE_MS) fail_msg("%d of %d were freed", (int)freed, LW_MAX_HELPERS);
    usleep(2000);
  }
  close(ends[0]);
}

/* -- commands of a dispatcher ---------------------------------------------------------------------- */

static struct lw_dispatcher *open_dispatcher(const char *where) {
  struct lw_dispatcher_options options = {
      .settings = local_settings(PATIENCE_MS, (struct lw_retry_schedule){.count = 0}),
      .connections = 8,
      .max_in_flight_per_host = 8,
      .lease = PATIENCE_MS};
  struct lw_dispatcher *dispatcher;
  OK((dispatcher = lw_dispatcher_open(where, &options, &error)) != NULL);
  lw_settings_drop(options.settings);
  return dispatcher;
}

static void close_dispatcher(struct lw_dispatcher *dispatcher) {
  OK(lw_dispatcher_close(dispatcher, PATIENCE_MS, &error));
}

static void free_command(struct lw_task *task) {
  free(task);
  freed++;
}

static struct lw_command *try_emit(struct lw_dispatcher *dispatcher, const char *body) {
  struct lw_emit_item item = {.app_id = "shop", .event = "e", .body = body, .body_length = strlen(body)};
  struct lw_command *command = lw_command_copy(&item, 1);
  if (lw_dispatcher_start(dispatcher, command, completions, free_command, &error)) return command;
  free(command);
  return NULL;
}

static struct lw_command *start_emit(struct lw_dispatcher *dispatcher, const char *body) {
  struct lw_command *command;
  OK((command = try_emit(dispatcher, body)) != NULL);
  return command;
}

static struct lw_command *start_job(struct lw_dispatcher *dispatcher, lw_store_job *read, lw_store_job *write,
                                    void *context) {
  struct lw_command *command = calloc(1, sizeof *command);
  command->read = read;
  command->write = write;
  command->context = context;
  OK(lw_dispatcher_start(dispatcher, command, completions, free_command, &error));
  return command;
}

static struct lw_command *start_flush(struct lw_dispatcher *dispatcher) {
  struct lw_command *command = calloc(1, sizeof *command);
  command->barrier = true;
  OK(lw_dispatcher_start(dispatcher, command, completions, free_command, &error));
  return command;
}

static void await(struct lw_command *command) {
  int fd = lw_completions_fd(completions, &error);
  while (!lw_task_done(&command->task)) {
    if (!readable(fd, PATIENCE_MS)) fail_msg("a command was not done in time");
    usleep(100); /* it is readable for others that are done, too */
  }
}

static void fetch(struct lw_command *command) {
  await(command);
  if (!command->ok) fail_msg("%s: %s", command->error.code, command->error.message);
  lw_task_release(&command->task);
}

static int64_t stored(void) {
  sqlite3 *handle;
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(handle, "SELECT count(*) FROM messages", -1, &statement, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int64_t count = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(handle);
  return count;
}

static void execute(const char *sql) {
  sqlite3 *handle;
  assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
  sqlite3_busy_timeout(handle, PATIENCE_MS);
  if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
    fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
  sqlite3_close(handle);
}

static bool count_messages(struct lw_store *store, void *context, struct lw_error *failure) {
  struct lw_log_filter filter = {.since = -1, .before = -1};
  return lw_store_log_count(store, &filter, context, failure);
}

enum { MANY = 3000 };

/* Some are fetched, some are left alone, while others are done. */
static void many_emits_are_done_while_more_are_started(void **state) {
  (void)state;
  static struct lw_command *commands[MANY];
  struct lw_dispatcher *dispatcher = open_dispatcher(path);
  for (int i = 0; i < MANY; i++) {
    commands[i] = start_emit(dispatcher, "x");
    if (i % 3 == 0) {
      lw_task_release(&commands[i]->task);
      commands[i] = NULL;
    }
    if (i >= 100 && commands[i - 100]) {
      fetch(commands[i - 100]);
      commands[i - 100] = NULL;
    }
  }
  for (int i = 0; i < MANY; i++)
    if (commands[i]) fetch(commands[i]);
  fetch(start_flush(dispatcher));
  assert_int_equal(stored(), MANY);
  close_dispatcher(dispatcher);
  assert_int_equal(freed, MANY + 1);
}

static void an_answer_has_the_messages_id(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher(path);
  struct lw_command *one = start_emit(dispatcher, "1"), *two = start_emit(dispatcher, "2");
  await(one);
  await(two);
  assert_true(memcmp(&one->items->id, &two->items->id, sizeof one->items->id) < 0);
  assert_string_equal(two->items->app_id, "shop");
  lw_task_release(&one->task);
  lw_task_release(&two->task);
  close_dispatcher(dispatcher);
}

static void reads_do_not_wait_for_a_locked_database(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher(path);
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  struct lw_command *emit = start_emit(dispatcher, "x");
  int64_t count = -1;
  fetch(start_job(dispatcher, count_messages, NULL, &count));
  assert_int_equal(count, 0);
  assert_false(lw_task_done(&emit->task));
  lw_store_rollback(other);
  lw_store_close(other);
  fetch(emit);
  close_dispatcher(dispatcher);
}

struct steps {
  int reads, writes;
  bool fail;
};

static bool read_step(struct lw_store *store, void *context, struct lw_error *failure) {
  struct steps *steps = context;
  (void)store;
  steps->reads++;
  return !steps->fail || lw_fail(failure, "refused", "on purpose");
}

static bool write_step(struct lw_store *store, void *context, struct lw_error *failure) {
  struct steps *steps = context;
  (void)store;
  (void)failure;
  steps->writes += steps->reads == 1;
  return true;
}

static void check_steps(const char *where) {
  struct lw_dispatcher *dispatcher = open_dispatcher(where);
  struct steps good = {.reads = 0}, bad = {.fail = true};
  fetch(start_job(dispatcher, read_step, write_step, &good));
  assert_int_equal(good.reads + good.writes, 2);
  struct lw_command *command = start_job(dispatcher, read_step, write_step, &bad);
  await(command);
  assert_false(command->ok);
  assert_string_equal(command->error.code, "refused");
  assert_int_equal(bad.writes, 0);
  lw_task_release(&command->task);
  close_dispatcher(dispatcher);
}

static void a_job_may_read_and_then_write(void **state) {
  (void)state;
  check_steps(path);
  check_steps(":memory:");
}

static void a_full_mailbox_makes_them_stand_in_line(void **state) {
  (void)state;
  static struct lw_command *commands[LW_MAX_CALLS];
  struct lw_dispatcher *dispatcher = open_dispatcher(path);
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  for (int i = 0; i < LW_MAX_CALLS; i++) commands[i] = start_emit(dispatcher, "x");
  assert_null(try_emit(dispatcher, "x"));
  assert_string_equal(error.code, "busy");
  struct lw_emit_item item = {.app_id = "shop", .event = "e", .body = "y", .body_length = 1};
  assert_false(lw_dispatcher_enqueue(dispatcher, &item, 1, &error)); /* it does not push in */
  assert_string_equal(error.code, "busy");
  lw_store_rollback(other);
  lw_store_close(other);
  for (int i = 1; i < LW_MAX_CALLS; i++)
    assert_true(memcmp(&commands[i - 1]->items->id, &commands[i]->items->id, sizeof item.id) < 0);
  for (int i = 0; i < LW_MAX_CALLS; i++) fetch(commands[i]);
  assert_int_equal(stored(), LW_MAX_CALLS);
  OK(lw_dispatcher_enqueue(dispatcher, &item, 1, &error));
  OK(lw_dispatcher_flush(dispatcher, PATIENCE_MS, &error));
  assert_int_equal(stored(), LW_MAX_CALLS + 1);
  close_dispatcher(dispatcher);
}

static void the_line_is_bounded_in_bytes(void **state) {
  (void)state;
  enum { PIECE = LW_LINE_BYTES / 4 };
  struct lw_dispatcher *dispatcher = open_dispatcher(path);
  struct lw_store *other = lw_store_open(path, &error);
  char *body = malloc(PIECE + 1);
  memset(body, 'x', PIECE);
  body[PIECE] = '\0';
  OK(lw_store_begin(other, &error));
  struct lw_command *commands[32];
  int count = 0;
  while (count < 32 && (commands[count] = try_emit(dispatcher, body)) != NULL) count++;
  /* one transaction's, the mailbox's and the line's four each */
  assert_in_range(count, 8, 12);
  assert_string_equal(error.code, "busy");
  lw_store_rollback(other);
  lw_store_close(other);
  for (int i = 0; i < count; i++) fetch(commands[i]);
  free(body);
  close_dispatcher(dispatcher);
}

static void what_is_left_alone_is_stored_once_the_store_works(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher(path);
  execute("ALTER TABLE messages RENAME TO hidden");
  struct lw_command *told = start_emit(dispatcher, "told");
  await(told);
  assert_false(told->ok);
  assert_string_equal(told->error.code, "store");
  lw_task_release(&told->task);
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  lw_task_release(&start_emit(dispatcher, "kept")->task);
  struct lw_command *flush = start_flush(dispatcher);
  lw_store_rollback(other);
  lw_store_close(other);
  /* Another emit's answer shows that the store was tried in vain. */
  told = start_emit(dispatcher, "told too");
  await(told);
  assert_false(told->ok);
  lw_task_release(&told->task);
  assert_false(lw_task_done(&flush->task));
  execute("ALTER TABLE hidden RENAME TO messages");
  fetch(flush);
  assert_int_equal(stored(), 1);
  close_dispatcher(dispatcher);
  assert_int_equal(freed, 4);
}

static void close_ends_what_was_started(void **state) {
  (void)state;
  static struct lw_command *commands[MANY];
  struct lw_dispatcher *dispatcher = open_dispatcher(path);
  int64_t counts[MANY];
  for (int i = 0; i < MANY; i++)
    commands[i] =
        i % 2 == 0 ? start_emit(dispatcher, "x") : start_job(dispatcher, count_messages, NULL, &counts[i]);
  close_dispatcher(dispatcher);
  for (int i = 0; i < MANY; i++) {
    assert_true(lw_task_done(&commands[i]->task));
    if (i % 2 == 0) assert_true(commands[i]->ok);
    if (!commands[i]->ok) assert_string_equal(commands[i]->error.code, "closed");
    lw_task_release(&commands[i]->task);
  }
  assert_int_equal(stored(), MANY / 2);
}

static void close_tells_those_that_could_not_be_stored(void **state) {
  (void)state;
  struct lw_dispatcher *dispatcher = open_dispatcher(path);
  struct lw_store *other = lw_store_open(path, &error);
  OK(lw_store_begin(other, &error));
  struct lw_command *told = start_emit(dispatcher, "x");
  lw_task_release(&start_emit(dispatcher, "left alone")->task);
  assert_false(lw_dispatcher_close(dispatcher, 0, &error));
  assert_non_null(strstr(error.message, "1 queued events"));
  assert_true(lw_task_done(&told->task));
  assert_false(told->ok);
  lw_task_release(&told->task);
  lw_store_rollback(other);
  lw_store_close(other);
  assert_int_equal(freed, 2);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FOLDER(a_descriptor_is_readable_while_something_is_done_and_not_released),
      WITH_FOLDER(what_was_done_before_the_descriptor_is_told_too),
      WITH_FOLDER(a_socket_tells_each_task_once),
      WITH_FOLDER(nobody_but_us_may_connect),
      WITH_FOLDER(in_a_fork_a_task_is_done_with_nothing_to_fetch),
      WITH_FOLDER(helpers_are_bounded_and_may_be_left_alone),
      WITH_FOLDER(many_emits_are_done_while_more_are_started),
      WITH_FOLDER(an_answer_has_the_messages_id),
      WITH_FOLDER(reads_do_not_wait_for_a_locked_database),
      WITH_FOLDER(a_job_may_read_and_then_write),
      WITH_FOLDER(a_full_mailbox_makes_them_stand_in_line),
      WITH_FOLDER(the_line_is_bounded_in_bytes),
      WITH_FOLDER(what_is_left_alone_is_stored_once_the_store_works),
      WITH_FOLDER(close_ends_what_was_started),
      WITH_FOLDER(close_tells_those_that_could_not_be_stored),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
