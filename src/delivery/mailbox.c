#include "delivery/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"

enum {
  GATHER_US = 500,  /* from the first on, */
  COMPANY_US = 2000 /* if callers were answered no longer ago than this */
};

static bool started(const struct lw_command *command) {
  return command->task.completions != NULL;
}

/* -- lists ---------------------------------------------------------------------------------------- */

static void append(struct lw_command_list *list, struct lw_command *command) {
  command->next = NULL;
  if (list->first)
    list->last->next = command;
  else
    list->first = command;
  list->last = command;
  list->events += command->count;
  list->bytes += command->bytes;
}

static struct lw_command *take_first(struct lw_command_list *list) {
  struct lw_command *command = list->first;
  list->first = command->next;
  list->events -= command->count;
  list->bytes -= command->bytes;
  return command;
}

/* `front` before `list`; it is empty then. */
static void put_before(struct lw_command_list *list, struct lw_command_list *front) {
  if (front->first == NULL) return;
  front->last->next = list->first;
  if (list->first == NULL) list->last = front->last;
  list->first = front->first;
  list->events += front->events;
  list->bytes += front->bytes;
}

/* -- in and out ----------------------------------------------------------------------------------- */

static bool fits(const struct lw_dispatcher *d, const struct lw_command *command) {
  if (d->mailbox.events == 0) return true;
  return d->mailbox.events + command->count <= LW_MAILBOX_EVENTS &&
         d->mailbox.bytes + command->bytes <= LW_MAILBOX_BYTES;
}

bool lw_mailbox_has_room(const struct lw_dispatcher *d, const struct lw_command *command) {
  return d->line.first == NULL && fits(d, command);
}

bool lw_mailbox_empty(const struct lw_dispatcher *d) {
  return d->mailbox.first == NULL && d->line.first == NULL;
}

void lw_mailbox_post(struct lw_dispatcher *d, struct lw_command *command) {
  for (size_t i = 0; i < command->count; i++) lw_id_next(&d->message_ids, &command->items[i].id);
  if (d->mailbox.first == NULL) d->first_posted = d->clock->ticks(d->clock->context);
  append(lw_mailbox_has_room(d, command) ? &d->mailbox : &d->line, command);
  if (d->gathering && started(command)) return;
  d->gathering = false;
  pthread_cond_signal(&d->wake);
}

void lw_mailbox_gather(struct lw_dispatcher *d) {
  int64_t now = d->clock->ticks(d->clock->context), left = d->first_posted + GATHER_US - now;
  if (d->mailbox.first == NULL || !started(d->mailbox.first) || now - d->answered_at > COMPANY_US) return;
  if (left <= 0) return;
  struct timespec until = lw_deadline_in_us(left);
  d->gathering = true;
  while (d->gathering)
    if (pthread_cond_timedwait(&d->wake, &d->mutex, &until) == ETIMEDOUT) d->gathering = false;
}

void lw_mailbox_take(struct lw_dispatcher *d) {
  size_t events = 0;
  struct lw_command **end = &d->taken;
  while (d->mailbox.first && events < LW_BATCH_EVENTS) {
    struct lw_command *command = take_first(&d->mailbox);
    events += command->count;
    *end = command;
    end = &command->next;
    *end = NULL;
  }
  while (d->line.first && fits(d, d->line.first)) append(&d->mailbox, take_first(&d->line));
}

/* -- answers -------------------------------------------------------------------------------------- */

static bool nobody_waits(struct lw_command *command) {
  return command->detached || (started(command) && lw_task_released(&command->task));
}

/* An event that was taken is stored, whatever became of who brought it. A flush waits for those before it. */
static bool goes_back(const struct lw_dispatcher *d, struct lw_command *command, enum lw_answer answer,
                      const struct lw_command_list *back) {
  if (command->count > 0) return answer == LW_NOT_STORED && nobody_waits(command);
  bool waits = answer == LW_UNSYNCED || back->first != NULL || !lw_mailbox_empty(d);
  return command->barrier && !nobody_waits(command) && waits;
}

struct lw_command *lw_mailbox_answer(struct lw_dispatcher *d, enum lw_answer answer,
                                     const struct lw_error *error) {
  struct lw_command_list back = {0}, finished = {0};
  bool ok = answer == LW_STORED;
  while (d->taken) {
    struct lw_command *command = d->taken;
    d->taken = command->next;
    if (!ok && goes_back(d, command, answer, &back)) {
      append(&back, command);
      continue;
    }
    command->ok = (ok && !command->refused) || command->barrier;
    if (!ok && !command->ok) command->error = *error;
    if (started(command)) d->calls--;
    if (started(command) || command->detached)
      append(&finished, command);
    else
      command->done = true;
  }
  put_before(&d->mailbox, &back);
  return finished.first;
}

void lw_mailbox_finish(struct lw_command *list) {
  while (list) {
    struct lw_command *command = list;
    list = command->next;
    if (started(command))
      lw_task_finish(&command->task);
    else
      free(command);
  }
}

static size_t discard(struct lw_command_list *list) {
  size_t lost = list->events;
  for (struct lw_command *command = list->first; command; command = command->next) {
    command->ok = false;
    lw_fail(&command->error, "closed", "the dispatcher is closed");
  }
  lw_mailbox_finish(list->first);
  list->first = NULL;
  return lost;
}

size_t lw_mailbox_discard(struct lw_dispatcher *d) {
  return discard(&d->mailbox) + discard(&d->line);
}

/* -- copies --------------------------------------------------------------------------------------- */

size_t lw_items_bytes(const struct lw_emit_item *items, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += items[i].body_length + items[i].packed_length;
  return bytes;
}

static size_t text_size(const char *text) {
  return text ? strlen(text) + 1 : 0;
}

static const char *copy_bytes(char **at, const char *bytes, size_t size) {
  if (bytes == NULL) return NULL;
  char *copy = *at;
  memcpy(copy, bytes, size);
  *at += size;
  return copy;
}

/* One block: the command, its items, their packed events (first, since they are aligned), and all their
 * strings. */
struct lw_command *lw_command_copy(const struct lw_emit_item *items, size_t count) {
  size_t size = sizeof(struct lw_command) + count * sizeof *items;
  for (size_t i = 0; i < count; i++)
    size += text_size(items[i].app_id) + text_size(items[i].event) + text_size(items[i].key) +
            text_size(items[i].channels) + items[i].body_length + items[i].packed_length;
  struct lw_command *command = malloc(size);
  if (command == NULL) return NULL;
  *command = (struct lw_command){
      .items = (struct lw_emit_item *)(command + 1), .count = count, .bytes = lw_items_bytes(items, count)};
  char *at = (char *)(command->items + count);
  for (size_t i = 0; i < count; i++) {
    command->items[i] = items[i];
    command->items[i].packed = copy_bytes(&at, items[i].packed, items[i].packed_length);
  }
  for (size_t i = 0; i < count; i++) {
    struct lw_emit_item *item = &command->items[i];
    item->app_id = copy_bytes(&at, item->app_id, text_size(item->app_id));
    item->event = copy_bytes(&at, item->event, text_size(item->event));
    item->key = copy_bytes(&at, item->key, text_size(item->key));
    item->channels = copy_bytes(&at, item->channels, text_size(item->channels));
    item->body = copy_bytes(&at, item->body, item->body_length);
  }
  return command;
}
