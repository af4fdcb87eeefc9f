/* Which events a webhook chose, by name and by channel. Lists are texts: names joined by commas. Pure
 * functions. */
#ifndef LW_DELIVERY_CHOICE_H
#define LW_DELIVERY_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define LW_MAX_CHANNELS 32      /* of a webhook, and of an emit */
#define LW_CHANNEL_MAX_NAME 64  /* bytes */
#define LW_EVENT_MAX_PATTERN 64 /* bytes */

/* An event's name, in which a star stands for any characters or none. */
bool lw_pattern_valid(const char *pattern, size_t length);
/* In time linear in both lengths. */
bool lw_pattern_matches(const char *pattern, size_t length, const char *name);
/* True where a list of names has a pattern other than "*": only then is lw_events_match needed. */
bool lw_events_have_patterns(const char *events);
/* Whether the list has the name, or "*". */
bool lw_events_name(const char *events, const char *name);
/* The same with patterns. */
bool lw_events_match(const char *events, const char *name);

/* False: code "invalid", a message that begins with "channels: ". A name is 1 to 64 of [A-Za-z0-9_.:-]. */
bool lw_channel_check(const char *name, size_t length, struct lw_error *error);
bool lw_channels_check_count(size_t count, struct lw_error *error);
bool lw_channels_check(const char *channels, struct lw_error *error);
/* A webhook without channels (NULL) gets everything; one with channels gets what carries one of them
 * (https://docs.svix.com/channels). */
bool lw_channels_admit(const char *webhook, const char *message);

#endif
