#include "payload/message.h"

#include <string.h>

#include "payload/describe.h"
#include "payload/message_parts.h"

enum { LINK_LONGEST = 2048 };

static struct lw_text node_text(const struct lw_event_view *event, const struct lw_node *node) {
  if (node == NULL || node->kind != LW_TEXT) return (struct lw_text){"", 0};
  return (struct lw_text){event->text + node->as.text.offset, node->as.text.length};
}

/* -- severity ------------------------------------------------------------------------------------- */

static const struct {
  const char *word, *emoji;
} severities[] = {[LW_NEUTRAL] = {"neutral", "🔔"},
                  [LW_SUCCESS] = {"success", "✅"},
                  [LW_FAILURE] = {"failure", "❌"},
                  [LW_WARNING] = {"warning", "⚠️"},
                  [LW_PROGRESS] = {"progress", "🔄"}};

bool lw_severity_parse(struct lw_text word, enum lw_severity *severity) {
  for (int i = LW_NEUTRAL; i <= LW_PROGRESS; i++) {
    if (!lw_text_is(word, severities[i].word)) continue;
    *severity = (enum lw_severity)i;
    return true;
  }
  return false;
}

struct lw_text lw_severity_emoji(enum lw_severity severity) {
  return lw_text_of(severities[severity].emoji);
}

static const struct lw_status_words statuses[] = {
    {"queued", "queued", "🕓", LW_NEUTRAL, "Waiting in the queue.", false},
    {"pending", "pending", "⏳", LW_PROGRESS, "About to start.", false},
    {"in_progress", "running", "🔄", LW_PROGRESS, "Running now.", false},
    {"succeeded", "succeeded", "✅", LW_SUCCESS, "Finished", true},
    {"failed", "failed", "❌", LW_FAILURE, "Failed", true},
    {"canceled", "was canceled", "🚫", LW_NEUTRAL, "Canceled", true},
    {"rejected", "was rejected", "⛔", LW_WARNING, "Rejected.", false},
    {"timed_out", "timed out", "⏰", LW_FAILURE, "Timed out", true},
};

const struct lw_status_words *lw_status_words(const struct lw_event_view *event) {
  struct lw_text status = lw_data_text(event, "status");
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
    if (lw_text_is(status, statuses[i].status)) return &statuses[i];
  return NULL;
}

/* -- pieces --------------------------------------------------------------------------------------- */

/* The open part is [part_start, scratch_used). */
void lw_part_begin(struct lw_message *message) {
  message->part_start = message->scratch_used;
}

static void add_bytes(struct lw_message *message, struct lw_text piece) {
  if (piece.length > LW_MESSAGE_SCRATCH - message->scratch_used) return;
  memcpy(message->scratch + message->scratch_used, piece.bytes, piece.length);
  message->scratch_used += piece.length;
}

void lw_part_add(struct lw_message *message, struct lw_text piece) {
  if (piece.length <= LW_PIECE_MAX) {
    add_bytes(message, piece);
    return;
  }
  struct lw_text left = piece;
  for (;;) {
    size_t step = lw_text_cluster(left);
    if ((size_t)(left.bytes - piece.bytes) + step > LW_PIECE_MAX) break;
    left.bytes += step;
    left.length -= step;
  }
  add_bytes(message, (struct lw_text){piece.bytes, (size_t)(left.bytes - piece.bytes)});
  add_bytes(message, LW_TEXT_OF("…"));
}

struct lw_text lw_part_end(struct lw_message *message) {
  return (struct lw_text){message->scratch + message->part_start,
                          message->scratch_used - message->part_start};
}

/* A value that was made in a small array moves to the scratch. */
static struct lw_text keep(struct lw_message *message, struct lw_text text) {
  lw_part_begin(message);
  add_bytes(message, text);
  return lw_part_end(message);
}

struct lw_text lw_data_text(const struct lw_event_view *event, const char *key) {
  struct lw_text text = node_text(event, lw_event_field(event, event->data, key));
  if (lw_text_blank(text)) text.length = 0;
  return text;
}

int64_t lw_data_time(const struct lw_event_view *event, const char *const *keys) {
  for (; *keys; keys++) {
    const struct lw_node *node = lw_event_field(event, event->data, *keys);
    struct lw_message_field field;
    char made[LW_VALUE_SIZE];
    if (node && lw_describe_value(event, LW_TEXT_OF("At"), node, made, &field) && field.kind == LW_FIELD_TIME)
      return field.time;
  }
  return LW_NO_TIME;
}

