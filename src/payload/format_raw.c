#include "payload/format_raw.h"

#include "base/json.h"

static const struct lw_node *write_node(const struct lw_event_view *event, const struct lw_node *node,
                                        struct lw_buffer *out);

static void write_text(const struct lw_event_view *event, const struct lw_node *node, struct lw_buffer *out) {
  lw_json_string(out, event->text + node->as.text.offset, node->as.text.length);
}

static void write_container(const struct lw_event_view *event, const struct lw_node *node,
                            struct lw_buffer *out) {
  bool object = node->kind == LW_OBJECT;
  const struct lw_node *end = node + node->size;
  lw_buffer_append_char(out, object ? '{' : '[');
  for (const struct lw_node *at = node + 1; at < end;) {
    if (at != node + 1) lw_buffer_append_char(out, ',');
    if (object) {
      write_text(event, at++, out);
      lw_buffer_append_char(out, ':');
    }
    at = write_node(event, at, out);
  }
  lw_buffer_append_char(out, object ? '}' : ']');
}

/* Returns the node after the subtree. The depth is bounded by LW_EVENT_MAX_DEPTH. */
static const struct lw_node *write_node(const struct lw_event_view *event, const struct lw_node *node,
                                        struct lw_buffer *out) {
  switch (node->kind) {
    case LW_NULL:
      lw_buffer_append_text(out, "null");
      break;
    case LW_FALSE:
      lw_buffer_append_text(out, "false");
      break;
    case LW_TRUE:
      lw_buffer_append_text(out, "true");
      break;
    case LW_INTEGER:
      lw_json_integer(out, node->as.integer);
      break;
    case LW_UNSIGNED:
      lw_json_unsigned(out, node->as.wide);
      break;
    case LW_DOUBLE:
      lw_json_double(out, node->as.number);
      break;
    case LW_TEXT:
      write_text(event, node, out);
      break;
    case LW_ARRAY:
    case LW_OBJECT:
      write_container(event, node, out);
      break;
  }
  return node + node->size;
}

bool lw_format_raw(const struct lw_event_view *event, struct lw_buffer *out) {
  lw_buffer_append_text(out, "{\"event\":\"");
  lw_buffer_append_text(out, event->name);
  lw_buffer_append_text(out, "\",\"data\":");
  write_node(event, event->data, out);
  lw_buffer_append_char(out, '}');
  return !out->failed;
}
