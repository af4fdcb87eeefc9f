/* hooks.webhooks: records in and out of the store. Their types were checked by the Lua side. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "delivery/dispatcher.h"
#include "delivery/signing.h"
#include "delivery/webhook_changes.h"
#include "delivery/webhook_rules.h"
#include "lua/pending.h"
#include "transport/url_credentials.h"

/* What one call works on: read from Lua's values, worked on by a job on the dispatcher's thread, then told to
 * Lua. A job does all its work anew whenever it runs. */
struct work {
  struct lw_webhook webhook;
  struct lw_webhook_changes changes;
  struct lw_webhook_list list;
  struct lw_webhook_filter filter;
  char *app_id, *query; /* of the filter */
  bool found;
  char *secret; /* the new one of a rotation */
  int64_t overlap;
  bool refused; /* error says why; a job that fails would take what others write down with it */
  struct lw_error error;
};

/* -- telling ------------------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *name, const char *text) {
  if (text == NULL) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* One that was stored with its credentials is shown without them, one that cannot be decrypted not at all. */
static void set_url(lua_State *L, const char *url) {
  if (url == NULL) return;
  char *plain = NULL, *credentials = NULL;
  bool readable = lw_url_split_credentials(url, &plain, &credentials, NULL);
  set_text(L, "url", !readable ? "(hidden)" : plain ? plain : url);
  if (!readable || credentials != NULL) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "url_credentials");
  }
  lw_wipe_text(&credentials);
  lw_wipe_text(&plain);
}

/* The record without its secret: only whether there is one. */
static void push_webhook(lua_State *L, const struct lw_webhook *webhook) {
  lua_createtable(L, 0, 24);
  lwl_push_id(L, &webhook->id);
  lua_setfield(L, -2, "id");
  set_text(L, "app_id", webhook->app_id);
  set_text(L, "name", webhook->name);
  set_url(L, webhook->url);
  set_text(L, "format", webhook->format);
  lwl_set_names(L, "events", webhook->events);
  lwl_set_filter(L, "filter", webhook->filter);
  lwl_set_names(L, "channels", webhook->channels);
  lua_pushboolean(L, webhook->enabled);
  lua_setfield(L, -2, "enabled");
  set_text(L, "disabled_reason", webhook->disabled_reason);
  if (webhook->failing_since != 0) {
    lwl_push_integer(L, webhook->failing_since);
    lua_setfield(L, -2, "failing_since");
  }
  lwl_set_settings(L, webhook->settings);
  set_text(L, "problem", webhook->problem);
  lua_pushboolean(L, webhook->signing_secret != NULL);
  lua_setfield(L, -2, "signed");
  lwl_set_names(L, "signing", webhook->signing ? webhook->signing : LW_SIGNING_DEFAULT);
  lwl_push_integer(L, webhook->created_at);
  lua_setfield(L, -2, "created_at");
  lwl_push_integer(L, webhook->updated_at);
  lua_setfield(L, -2, "updated_at");
}

static int not_found(lua_State *L) {
  struct lw_error error;
  lw_fail(&error, "not_found", "there is no webhook with that id");
  return lwl_failure(L, &error);
}

static bool tells_failure(lua_State *L, const struct work *work) {
  if (work->refused)
    lwl_failure(L, &work->error);
  else if (!work->found)
    not_found(L);
  return work->refused || !work->found;
}

/* The record, or why there is none. */
static int push_record(lua_State *L, void *context) {
  const struct work *work = context;
  if (tells_failure(L, work)) return 3;
  push_webhook(L, &work->webhook);
  return 1;
}

static int push_deleted(lua_State *L, void *context) {
  if (tells_failure(L, context)) return 3;
  lua_pushboolean(L, true);
  return 1;
}

