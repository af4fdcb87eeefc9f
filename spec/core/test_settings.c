/* How a webhook's deliveries go: the settings' text, what they may be, and how two sets become one. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/credentials.h"
#include "delivery/settings.h"
#include "delivery/webhook_rules.h"
#include "store/store.h"
#include "transport/url.h"

static struct lw_error error;

static struct lw_settings *parse(const char *text) {
  struct lw_settings *settings = lw_settings_parse(text, &error);
  if (settings == NULL) fail_msg("%s: %s", text, error.message);
  return settings;
}

static char *format(const struct lw_settings *settings) {
  char *text;
  if (!lw_settings_format(settings, &text, &error)) fail_msg("%s", error.message);
  return text;
}

static void assert_text(const struct lw_settings *settings, const char *expected) {
  char *text = format(settings);
  if (expected == NULL)
    assert_null(text);
  else
    assert_string_equal(text, expected);
  lw_wipe_text(&text);
}

/* -- the text -------------------------------------------------------------------------------------- */

#define EVERYTHING                                                                                           \
  "timeout=15000\nconnect_timeout=1\nmax_response_body=0\nhttp_version=1.1\nuser_agent=shop/1.0 (x=y)\n"     \
  "ca_file=/etc/ca.pem\nclient_cert=/c.pem\nclient_key=/k.pem\nproxy=http://u:p@127.0.0.1:3128\n"            \
  "retry=0,5000,2592000000\ndisable_after=432000000\nmax_in_flight=16\nordered=true\nrate_limit=100/60000\n" \
  "breaker=10/5000/900000\nauthorization=Basic dTpw\n"                                                       \
  "allow_network=10.0.0.0/8\nallow_network=fd00::/8\nallow_network=192.0.2.7/32\n"                           \
  "header=X-Key: a: b=c\nheader=X-Empty: \nheader=x-tab: \ta \n"

static void every_field_comes_back(void **state) {
  (void)state;
  struct lw_settings *s = parse(EVERYTHING);
  assert_text(s, EVERYTHING);
  assert_int_equal(s->request.timeout, 15000);
  assert_int_equal(s->request.connect_timeout, 1);
  assert_int_equal(s->request.max_response_body, 0);
  assert_int_equal(s->request.http_version, LW_HTTP_1_1);
  assert_string_equal(s->request.user_agent, "shop/1.0 (x=y)");
  assert_string_equal(s->request.ca_file, "/etc/ca.pem");
  assert_string_equal(s->request.client_cert, "/c.pem");
  assert_string_equal(s->request.client_key, "/k.pem");
  assert_string_equal(s->request.proxy, "http://u:p@127.0.0.1:3128");
  assert_int_equal(s->retry.count, 3);
  assert_int_equal(s->retry.delays[2], 2592000000);
  assert_int_equal(s->disable_after, 432000000);
  assert_int_equal(s->limits.max_in_flight, 16);
  assert_true(s->limits.ordered);
  assert_int_equal(s->limits.rate_count, 100);
  assert_int_equal(s->limits.rate_period, 60000000); /* ticks */
  assert_int_equal(s->limits.breaker_failures, 10);
  assert_int_equal(s->limits.breaker_pause, 5000000);
  assert_int_equal(s->limits.breaker_max_pause, 900000000);
  assert_string_equal(s->authorization, "Basic dTpw");
  assert_int_equal(s->request.addresses.count, 3);
  assert_int_equal(s->header_count, 3);
  assert_string_equal(s->headers[0].name, "X-Key");
  assert_string_equal(s->headers[0].value, "a: b=c");
  assert_string_equal(s->headers[1].value, "");
  assert_string_equal(s->headers[2].value, "\ta ");
  assert_int_equal(s->given, (1 << 18) - 1);
  lw_settings_drop(s);
}

