#include "delivery/claims.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/engine.h"

enum {
  CLAIM_STEP = 256,            /* deliveries claimed from the store in one transaction */
  WALK_SHARE = CLAIM_STEP / 4, /* and so many more for the walk at least, when the hungry take them all */
  WALK_STEP = 64,              /* lines looked at in one transaction */
  SMALL = 32 /* a line with so little left to claim waits until more of it can be claimed at once */
};

static const struct lw_id none;

static int64_t now_ms(const struct lw_dispatcher *d) {
  return d->clock->now(d->clock->context);
}

static int64_t now_ticks(const struct lw_dispatcher *d) {
  return d->clock->ticks(d->clock->context);
}

static bool out_of_memory(struct lw_error *error) {
  return lw_fail(error, "memory", "out of memory");
}

/* -- room ----------------------------------------------------------------------------------------- */

static int64_t claimed_count(const struct lw_dispatcher *d) {
  return d->claimed.count + d->planning.count;
}

static int64_t room(const struct lw_dispatcher *d) {
  if (d->winding_down || d->retired || d->claimed.bytes + d->planning.bytes >= LW_MAX_CLAIM_BYTES) return 0;
  return LW_MAX_CLAIMS - claimed_count(d);
}

/* Large bodies are shared as the slots are (turns.h): whoever comes next finds some room. */
static bool is_too_heavy(const struct lw_dispatcher *d, const struct lw_line *line) {
  return line->bytes > LW_MAX_CLAIM_BYTES - d->claimed.bytes - d->planning.bytes;
}

/* How many more deliveries the line may have claimed. Its throttle is the sender's thread's too. */
static int64_t room_in(struct lw_dispatcher *d, struct lw_line *line) {
  if (room(d) <= 0 || is_too_heavy(d, line)) return 0;
  int64_t slow = d->claimed.slow + d->planning.slow;
  pthread_mutex_lock(&d->mutex);
  int64_t allowance =
      lw_turns_allowance(&d->turns, line, LW_MAX_CLAIMS, claimed_count(d), slow, now_ticks(d));
  line->slow = !line->prompt;
  pthread_mutex_unlock(&d->mutex);
  int64_t left = allowance - line->claims;
  return left < room(d) ? left : room(d);
}

/* -- planning ------------------------------------------------------------------------------------- */

void lw_claims_count(struct lw_load *load, const struct lw_flight *flight, int sign) {
  load->count += sign;
  load->slow += flight->slow ? sign : 0;
  load->bytes += (size_t)sign * flight->body_length;
  flight->line->claims += sign;
  flight->line->bytes += (size_t)sign * flight->body_length;
}

static void plan(struct lw_dispatcher *d, struct lw_flight *flight) {
  flight->next = d->planned;
  d->planned = flight;
  flight->slow = flight->line->slow;
  lw_claims_count(&d->planning, flight, 1);
}

static void forget_one(struct lw_dispatcher *d) {
  struct lw_flight *flight = d->planned;
  d->planned = flight->next;
  lw_claims_count(&d->planning, flight, -1);
  lw_flight_free(flight);
}

void lw_claims_forget(struct lw_dispatcher *d) {
  while (d->planned) forget_one(d);
}

bool lw_claims_give_back(struct lw_dispatcher *d, struct lw_error *error) {
  while (d->planned) {
    if (!lw_store_release(d->store, &d->planned->id, &d->id, error)) return false;
    d->planned->line->backlog = true;
    forget_one(d);
  }
  return true;
}

/* A flight that is ready to go, or NULL (memory). */
static struct lw_flight *make_flight(struct lw_dispatcher *d, const struct lw_id *id,
                                     const struct lw_route *route, const char *body, size_t length,
                                     bool own_body) {
  struct lw_flight *flight = lw_flight_new(id, body, length);
  if (flight == NULL) return NULL;
  flight->own_body = own_body;
  if (lw_flight_prepare(flight, route, now_ms(d), now_ticks(d))) return flight;
  lw_flight_free(flight);
  return NULL;
}

/* -- hungry lines --------------------------------------------------------------------------------- */

static void make_hungry(struct lw_dispatcher *d, struct lw_line *line) {
  if (line->hungry) return;
  line->hungry = true;
  line->next_hungry = NULL;
  if (d->hungry)
    d->last_hungry->next_hungry = line;
  else
    d->hungry = line;
  d->last_hungry = line;
}

