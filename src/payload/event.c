#include "payload/event.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

enum { PATH_SIZE = 300, KEY_SHOWN = 40 };

void lw_event_init(struct lw_event *event) {
  memset(event, 0, sizeof *event);
  lw_buffer_init(&event->nodes, LW_EVENT_MAX_BYTES);
  lw_buffer_init(&event->text, LW_EVENT_MAX_BYTES);
}

void lw_event_free(struct lw_event *event) {
  lw_buffer_free(&event->nodes);
  lw_buffer_free(&event->text);
}

bool lw_event_name_valid(const char *name, size_t length) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
  return length > 0 && length <= LW_EVENT_MAX_NAME && strspn(name, allowed) == length;
}

bool lw_event_start(struct lw_event *event, const char *name, size_t length) {
  lw_buffer_clear(&event->nodes);
  lw_buffer_clear(&event->text);
  event->part = "data";
  event->depth = 0;
  event->failed = false;
  if (!lw_event_name_valid(name, length)) {
    event->failed = true;
    return lw_fail(&event->error, "invalid_event",
                   "event: a name is 1 to %d of letters, digits, '_', '.', ':' and '-'", LW_EVENT_MAX_NAME);
  }
  memcpy(event->name, name, length);
  event->name[length] = '\0';
  return true;
}

static struct lw_node *node_at(const struct lw_event *event, uint32_t index) {
  return (struct lw_node *)(void *)event->nodes.data + index;
}

static uint32_t node_count(const struct lw_event *event) {
  return (uint32_t)(event->nodes.length / sizeof(struct lw_node));
}

bool lw_event_present(struct lw_event *event) {
  event->part = "presentation";
  return lw_event_open(event, LW_OBJECT);
}

static void add_step(const struct lw_event *event, const struct lw_frame *frame, char *path, size_t *used) {
  const struct lw_node *container = node_at(event, frame->node);
  int wrote;
  if (container->kind == LW_ARRAY) {
    wrote = snprintf(path + *used, PATH_SIZE - *used, "[%u]", frame->index + 1);
  } else {
    const struct lw_node *key = node_at(event, frame->key);
    const char *text = event->text.data + key->as.text.offset;
    size_t length = key->as.text.length > KEY_SHOWN ? KEY_SHOWN : key->as.text.length;
    int shown = (int)lw_utf8_valid_prefix(text, length);
    wrote = snprintf(path + *used, PATH_SIZE - *used, ".%.*s", shown, text);
  }
  if (wrote > 0) *used += (size_t)wrote;
  if (*used >= PATH_SIZE) *used = PATH_SIZE - 1;
}

bool lw_event_refuse(struct lw_event *event, const char *what) {
  if (event->failed) return false;
  event->failed = true;
  char path[PATH_SIZE];
  size_t used = (size_t)snprintf(path, sizeof path, "%s", event->part);
  for (int i = 0; i < event->depth; i++) {
    const struct lw_frame *frame = &event->frames[i];
    bool has_key = frame->key != 0 || node_at(event, frame->node)->kind == LW_ARRAY;
    if (has_key) add_step(event, frame, path, &used);
  }
  return lw_fail(&event->error, "invalid_event", "%s: %s", path, what);
}

static bool push(struct lw_event *event, struct lw_node node) {
  if (event->failed) return false;
  node.size = 1;
  if (!lw_buffer_append(&event->nodes, &node, sizeof node))
    return lw_event_refuse(event, "the event is too large (more than 8 MiB)");
  return true;
}

/* A value is done: the array it stands in has one more. */
static bool push_value(struct lw_event *event, struct lw_node node) {
  if (!push(event, node)) return false;
  if (event->depth > 0) event->frames[event->depth - 1].index++;
  return true;
}

bool lw_event_null(struct lw_event *event) {
  return push_value(event, (struct lw_node){.kind = LW_NULL});
}

bool lw_event_boolean(struct lw_event *event, bool value) {
  return push_value(event, (struct lw_node){.kind = value ? LW_TRUE : LW_FALSE});
}

bool lw_event_integer(struct lw_event *event, int64_t value) {
  return push_value(event, (struct lw_node){.kind = LW_INTEGER, .as.integer = value});
}

bool lw_event_unsigned(struct lw_event *event, uint64_t value) {
  if (value <= INT64_MAX) return lw_event_integer(event, (int64_t)value);
  return push_value(event, (struct lw_node){.kind = LW_UNSIGNED, .as.wide = value});
}

bool lw_event_double(struct lw_event *event, double value) {
  if (isnan(value)) return lw_event_refuse(event, "cannot encode NaN");
  if (isinf(value)) return lw_event_refuse(event, "cannot encode infinity");
  return push_value(event, (struct lw_node){.kind = LW_DOUBLE, .as.number = value});
}

/* Checks and keeps the bytes; the node is pushed by the caller. */
static bool keep_text(struct lw_event *event, const char *text, size_t length, struct lw_node *node) {
  if (event->failed) return false;
  if (length > LW_EVENT_MAX_BYTES) return lw_event_refuse(event, "the event is too large (more than 8 MiB)");
  size_t valid = lw_utf8_valid_prefix(text, length);
  if (valid < length) {
    char what[64];
    snprintf(what, sizeof what, "not valid UTF-8 at byte %zu", valid + 1);
    return lw_event_refuse(event, what);
  }
  node->kind = LW_TEXT;
  node->as.text.offset = (uint32_t)event->text.length;
  node->as.text.length = (uint32_t)length;
  if (!lw_buffer_append(&event->text, text, length))
    return lw_event_refuse(event, "the event is too large (more than 8 MiB)");
  return true;
}

