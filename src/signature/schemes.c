#include "signature/schemes.h"

#include <stdlib.h>
#include <string.h>

const struct lw_scheme lw_schemes[] = {
    /* docs.capawesome.io, "Webhooks" */
    {.name = "capawesome",
     .headers = {{LW_SIGNATURE_HEADER, NULL, NULL}},
     .prefix = "",
     .content = "{body}",
     .algorithm = LW_HMAC_SHA256,
     .encoding = LW_HEX},
    /* github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md */
    {.name = "standard",
     .headers = {{"webhook-signature", "webhook-timestamp", "webhook-id"}},
     .layout = LW_LIST,
     .prefix = "v1,",
     .content = "{id}.{timestamp}.{body}",
     .algorithm = LW_HMAC_SHA256,
     .encoding = LW_BASE64,
     .key = LW_KEY_STANDARD,
     .tolerance = LW_DEFAULT_TOLERANCE},
    /* docs.svix.com/receiving/verifying-payloads/how-manual */
    {.name = "svix",
     .headers = {{"svix-signature", "svix-timestamp", "svix-id"},
                 {"webhook-signature", "webhook-timestamp", "webhook-id"}},
     .layout = LW_LIST,
     .prefix = "v1,",
     .content = "{id}.{timestamp}.{body}",
     .algorithm = LW_HMAC_SHA256,
     .encoding = LW_BASE64,
     .key = LW_KEY_STANDARD,
     .tolerance = LW_DEFAULT_TOLERANCE},
    /* docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries */
    {.name = "github",
     .headers = {{"X-Hub-Signature-256", NULL, NULL}},
     .prefix = "sha256=",
     .content = "{body}",
     .algorithm = LW_HMAC_SHA256,
     .encoding = LW_HEX},
    /* docs.stripe.com/webhooks, "Verify webhook signatures manually" */
    {.name = "stripe",
     .headers = {{"Stripe-Signature", NULL, NULL}},
     .layout = LW_PAIRS,
     .prefix = "v1=",
     .content = "{timestamp}.{body}",
     .algorithm = LW_HMAC_SHA256,
     .encoding = LW_HEX,
     .tolerance = LW_DEFAULT_TOLERANCE},
    /* docs.slack.dev/authentication/verifying-requests-from-slack */
    {.name = "slack",
     .headers = {{"X-Slack-Signature", "X-Slack-Request-Timestamp", NULL}},
     .prefix = "v0=",
     .content = "v0:{timestamp}:{body}",
     .algorithm = LW_HMAC_SHA256,
     .encoding = LW_HEX,
     .tolerance = LW_DEFAULT_TOLERANCE},
    /* shopify.dev/docs/apps/build/webhooks/subscribe/https */
    {.name = "shopify",
     .headers = {{"X-Shopify-Hmac-SHA256", NULL, NULL}},
     .prefix = "",
     .content = "{body}",
     .algorithm = LW_HMAC_SHA256,
     .encoding = LW_BASE64},
    /* docs.discord.com/developers/interactions/overview, "Validating Security Request Headers" */
    {.name = "discord",
     .headers = {{"X-Signature-Ed25519", "X-Signature-Timestamp", NULL}},
     .prefix = "",
     .content = "{timestamp}{body}",
     .algorithm = LW_ED25519,
     .encoding = LW_HEX,
     .key = LW_KEY_HEX,
     .tolerance = LW_DEFAULT_TOLERANCE},
    /* twilio.com/docs/usage/security, "Validating requests" */
    {.name = "twilio",
     .headers = {{"X-Twilio-Signature", NULL, NULL}},
     .prefix = "",
     .content = "{url}{params}",
     .algorithm = LW_HMAC_SHA1,
     .encoding = LW_BASE64,
     .signs_url = true},
    /* docs.gitlab.com/user/project/integrations/webhooks; nothing is signed, the body only tells replays
       apart */
    {.name = "gitlab",
     .headers = {{"X-Gitlab-Token", NULL, NULL}},
     .prefix = "",
     .content = "{body}",
     .algorithm = LW_TOKEN,
     .encoding = LW_AS_IS},
};
const size_t lw_scheme_count = sizeof lw_schemes / sizeof lw_schemes[0];

const struct lw_scheme *lw_scheme_find(const char *name) {
  for (size_t i = 0; i < lw_scheme_count; i++)
    if (strcmp(lw_schemes[i].name, name) == 0) return &lw_schemes[i];
  return NULL;
}

bool lw_scheme_has_timestamp(const struct lw_scheme *scheme) {
  return scheme->headers[0].timestamp != NULL || scheme->layout == LW_PAIRS;
}

