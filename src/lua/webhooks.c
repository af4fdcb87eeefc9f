/* hooks.webhooks: records in and out of the store. Their types were checked by the Lua side. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "delivery/signing.h"
#include "delivery/webhook_rules.h"
#include "lua/binding.h"

/* What one call works on; a job reads and writes it on the dispatcher's thread. */
struct work {
  struct lw_webhook webhook;
  struct lw_webhook_list list;
  struct lw_webhook_filter filter;
  bool found;
  const char *secret; /* the new one of a rotation */
  int64_t overlap;
  bool refused; /* error says why; a job that fails would take what others write down with it */
  struct lw_error error;
};

static void set_text(lua_State *L, const char *name, const char *text) {
  if (text == NULL) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* The record without its secret: only whether there is one. */
static void push_webhook(lua_State *L, const struct lw_webhook *webhook) {
  lua_createtable(L, 0, 15);
  lwl_push_id(L, &webhook->id);
  lua_setfield(L, -2, "id");
  set_text(L, "app_id", webhook->app_id);
  set_text(L, "name", webhook->name);
  set_text(L, "url", webhook->url);
  set_text(L, "format", webhook->format);
  lwl_set_names(L, "events", webhook->events);
  lwl_set_filter(L, "filter", webhook->filter);
  lwl_set_names(L, "channels", webhook->channels);
  lua_pushboolean(L, webhook->enabled);
  lua_setfield(L, -2, "enabled");
  set_text(L, "disabled_reason", webhook->disabled_reason);
  set_text(L, "problem", webhook->problem);
  lua_pushboolean(L, webhook->signing_secret != NULL);
  lua_setfield(L, -2, "signed");
  lwl_set_names(L, "signing", webhook->signing ? webhook->signing : LW_SIGNING_DEFAULT);
  lwl_push_integer(L, webhook->created_at);
  lua_setfield(L, -2, "created_at");
  lwl_push_integer(L, webhook->updated_at);
  lua_setfield(L, -2, "updated_at");
}

/* Where the table at 2 has the field, the copy of it replaces *text; false clears it. True: it was there. */
static bool take_text(lua_State *L, const char *name, char **text) {
  lua_getfield(L, 2, name);
  bool given = !lua_isnil(L, -1);
  if (given) {
    char *copy = lua_type(L, -1) == LUA_TSTRING ? strdup(lua_tostring(L, -1)) : NULL;
    lw_wipe_text(text);
    *text = copy;
  }
  lua_pop(L, 1);
  return given;
}

static void take_fields(lua_State *L, struct lw_webhook *webhook) {
  take_text(L, "app_id", &webhook->app_id);
  take_text(L, "name", &webhook->name);
  take_text(L, "url", &webhook->url);
  take_text(L, "format", &webhook->format);
  take_text(L, "events", &webhook->events);
  /* Who replaces a secret without rotate_secret wants the ones before it gone. */
  if (take_text(L, "signing_secret", &webhook->signing_secret)) lw_wipe_text(&webhook->old_secrets);
  take_text(L, "signing", &webhook->signing);
  take_text(L, "filter", &webhook->filter);
  take_text(L, "channels", &webhook->channels);
  lua_getfield(L, 2, "enabled");
  if (!lua_isnil(L, -1)) webhook->enabled = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (webhook->enabled) {
    free(webhook->disabled_reason);
    webhook->disabled_reason = NULL;
  }
  if (webhook->app_id == NULL) webhook->app_id = strdup("");
}

static int64_t now(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->now(clock->context);
}

static bool insert_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  return lw_store_insert_webhook(store, &work->webhook, error);
}

static bool get_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  struct lw_id id = work->webhook.id;
  return lw_store_get_webhook(store, &id, &work->webhook, &work->found, error);
}

static bool update_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  if (!lw_store_update_webhook(store, &work->webhook, &work->found, error)) return false;
  return work->webhook.enabled ||
         lw_store_cancel_webhook(store, &work->webhook.id, "the webhook was disabled", error);
}

static bool delete_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  return lw_store_delete_webhook(store, &work->webhook.id, &work->found, error) &&
         lw_store_cancel_webhook(store, &work->webhook.id, "the webhook was deleted", error);
}

static bool list_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  return lw_store_list_webhooks(store, &work->filter, &work->list, error);
}

static int not_found(lua_State *L) {
  struct lw_error error;
  lw_fail(&error, "not_found", "there is no webhook with that id");
  return lwl_failure(L, &error);
}