bool lw_event_text(struct lw_event *event, const char *text, size_t length) {
  struct lw_node node = {0};
  return keep_text(event, text, length, &node) && push_value(event, node);
}

bool lw_event_key(struct lw_event *event, const char *text, size_t length) {
  struct lw_node node = {0};
  if (event->failed) return false;
  event->frames[event->depth - 1].key = 0; /* a refused key must not be shown as the one before it */
  if (!keep_text(event, text, length, &node)) return false;
  event->frames[event->depth - 1].key = node_count(event);
  return push(event, node);
}

bool lw_event_open(struct lw_event *event, enum lw_kind kind) {
  if (event->failed) return false;
  if (event->depth == LW_EVENT_MAX_DEPTH) {
    event->failed = true;
    return lw_fail(&event->error, "invalid_event", "%s: nested deeper than %d levels", event->part,
                   LW_EVENT_MAX_DEPTH);
  }
  uint32_t index = node_count(event);
  if (!push(event, (struct lw_node){.kind = kind})) return false;
  event->frames[event->depth++] = (struct lw_frame){.node = index};
  return true;
}

void lw_event_close(struct lw_event *event) {
  if (event->failed) return;
  struct lw_frame *frame = &event->frames[--event->depth];
  node_at(event, frame->node)->size = node_count(event) - frame->node;
  if (event->depth > 0) event->frames[event->depth - 1].index++;
}

/* -- reading ------------------------------------------------------------------------------------------ */

static struct lw_event_view view_of(const char *name, const struct lw_node *nodes, size_t count,
                                    const char *text) {
  size_t data = nodes->size;
  return (struct lw_event_view){name, nodes, data < count ? nodes + data : NULL, text};
}

struct lw_event_view lw_event_view(const struct lw_event *event) {
  return view_of(event->name, node_at(event, 0), node_count(event), event->text.data);
}

/* The nodes follow, then the text, then what makes the length a multiple of 8. */
struct packed {
  uint32_t count; /* nodes */
  char name[LW_EVENT_MAX_NAME + 1];
};

bool lw_event_pack(const struct lw_event *event, struct lw_buffer *out) {
  static const char zeros[8];
  struct packed head = {.count = node_count(event)};
  _Static_assert(sizeof head % 4 == 0 && sizeof(struct lw_node) % 8 == 0, "nodes are aligned");
  memcpy(head.name, event->name, sizeof head.name);
  lw_buffer_append(out, &head, sizeof head);
  lw_buffer_append(out, zeros, -out->length % 8);
  lw_buffer_append(out, event->nodes.data, event->nodes.length);
  lw_buffer_append(out, event->text.data, event->text.length);
  return lw_buffer_append(out, zeros, -out->length % 8);
}

struct lw_event_view lw_event_unpack(const char *packed) {
  const struct packed *head = (const void *)packed;
  const struct lw_node *nodes = (const void *)(packed + (sizeof *head + 7) / 8 * 8);
  return view_of(head->name, nodes, head->count, (const char *)(nodes + head->count));
}

static const struct lw_node *field_of(const struct lw_event_view *event, const struct lw_node *object,
                                      const char *key, size_t length) {
  const struct lw_node *end = object + object->size;
  for (const struct lw_node *at = object + 1; at < end; at += 1 + at[1].size)
    if (at->as.text.length == length && memcmp(event->text + at->as.text.offset, key, length) == 0)
      return at + 1;
  return NULL;
}

const struct lw_node *lw_event_field(const struct lw_event_view *event, const struct lw_node *object,
                                     const char *key) {
  if (object == NULL || object->kind != LW_OBJECT) return NULL;
  return field_of(event, object, key, strlen(key));
}

/* `place` counts from 1, as Lua does. */
static const struct lw_node *element_of(const struct lw_node *array, const char *place, size_t length) {
  size_t wanted = 0;
  for (size_t i = 0; i < length; i++) {
    if (place[i] < '0' || place[i] > '9' || wanted > LW_EVENT_MAX_BYTES) return NULL;
    wanted = wanted * 10 + (size_t)(place[i] - '0');
  }
  const struct lw_node *end = array + array->size;
  for (const struct lw_node *at = array + 1; at < end; at += at->size)
    if (--wanted == 0) return at;
  return NULL;
}

const struct lw_node *lw_event_find(const struct lw_event_view *event, const char *path, size_t length) {
  const struct lw_node *node = event->data;
  const char *end = path + length;
  while (node) {
    const char *dot = memchr(path, '.', (size_t)(end - path));
    size_t step = (size_t)((dot ? dot : end) - path);
    if (step == 0) return NULL;
    if (node->kind == LW_OBJECT)
      node = field_of(event, node, path, step);
    else
      node = node->kind == LW_ARRAY ? element_of(node, path, step) : NULL;
    if (dot == NULL) break;
    path = dot + 1;
  }
  return node;
}