static void texts_settle(void **state) {
  (void)state;
  static const struct {
    const char *text, *expected;
  } table[] = {
      {NULL, NULL},
      {"", NULL},
      {"retry=none\n", "retry=none\n"},
      {"retry=007,0\n", "retry=7,0\n"},
      {"rate_limit=none\nbreaker=none\n", "rate_limit=none\nbreaker=none\n"},
      {"disable_after=0\n", "disable_after=0\n"},
      {"ordered=false\n", "ordered=false\n"},
      {"http_version=2\n", "http_version=2\n"},
      {"breaker=1/1/1\nordered=true\ntimeout=1\n", "timeout=1\nordered=true\nbreaker=1/1/1\n"},
      {"allow_network=127.0.0.1\n", "allow_network=127.0.0.1/32\n"},
      {"allow_network=::1\n", "allow_network=::1/128\n"},
      {"allow_network=0.0.0.0/0\n", "allow_network=0.0.0.0/0\n"},
      {"allow_network=::/0\n", "allow_network=::/0\n"},
      {"allow_network=::ffff:10.0.0.0/104\n", "allow_network=10.0.0.0/8\n"},
      {"allow_network=::ffff:0:0/96\n", "allow_network=0.0.0.0/0\n"},
      {"allow_network=::fffe:0:0/95\n", "allow_network=::fffe:0:0/95\n"},
      {"header=A: 1\nheader=B: 2\n", "header=A: 1\nheader=B: 2\n"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_settings *settings = parse(table[i].text);
    assert_text(settings, table[i].expected);
    lw_settings_drop(settings);
  }
}

#define SECRET "hunter2"

static void bad_texts_are_clear_errors(void **state) {
  (void)state;
  static const struct {
    const char *text, *code, *message;
  } table[] = {
      {"timeout\n", "invalid", "settings: a line has no '='"},
      {"\n", "invalid", "settings: a line has no '='"},
      {"timeout=1", "invalid", "settings: the last line has no end"},
      {"timeout=1\ntimeout=1\n", "invalid", "settings: 'timeout' stands twice"},
      {"user_agent=a\nuser_agent=b\n", "invalid", "settings: 'user_agent' stands twice"},
      {"=1\n", "invalid", "settings: a line has no name"},
      {SECRET "!=1\n", "invalid", "settings: a line has no name"},
      {"Timeout=1\n", "invalid", "settings: a line has no name"},
      {"colour=" SECRET "\n", "newer", "settings: a newer version of lua-webhook wrote 'colour'"},
      {"timeout=\n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout=1.5\n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout=-1\n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout=+1\n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout= 1\n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout=1 \n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout=0x1\n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout=9223372036854775808\n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout=99999999999999999999999999999999\n", "invalid", "settings: 'timeout' cannot be read"},
      {"timeout=9223372036854775807\n", "invalid", "timeout: must be 0.001 to 3600 seconds"},
      {"timeout=0\n", "invalid", "timeout: must be 0.001 to 3600 seconds"},
      {"timeout=3600001\n", "invalid", "timeout: must be 0.001 to 3600 seconds"},
      {"connect_timeout=0\n", "invalid", "connect_timeout: must be 0.001 to 3600 seconds"},
      {"connect_timeout=3600001\n", "invalid", "connect_timeout: must be 0.001 to 3600 seconds"},
      {"max_response_body=67108865\n", "invalid", "max_response_body: must be 0 to 67108864 bytes"},
      {"max_response_body=9999999999\n", "invalid", "settings: 'max_response_body' cannot be read"},
      {"http_version=3\n", "invalid", "settings: 'http_version' cannot be read"},
      {"http_version=1\n", "invalid", "settings: 'http_version' cannot be read"},
      {"user_agent=\n", "invalid", "user_agent: is empty"},
      {"user_agent=a\rb\n", "invalid", "user_agent: holds a control character"},
      {"ca_file=\n", "invalid", "ca_file: is empty"},
      {"ca_file=\x7f\n", "invalid", "ca_file: holds a control character"},
      {"client_cert=\n", "invalid", "client_cert: is empty"},
      {"client_key=/" SECRET "\n", "invalid", "client_key: needs a client_cert"},
      {"client_cert=a\nclient_key=\n", "invalid", "client_key: is empty"},
      {"proxy=\n", "invalid", "proxy: the URL is empty"},
      {"proxy=socks5://" SECRET "@h\n", "invalid",
       "proxy: scheme 'socks5' is not allowed: use http or https"},
      {"proxy=u:" SECRET "@host:1\n", "invalid", NULL /* curl says it */},
      {"retry=\n", "invalid", "settings: 'retry' cannot be read"},
      {"retry=1,\n", "invalid", "settings: 'retry' cannot be read"},
      {"retry=,1\n", "invalid", "settings: 'retry' cannot be read"},
      {"retry=1,,1\n", "invalid", "settings: 'retry' cannot be read"},
      {"retry=1,none\n", "invalid", "settings: 'retry' cannot be read"},
      {"retry=1,2592000001\n", "invalid", "retry: delay 2: must be 0 to 2592000 seconds"},
      {"disable_after=31536000001\n", "invalid", "disable_after: must be 0.001 to 31536000 seconds"},
      {"disable_after=never\n", "invalid", "settings: 'disable_after' cannot be read"},
      {"max_in_flight=0\n", "invalid", "max_in_flight: must be 1 to 1024"},
      {"max_in_flight=1025\n", "invalid", "max_in_flight: must be 1 to 1024"},
      {"max_in_flight=4294967297\n", "invalid", "settings: 'max_in_flight' cannot be read"},
      {"ordered=yes\n", "invalid", "settings: 'ordered' cannot be read"},
      {"rate_limit=\n", "invalid", "settings: 'rate_limit' cannot be read"},
      {"rate_limit=1\n", "invalid", "settings: 'rate_limit' cannot be read"},
      {"rate_limit=1/\n", "invalid", "settings: 'rate_limit' cannot be read"},
      {"rate_limit=/1\n", "invalid", "settings: 'rate_limit' cannot be read"},
      {"rate_limit=0/1\n", "invalid", "settings: 'rate_limit' cannot be read"},
      {"rate_limit=1/1/1\n", "invalid", "settings: 'rate_limit' cannot be read"},
      {"rate_limit=1000001/1\n", "invalid", "rate_limit: requests: must be 1 to 1000000"},
      {"rate_limit=1/0\n", "invalid", "rate_limit: seconds: must be 0.001 to 86400 seconds"},
      {"rate_limit=1/86400001\n", "invalid", "rate_limit: seconds: must be 0.001 to 86400 seconds"},
      {"rate_limit=1/9223372036854775807\n", "invalid", "settings: 'rate_limit' cannot be read"},
      {"breaker=1/1\n", "invalid", "settings: 'breaker' cannot be read"},
      {"breaker=0/1/1\n", "invalid", "settings: 'breaker' cannot be read"},
      {"breaker=1/1/1/1\n", "invalid", "settings: 'breaker' cannot be read"},
      {"breaker=1001/1/1\n", "invalid", "breaker: failures: must be 1 to 1000"},
      {"breaker=1/0/1\n", "invalid", "breaker: pause: must be 0.001 to 86400 seconds"},
      {"breaker=1/1/86400001\n", "invalid", "breaker: max_pause: must be 0.001 to 86400 seconds"},
      {"breaker=1/2/1\n", "invalid", "breaker: max_pause is shorter than pause"},
      {"authorization=\n", "invalid", "the URL's credentials: is empty"},
      {"authorization=" SECRET "\nheader=AUTHORIZATION: x\n", "invalid",
       "headers: Authorization is made from the credentials in the URL"},
      {"allow_network=\n", "invalid",
       "allow_networks: '' is not a network: write it as 10.0.0.0/8 or fd00::/8"},
      {"allow_network=10.0.0.1/8\n", "invalid",
       "allow_networks: '10.0.0.1/8' has bits set after its prefix of 8"},
      {"header=\n", "invalid", "settings: a header has no ': '"},
      {"header=A:" SECRET "\n", "invalid", "settings: a header has no ': '"},
      {"header=: " SECRET "\n", "invalid", "headers: a name must be letters, digits and !#$%&'*+-.^_`|~"},
      {"header=A B: " SECRET "\n", "invalid", "headers: a name must be letters, digits and !#$%&'*+-.^_`|~"},
      {"header=A\xc3\xa4: " SECRET "\n", "invalid",
       "headers: a name must be letters, digits and !#$%&'*+-.^_`|~"},
      {"header=A: " SECRET "\rX: y\n", "invalid",
       "headers: the value of A holds CR, LF or another control character"},
      {"header=A: " SECRET "\nheader=a: 2\n", "invalid", "headers: a stands twice"},
      {"header=user-agent: x\n", "invalid", "headers: User-Agent has a setting of its own, user_agent"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_settings *settings = lw_settings_parse(table[i].text, &error);
    if (settings != NULL) fail_msg("%s is taken", table[i].text);
    if (table[i].message != NULL) assert_string_equal(error.message, table[i].message);
    assert_string_equal(error.code, table[i].code);
    assert_null(strstr(error.message, SECRET));
  }
}

static void our_headers_cannot_be_overridden(void **state) {
  (void)state;
  static const char *const names[] = {
      "content-type",     "Content-Length",    "HOST",
      "expect",           "Transfer-Encoding", "connection",
      "webhook-id",       "Webhook-Timestamp", "webhook-signature",
      "X-SIGNATURE",      "keep-alive",        "te",
      "trailer",          "upgrade",           "proxy-authorization",
      "Proxy-Connection",
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct lw_settings *settings = lw_settings_new();
    assert_true(lw_settings_add_header(settings, names[i], "x", &error));
    assert_false(lw_settings_check(settings, &error));
    if (strstr(error.message, "is set by us") == NULL) fail_msg("%s: %s", names[i], error.message);
    lw_settings_drop(settings);
  }
}

static char *repeated(char c, size_t count) {
  char *text = malloc(count + 1);
  memset(text, c, count);
  text[count] = '\0';
  return text;
}

static void long_things_have_their_limits(void **state) {
  (void)state;
  static const struct {
    enum lw_setting field;
    size_t longest;
  } texts[] = {{LW_SET_USER_AGENT, LW_SETTINGS_MAX_USER_AGENT},
               {LW_SET_CA_FILE, LW_SETTINGS_MAX_PATH},
               {LW_SET_CLIENT_CERT, LW_SETTINGS_MAX_PATH},
               {LW_SET_AUTHORIZATION, LW_SETTINGS_MAX_HEADER}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    for (size_t more = 0; more < 2; more++) {
      struct lw_settings *settings = lw_settings_new();
      char *text = repeated('a', texts[i].longest + more);
      assert_true(lw_settings_set_text(settings, texts[i].field, text));
      assert_int_equal(lw_settings_check(settings, &error), more == 0);
      free(text);
      lw_settings_drop(settings);
    }
  }
  for (size_t more = 0; more < 2; more++) {
    struct lw_settings *settings = lw_settings_new();
    char *value = repeated('a', LW_SETTINGS_MAX_HEADER - 1 + more);
    assert_true(lw_settings_add_header(settings, "A", value, &error));
    assert_int_equal(lw_settings_check(settings, &error), more == 0);
    free(value);
    lw_settings_drop(settings);
  }
}

/* Each is within its limit, all together are not. */
static void all_together_have_a_limit(void **state) {
  (void)state;
  struct lw_settings *settings = lw_settings_new();
  char name[16], *text;
  char *value = repeated('a', 4000);
  for (int i = 0; i < LW_SETTINGS_MAX_HEADERS; i++) {
    snprintf(name, sizeof name, "X-%d", i);
    assert_true(lw_settings_add_header(settings, name, value, &error));
  }
  assert_false(lw_settings_add_header(settings, "X-More", "", &error));
  assert_string_equal(error.message, "headers: more than 32");
  assert_true(lw_settings_check(settings, &error));
  assert_false(lw_settings_format(settings, &text, &error));
  assert_string_equal(error.message, "settings: longer than 65536 bytes together");
  assert_null(text);
  free(value);
  value = repeated('\n', LW_SETTINGS_MAX_TEXT + 1);
  assert_null(lw_settings_parse(value, &error));
  assert_string_equal(error.message, "settings: longer than 65536 bytes");
  free(value);
  lw_settings_drop(settings);
}

/* -- random texts ---------------------------------------------------------------------------------- */

static uint32_t seed = 1;

static uint32_t random_below(uint32_t limit) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed % limit;
}

/* Whatever becomes of a text: it is refused, or what is read is written, and that reads and writes the same.
 */
static void damaged_texts_never_crash(void **state) {
  (void)state;
  static const char characters[] = "=\n/,: 0129.truefalsn\r\x01\xff";
  int taken = 0;
  for (int round = 0; round < 20000; round++) {
    char text[] = EVERYTHING;
    size_t length = sizeof text - 1;
    for (uint32_t changes = random_below(4); changes > 0; changes--)
      text[random_below((uint32_t)length)] = characters[random_below(sizeof characters - 1)];
    text[random_below(2) ? length : random_below((uint32_t)length)] = '\0';
    struct lw_settings *first = lw_settings_parse(text, &error);
    if (first == NULL) {
      assert_true(strcmp(error.code, "invalid") == 0 || strcmp(error.code, "newer") == 0);
      assert_int_not_equal(error.message[0], '\0');
      continue;
    }
    taken++;
    char *written = format(first);
    struct lw_settings *second = parse(written);
    assert_text(second, written);
    lw_wipe_text(&written);
    lw_settings_drop(first);
    lw_settings_drop(second);
  }
  assert_true(taken > 1000);
}

/* -- two sets -------------------------------------------------------------------------------------- */

static void the_defaults_are_complete_and_valid(void **state) {
  (void)state;
  struct lw_settings *settings = lw_settings_default();
  assert_true(lw_settings_check(settings, &error));
  assert_text(settings,
              "timeout=15000\nconnect_timeout=5000\nmax_response_body=20000\nhttp_version=2\n"
              "retry=5000,300000,1800000,7200000,18000000,36000000,50400000,72000000,86400000\n"
              "disable_after=432000000\nmax_in_flight=16\nordered=false\nrate_limit=none\n"
              "breaker=10/5000/900000\n");
  lw_settings_drop(settings);
}

static void a_webhook_goes_before_its_dispatcher(void **state) {
  (void)state;
  static const struct {
    const char *webhook, *dispatcher, *expected;
  } table[] = {
      {NULL, NULL, NULL},
      {"timeout=1\n", "timeout=2\nretry=3\n", "timeout=1\nretry=3\n"},
      {"retry=none\ndisable_after=0\nordered=false\nrate_limit=none\nbreaker=none\n",
       "retry=1\ndisable_after=1\nordered=true\nrate_limit=1/1\nbreaker=1/1/1\n",
       "retry=none\ndisable_after=0\nordered=false\nrate_limit=none\nbreaker=none\n"},
      {"connect_timeout=7\nmax_response_body=0\nhttp_version=2\nmax_in_flight=1\n",
       "connect_timeout=9\nmax_response_body=9\nhttp_version=1.1\nmax_in_flight=9\n",
       "connect_timeout=7\nmax_response_body=0\nhttp_version=2\nmax_in_flight=1\n"},
      {"user_agent=a\nca_file=b\nproxy=http://c\n", "user_agent=d\nca_file=e\nproxy=http://f\n",
       "user_agent=a\nca_file=b\nproxy=http://c\n"},
      {NULL, "user_agent=d\nca_file=e\nproxy=http://f\n", "user_agent=d\nca_file=e\nproxy=http://f\n"},
      {"client_cert=a\n", "client_cert=b\nclient_key=c\n", "client_cert=a\n"},
      {"client_cert=a\nclient_key=d\n", "client_cert=b\n", "client_cert=a\nclient_key=d\n"},
      {NULL, "client_cert=b\nclient_key=c\n", "client_cert=b\nclient_key=c\n"},
      {"allow_network=10.0.0.0/8\n", "allow_network=127.0.0.1/32\n",
       "allow_network=127.0.0.1/32\nallow_network=10.0.0.0/8\n"},
      {"header=A: 1\n", "header=B: 2\n", "header=B: 2\nheader=A: 1\n"},
      {"header=x-a: 1\n", "header=X-A: 2\nheader=B: 3\n", "header=B: 3\nheader=x-a: 1\n"},
      {"authorization=Basic eDp5\n", "header=authorization: Bearer z\nheader=B: 3\n",
       "authorization=Basic eDp5\nheader=B: 3\n"},
      {"header=Authorization: Bearer y\n", "header=authorization: Bearer z\n",
       "header=Authorization: Bearer y\n"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_settings *webhook = parse(table[i].webhook), *dispatcher = parse(table[i].dispatcher);
    struct lw_settings *merged = lw_settings_merge(webhook, dispatcher);
    assert_int_not_equal(merged->request.serial, webhook->request.serial);
    assert_int_not_equal(merged->request.serial, dispatcher->request.serial);
    assert_text(webhook, table[i].webhook);
    assert_text(dispatcher, table[i].dispatcher);
    lw_settings_drop(webhook);
    lw_settings_drop(dispatcher);
    assert_text(merged, table[i].expected); /* it borrows nothing */
    lw_settings_drop(merged);
  }
}

static void both_may_list_as_much_as_they_can(void **state) {
  (void)state;
  struct lw_settings *both[2] = {lw_settings_new(), lw_settings_new()};
  char name[32], network[32];
  for (int side = 0; side < 2; side++) {
    for (int i = 0; i < LW_SETTINGS_MAX_HEADERS; i++) {
      snprintf(name, sizeof name, "X-%d-%d", side, i);
      assert_true(lw_settings_add_header(both[side], name, "", &error));
    }
    for (int i = 0; i < LW_SETTINGS_MAX_NETWORKS; i++) {
      snprintf(network, sizeof network, "10.%d.0.%d", side, i);
      assert_true(lw_settings_add_network(both[side], network, &error));
    }
    assert_false(lw_settings_add_network(both[side], "10.0.0.1", &error));
    assert_string_equal(error.message, "allow_networks: more than 64 networks");
    assert_true(lw_settings_check(both[side], &error));
  }
  struct lw_settings *merged = lw_settings_merge(both[0], both[1]);
  assert_int_equal(merged->header_count, 2 * LW_SETTINGS_MAX_HEADERS);
  assert_int_equal(merged->request.addresses.count, 2 * LW_SETTINGS_MAX_NETWORKS);
  assert_true(lw_address_text_allowed(&merged->request.addresses, "10.0.0.63"));
  assert_true(lw_address_text_allowed(&merged->request.addresses, "10.1.0.63"));
  assert_false(lw_address_text_allowed(&merged->request.addresses, "10.2.0.1"));
  lw_settings_drop(both[0]);
  lw_settings_drop(both[1]);
  lw_settings_drop(merged);
}

static void changes_replace_and_clear(void **state) {
  (void)state;
  static const struct {
    const char *text, *changes;
    unsigned cleared;
    const char *expected;
  } table[] = {
      {EVERYTHING, NULL, 0, EVERYTHING},
      {EVERYTHING, NULL, ~0u, NULL},
      {NULL, EVERYTHING, 0, EVERYTHING},
      {EVERYTHING, EVERYTHING, ~0u, EVERYTHING},
      {"timeout=1\nretry=1\n", "timeout=2\n", LW_SET_RETRY, "timeout=2\n"},
      {"header=A: 1\nallow_network=10.0.0.0/8\n", "header=B: 2\nallow_network=127.0.0.0/8\n", 0,
       "allow_network=127.0.0.0/8\nheader=B: 2\n"},
      {"header=A: 1\nuser_agent=x\n", NULL, LW_SET_HEADERS | LW_SET_USER_AGENT, NULL},
      {"authorization=x\ntimeout=1\n", NULL, LW_SET_AUTHORIZATION, "timeout=1\n"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_settings *settings = parse(table[i].text), *changes = parse(table[i].changes);
    lw_settings_clear(settings, table[i].cleared);
    assert_true(lw_settings_change(settings, changes));
    lw_settings_drop(changes);
    assert_text(settings, table[i].expected);
    lw_settings_drop(settings);
  }
}

static void changes_hide_no_mistake(void **state) {
  (void)state;
  struct lw_settings *settings = parse("header=A: 1\n"), *changes = lw_settings_new();
  assert_true(lw_settings_add_header(changes, "X-A", "1", &error));
  assert_true(lw_settings_add_header(changes, "x-a", "2", &error));
  assert_true(lw_settings_change(settings, changes));
  assert_false(lw_settings_check(settings, &error));
  assert_string_equal(error.message, "headers: x-a stands twice");
  lw_settings_drop(settings);
  lw_settings_drop(changes);
}

static void the_last_one_frees(void **state) {
  (void)state;
  struct lw_settings *settings = parse(EVERYTHING);
  assert_ptr_equal(lw_settings_keep(settings), settings);
  lw_settings_drop(settings);
  assert_text(settings, EVERYTHING);
  lw_settings_drop(settings);
  lw_settings_drop(NULL);
}

/* -- credentials in URLs --------------------------------------------------------------------------- */

static void credentials_leave_the_url(void **state) {
  (void)state;
  static const struct {
    const char *url, *plain, *authorization;
  } table[] = {
      {"https://example.com/x?a=b#c", NULL, NULL},
      {"https://example.com/@user", NULL, NULL},
      {"https://example.com/?mail=a@b", NULL, NULL},
      {"https://user:pass@example.com/x?a=b", "https://example.com/x?a=b", "Basic dXNlcjpwYXNz"},
      {"http://Aladdin:open%20sesame@127.0.0.1:8080/", "http://127.0.0.1:8080/",
       "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, /* RFC 7617, section 2 */
      {"http://user@example.com/@x", "http://example.com/@x", "Basic dXNlcjo="},
      {"http://user:@example.com/", "http://example.com/", "Basic dXNlcjo="},
      {"http://:pass@example.com/", "http://example.com/", "Basic OnBhc3M="},
      {"http://u:a%3Ab%40c@example.com/", "http://example.com/", "Basic dTphOmJAYw=="},
      {"http://u:p@[::1]:81/x", "http://[::1]:81/x", "Basic dTpw"},
      {"http://%C3%BC:p@example.com/", "http://example.com/", "Basic w7w6cA=="},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_settings *settings = lw_settings_new();
    char *url = strdup(table[i].url);
    assert_true(lw_url_check(url, &error));
    if (!lw_credentials_move(&url, settings, &error)) fail_msg("%s: %s", url, error.message);
    assert_string_equal(url, table[i].plain ? table[i].plain : table[i].url);
    if (table[i].authorization == NULL)
      assert_null(settings->authorization);
    else
      assert_string_equal(settings->authorization, table[i].authorization);
    assert_true(lw_settings_check(settings, &error));
    free(url);
    lw_settings_drop(settings);
  }
}

static void credentials_that_cannot_be(void **state) {
  (void)state;
  static const char *const urls[] = {
      "http://a%3Ab:" SECRET "@example.com/", "http://a:" SECRET "%0D%0AX@example.com/",
      "http://a:" SECRET "%00@example.com/", "http://%0a:" SECRET "@example.com/"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    struct lw_settings *settings = lw_settings_new();
    char *url = strdup(urls[i]);
    assert_true(lw_url_check(url, &error));
    if (lw_credentials_move(&url, settings, &error)) fail_msg("%s is taken", urls[i]);
    assert_string_equal(error.code, "invalid");
    assert_null(strstr(error.message, SECRET));
    assert_string_equal(url, urls[i]);
    assert_null(settings->authorization);
    free(url);
    lw_settings_drop(settings);
  }
}

static void a_webhook_is_checked_with_its_settings(void **state) {
  (void)state;
  struct lw_webhook webhook = {
      .app_id = "", .name = "a", .url = "http://127.0.0.1/", .format = "raw", .events = "*"};
  assert_true(lw_webhook_check(&webhook, &error));
  webhook.settings = EVERYTHING;
  assert_true(lw_webhook_check(&webhook, &error));
  webhook.settings = "timeout=0\n";
  assert_false(lw_webhook_check(&webhook, &error));
  assert_string_equal(error.message, "timeout: must be 0.001 to 3600 seconds");
  webhook.settings = "colour=red\n";
  assert_false(lw_webhook_check(&webhook, &error));
  assert_string_equal(error.code, "newer");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_field_comes_back),
      cmocka_unit_test(texts_settle),
      cmocka_unit_test(bad_texts_are_clear_errors),
      cmocka_unit_test(our_headers_cannot_be_overridden),
      cmocka_unit_test(long_things_have_their_limits),
      cmocka_unit_test(all_together_have_a_limit),
      cmocka_unit_test(damaged_texts_never_crash),
      cmocka_unit_test(the_defaults_are_complete_and_valid),
      cmocka_unit_test(a_webhook_goes_before_its_dispatcher),
      cmocka_unit_test(both_may_list_as_much_as_they_can),
      cmocka_unit_test(changes_replace_and_clear),
      cmocka_unit_test(changes_hide_no_mistake),
      cmocka_unit_test(the_last_one_frees),
      cmocka_unit_test(credentials_leave_the_url),
      cmocka_unit_test(credentials_that_cannot_be),
      cmocka_unit_test(a_webhook_is_checked_with_its_settings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