/* Pushes the record, or the failure, and wipes the work's copy. */
static int finish(lua_State *L, struct work *work, bool ok, const struct lw_error *error) {
  int results = 1;
  if (!ok)
    results = lwl_failure(L, error);
  else if (!work->found)
    results = not_found(L);
  else
    push_webhook(L, &work->webhook);
  lw_webhook_clear(&work->webhook);
  return results;
}

static int create(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct work work = {.webhook.enabled = true, .found = true};
  struct lw_error error;
  lwl_new_id(&work.webhook.id);
  take_fields(L, &work.webhook);
  work.webhook.created_at = work.webhook.updated_at = now();
  bool ok =
      lw_webhook_check(&work.webhook, &error) && lw_dispatcher_write(dispatcher, insert_job, &work, &error);
  return finish(L, &work, ok, &error);
}

static int get(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct work work = {0};
  struct lw_error error;
  if (!lwl_read_id(L, 2, &work.webhook.id)) return not_found(L);
  bool ok = lw_dispatcher_read(dispatcher, get_job, &work, &error);
  return finish(L, &work, ok, &error);
}

/* handle:webhook_update(changes, id) */
static int update(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct work work = {0};
  struct lw_error error;
  if (!lwl_read_id(L, 3, &work.webhook.id)) return not_found(L);
  bool ok = lw_dispatcher_read(dispatcher, get_job, &work, &error);
  if (ok && work.found) {
    take_fields(L, &work.webhook);
    work.webhook.updated_at = now();
    ok = lw_webhook_check(&work.webhook, &error) &&
         lw_signing_expire(&work.webhook, work.webhook.updated_at, &error) &&
         lw_dispatcher_write(dispatcher, update_job, &work, &error);
  }
  return finish(L, &work, ok, &error);
}

/* In one transaction: two rotations at a time, and neither loses the other's secret. */
static bool rotate_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  struct lw_webhook *webhook = &work->webhook;
  work->refused = false;
  struct lw_id id = webhook->id;
  lw_webhook_clear(webhook);
  if (!lw_store_get_webhook(store, &id, webhook, &work->found, error)) return false;
  if (!work->found) {
    webhook->id = id;
    return true;
  }
  int64_t at = now();
  webhook->updated_at = at;
  work->refused = !lw_signing_rotate(webhook, work->secret, at + work->overlap, at, &work->error) ||
                  !lw_webhook_check(webhook, &work->error);
  return work->refused || lw_store_update_webhook(store, webhook, &work->found, error);
}

/* handle:webhook_rotate(id, secret, overlap in ms) */
static int rotate(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct work work = {.secret = luaL_checkstring(L, 3), .overlap = (int64_t)luaL_checknumber(L, 4)};
  struct lw_error error;
  if (!lwl_read_id(L, 2, &work.webhook.id)) return not_found(L);
  bool ok = lw_dispatcher_write(dispatcher, rotate_job, &work, &error);
  bool refused = ok && work.refused;
  return finish(L, &work, ok && !refused, refused ? &work.error : &error);
}

static int delete (lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  struct work work = {0};
  struct lw_error error;
  if (!lwl_read_id(L, 2, &work.webhook.id)) return not_found(L);
  if (!lw_dispatcher_write(dispatcher, delete_job, &work, &error)) return lwl_failure(L, &error);
  if (!work.found) return not_found(L);
  lua_pushboolean(L, true);
  return 1;
}

static int list(lua_State *L) {
  struct lw_dispatcher *dispatcher = lwl_check_dispatcher(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct work work = {.filter = {.app_id = lwl_string_field(L, 2, "app_id"),
                                 .query = lwl_string_field(L, 2, "query"),
                                 .limit = (int64_t)lwl_number_field(L, 2, "limit", 1000),
                                 .offset = (int64_t)lwl_number_field(L, 2, "offset", 0)}};
  struct lw_error error;
  if (!lw_dispatcher_read(dispatcher, list_job, &work, &error)) return lwl_failure(L, &error);
  lua_createtable(L, (int)work.list.count, 0);
  for (size_t i = 0; i < work.list.count; i++) {
    push_webhook(L, &work.list.items[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lw_webhook_list_free(&work.list);
  return 1;
}

const luaL_Reg lwl_webhook_methods[] = {{"webhook_create", create},
                                        {"webhook_get", get},
                                        {"webhook_update", update},
                                        {"webhook_delete", delete},
                                        {"webhook_list", list},
                                        {"webhook_rotate", rotate},
                                        {NULL, NULL}};
