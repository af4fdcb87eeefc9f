#include "delivery/turns.h"

#include <stdlib.h>
#include <string.h>

enum {
  RESERVED = 4, /* the part of the connections that is kept for prompt webhooks: one in so many */
  UNPROVEN = 2  /* claims for each request in flight, of a webhook that is not prompt */
};

/* -- lines and hosts ------------------------------------------------------------------------------ */

struct lw_host {
  struct lw_host *next_in_bucket;
  int lines;
  struct lw_slots slots;
  char name[];
};

void lw_turns_init(struct lw_turns *turns, int connections, int per_host) {
  *turns = (struct lw_turns){.slots.most = connections, .per_host = per_host, .share = 1};
}

/* FNV-1a (draft-eastlake-fnv). Ids are random at their end, hosts are not. */
static size_t bucket_of(const void *bytes, size_t length) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < length; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 16777619u;
  return hash % LW_TURNS_BUCKETS;
}

static struct lw_host *get_host(struct lw_turns *turns, const char *name) {
  size_t length = strlen(name);
  struct lw_host **bucket = &turns->hosts[bucket_of(name, length)];
  for (struct lw_host *host = *bucket; host; host = host->next_in_bucket)
    if (strcmp(host->name, name) == 0) return host;
  struct lw_host *host = calloc(1, sizeof *host + length + 1);
  if (host == NULL) return NULL;
  memcpy(host->name, name, length + 1);
  host->slots.most = turns->per_host;
  host->next_in_bucket = *bucket;
  *bucket = host;
  return host;
}

static void leave_host(struct lw_turns *turns, struct lw_host *host) {
  if (host == NULL || --host->lines > 0) return;
  struct lw_host **link = &turns->hosts[bucket_of(host->name, strlen(host->name))];
  while (*link != host) link = &(*link)->next_in_bucket;
  *link = host->next_in_bucket;
  free(host);
}

/* So many of the line's requests more, or fewer. */
static void take_up(struct lw_slots *slots, const struct lw_line *line, int requests) {
  slots->running += requests;
  if (!line->prompt) slots->slow += requests;
}

/* Its running requests count for the new host from now on: a URL changes seldom. */
static bool enter_host(struct lw_turns *turns, struct lw_line *line, const char *name) {
  struct lw_host *host = get_host(turns, name);
  if (host == NULL) return false;
  if (host == line->host) return true;
  host->lines++;
  take_up(&host->slots, line, line->throttle.running);
  if (line->host) take_up(&line->host->slots, line, -line->throttle.running);
  leave_host(turns, line->host);
  line->host = host;
  line->throttle.held_until = 0; /* this one asked for nothing yet */
  return true;
}

static struct lw_line **find_line(struct lw_turns *turns, const struct lw_id *webhook) {
  struct lw_line **link = &turns->lines[bucket_of(webhook->bytes, sizeof webhook->bytes)];
  while (*link && !lw_id_equal(&(*link)->webhook_id, webhook)) link = &(*link)->next_in_bucket;
  return link;
}

struct lw_line *lw_turns_line(struct lw_turns *turns, const struct lw_id *webhook,
                              const struct lw_limits *limits, const char *host) {
  struct lw_line **link = find_line(turns, webhook);
  struct lw_line *line = *link;
  if (line == NULL) {
    line = calloc(1, sizeof *line);
    if (line == NULL) return NULL;
    line->webhook_id = *webhook;
    line->end = &line->first;
  }
  if (!enter_host(turns, line, host)) {
    if (*link == NULL) free(line);
    return NULL;
  }
  *link = line;
  line->limits = *limits;
  line->wake_at = 0;
  return line;
}

void lw_turns_each(struct lw_turns *turns, void (*visit)(struct lw_line *line, void *context),
                   void *context) {
  for (size_t i = 0; i < LW_TURNS_BUCKETS; i++)
    for (struct lw_line *line = turns->lines[i]; line; line = line->next_in_bucket) visit(line, context);
}

/* -- ready, sleeping, at rest --------------------------------------------------------------------- */

static void leave_place(struct lw_turns *turns, struct lw_line *line) {
  if (line->place == LW_LINE_READY) {
    turns->ready_count--;
    if (turns->ready == line) turns->ready = line->next != line ? line->next : NULL;
    line->previous->next = line->next;
    line->next->previous = line->previous;
  } else if (line->place == LW_LINE_SLEEPS) {
    if (line->next) line->next->previous = line->previous;
    if (line->previous)
      line->previous->next = line->next;
    else
      turns->sleeping = line->next;
  }
  line->place = LW_LINE_RESTS;
  line->next = line->previous = NULL;
}

