#include "delivery/chat_errors.h"

#include <stddef.h>
#include <string.h>

static const struct {
  const char *format, *word, *reason;
} words[] = {
    {"slack", "invalid_payload", "Slack: invalid_payload: it does not accept this message"},
    {"slack", "invalid_token", "Slack: invalid_token: the webhook's URL is not valid any more"},
    {"slack", "no_service", "Slack: no_service: the webhook was disabled or removed there"},
    {"slack", "no_active_hooks", "Slack: no_active_hooks: the webhook was disabled there"},
    {"slack", "action_prohibited", "Slack: action_prohibited: an admin there forbids it"},
    {"slack", "channel_not_found", "Slack: channel_not_found: its channel is gone"},
    {"slack", "channel_is_archived", "Slack: channel_is_archived: its channel is archived"},
    {"teams", "WorkflowTriggerIsNotEnabled", "Teams: the workflow's trigger is switched off"},
    {"teams", "TriggerInputSchemaMismatch", "Teams: the workflow expects another kind of message"},
    {"teams", "DirectApiAuthorizationRequired", "Teams: the workflow's URL lacks its signature"},
    {"teams", "WorkflowNotFound", "Teams: the workflow does not exist any more"},
};

enum { DISCORD_OVERLOADED = 130000 };

static const struct {
  long code;
  const char *reason;
} codes[] = {
    {40005, "Discord: 40005: the message is too large"},
    {50006, "Discord: 50006: the message is empty"},
    {50027, "Discord: 50027: the webhook's token is not valid"},
    {50035, "Discord: 50035: it does not accept this message"},
    {50109, "Discord: 50109: it cannot read this message"},
    {220001, "Discord: 220001: a forum's webhook needs a thread to write to"},
};

static bool is(const char *text, const char *word) {
  return text && strcmp(text, word) == 0;
}

/* -- Discord: {"message":"…","code":50035,…} --------------------------------------------------------- */

static const char *skip_spaces(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
  return at;
}

/* The number at the start of a value; -1: another value. */
static long read_number(const char *at, const char *end) {
  enum { LONGEST = 9 }; /* digits that a long always holds */
  long number = 0;
  const char *first = at;
  for (; at < end && *at >= '0' && *at <= '9'; at++) {
    if (at - first == LONGEST) return -1;
    number = number * 10 + (*at - '0');
  }
  return at > first ? number : -1;
}

/* The first "code" that is a number: those of single fields, which may stand before it, are words. */
static long discord_code(const struct lw_response *response) {
  static const char key[] = "\"code\"";
  const char *at = response->body;
  const char *end = at ? at + response->body_length : NULL;
  while (at < end && (at = memmem(at, (size_t)(end - at), key, sizeof key - 1)) != NULL) {
    at = skip_spaces(at + sizeof key - 1, end);
    if (at == end || *at != ':') continue;
    long code = read_number(skip_spaces(at + 1, end), end);
    if (code >= 0) return code;
  }
  return -1;
}

static struct lw_chat_error of_discord(const struct lw_response *response) {
  long code = discord_code(response);
  if (code == DISCORD_OVERLOADED) return (struct lw_chat_error){.kind = LW_CHAT_OVERLOADED};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (codes[i].code == code) return (struct lw_chat_error){LW_CHAT_PERMANENT, codes[i].reason};
  return (struct lw_chat_error){.kind = LW_CHAT_UNKNOWN};
}

/* -- all together ------------------------------------------------------------------------------------ */

struct lw_chat_error lw_chat_error_of(const char *format, const struct lw_response *response) {
  if (is(format, "discord")) return of_discord(response);
  for (size_t i = 0; response->body && i < sizeof words / sizeof *words; i++)
    if (is(format, words[i].format) &&
        memmem(response->body, response->body_length, words[i].word, strlen(words[i].word)) != NULL)
      return (struct lw_chat_error){LW_CHAT_PERMANENT, words[i].reason};
  return (struct lw_chat_error){.kind = LW_CHAT_UNKNOWN};
}