void lw_claims_feed(struct lw_dispatcher *d, struct lw_line *line) {
  if (!line->backlog || line->hungry || !line->routed) return;
  int64_t left = room_in(d, line);
  if (left >= SMALL || (left > 0 && line->claims < SMALL)) make_hungry(d, line);
}

/* When the next walk is due. It is never later than this, unless the clock was set back. */
static int64_t walk_at(const struct lw_dispatcher *d) {
  return d->claim_at - now_ms(d) <= LW_POLL_MS ? d->claim_at : 0;
}

int64_t lw_claims_next(const struct lw_dispatcher *d) {
  if (room(d) <= 0) return INT64_MAX;
  return d->hungry ? 0 : walk_at(d);
}

/* -- what an emit makes --------------------------------------------------------------------------- */

/* What waits in the store goes first, and what goes one at a time is claimed by its place alone. */
static bool claims_new(struct lw_dispatcher *d, struct lw_line *line) {
  return !line->limits.ordered && !line->backlog && room_in(d, line) > 0;
}

static bool insert_unclaimed(struct lw_dispatcher *d, const struct lw_delivery_row *row, struct lw_line *line,
                             struct lw_error *error) {
  line->backlog = true;
  lw_claims_feed(d, line);
  return lw_store_insert_delivery(d->store, row, error);
}

static bool insert_claimed(struct lw_dispatcher *d, struct lw_delivery_row *row, const struct lw_route *route,
                           const char *body, size_t length, struct lw_error *error) {
  row->claimed_by = &d->id;
  struct lw_flight *flight = make_flight(d, &row->id, route, body, length, row->body != NULL);
  if (flight == NULL) return out_of_memory(error);
  flight->test = row->test;
  plan(d, flight);
  return lw_store_insert_delivery(d->store, row, error);
}

bool lw_claims_insert(struct lw_dispatcher *d, struct lw_emit_item *item, const struct lw_route *route,
                      struct lw_error *error) {
  struct lw_delivery_row row = {.message_id = item->id,
                                .webhook_id = route->webhook->id,
                                .due_at = now_ms(d),
                                .test = !lw_id_equal(&item->webhook_id, &none),
                                .ordered = route->settings->limits.ordered};
  const char *body;
  size_t length;
  if (!lw_bodies_get(&d->bodies, route->format, &body, &length)) return out_of_memory(error);
  if (body != item->body) {
    row.body = body;
    row.body_length = length;
  }
  lw_id_next(&d->ids, &row.id);
  item->delivery_id = row.id;
  item->deliveries++;
  if (lw_route_unreadable(route)) return lw_store_insert_delivery(d->store, &row, error);
  if (!claims_new(d, route->line)) return insert_unclaimed(d, &row, route->line, error);
  return insert_claimed(d, &row, route, body, length, error);
}

/* -- what waits in the store ---------------------------------------------------------------------- */

static bool fly(struct lw_dispatcher *d, const struct lw_claim *claim, const struct lw_route *route,
                struct lw_error *error) {
  struct lw_flight *flight =
      make_flight(d, &claim->id, route, claim->body, claim->body_length, claim->own_body);
  if (flight == NULL) return out_of_memory(error);
  flight->attempts = claim->attempts;
  flight->tries = claim->tries;
  flight->test = claim->test;
  plan(d, flight);
  return true;
}

static bool read_claims(struct lw_dispatcher *d, const struct lw_route *route, int limit,
                        struct lw_claim_list *list, struct lw_error *error) {
  const struct lw_id *webhook = &route->webhook->id;
  if (route->settings->limits.ordered)
    return lw_store_claim_head(d->store, &d->id, webhook, now_ms(d), list, error);
  return lw_store_claim(d->store, &d->id, webhook, now_ms(d), limit, list, error);
}

/* Claims what the line has room for, of *budget at most. */
static bool claim_line(struct lw_dispatcher *d, const struct lw_route *route, int *budget,
                       struct lw_error *error) {
  struct lw_line *line = route->line;
  int64_t left = room_in(d, line);
  int limit = left < *budget ? (int)left : *budget;
  struct lw_claim_list list = {0};
  if (limit <= 0) {
    line->backlog = true;
    return true;
  }
  if (!read_claims(d, route, limit, &list, error)) return false;
  bool ok = true;
  for (size_t i = 0; ok && i < list.count; i++) ok = fly(d, &list.items[i], route, error);
  line->backlog = list.more || line->limits.ordered;
  *budget -= (int)list.count;
  if (list.more) lw_claims_feed(d, line);
  lw_claim_list_free(&list);
  return ok;
}

