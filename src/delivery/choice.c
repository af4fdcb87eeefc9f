#include "delivery/choice.h"

#include <string.h>

#include "payload/event.h"

/* -- names and patterns -------------------------------------------------------------------------------- */

bool lw_pattern_valid(const char *pattern, size_t length) {
  if (length == 0 || length > LW_EVENT_MAX_PATTERN) return false;
  for (size_t i = 0; i < length; i++)
    if (pattern[i] != '*' && !lw_event_name_valid((const char[]){pattern[i], '\0'}, 1)) return false;
  return true;
}

/* What stands before the first star begins the name, what stands behind the last one ends it. Each piece
 * between two stars is taken where it comes first: no later place could leave more room for the others. */
bool lw_pattern_matches(const char *pattern, size_t length, const char *name) {
  const char *end = pattern + length;
  size_t left = strlen(name);
  const char *star = memchr(pattern, '*', length);
  if (star == NULL) return left == length && memcmp(pattern, name, length) == 0;
  size_t size = (size_t)(star - pattern);
  if (left < size || memcmp(pattern, name, size) != 0) return false;
  name += size;
  left -= size;
  for (;;) {
    const char *piece = star + 1;
    star = memchr(piece, '*', (size_t)(end - piece));
    size = (size_t)((star ? star : end) - piece);
    if (star == NULL) return left >= size && memcmp(piece, name + left - size, size) == 0;
    const char *found = memmem(name, left, piece, size);
    if (found == NULL) return false;
    left -= (size_t)(found - name) + size;
    name = found + size;
  }
}

bool lw_events_have_patterns(const char *events) {
  while (*events) {
    size_t span = strcspn(events, ",");
    if (span > 1 && memchr(events, '*', span) != NULL) return true;
    events += span + (events[span] == ',');
  }
  return false;
}

static bool has_name(const char *list, const char *name, size_t length) {
  while (*list) {
    size_t span = strcspn(list, ",");
    if (span == length && memcmp(list, name, length) == 0) return true;
    list += span + (list[span] == ',');
  }
  return false;
}

bool lw_events_name(const char *events, const char *name) {
  size_t length = strlen(name);
  while (*events) {
    size_t span = strcspn(events, ",");
    if (span == 1 && *events == '*') return true;
    if (span == length && memcmp(events, name, length) == 0) return true;
    events += span + (events[span] == ',');
  }
  return false;
}

bool lw_events_match(const char *events, const char *name) {
  while (*events) {
    size_t span = strcspn(events, ",");
    if (lw_pattern_matches(events, span, name)) return true;
    events += span + (events[span] == ',');
  }
  return false;
}

/* -- channels ------------------------------------------------------------------------------------------ */

bool lw_channel_check(const char *name, size_t length, struct lw_error *error) {
  _Static_assert(LW_CHANNEL_MAX_NAME == LW_EVENT_MAX_PATTERN, "a channel is named as an event is");
  if (lw_pattern_valid(name, length) && memchr(name, '*', length) == NULL) return true;
  return lw_fail(error, "invalid", "channels: a name is 1 to %d of letters, digits, '_', '.', ':' and '-'",
                 LW_CHANNEL_MAX_NAME);
}

bool lw_channels_check_count(size_t count, struct lw_error *error) {
  if (count == 0) return lw_fail(error, "invalid", "channels: the list is empty; leave it out for none");
  if (count > LW_MAX_CHANNELS) return lw_fail(error, "invalid", "channels: more than %d", LW_MAX_CHANNELS);
  return true;
}

bool lw_channels_check(const char *channels, struct lw_error *error) {
  size_t count = 0;
  const char *at = channels;
  bool more = *channels != '\0';
  while (more) {
    size_t span = strcspn(at, ",");
    if (!lw_channel_check(at, span, error)) return false;
    count++;
    more = at[span] == ',';
    at += span + more;
  }
  return lw_channels_check_count(count, error);
}

bool lw_channels_admit(const char *webhook, const char *message) {
  if (webhook == NULL) return true;
  while (message && *message) {
    size_t span = strcspn(message, ",");
    if (has_name(webhook, message, span)) return true;
    message += span + (message[span] == ',');
  }
  return false;
}
