/* The delivery log: pages of records out of the store. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "lua/pending.h"

enum { RESEND_STEP = 500 };

struct query {
  struct lw_log_filter filter;
  char *event, *status; /* of the filter */
  struct lw_id id, webhook_id, after;
  bool started;
  struct lw_log_page page;
  struct lw_attempt_list attempts;
  struct lw_id_list found;
  int64_t count;
};

static void clear_query(void *work) {
  struct query *query = work;
  lw_log_page_free(&query->page);
  lw_attempt_list_free(&query->attempts);
  lw_id_list_free(&query->found);
  free(query->event);
  free(query->status);
}

/* Reads the filter table at 2. False: an id in it is none, so nothing can match. */
static bool read_filter(lua_State *L, struct query *query) {
  query->event = lwl_copy_text(L, lwl_string_field(L, 2, "event"));
  query->status = lwl_copy_text(L, lwl_string_field(L, 2, "status"));
  query->filter = (struct lw_log_filter){.event = query->event,
                                         .status = query->status,
                                         .unsuccessful = lwl_boolean_field(L, 2, "unsuccessful"),
                                         .since = (int64_t)lwl_number_field(L, 2, "since", -1),
                                         .before = (int64_t)lwl_number_field(L, 2, "before", -1)};
  const char *const names[] = {"id", "webhook_id"};
  struct lw_id *const ids[] = {&query->id, &query->webhook_id};
  const struct lw_id **const slots[] = {&query->filter.id, &query->filter.webhook_id};
  for (int i = 0; i < 2; i++) {
    lua_getfield(L, 2, names[i]);
    bool given = !lua_isnil(L, -1);
    bool ok = !given || lwl_read_id(L, lua_gettop(L), ids[i]);
    lua_pop(L, 1);
    if (!ok) return false;
    if (given) *slots[i] = ids[i];
  }
  return true;
}

/* "name: value\n" lines become { name = value }, names in lower case; a repeated one joined by ", " (RFC
 * 9110, 5.3). */
static void push_headers(lua_State *L, const char *text, size_t length) {
  const char *end = text + length;
  lua_newtable(L);
  while (text < end) {
    const char *line_end = memchr(text, '\n', (size_t)(end - text));
    if (line_end == NULL) line_end = end;
    const char *colon = memchr(text, ':', (size_t)(line_end - text));
    if (colon != NULL) {
      luaL_Buffer name;
      luaL_buffinit(L, &name);
      for (const char *at = text; at < colon; at++)
        luaL_addchar(&name, (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at));
      luaL_pushresult(&name);
      const char *value = colon + 1;
      while (value < line_end && *value == ' ') value++;
      lua_pushvalue(L, -1);
      lua_rawget(L, -3);
      if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, value, (size_t)(line_end - value));
      } else {
        lua_pushliteral(L, ", ");
        lua_pushlstring(L, value, (size_t)(line_end - value));
        lua_concat(L, 3);
      }
      lua_rawset(L, -3);
    }
    text = line_end + 1;
  }
}

/* The fields of an attempt into the table on top. */
static void set_attempt(lua_State *L, const struct lw_attempt *attempt) {
  lwl_push_integer(L, attempt->sent_at);
  lua_setfield(L, -2, "sent_at");
  lua_pushnumber(L, (double)attempt->duration / 1e6);
  lua_setfield(L, -2, "duration");
  if (attempt->response_status_code != 0) {
    lua_pushinteger(L, attempt->response_status_code);
    lua_setfield(L, -2, "response_status_code");
  }
  if (attempt->response_headers != NULL) {
    push_headers(L, attempt->response_headers, attempt->response_headers_length);
    lua_setfield(L, -2, "response_headers");
  }
  lua_pushboolean(L, attempt->response_headers_cut);
  lua_setfield(L, -2, "response_headers_cut");
  lwl_set_bytes(L, "response_body", attempt->response_body, attempt->response_body_length);
  lua_pushboolean(L, attempt->response_body_cut);
  lua_setfield(L, -2, "response_body_cut");
  if (attempt->error != NULL) lwl_set_bytes(L, "error", attempt->error, strlen(attempt->error));
  if (attempt->trigger != NULL) lwl_set_bytes(L, "trigger", attempt->trigger, strlen(attempt->trigger));
}

static void set_id(lua_State *L, const char *name, const struct lw_id *id) {
  lwl_push_id(L, id);
  lua_setfield(L, -2, name);
}

