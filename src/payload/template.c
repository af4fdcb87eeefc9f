#include "payload/template.h"

#include <string.h>

#include "payload/describe.h"

/* The longest start of `text` of at most `limit` bytes that ends between two code points. */
static struct lw_text cut(struct lw_text text, size_t limit) {
  if (text.length <= limit) return text;
  while (limit > 0 && ((unsigned char)text.bytes[limit] & 0xc0) == 0x80) limit--;
  return (struct lw_text){text.bytes, limit};
}

static void append(struct lw_buffer *out, struct lw_text text) {
  text = cut(text, out->maximum - out->length);
  lw_buffer_append(out, text.bytes, text.length);
}

static void append_encoded(struct lw_buffer *out, struct lw_text text) {
  static const char digits[] = "0123456789ABCDEF";
  static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  for (size_t i = 0; i < text.length && out->maximum - out->length >= 3; i++) {
    unsigned char c = (unsigned char)text.bytes[i];
    char encoded[] = {'%', digits[c >> 4], digits[c & 15]};
    bool plain = memchr(unreserved, c, sizeof unreserved - 1) != NULL;
    lw_buffer_append(out, plain ? text.bytes + i : encoded, plain ? 1 : 3);
  }
}

/* An empty key keeps numbers as they are: only keys tell times and durations. */
static void fill(const struct lw_event_view *event, struct lw_text path, enum lw_template_kind kind,
                 struct lw_buffer *out) {
  const struct lw_node *node = lw_event_find(event, path.bytes, path.length);
  if (node == NULL) return;
  struct lw_text key = kind == LW_TEMPLATE_LINK ? LW_TEXT_OF("") : path;
  struct lw_message_field field;
  char made[LW_VALUE_SIZE];
  if (!lw_describe_value(event, key, node, made, &field)) return;
  if (node->kind == LW_TEXT)
    field.value = (struct lw_text){event->text + node->as.text.offset, node->as.text.length};
  if (kind == LW_TEMPLATE_LINK)
    append_encoded(out, field.value);
  else
    append(out, field.value);
}

/* Takes one step: a brace written twice, a placeholder, or the text up to the next brace. Returns its length.
 */
static size_t step(const struct lw_event_view *event, struct lw_text rest, enum lw_template_kind kind,
                   struct lw_buffer *out) {
  char first = rest.bytes[0];
  bool brace = first == '{' || first == '}';
  if (brace && rest.length > 1 && rest.bytes[1] == first) {
    append(out, (struct lw_text){rest.bytes, 1});
    return 2;
  }
  const char *end = first == '{' ? memchr(rest.bytes, '}', rest.length) : NULL;
  if (end) {
    fill(event, (struct lw_text){rest.bytes + 1, (size_t)(end - rest.bytes) - 1}, kind, out);
    return (size_t)(end - rest.bytes) + 1;
  }
  size_t length = 1;
  while (length < rest.length && rest.bytes[length] != '{' && rest.bytes[length] != '}') length++;
  append(out, (struct lw_text){rest.bytes, length});
  return length;
}

bool lw_template_push(struct lw_event *event, struct lw_text source, enum lw_template_kind kind) {
  struct lw_event_view view = lw_event_view(event);
  struct lw_buffer out;
  lw_buffer_init(&out, LW_TEMPLATE_MAX);
  while (source.length > 0) {
    size_t length = step(&view, source, kind, &out);
    source.bytes += length;
    source.length -= length;
  }
  bool ok = out.failed ? lw_event_refuse(event, "out of memory") : lw_event_text(event, out.data, out.length);
  lw_buffer_free(&out);
  return ok;
}