/* Its turn comes after that of all others. */
static void get_ready(struct lw_turns *turns, struct lw_line *line) {
  if (line->place == LW_LINE_READY) return;
  leave_place(turns, line);
  line->place = LW_LINE_READY;
  turns->ready_count++;
  if (turns->ready == NULL) {
    turns->ready = line->next = line->previous = line;
    return;
  }
  line->next = turns->ready;
  line->previous = turns->ready->previous;
  line->previous->next = line->next->previous = line;
}

static void go_to_sleep(struct lw_turns *turns, struct lw_line *line, int64_t until) {
  leave_place(turns, line);
  line->place = LW_LINE_SLEEPS;
  line->wake_at = until;
  line->next = turns->sleeping;
  if (turns->sleeping) turns->sleeping->previous = line;
  turns->sleeping = line;
}

static void wake_sleepers(struct lw_turns *turns, int64_t now) {
  for (struct lw_line *line = turns->sleeping, *next; line; line = next) {
    next = line->next;
    if (line->wake_at <= now) get_ready(turns, line);
  }
}

int64_t lw_turns_next(const struct lw_turns *turns) {
  int64_t earliest = LW_THROTTLE_NEVER;
  for (const struct lw_line *line = turns->sleeping; line; line = line->next)
    if (line->wake_at < earliest) earliest = line->wake_at;
  return earliest;
}

static void free_line(struct lw_turns *turns, struct lw_line *line) {
  leave_place(turns, line);
  leave_host(turns, line->host);
  free(line);
}

void lw_turns_sweep(struct lw_turns *turns) {
  for (size_t i = 0; i < LW_TURNS_BUCKETS; i++) {
    struct lw_line **link = &turns->lines[i];
    while (*link) {
      struct lw_line *line = *link;
      if (line->routed || line->claims > 0 || line->hungry) {
        link = &line->next_in_bucket;
        continue;
      }
      *link = line->next_in_bucket;
      free_line(turns, line);
    }
  }
}

void lw_turns_free(struct lw_turns *turns) {
  for (size_t i = 0; i < LW_TURNS_BUCKETS; i++) {
    while (turns->lines[i]) {
      struct lw_line *line = turns->lines[i];
      turns->lines[i] = line->next_in_bucket;
      free_line(turns, line);
    }
  }
}

/* -- who may start -------------------------------------------------------------------------------- */

/* Whether the line is prompt, now; its running requests are counted on the side where it stands. */
static void judge(struct lw_turns *turns, struct lw_line *line, int64_t now) {
  int64_t usual = line->throttle.usual;
  bool silent = line->throttle.running > 0 && now - line->silent_since > LW_THROTTLE_SLOW;
  bool prompt = usual > 0 && usual < LW_THROTTLE_SLOW && !silent;
  if (prompt == line->prompt) return;
  take_up(&turns->slots, line, -line->throttle.running);
  take_up(&line->host->slots, line, -line->throttle.running);
  line->prompt = prompt;
  take_up(&turns->slots, line, line->throttle.running);
  take_up(&line->host->slots, line, line->throttle.running);
}

/* The slots that the line may use: all when it is prompt, else what is not kept for those that are. A request
 * that is its only one may use half of that too: it may well prove to be prompt. */
static int open_to(const struct lw_slots *slots, const struct lw_line *line) {
  int kept = slots->most / RESERVED;
  if (line->prompt) return slots->most;
  return line->throttle.running == 0 ? slots->most - (kept + 1) / 2 : slots->most - kept;
}

static bool has_room(const struct lw_slots *slots, const struct lw_line *line) {
  int left = open_to(slots, line) - (line->prompt ? slots->running : slots->slow);
  int running = line->throttle.running;
  if (left <= 0 || slots->running >= slots->most) return false;
  return running == 0 || running < LW_TURNS_SHARE * left;
}

static bool finds_room(const struct lw_turns *turns, const struct lw_line *line) {
  return has_room(&turns->slots, line) && has_room(&line->host->slots, line);
}

static struct lw_flight *pop(struct lw_line *line) {
  struct lw_flight *flight = line->first;
  line->first = flight->next;
  if (line->first == NULL) line->end = &line->first;
  line->waiting--;
  flight->next = NULL;
  return flight;
}

static void start(struct lw_turns *turns, struct lw_line *line, int64_t now) {
  if (line->throttle.running == 0) line->silent_since = now;
  lw_throttle_start(&line->throttle, &line->limits, now);
  take_up(&turns->slots, line, 1);
  take_up(&line->host->slots, line, 1);
}

static struct lw_flight **append(struct lw_flight **end, struct lw_flight *flight) {
  *end = flight;
  return &flight->next;
}

static void drop_stale(struct lw_line *line, int64_t now, struct lw_flight **stale) {
  while (line->first && now - line->first->prepared_at > LW_TURNS_FRESH) {
    struct lw_flight *flight = pop(line);
    flight->next = *stale;
    *stale = flight;
  }
}

/* One request of the line at its turn, if it may: the flight, or NULL. A line that cannot go on by itself
 * leaves the ring. */