static void push_row(lua_State *L, const struct lw_log_row *row) {
  lua_createtable(L, 0, 20);
  set_id(L, "id", &row->id);
  set_id(L, "message_id", &row->message_id);
  set_id(L, "webhook_id", &row->webhook_id);
  lua_pushstring(L, row->app_id);
  lua_setfield(L, -2, "app_id");
  lua_pushstring(L, row->event);
  lua_setfield(L, -2, "event");
  lua_pushstring(L, lw_status_name(row->status));
  lua_setfield(L, -2, "status");
  if (row->reason != NULL) lwl_set_bytes(L, "reason", row->reason, strlen(row->reason));
  lwl_push_integer(L, lw_id_time(&row->id));
  lua_setfield(L, -2, "created_at");
  if (row->status == LW_PENDING) {
    lwl_push_integer(L, row->due_at);
    lua_setfield(L, -2, "next_attempt_at");
  }
  lua_pushinteger(L, row->attempts);
  lua_setfield(L, -2, "attempt_count");
  lwl_set_bytes(L, "request_body", row->request_body, row->request_body_length);
  if (row->attempts > 0) set_attempt(L, &row->last);
}

static bool page_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct query *query = context;
  return lw_store_log_page(store, &query->filter, query->started ? &query->after : NULL, &query->page, error);
}

static int push_page(lua_State *L, void *work) {
  const struct query *query = work;
  lua_createtable(L, (int)query->page.count, 0);
  for (size_t i = 0; i < query->page.count; i++) {
    push_row(L, &query->page.rows[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* handle:log_page(filter, after|nil) -> { record… } */
static int log_page(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct query), .read = page_job, .push = push_page, .clear = clear_query};
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct query *query = lwl_new_work(L, &kind);
  query->started = lwl_read_id(L, 3, &query->after);
  if (!read_filter(L, query)) return push_page(L, query);
  return lwl_do_command(L, dispatcher, lwl_completions(L));
}

static bool count_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct query *query = context;
  return lw_store_log_count(store, &query->filter, &query->count, error);
}

static int push_count(lua_State *L, void *work) {
  const struct query *query = work;
  lwl_push_integer(L, query->count);
  return 1;
}

static int log_count(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct query), .read = count_job, .push = push_count, .clear = clear_query};
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct query *query = lwl_new_work(L, &kind);
  if (!read_filter(L, query)) return push_count(L, query);
  return lwl_do_command(L, dispatcher, lwl_completions(L));
}

static bool attempts_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct query *query = context;
  return lw_store_attempts(store, &query->id, &query->attempts, error);
}

static int push_attempts(lua_State *L, void *work) {
  const struct query *query = work;
  lua_createtable(L, (int)query->attempts.count, 0);
  for (size_t i = 0; i < query->attempts.count; i++) {
    lua_createtable(L, 0, 10);
    lua_pushinteger(L, query->attempts.items[i].number);
    lua_setfield(L, -2, "number");
    set_attempt(L, &query->attempts.items[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* handle:log_attempts(delivery id) -> { attempt… } */
static int log_attempts(lua_State *L) {
  static const struct lwl_kind kind = {
      .size = sizeof(struct query), .read = attempts_job, .push = push_attempts, .clear = clear_query};
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct query *query = lwl_new_work(L, &kind);
  if (!lwl_read_id(L, 2, &query->id)) return push_attempts(L, query);
  return lwl_do_command(L, dispatcher, lwl_completions(L));
}

static bool find_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct query *query = context;
  return lw_store_find_resendable(store, &query->filter, query->started ? &query->after : NULL, RESEND_STEP,
                                  &query->found, error);
}

static bool resend_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct query *query = context;
  const struct lw_clock *clock = lw_system_clock();
  query->count = 0;
  return query->found.count == 0 ||
         lw_store_resend(store, &query->found, clock->now(clock->context), &query->count, error);
}

/* What is emitted from now on is not part of a resend: it would not end while events come. */
static void bound_resend(struct lw_log_filter *filter) {
  const struct lw_clock *clock = lw_system_clock();
  int64_t end = clock->now(clock->context) + 1;
  if (filter->id == NULL && (filter->before < 0 || filter->before > end)) filter->before = end;
}

static int push_resent(lua_State *L, void *work) {
  const struct query *query = work;
  size_t found = query->found.count;
  lwl_push_integer(L, query->count);
  if (found < RESEND_STEP) return 1;
  lwl_push_id(L, &query->found.items[found - 1]);
  lwl_push_integer(L, query->filter.before);
  return 3;
}

/* handle:log_resend(filter, after|nil) -> how many; and where the next step has to begin, if there is one:
 * after, and `before` of the filter. Looks for them beside the dispatcher's thread, which only writes:
 * deliveries go on meanwhile. */
static int log_resend(lua_State *L) {
  static const struct lwl_kind kind = {.size = sizeof(struct query),
                                       .read = find_job,
                                       .write = resend_job,
                                       .push = push_resent,
                                       .clear = clear_query};
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct query *query = lwl_new_work(L, &kind);
  query->started = lwl_read_id(L, 3, &query->after);
  if (!read_filter(L, query)) return push_count(L, query);
  bound_resend(&query->filter);
  return lwl_do_command(L, dispatcher, lwl_completions(L));
}

const luaL_Reg lwl_log_methods[] = {{"log_page", log_page},
                                    {"log_count", log_count},
                                    {"log_attempts", log_attempts},
                                    {"log_resend", log_resend},
                                    {NULL, NULL}};