static int push_list(lua_State *L, void *context) {
  const struct work *work = context;
  lua_createtable(L, (int)work->list.count, 0);
  for (size_t i = 0; i < work->list.count; i++) {
    push_webhook(L, &work->list.items[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* Wipes what may be secret. */
static void clear_work(void *context) {
  struct work *work = context;
  lw_webhook_clear(&work->webhook);
  lw_webhook_changes_clear(&work->changes);
  lw_webhook_list_free(&work->list);
  lw_wipe_text(&work->secret);
  free(work->app_id);
  free(work->query);
}

/* -- reading ------------------------------------------------------------------------------------------- */

static bool read_text(lua_State *L, const char *name, struct lw_webhook_changes *changes,
                      enum lw_webhook_field field, struct lw_error *error) {
  lua_getfield(L, 2, name);
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  changes->fields[field].given = !lua_isnil(L, -1);
  changes->fields[field].text = text ? strdup(text) : NULL;
  bool ok = text == NULL || changes->fields[field].text != NULL || lw_fail(error, "memory", "out of memory");
  lua_pop(L, 1);
  return ok;
}

static bool read_texts(lua_State *L, struct lw_webhook_changes *changes, struct lw_error *error) {
  static const char *const names[LW_WEBHOOK_FIELDS] = {
      [LW_WEBHOOK_APP_ID] = "app_id",     [LW_WEBHOOK_NAME] = "name",
      [LW_WEBHOOK_URL] = "url",           [LW_WEBHOOK_FORMAT] = "format",
      [LW_WEBHOOK_EVENTS] = "events",     [LW_WEBHOOK_SIGNING_SECRET] = "signing_secret",
      [LW_WEBHOOK_SIGNING] = "signing",   [LW_WEBHOOK_FILTER] = "filter",
      [LW_WEBHOOK_CHANNELS] = "channels",
  };
  bool ok = true;
  for (int i = 0; ok && i < LW_WEBHOOK_FIELDS; i++)
    ok = read_text(L, names[i], changes, (enum lw_webhook_field)i, error);
  return ok;
}

static bool read_settings(lua_State *L, struct lw_webhook_changes *changes, struct lw_error *error) {
  lua_getfield(L, 2, "settings");
  bool ok = true;
  if (lua_istable(L, -1)) {
    changes->settings = lw_settings_new();
    ok = changes->settings != NULL || lw_fail(error, "memory", "out of memory");
    ok = ok && lwl_read_settings(L, lua_gettop(L), changes->settings, &changes->cleared, error);
  }
  lua_pop(L, 1);
  return ok;
}

/* The table at 2: fields that are nil stay as they are, false clears them. */
static bool read_changes(lua_State *L, struct lw_webhook_changes *changes, struct lw_error *error) {
  lua_getfield(L, 2, "enabled");
  changes->gives_enabled = !lua_isnil(L, -1);
  changes->enabled = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return read_texts(L, changes, error) && read_settings(L, changes, error);
}

/* -- jobs ---------------------------------------------------------------------------------------------- */

static int64_t now(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->now(clock->context);
}

static bool insert_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  return lw_store_insert_webhook(store, &work->webhook, error);
}

/* Reads the webhook that has the work's id anew; *found in the work says whether there is one. */
static bool load(struct lw_store *store, struct work *work, struct lw_error *error) {
  struct lw_id id = work->webhook.id;
  work->refused = false;
  lw_webhook_clear(&work->webhook);
  bool ok = lw_store_get_webhook(store, &id, &work->webhook, &work->found, error);
  work->webhook.id = id;
  return ok;
}

static bool get_job(struct lw_store *store, void *context, struct lw_error *error) {
  return load(store, context, error);
}

static bool change(struct work *work) {
  struct lw_webhook *webhook = &work->webhook;
  webhook->updated_at = now();
  return lw_webhook_change(webhook, &work->changes, &work->error) &&
         lw_webhook_check(webhook, &work->error) &&
         lw_signing_expire(webhook, webhook->updated_at, &work->error);
}

/* In one transaction: of two updates at a time, neither loses what the other changed. */
static bool update_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  if (!load(store, work, error)) return false;
  if (!work->found) return true;
  work->refused = !change(work);
  if (work->refused) return true;
  if (!lw_store_update_webhook(store, &work->webhook, &work->found, error)) return false;
  return work->webhook.enabled ||
         lw_store_cancel_webhook(store, &work->webhook.id, "the webhook was disabled", error);
}

static bool rotate_job(struct lw_store *store, void *context, struct lw_error *error) {
  struct work *work = context;
  struct lw_webhook *webhook = &work->webhook;
  if (!load(store, work, error)) return false;
  if (!work->found) return true;
  int64_t at = now();
  webhook->updated_at = at;
  work->refused = !lw_signing_rotate(webhook, work->secret, at + work->overlap, at, &work->error) ||
                  !lw_webhook_check(webhook, &work->error);
  return work->refused || lw_store_update_webhook(store, webhook, &work->found, error);
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

/* -- calls --------------------------------------------------------------------------------------------- */

#define KIND(reads, writes, pushes) \
  { .size = sizeof(struct work), .read = (reads), .write = (writes), .push = (pushes), .clear = clear_work }

static int call(lua_State *L) {
  return lwl_do_command(L, lwl_check_dispatcher(L), lwl_completions(L));
}

static bool read_new(lua_State *L, struct work *work, struct lw_error *error) {
  struct lw_webhook *webhook = &work->webhook;
  lwl_new_id(&webhook->id);
  webhook->enabled = true;
  webhook->created_at = webhook->updated_at = now();
  work->found = true;
  return read_changes(L, &work->changes, error) && lw_webhook_change(webhook, &work->changes, error) &&
         lw_webhook_check(webhook, error);
}

/* handle:webhook_create(fields) */
static int create(lua_State *L) {
  static const struct lwl_kind kind = KIND(NULL, insert_job, push_record);
  struct lw_error error;
  lwl_check_dispatcher(L);
  struct work *work = lwl_new_work(L, &kind);
  return read_new(L, work, &error) ? call(L) : lwl_failure(L, &error);
}

/* handle:webhook_get(id) */
static int get(lua_State *L) {
  static const struct lwl_kind kind = KIND(get_job, NULL, push_record);
  lwl_check_dispatcher(L);
  struct work *work = lwl_new_work(L, &kind);
  return lwl_read_id(L, 2, &work->webhook.id) ? call(L) : not_found(L);
}

/* handle:webhook_update(changes, id) */
static int update(lua_State *L) {
  static const struct lwl_kind kind = KIND(NULL, update_job, push_record);
  struct lw_error error;
  lwl_check_dispatcher(L);
  struct work *work = lwl_new_work(L, &kind);
  if (!lwl_read_id(L, 3, &work->webhook.id)) return not_found(L);
  return read_changes(L, &work->changes, &error) ? call(L) : lwl_failure(L, &error);
}

/* handle:webhook_rotate(id, secret, overlap in ms) */
static int rotate(lua_State *L) {
  static const struct lwl_kind kind = KIND(NULL, rotate_job, push_record);
  const char *secret = luaL_checkstring(L, 3);
  int64_t overlap = (int64_t)luaL_checknumber(L, 4);
  lwl_check_dispatcher(L);
  struct work *work = lwl_new_work(L, &kind);
  if (!lwl_read_id(L, 2, &work->webhook.id)) return not_found(L);
  work->secret = lwl_copy_text(L, secret);
  work->overlap = overlap;
  return call(L);
}

/* handle:webhook_delete(id) */
static int delete (lua_State *L) {
  static const struct lwl_kind kind = KIND(NULL, delete_job, push_deleted);
  lwl_check_dispatcher(L);
  struct work *work = lwl_new_work(L, &kind);
  return lwl_read_id(L, 2, &work->webhook.id) ? call(L) : not_found(L);
}

/* handle:webhook_list { app_id, query, limit, offset } */
static int list(lua_State *L) {
  static const struct lwl_kind kind = KIND(list_job, NULL, push_list);
  lwl_check_dispatcher(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct work *work = lwl_new_work(L, &kind);
  work->app_id = lwl_copy_text(L, lwl_string_field(L, 2, "app_id"));
  work->query = lwl_copy_text(L, lwl_string_field(L, 2, "query"));
  work->filter = (struct lw_webhook_filter){.app_id = work->app_id,
                                            .query = work->query,
                                            .limit = (int64_t)lwl_number_field(L, 2, "limit", 1000),
                                            .offset = (int64_t)lwl_number_field(L, 2, "offset", 0)};
  return call(L);
}

const luaL_Reg lwl_webhook_methods[] = {{"webhook_create", create},
                                        {"webhook_get", get},
                                        {"webhook_update", update},
                                        {"webhook_delete", delete},
                                        {"webhook_list", list},
                                        {"webhook_rotate", rotate},
                                        {NULL, NULL}};