static struct lw_flight *serve(struct lw_turns *turns, struct lw_line *line, int64_t now,
                               struct lw_flight **stale) {
  drop_stale(line, now, stale);
  if (line->first == NULL) {
    leave_place(turns, line);
    return NULL;
  }
  line->throttle.share = turns->share;
  int64_t at = lw_throttle_next(&line->throttle, &line->limits, now);
  if (at == LW_THROTTLE_NEVER) {
    leave_place(turns, line);
    return NULL;
  }
  if (at > now) {
    go_to_sleep(turns, line, at);
    return NULL;
  }
  judge(turns, line, now);
  if (!finds_room(turns, line)) return NULL;
  start(turns, line, now);
  return pop(line);
}

struct lw_flight *lw_turns_take(struct lw_turns *turns, int64_t now, struct lw_flight **stale) {
  struct lw_flight *taken = NULL, **end = &taken;
  wake_sleepers(turns, now);
  int refused = 0; /* lines in a row */
  while (turns->ready && turns->slots.running < turns->slots.most && refused < turns->ready_count) {
    struct lw_line *line = turns->ready;
    turns->ready = line->next;
    struct lw_flight *flight = serve(turns, line, now, stale);
    if (flight) {
      end = append(end, flight);
      refused = 0;
    } else if (line->place == LW_LINE_READY) {
      refused++;
    }
  }
  return taken;
}

/* -- coming and going ----------------------------------------------------------------------------- */

void lw_turns_add(struct lw_turns *turns, struct lw_flight *flight) {
  struct lw_line *line = flight->line;
  flight->next = NULL;
  line->end = append(line->end, flight);
  line->waiting++;
  if (line->place == LW_LINE_RESTS) get_ready(turns, line);
}

static void come_back(struct lw_turns *turns, struct lw_line *line) {
  take_up(&turns->slots, line, -1);
  take_up(&line->host->slots, line, -1);
}

/* What it did may have changed when it may go on, earlier or later: it looks anew at its next turn. */
static void look_again(struct lw_turns *turns, struct lw_line *line) {
  if (line->waiting > 0) get_ready(turns, line);
}

void lw_turns_finish(struct lw_turns *turns, struct lw_flight *flight, int64_t now,
                     enum lw_throttle_result result) {
  struct lw_line *line = flight->line;
  come_back(turns, line);
  lw_throttle_finish(&line->throttle, &line->limits, now, result, flight->request->response.duration);
  line->silent_since = now;
  judge(turns, line, now);
  look_again(turns, line);
}

void lw_turns_unsent(struct lw_turns *turns, struct lw_flight *flight, int64_t now) {
  struct lw_line *line = flight->line;
  come_back(turns, line);
  lw_throttle_unsent(&line->throttle, &line->limits);
  judge(turns, line, now);
  look_again(turns, line);
}

struct lw_flight *lw_turns_withdraw(struct lw_turns *turns, struct lw_line *line) {
  struct lw_flight *list = line->first;
  line->first = NULL;
  line->end = &line->first;
  line->waiting = 0;
  leave_place(turns, line);
  return list;
}

int lw_turns_broken(const struct lw_turns *turns) {
  int count = 0;
  for (size_t i = 0; i < LW_TURNS_BUCKETS; i++)
    for (const struct lw_line *line = turns->lines[i]; line; line = line->next_in_bucket)
      count += lw_throttle_broken(&line->throttle);
  return count;
}

/* -- how much to claim ---------------------------------------------------------------------------- */

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* What a rate lets pass soon. */
static int64_t within_rate(const struct lw_turns *turns, const struct lw_line *line) {
  const struct lw_limits *limits = &line->limits;
  int64_t share = turns->share > 1 ? turns->share : 1;
  int64_t soon = limits->rate_count * LW_TURNS_AHEAD / limits->rate_period / share;
  return soon > 0 ? soon : 1;
}

int lw_turns_allowance(const struct lw_turns *turns, const struct lw_line *line, int64_t most,
                       int64_t claimed, int64_t slow, int64_t now) {
  const struct lw_limits *limits = &line->limits;
  if (limits->ordered) return 1;
  int64_t next = lw_throttle_next(&line->throttle, limits, now);
  if (lw_throttle_broken(&line->throttle)) return next <= now ? 1 : line->throttle.running;
  if (next != LW_THROTTLE_NEVER && next - now > LW_TURNS_AHEAD) return 0;
  int64_t left = most - claimed;
  if (!line->prompt) left = smaller(left, most - most / RESERVED - slow);
  int64_t allowance = smaller(left * LW_TURNS_SHARE, most);
  if (limits->rate_count > 0) allowance = smaller(allowance, within_rate(turns, line));
  if (!line->prompt) allowance = smaller(allowance, (int64_t)UNPROVEN * limits->max_in_flight);
  return (int)(allowance > 0 ? allowance : 0);
}