/* -- fields --------------------------------------------------------------------------------------- */

void lw_add_field(struct lw_message *message, const struct lw_message_field *field) {
  if (field->value.length == 0 || field->label.length == 0) return;
  if (message->field_count < LW_MESSAGE_FIELDS)
    message->fields[message->field_count++] = *field;
  else
    message->more++;
}

void lw_add_node_field(struct lw_message *message, const struct lw_event_view *event, struct lw_text label,
                       struct lw_text key, const struct lw_node *node) {
  struct lw_message_field field = {.label = label};
  char made[LW_VALUE_SIZE];
  if (!lw_describe_value(event, key, node, made, &field)) return;
  if (message->field_count == LW_MESSAGE_FIELDS) {
    message->more++;
    return;
  }
  if (field.value.bytes == made) field.value = keep(message, field.value);
  char words[LW_LABEL_SIZE];
  if (label.length == 0) field.label = lw_describe_key(key, lw_describe_is_duration(key, node), words);
  if (lw_text_blank(field.label)) field.label = LW_TEXT_OF("Value");
  if (field.label.bytes == words) field.label = keep(message, field.label);
  lw_add_field(message, &field);
}

void lw_add_data_field(struct lw_message *message, const struct lw_event_view *event, const char *label,
                       const char *key) {
  const struct lw_node *node = lw_event_field(event, event->data, key);
  if (node) lw_add_node_field(message, event, lw_text_of(label), lw_text_of(key), node);
}

/* -- events of the application -------------------------------------------------------------------- */

/* Every scalar in its order; the app's id stands in the footer. */
static void add_all_fields(struct lw_message *message, const struct lw_event_view *event) {
  const struct lw_node *data = event->data;
  if (data->kind != LW_OBJECT) return;
  const struct lw_node *end = data + data->size;
  for (const struct lw_node *at = data + 1; at < end; at += 1 + at[1].size) {
    struct lw_text key = node_text(event, at);
    bool in_footer = lw_text_is(key, "appId") && at[1].kind == LW_TEXT;
    if (!in_footer) lw_add_node_field(message, event, (struct lw_text){"", 0}, key, at + 1);
  }
}

static void title_from_name(struct lw_message *message, const struct lw_event_view *event) {
  char words[LW_LABEL_SIZE];
  struct lw_text title = lw_describe_key(lw_text_of(event->name), false, words);
  message->title = keep(message, title);
}

/* The first field that is a time. */
static int64_t first_time(const struct lw_message *message) {
  for (size_t i = 0; i < message->field_count; i++)
    if (message->fields[i].kind == LW_FIELD_TIME) return message->fields[i].time;
  return LW_NO_TIME;
}

static void unknown_event(struct lw_message *message, const struct lw_event_view *event) {
  static const char *const times[] = {"finishedAt", "occurredAt", "createdAt", "timestamp", NULL};
  const struct lw_status_words *words = lw_status_words(event);
  title_from_name(message, event);
  if (words) {
    message->severity = words->severity;
    message->emoji = lw_text_of(words->emoji);
  }
  add_all_fields(message, event);
  message->time = lw_data_time(event, times);
  if (message->time == LW_NO_TIME) message->time = first_time(message);
}

/* -- what the application says ---------------------------------------------------------------------- */

static bool presented(const struct lw_event_view *event, const char *part, struct lw_text *text) {
  const struct lw_node *node = lw_event_field(event, event->presentation, part);
  if (node == NULL || node->kind != LW_TEXT) return false;
  *text = node_text(event, node);
  return true;
}

/* RFC 3986, section 2: what a URL may hold, without what would end a link in one of the services' markups. */
static bool url_character(unsigned char c) {
  return c > ' ' && c < 0x7f && strchr("\"<>|()\\^`{}'*_~", c) == NULL;
}

