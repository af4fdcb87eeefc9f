/* An event: a name and its data, held as a flat tree. It is built by pushing values in order (the binding
 * does this from a Lua table), and refuses what JSON cannot carry with an error that names the path
 * ("data.items[3].owner: cannot encode a function"). The event owns all its bytes. */
#ifndef LW_PAYLOAD_EVENT_H
#define LW_PAYLOAD_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define LW_EVENT_MAX_DEPTH 128
#define LW_EVENT_MAX_BYTES (8 * 1024 * 1024) /* of text, of nodes, and of the raw body */
#define LW_EVENT_MAX_NAME 64

enum lw_kind { LW_NULL, LW_FALSE, LW_TRUE, LW_INTEGER, LW_UNSIGNED, LW_DOUBLE, LW_TEXT, LW_ARRAY, LW_OBJECT };

/* Depth first. An array is followed by its values, an object by pairs of a text node (the key) and a value.
 */
struct lw_node {
  enum lw_kind kind;
  uint32_t size; /* of the whole subtree, in nodes, itself included */
  union {
    int64_t integer;
    uint64_t wide; /* LW_UNSIGNED: above INT64_MAX */
    double number;
    struct {
      uint32_t offset, length; /* into lw_event.text */
    } text;
  } as;
};

struct lw_frame {
  uint32_t node;  /* the open array or object */
  uint32_t key;   /* object: the node of the current key */
  uint32_t index; /* array: how many values came */
};

struct lw_event {
  char name[LW_EVENT_MAX_NAME + 1];
  struct lw_buffer nodes; /* struct lw_node[] */
  struct lw_buffer text;
  const char *part; /* what is being built, the head of error paths: "data" or "presentation" */
  int depth;
  struct lw_frame frames[LW_EVENT_MAX_DEPTH];
  struct lw_error error; /* the first refusal; code "invalid_event" */
  bool failed;
};

/* What a reader of a finished event needs; borrowed. */
struct lw_event_view {
  const char *name;
  const struct lw_node *data;
  const struct lw_node *presentation; /* NULL, or what lw_event_present began */
  const char *text;
};

void lw_event_init(struct lw_event *event);
void lw_event_free(struct lw_event *event);
/* Forgets the last event and starts one; a name is 1 to 64 of [A-Za-z0-9_.:-]. Keeps memory for reuse. */
bool lw_event_start(struct lw_event *event, const char *name, size_t length);

bool lw_event_null(struct lw_event *event);
bool lw_event_boolean(struct lw_event *event, bool value);
bool lw_event_integer(struct lw_event *event, int64_t value);
bool lw_event_unsigned(struct lw_event *event, uint64_t value);
bool lw_event_double(struct lw_event *event, double value);
bool lw_event_text(struct lw_event *event, const char *text, size_t length);
bool lw_event_open(struct lw_event *event, enum lw_kind kind); /* LW_ARRAY or LW_OBJECT */
bool lw_event_key(struct lw_event *event, const char *text, size_t length);
void lw_event_close(struct lw_event *event);
/* For what the caller finds ("cannot encode a function"): the message gets the current path. Returns false.
 */
bool lw_event_refuse(struct lw_event *event, const char *what);

/* After the data: begins the object that says how the event reads, to be filled and closed like any other.
 * Its keys are "title", "text", "severity" and "link" (texts) and "fields" (an array of arrays of a label and
 * a value, both texts); what is absent is made up by message.c. It is no part of the raw body. */
bool lw_event_present(struct lw_event *event);

bool lw_event_name_valid(const char *name, size_t length);

struct lw_event_view lw_event_view(const struct lw_event *event);
/* A finished event as one block of bytes, so that it can wait in a mailbox. Appended to `out`, whose length
 * must be a multiple of 8 and is again afterwards; false when `out` is full. */
bool lw_event_pack(const struct lw_event *event, struct lw_buffer *out);
struct lw_event_view lw_event_unpack(const char *packed); /* borrows; `packed` is aligned to 8 */

/* The value of the data at a path of keys and array places ("customer.name", "items.1.price"), or NULL. */
const struct lw_node *lw_event_find(const struct lw_event_view *event, const char *path, size_t length);
/* The value of a key of an object node, or NULL (also when `object` is NULL or no object). */
const struct lw_node *lw_event_field(const struct lw_event_view *event, const struct lw_node *object,
                                     const char *key);

#endif
