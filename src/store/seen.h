/* Ids that were seen, each remembered for a while, in a database of its own: several processes may share it.
 */
#ifndef LW_STORE_SEEN_H
#define LW_STORE_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct lw_seen;

/* `path` is a SQLite file, made when it is not there, or ":memory:". NULL with the driver's codes. */
struct lw_seen *lw_seen_open(const char *path, struct lw_error *error);
void lw_seen_close(struct lw_seen *seen); /* NULL is fine */

/* Remembers `id` until `ends_at` (milliseconds since the epoch). *is_new is false when it was remembered
 * already and `now` has not come to its end. The answer is on disk when this returns. Old ids are forgotten a
 * few at a time. Fails with the driver's codes, or "forked" in another process than the one that opened it.
 */
bool lw_seen_add(struct lw_seen *seen, struct lw_bytes id, int64_t now, int64_t ends_at, bool *is_new,
                 struct lw_error *error);

/* Forgets `id`, also when it is not remembered. On disk when this returns; fails as lw_seen_add. */
bool lw_seen_remove(struct lw_seen *seen, struct lw_bytes id, struct lw_error *error);

#endif