static bool web_address(struct lw_text url) {
  size_t scheme = url.length > 8 && strncasecmp(url.bytes, "https://", 8) == 0  ? 8
                  : url.length > 7 && strncasecmp(url.bytes, "http://", 7) == 0 ? 7
                                                                                : 0;
  if (scheme == 0) return false;
  char first = url.bytes[scheme];
  return (first >= '0' && first <= '9') || (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') ||
         first == '[';
}

/* Only http and https; characters that could not stand in a link are percent-encoded. */
static void set_link(struct lw_message *message, struct lw_text url) {
  static const char digits[] = "0123456789ABCDEF";
  if (!web_address(url) || url.length > LINK_LONGEST) return;
  lw_part_begin(message);
  for (size_t i = 0; i < url.length; i++) {
    unsigned char c = (unsigned char)url.bytes[i];
    char encoded[] = {'%', digits[c >> 4], digits[c & 15]};
    add_bytes(message, url_character(c) ? (struct lw_text){url.bytes + i, 1} : (struct lw_text){encoded, 3});
  }
  struct lw_text link = lw_part_end(message);
  if (link.length <= LINK_LONGEST) message->link = link;
}

/* The node at a dotted path ("customer.name") of the data, or NULL. The last key is left in *key. */
static const struct lw_node *at_path(const struct lw_event_view *event, struct lw_text path,
                                     struct lw_text *key) {
  const struct lw_node *node = lw_event_find(event, path.bytes, path.length);
  size_t start = path.length;
  while (start > 0 && path.bytes[start - 1] != '.') start--;
  *key = (struct lw_text){path.bytes + start, path.length - start};
  return node;
}

/* An entry is { label, value } or, for a field of the data, { label or "", null, path }. */
static void show_entry(struct lw_message *message, const struct lw_event_view *event,
                       const struct lw_node *entry) {
  const struct lw_node *label = entry + 1, *value = label + label->size;
  struct lw_message_field field = {.label = node_text(event, label), .kind = LW_FIELD_TEXT};
  if (value->kind == LW_TEXT) {
    field.value = node_text(event, value);
    if (lw_text_blank(field.value)) return;
    if (lw_text_blank(field.label)) field.label = LW_TEXT_OF("Value");
    lw_add_field(message, &field);
    return;
  }
  struct lw_text key;
  const struct lw_node *node = at_path(event, node_text(event, value + 1), &key);
  if (node) lw_add_node_field(message, event, field.label, key, node);
}

static void show_fields(struct lw_message *message, const struct lw_event_view *event) {
  const struct lw_node *list = lw_event_field(event, event->presentation, "fields");
  if (list == NULL || list->kind != LW_ARRAY) return;
  message->field_count = message->more = 0;
  const struct lw_node *end = list + list->size;
  for (const struct lw_node *entry = list + 1; entry < end; entry += entry->size)
    show_entry(message, event, entry);
}

static void present(struct lw_message *message, const struct lw_event_view *event) {
  struct lw_text text;
  if (presented(event, "title", &text) && !lw_text_blank(text)) message->title = text;
  if (presented(event, "text", &text)) {
    message->text = text;
    if (lw_text_blank(text)) message->text.length = 0;
  }
  if (presented(event, "severity", &text) && lw_severity_parse(text, &message->severity))
    message->emoji = lw_severity_emoji(message->severity);
  if (presented(event, "link", &text)) set_link(message, text);
  show_fields(message, event);
}

/* -- the whole ------------------------------------------------------------------------------------ */

static void set_footer(struct lw_message *message, const struct lw_event_view *event) {
  struct lw_text app = lw_data_text(event, "appId");
  lw_part_begin(message);
  lw_part_add(message, lw_text_of(event->name));
  if (app.length > 0) {
    struct lw_message_field field;
    char made[LW_VALUE_SIZE];
    lw_describe_value(event, LW_TEXT_OF("appId"), lw_event_field(event, event->data, "appId"), made, &field);
    lw_part_add(message, LW_TEXT_OF(" · app "));
    lw_part_add(message, field.value);
  }
  message->footer = lw_part_end(message);
}

void lw_message_make(struct lw_message *message, const struct lw_event_view *event) {
  message->severity = LW_NEUTRAL;
  message->emoji = message->title = message->text = message->link = (struct lw_text){"", 0};
  message->field_count = message->more = message->scratch_used = 0;
  message->time = LW_NO_TIME;
  set_footer(message, event);
  if (!lw_message_known_event(message, event)) unknown_event(message, event);
  if (event->presentation) present(message, event);
  if (message->emoji.length == 0) message->emoji = lw_severity_emoji(message->severity);
}
