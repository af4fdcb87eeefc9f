/* What a chat service's error answer says beyond its status: the services name their errors in the body.
 * A pure function of the answer.
 *
 * Slack: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (plain text words).
 * Discord: https://discord.com/developers/docs/topics/opcodes-and-status-codes (JSON, "code").
 * Teams: the words that Power Automate's answers hold. */
#ifndef LW_DELIVERY_CHAT_ERRORS_H
#define LW_DELIVERY_CHAT_ERRORS_H

#include "transport/sender.h"

enum lw_chat_error_kind {
  LW_CHAT_UNKNOWN,   /* the body says nothing that we know: the status decides */
  LW_CHAT_PERMANENT, /* another try would fail the same way */
  LW_CHAT_OVERLOADED /* it wants to be tried again, whatever its status */
};

struct lw_chat_error {
  enum lw_chat_error_kind kind;
  const char *reason; /* LW_CHAT_PERMANENT: why, for people; static */
};

/* `format` is the webhook's; one that is no chat's knows no errors. */
struct lw_chat_error lw_chat_error_of(const char *format, const struct lw_response *response);

#endif