/* Not tolower: that one asks the locale. */
static unsigned char lower(char character) {
  unsigned char c = (unsigned char)character;
  return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

bool lw_same_name(struct lw_bytes name, const char *other) {
  if (other == NULL || strlen(other) != name.length) return false;
  for (size_t i = 0; i < name.length; i++)
    if (lower(name.data[i]) != lower(other[i])) return false;
  return true;
}

bool lw_scheme_reads(const struct lw_scheme *scheme, struct lw_bytes name) {
  for (int i = 0; i < LW_SCHEME_FAMILIES; i++) {
    const struct lw_scheme_headers *headers = &scheme->headers[i];
    if (lw_same_name(name, headers->signature) || lw_same_name(name, headers->timestamp) ||
        lw_same_name(name, headers->id))
      return true;
  }
  return false;
}

bool lw_scheme_allows_id(const struct lw_scheme *scheme, struct lw_bytes id) {
  if (id.data == NULL || id.length == 0 || id.length > LW_MAX_ID) return false;
  const char *field = strstr(scheme->content, "{id}");
  const char *after = field + strlen("{id}");
  if (field > scheme->content && memchr(id.data, field[-1], id.length) != NULL) return false;
  return *after == '\0' || memchr(id.data, *after, id.length) == NULL;
}

/* -- schemes of the application's own -------------------------------------------------------------- */

static size_t occurrences(const char *text, const char *wanted) {
  size_t count = 0;
  for (const char *at = text; (at = strstr(at, wanted)) != NULL; at += strlen(wanted)) count++;
  return count;
}

static bool invalid(struct lw_error *error, const char *why) {
  return lw_fail(error, "invalid", "%s", why);
}

/* RFC 9110, section 5.6.2: a header name is a token. */
static bool is_token(const char *name) {
  if (*name == '\0') return false;
  for (; *name != '\0'; name++) {
    bool letter_or_digit = (lower(*name) >= 'a' && lower(*name) <= 'z') || (*name >= '0' && *name <= '9');
    if (!letter_or_digit && strchr("!#$%&'*+-.^_`|~", *name) == NULL) return false;
  }
  return true;
}

static bool check_headers(const struct lw_scheme_headers *headers, struct lw_error *error) {
  const char *const names[] = {headers->signature, headers->timestamp, headers->id};
  for (int i = 0; i < 3; i++) {
    if (names[i] == NULL) continue;
    if (!is_token(names[i])) return lw_fail(error, "invalid", "'%s' is no name of a header", names[i]);
    for (int j = 0; j < i; j++)
      if (lw_same_name((struct lw_bytes){names[i], strlen(names[i])}, names[j]))
        return lw_fail(error, "invalid", "the header '%s' cannot carry two things", names[j]);
  }
  return true;
}

/* The prefix is written into a header, and in LW_PAIRS it is the name of a pair. */
static bool check_prefix(const struct lw_scheme *row, struct lw_error *error) {
  size_t length = strlen(row->prefix);
  if (length > LW_MAX_PREFIX) return lw_fail(error, "invalid", "prefix: more than %d bytes", LW_MAX_PREFIX);
  for (size_t i = 0; i < length; i++)
    if (row->prefix[i] < '!' || row->prefix[i] > '~') return invalid(error, "prefix: visible ASCII only");
  if (row->layout != LW_PAIRS) return true;
  if (row->headers[0].timestamp != NULL)
    return invalid(error, "'t=' in the header is the timestamp: it needs no other");
  bool pair = length >= 2 && strchr(row->prefix, '=') == row->prefix + length - 1 &&
              strchr(row->prefix, ',') == NULL && strcmp(row->prefix, "t=") != 0;
  return pair || invalid(error,
                         "without timestamp_header the header is 't=…,<prefix>…': prefix must be a name "
                         "and '=', as in 'v1='; or give timestamp_header");
}

static bool check_id(const char *content, struct lw_error *error) {
  const char *field = strstr(content, "{id}");
  if (field == NULL) return true;
  bool parted = (field == content || field[-1] != '}') && field[strlen("{id}")] != '{';
  return parted || invalid(error, "content: put a character between {id} and its neighbour, as in '{id}.'");
}

static bool check_content(const struct lw_scheme *row, struct lw_error *error) {
  size_t bodies = occurrences(row->content, "{body}"), ids = occurrences(row->content, "{id}");
  size_t timestamps = occurrences(row->content, "{timestamp}"), fields = bodies + ids + timestamps;
  if (bodies != 1 || ids > 1 || timestamps > 1)
    return invalid(error, "content: {body} once; {timestamp} and {id} at most once");
  if (occurrences(row->content, "{") != fields || occurrences(row->content, "}") != fields)
    return invalid(error,
                   "content: the fields are {body}, {timestamp} and {id}, and braces stand for nothing else");
  if (ids != (row->headers[0].id != NULL))
    return invalid(error, "{id} in content and id_header go together: what is not signed proves nothing");
  if (timestamps != lw_scheme_has_timestamp(row))
    return invalid(error,
                   "timestamp_header without {timestamp} in content: what is not signed proves nothing");
  return check_id(row->content, error);
}

static bool check_row(const struct lw_scheme *row, struct lw_error *error) {
  return check_headers(&row->headers[0], error) && check_prefix(row, error) && check_content(row, error);
}

static char *copy(const char *text, bool *failed) {
  if (text == NULL) return NULL;
  char *copied = strdup(text);
  if (copied == NULL) *failed = true;
  return copied;
}

struct lw_scheme *lw_scheme_new(const struct lw_scheme *row, struct lw_error *error) {
  if (!check_row(row, error)) return NULL;
  struct lw_scheme *scheme = malloc(sizeof *scheme);
  bool failed = scheme == NULL;
  if (!failed) {
    *scheme = *row;
    scheme->name = copy(row->name, &failed);
    scheme->prefix = copy(row->prefix, &failed);
    scheme->content = copy(row->content, &failed);
    scheme->headers[0] = (struct lw_scheme_headers){copy(row->headers[0].signature, &failed),
                                                    copy(row->headers[0].timestamp, &failed),
                                                    copy(row->headers[0].id, &failed)};
  }
  if (!failed) return scheme;
  lw_scheme_free(scheme);
  lw_fail(error, "memory", "out of memory defining a scheme");
  return NULL;
}

void lw_scheme_free(struct lw_scheme *scheme) {
  if (scheme == NULL) return;
  char *const strings[] = {(char *)scheme->name,
                           (char *)scheme->prefix,
                           (char *)scheme->content,
                           (char *)scheme->headers[0].signature,
                           (char *)scheme->headers[0].timestamp,
                           (char *)scheme->headers[0].id};
  for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) free(strings[i]);
  free(scheme);
}
