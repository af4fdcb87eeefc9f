/* Run under valgrind, this proves that no branch and no index of verifying depends on a secret or on the
 * digest it gives: secrets are marked undefined, undefinedness follows every computation, and memcheck
 * reports each branch and each address that is made from it. The one bit that may be acted on passes through
 * lw_reveal (base/secret.h), which this program replaces.
 *
 * It also proves itself: careless comparisons must be reported, and the bit that is revealed must arrive
 * undefined, otherwise the secret was lost on the way and silence would mean nothing.
 *
 * The lengths of secrets, their prefixes (whsec_), and all that came in are public. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "base/secret.h"
#include "signature/keyring.h"
#include "signature/schemes.h"
#include "signature/sign.h"
#include "signature/verify.h"

#define NOW 1614265330
#define MAX_HEADERS 4

static int passed, failed;
static unsigned revealed; /* undefined values that came to lw_reveal */

uint32_t lw_reveal(uint32_t value) {
  uint32_t bits = 0;
  (void)VALGRIND_GET_VBITS(&value, &bits, sizeof bits);
  if (bits != 0) revealed++;
  (void)VALGRIND_MAKE_MEM_DEFINED(&value, sizeof value);
  return value;
}

static void result(bool ok, const char *name, const char *problem) {
  printf("%s - %s%s%s\n", ok ? "ok" : "not ok", name, ok ? "" : ": ", ok ? "" : problem);
  *(ok ? &passed : &failed) += 1;
}

static struct lw_bytes text(const char *string) {
  return (struct lw_bytes){string, strlen(string)};
}

/* ---- The controls: each must be reported. ---- */

static volatile int sink;

__attribute__((noinline)) static int early_exit(const char *a, const char *b, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (a[i] != b[i]) return 1;
  return 0;
}

__attribute__((noinline)) static int by_table(const char *a) {
  static const uint8_t table[256] = {['x'] = 1};
  return table[(uint8_t)a[0]];
}

__attribute__((noinline)) static int by_memcmp(const char *a, const char *b, size_t length) {
  int (*volatile compare)(const void *, const void *, size_t) = memcmp;
  return compare(a, b, length) ? 1 : 0;
}

static void check_control(const char *name, int which) {
  char secret[32], other[32];
  memset(secret, 's', sizeof secret);
  memset(other, 's', sizeof other);
  other[31] = 'x';
  (void)VALGRIND_MAKE_MEM_UNDEFINED(secret, sizeof secret);
  unsigned before = VALGRIND_COUNT_ERRORS;
  if (which == 0) sink = early_exit(secret, other, sizeof secret);
  if (which == 1) sink = by_memcmp(secret, other, sizeof secret);
  if (which == 2) sink = by_table(secret);
  result(VALGRIND_COUNT_ERRORS > before, name, "valgrind does not see it");
}

/* ---- The cases ---- */

struct test {
  const char *name, *scheme;
  const char *secrets[3];
  size_t public_prefix; /* of each secret: "whsec_" */
  struct lw_field headers[MAX_HEADERS];
  const char *body, *url;
  bool params, accepted;
};

#define HEADER(name, value)     \
  {                             \
    {name, sizeof(name) - 1}, { \
      value, sizeof(value) - 1  \
    }                           \
  }
#define ONE(title, of, secret, header, content, answer)                                     \
  {                                                                                         \
    .name = title, .scheme = of, .secrets = {secret}, .headers = {header}, .body = content, \
    .accepted = answer                                                                      \
  }
#define TWO(title, of, first, second, header, content, answer)                                     \
  {                                                                                                \
    .name = title, .scheme = of, .secrets = {first, second}, .headers = {header}, .body = content, \
    .accepted = answer                                                                             \
  }

