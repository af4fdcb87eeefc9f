/* Where an event goes: the enabled webhooks in memory, by app, each with its keys. Reloaded when the
 * store's webhooks version has moved. One thread uses it.
 *
 * A webhook that the store cannot decrypt (another process changed the key, or somebody the database) goes on
 * as it was here before, as long as its updated_at says that nothing else has changed. One that is not known
 * here from before is an unreadable route: its deliveries are stored, for others to send. */
#ifndef LW_DELIVERY_ROUTING_H
#define LW_DELIVERY_ROUTING_H

#include "base/error.h"
#include "delivery/dispatcher.h"
#include "delivery/filter.h"
#include "delivery/settings.h"
#include "delivery/signing.h"
#include "payload/formats.h"
#include "signature/hmac.h"
#include "store/store.h"

struct lw_line;

struct lw_route {
  struct lw_webhook *webhook;   /* owned by the routing's list */
  struct lw_settings *settings; /* the webhook's on top of the dispatcher's */
  struct lw_line *line;         /* set by whoever lets deliveries wait in lines; NULL after a reload, and of
                                   an unreadable one */
  const struct lw_format *format;
  struct lw_hmac *hmac;     /* NULL: no X-Signature */
  struct lw_signer *signer; /* NULL: not signed by the scheme "standard" */
  bool patterns;            /* among its events */
  bool choosy;              /* it has channels or a filter */
  /* NULL: none, or a newer version of us wrote what we cannot read; then its events are left to that one, and
   * only what was stored for it before is sent. */
  struct lw_filter *filter;
};

struct lw_routing {
  int64_t version; /* -1: never loaded */
  struct lw_settings *defaults;
  struct lw_webhook_list list; /* all there are, by id */
  struct lw_route *by_app;     /* sorted by app id */
  struct lw_route **by_id;     /* sorted by id */
  struct lw_route **chosen;    /* by lw_routing_choose; room for all */
  size_t count;
  size_t unreadable; /* how many webhooks in the list have a problem */
};

/* `defaults` must outlive it. */
void lw_routing_init(struct lw_routing *routing, struct lw_settings *defaults);
void lw_routing_free(struct lw_routing *routing);
/* Reloads when needed, and says so; inside a transaction. */
bool lw_routing_refresh(struct lw_routing *routing, struct lw_store *store, bool *reloaded,
                        struct lw_error *error);
/* How many routes of the item's app want it; they are in `chosen`, until the next call. */
size_t lw_routing_choose(struct lw_routing *routing, const struct lw_emit_item *item);
bool lw_route_unreadable(const struct lw_route *route);
struct lw_route *lw_routing_find(struct lw_routing *routing, const struct lw_id *webhook_id);
/* There is such a webhook and it is enabled, though it may have no route: then a newer version serves it. */
bool lw_routing_enabled(const struct lw_routing *routing, const struct lw_id *webhook_id);

#endif