static bool serve_hungry(struct lw_dispatcher *d, int *budget, struct lw_error *error) {
  while (d->hungry && *budget > 0 && room(d) > 0) {
    struct lw_line *line = d->hungry;
    d->hungry = line->next_hungry;
    line->hungry = false;
    const struct lw_route *route = lw_routing_find(&d->routing, &line->webhook_id);
    if (route != NULL && !lw_route_unreadable(route) && !claim_line(d, route, budget, error)) return false;
  }
  return true;
}

/* -- the walk ------------------------------------------------------------------------------------- */

static bool visit(struct lw_dispatcher *d, const struct lw_due_line *due, int *budget,
                  struct lw_error *error) {
  const struct lw_route *route = lw_routing_find(&d->routing, &due->webhook_id);
  if (route == NULL) {
    if (lw_routing_enabled(&d->routing, &due->webhook_id)) return true;
    return lw_store_cancel_webhook(d->store, &due->webhook_id, "the webhook is disabled or deleted", error);
  }
  if (lw_route_unreadable(route)) return true;
  bool ordered = route->settings->limits.ordered;
  if (ordered != d->walk.ordered) { /* it was changed, or what was finished before was sent again */
    make_hungry(d, route->line);
    return lw_store_order_line(d->store, &due->webhook_id, ordered, error);
  }
  if (due->due_at > now_ms(d)) {
    if (due->due_at < d->walk.next_due) d->walk.next_due = due->due_at;
    return true;
  }
  return claim_line(d, route, budget, error);
}

static bool next_line(struct lw_dispatcher *d, struct lw_due_line *due, bool *found, struct lw_error *error) {
  return d->walk.ordered ? lw_store_next_ordered_line(d->store, &d->walk.after, due, found, error)
                         : lw_store_next_line(d->store, &d->walk.after, due, found, error);
}

static void begin_walk(struct lw_dispatcher *d) {
  d->walk = (struct lw_walk){.next_due = now_ms(d) + LW_POLL_MS};
}

/* A step of the walk: first the lines in any order, then those in the order of their emits. Where it ends in
 * the middle it goes on in the next transaction. */
static bool walk(struct lw_dispatcher *d, int *budget, struct lw_error *error) {
  for (int i = 0; i<WALK_STEP && * budget> 0 && room(d) > 0; i++) {
    struct lw_due_line due;
    bool found;
    if (!next_line(d, &due, &found, error)) return false;
    if (found) {
      d->walk.after = due.webhook_id;
      if (!visit(d, &due, budget, error)) return false;
    } else if (!d->walk.ordered) {
      d->walk.ordered = true;
      d->walk.after = none;
    } else {
      d->claim_at = d->walk.next_due;
      begin_walk(d);
      return true;
    }
  }
  return true;
}

static bool at_beginning(const struct lw_walk *walk) {
  return !walk->ordered && lw_id_equal(&walk->after, &none);
}

/* Nothing is due, as a rule: then one look is enough. */
static bool take_due(struct lw_dispatcher *d, int *budget, struct lw_error *error) {
  int64_t now = now_ms(d);
  if (now < walk_at(d) || room(d) <= 0) return true;
  if (at_beginning(&d->walk)) {
    int64_t next_due;
    if (!lw_store_next_due(d->store, &next_due, error)) return false;
    begin_walk(d);
    if (next_due < 0 || next_due > now) {
      d->claim_at = next_due > now && next_due < now + LW_POLL_MS ? next_due : now + LW_POLL_MS;
      return true;
    }
  }
  return walk(d, budget, error);
}

bool lw_claims_take(struct lw_dispatcher *d, struct lw_error *error) {
  int budget = CLAIM_STEP;
  if (!serve_hungry(d, &budget, error)) return false;
  if (budget < WALK_SHARE) budget = WALK_SHARE;
  return take_due(d, &budget, error) && serve_hungry(d, &budget, error);
}