#define KEY "It's a Secret to Everybody"
#define LONG_KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef+"
#define HELLO_BODY "Hello, World!"
#define HELLO "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
#define FIRST_WRONG "657107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
#define LAST_WRONG "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e16"
#define WHSEC "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER_WHSEC "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
#define WHSK "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
#define SEED "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define V1 "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define WRONG_V1 "v1,h0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define STRIPE "3c5817089d739023dd6190f70a3757e04f7a2fd8b5dab12c2e000f51970dccff"
#define STRIPE_BODY "{\"id\":\"evt_test_webhook\",\"object\":\"event\"}"
#define SHOPIFY "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY="
#define TWILIO "RSOYDt4T1cUTdK1PDd93/VVr8B8="
#define SHA512 "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="
#define TWILIO_URL "https://mycompany.com/myapp.php?foo=1&bar=2"
#define MESSAGE(signature)                                                                           \
  {                                                                                                  \
    HEADER("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), HEADER("webhook-timestamp", "1614265330"), \
        HEADER("webhook-signature", signature)                                                       \
  }
#define MESSAGE_BODY "{\"test\": 2432232314}"

static const struct test tests[] = {
    ONE("capawesome: equal", "capawesome", KEY, HEADER("X-Signature", HELLO), HELLO_BODY, true),
    ONE("capawesome: first digit differs", "capawesome", KEY, HEADER("X-Signature", FIRST_WRONG), HELLO_BODY,
        false),
    ONE("capawesome: last digit differs", "capawesome", KEY, HEADER("X-Signature", LAST_WRONG), HELLO_BODY,
        false),
    ONE("capawesome: a key longer than a block", "capawesome", LONG_KEY, HEADER("X-Signature", HELLO),
        HELLO_BODY, false),
    TWO("capawesome: the first of two secrets", "capawesome", KEY, "wrong", HEADER("X-Signature", HELLO),
        HELLO_BODY, true),
    TWO("capawesome: the second of two secrets", "capawesome", "wrong", KEY, HEADER("X-Signature", HELLO),
        HELLO_BODY, true),
    ONE("github: equal", "github", KEY, HEADER("X-Hub-Signature-256", "sha256=" HELLO), HELLO_BODY, true),
    ONE("github: last digit differs", "github", KEY, HEADER("X-Hub-Signature-256", "sha256=" LAST_WRONG),
        HELLO_BODY, false),
    {.name = "standard: equal",
     .scheme = "standard",
     .secrets = {WHSEC},
     .public_prefix = 6,
     .headers = MESSAGE(V1),
     .body = MESSAGE_BODY,
     .accepted = true},
    {.name = "standard: first character differs",
     .scheme = "standard",
     .secrets = {WHSEC},
     .public_prefix = 6,
     .headers = MESSAGE(WRONG_V1),
     .body = MESSAGE_BODY},
    {.name = "standard: two signatures, two secrets",
     .scheme = "standard",
     .secrets = {OTHER_WHSEC, WHSEC},
     .public_prefix = 6,
     .headers = MESSAGE(WRONG_V1 " " V1),
     .body = MESSAGE_BODY,
     .accepted = true},
    {.name = "standard: no secret matches",
     .scheme = "standard",
     .secrets = {OTHER_WHSEC, OTHER_WHSEC},
     .public_prefix = 6,
     .headers = MESSAGE(WRONG_V1 " " V1),
     .body = MESSAGE_BODY},
    {.name = "svix: equal",
     .scheme = "svix",
     .secrets = {WHSEC},
     .public_prefix = 6,
     .headers = MESSAGE(V1),
     .body = MESSAGE_BODY,
     .accepted = true},
    ONE("stripe: equal", "stripe", "whsec_test_secret", HEADER("Stripe-Signature", "t=1614265330,v1=" STRIPE),
        STRIPE_BODY, true),
    TWO("stripe: two signatures, two secrets", "stripe", "wrong", "whsec_test_secret",
        HEADER("Stripe-Signature", "t=1614265330,v1=" HELLO ",v1=" STRIPE), STRIPE_BODY, true),
    {.name = "slack: mismatch",
     .scheme = "slack",
     .secrets = {KEY},
     .headers = {HEADER("X-Slack-Request-Timestamp", "1614265330"), HEADER("X-Slack-Signature", "v0=" HELLO)},
     .body = HELLO_BODY},
    ONE("shopify: equal", "shopify", "hush", HEADER("X-Shopify-Hmac-SHA256", SHOPIFY), "{\"id\":1}", true),
    ONE("shopify: mismatch", "shopify", "hush", HEADER("X-Shopify-Hmac-SHA256", SHOPIFY), "{\"id\":2}",
        false),
    {.name = "twilio: equal",
     .scheme = "twilio",
     .secrets = {"12345"},
     .headers = {HEADER("X-Twilio-Signature", TWILIO)},
     .body = "",
     .url = TWILIO_URL,
     .params = true,
     .accepted = true},
    {.name = "twilio: mismatch",
     .scheme = "twilio",
     .secrets = {"12346"},
     .headers = {HEADER("X-Twilio-Signature", TWILIO)},
     .body = "",
     .url = TWILIO_URL,
     .params = true},
    ONE("gitlab: equal", "gitlab", "a token of some length",
        HEADER("X-Gitlab-Token", "a token of some length"), "{}", true),
    ONE("gitlab: first byte differs", "gitlab", "a token of some length",
        HEADER("X-Gitlab-Token", "b token of some length"), "{}", false),
    ONE("gitlab: last byte differs", "gitlab", "a token of some length",
        HEADER("X-Gitlab-Token", "a token of some lengti"), "{}", false),
    ONE("gitlab: another length", "gitlab", "a token of some length", HEADER("X-Gitlab-Token", "a token"),
        "{}", false),
    {.name = "own scheme, sha512, base64: mismatch",
     .secrets = {KEY},
     .headers = {HEADER("X-Acme", "v1=" SHA512), HEADER("X-Acme-Time", "1614265330")},
     .body = "{}"},
};

static const struct lw_field twilio_params[] = {HEADER("CallSid", "CA1234567890ABCDE"),
                                                HEADER("Caller", "+14158675309"), HEADER("Digits", "1234"),
                                                HEADER("From", "+14158675309"), HEADER("To", "+18005551212")};

static struct lw_scheme *own_scheme(void) {
  struct lw_scheme row = {.name = "acme",
                          .headers = {{"X-Acme", "X-Acme-Time", NULL}},
                          .prefix = "v1=",
                          .content = "{timestamp}.{body}",
                          .algorithm = LW_HMAC_SHA512,
                          .encoding = LW_BASE64};
  struct lw_error error;
  struct lw_scheme *scheme = lw_scheme_new(&row, &error);
  if (scheme == NULL) printf("acme: %s\n", error.message);
  return scheme;
}

static size_t count_of(const struct test *test) {
  size_t count = 0;
  while (count < MAX_HEADERS && test->headers[count].name.data) count++;
  return count;
}

/* The secrets on the heap, with all but their public prefix undefined. */
static size_t hide_secrets(const struct test *test, struct lw_bytes *secrets) {
  size_t count = 0;
  for (; count < 3 && test->secrets[count]; count++) {
    secrets[count] = text(test->secrets[count]);
    char *copy = malloc(secrets[count].length);
    memcpy(copy, secrets[count].data, secrets[count].length);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(copy + test->public_prefix,
                                      secrets[count].length - test->public_prefix);
    secrets[count].data = copy;
  }
  return count;
}

static void check_case(const struct test *test, const struct lw_scheme *own, struct lw_keyring *keyring) {
  struct lw_bytes secrets[3];
  struct lw_verify_request request = {.scheme = test->scheme ? lw_scheme_find(test->scheme) : own,
                                      .secrets = secrets,
                                      .secret_count = hide_secrets(test, secrets),
                                      .headers = test->headers,
                                      .header_count = count_of(test),
                                      .body = text(test->body),
                                      .now = NOW,
                                      .tolerance = LW_DEFAULT_TOLERANCE,
                                      .keyring = keyring};
  if (test->url) request.url = text(test->url);
  if (test->params) {
    request.params = twilio_params;
    request.param_count = sizeof twilio_params / sizeof *twilio_params;
  }
  struct lw_proof proof;
  struct lw_error error = {"", ""};
  unsigned before = VALGRIND_COUNT_ERRORS;
  revealed = 0;
  bool ok = lw_verify(&request, &proof, &error);
  unsigned errors = VALGRIND_COUNT_ERRORS - before;
  char name[128], problem[640] = "";
  snprintf(name, sizeof name, "%s%s", test->name, keyring ? ", with a keyring" : "");
  if (errors > 0)
    snprintf(problem, sizeof problem, "%u branches or indices depend on the secret", errors);
  else if (ok != test->accepted)
    snprintf(problem, sizeof problem, "the answer is %s %s", ok ? "yes" : "no", error.message);
  else if (!ok && strcmp(error.code, "mismatch") != 0)
    snprintf(problem, sizeof problem, "refused for another reason: %s", error.message);
  else if (revealed == 0)
    snprintf(problem, sizeof problem, "what is revealed does not depend on the secret");
  result(problem[0] == '\0', name, problem);
  for (size_t i = 0; i < request.secret_count; i++) free((char *)secrets[i].data);
}

/* Signing: what comes out is public from then on, but how it is computed and written must not tell. */
static void check_signing(const char *scheme, const char *secret, size_t public_prefix) {
  struct test hidden = {.secrets = {secret}, .public_prefix = public_prefix};
  struct lw_bytes secrets[3];
  struct lw_sign_request request = {.scheme = lw_scheme_find(scheme),
                                    .secrets = secrets,
                                    .secret_count = hide_secrets(&hidden, secrets),
                                    .body = text(HELLO_BODY),
                                    .id = text("msg_p5jXN8AQM9LWM0D4loKWxJek"),
                                    .timestamp = NOW};
  static struct lw_signed result_of_it;
  struct lw_error error = {"", ""};
  unsigned before = VALGRIND_COUNT_ERRORS;
  bool ok = lw_sign(&request, &result_of_it, &error);
  unsigned errors = VALGRIND_COUNT_ERRORS - before;
  char name[128], problem[640] = "";
  snprintf(name, sizeof name, "%s: signing", scheme);
  if (errors > 0)
    snprintf(problem, sizeof problem, "%u branches or indices depend on the secret", errors);
  else if (!ok)
    snprintf(problem, sizeof problem, "not signed: %s", error.message);
  result(problem[0] == '\0', name, problem);
  free((char *)secrets[0].data);
}

int main(void) {
  if (!RUNNING_ON_VALGRIND) {
    printf("not ok - this program is to be run under valgrind\n");
    return 1;
  }
  check_control("control: an early exit is reported", 0);
  check_control("control: memcmp is reported", 1);
  check_control("control: a table look-up is reported", 2);
  struct lw_scheme *own = own_scheme();
  struct lw_keyring *keyring = lw_keyring_new();
  if (own == NULL || keyring == NULL) return 1;
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    check_case(&tests[i], own, NULL);
    check_case(&tests[i], own, keyring); /* makes the key */
    check_case(&tests[i], own, keyring); /* finds it */
  }
  check_signing("capawesome", KEY, 0);
  check_signing("standard", WHSEC, 6);
  check_signing("standard", WHSK, 5);
  check_signing("stripe", "whsec_test_secret", 0);
  check_signing("shopify", "hush", 0);
  check_signing("discord", SEED, 0);
  lw_keyring_free(keyring);
  lw_scheme_free(own);
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
