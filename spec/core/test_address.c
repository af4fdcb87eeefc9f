/* Who may be called: which URLs, and which of all forms of addresses. Nothing here connects anywhere. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* clang-format off: cmocka.h needs the headers above before it */
#include <cmocka.h>
/* clang-format on */

#include "transport/address.h"
#include "transport/url.h"

/* -- URLs ------------------------------------------------------------------------------------------ */

static void accepts_http_urls(void **state) {
  static const char *const good[] = {"http://example.com",       "https://example.com/a?b=c#d",
                                     "HTTPS://example.com:8443", "http://user:secret@example.com/",
                                     "http://127.0.0.1:1/x",     "http://[::1]:80/"};
  struct lw_error error;
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(lw_url_check(good[i], &error));
}

static void refuses_other_urls(void **state) {
  static const struct {
    const char *url, *part;
  } bad[] = {{"", "the URL is empty"},
             {"file:///etc/passwd", "scheme 'file' is not allowed: use http or https"},
             {"ftp://example.com/", "scheme 'ftp' is not allowed"},
             {"gopher://example.com/", "scheme 'gopher' is not allowed"},
             {"example.com/x", "must start with http:// or https://"},
             {"/path", "must start with http:// or https://"},
             {"http://", "the URL has no host"},
             {"http:///", "the URL"},
             {"http://a b/", "space"},
             {"http://a/\n", "control"},
             {"http://a/\x7f", "control"},
             {"http://\xc3\xa9.example/", "ASCII"},
             {"http://%c3%a9.example/", "ASCII"},
             {"http://%ef%bc%91.example/", "ASCII"},
             {"http://user:secret@host:99999999/?token=secret", "not valid"}};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct lw_error error;
    assert_false(lw_url_check(bad[i].url, &error));
    assert_string_equal(error.code, "invalid");
    if (strstr(error.message, bad[i].part) == NULL) fail_msg("%s: %s", bad[i].url, error.message);
    assert_null(strstr(error.message, "secret"));
  }
}

static void refuses_long_urls(void **state) {
  char url[LW_URL_MAX + 2];
  (void)state;
  memset(url, 'a', sizeof url);
  memcpy(url, "http://h/", 9);
  url[LW_URL_MAX + 1] = '\0';
  assert_false(lw_url_check(url, NULL));
  url[LW_URL_MAX] = '\0';
  assert_true(lw_url_check(url, NULL));
}

/* -- addresses ------------------------------------------------------------------------------------- */

/* Each network by its first and last address, and its neighbours where they are public. */
static const struct {
  const char *address;
  bool allowed;
} forms[] = {
    /* IPv4, by the IANA special-purpose registry */
    {"0.0.0.0", false}, /* this network */
    {"0.255.255.255", false},
    {"1.0.0.0", true},
    {"9.255.255.255", true},
    {"10.0.0.0", false}, /* private */
    {"10.255.255.255", false},
    {"11.0.0.0", true},
    {"100.63.255.255", true},
    {"100.64.0.0", false}, /* carrier-grade NAT; Alibaba's metadata is in it */
    {"100.100.100.200", false},
    {"100.127.255.255", false},
    {"100.128.0.0", true},
    {"126.255.255.255", true},
    {"127.0.0.0", false}, /* loopback */
    {"127.0.0.1", false},
    {"127.255.255.255", false},
    {"128.0.0.0", true},
    {"168.63.129.15", true},
    {"168.63.129.16", false}, /* Azure's metadata */
    {"168.63.129.17", true},
    {"169.253.255.255", true},
    {"169.254.0.0", false}, /* link-local */
    {"169.254.169.254", false},
    {"169.254.170.2", false},
    {"169.254.255.255", false},
    {"169.255.0.0", true},
    {"172.15.255.255", true},
    {"172.16.0.0", false}, /* private */
    {"172.31.255.255", false},
    {"172.32.0.0", true},
    {"191.255.255.255", true},
    {"192.0.0.0", false}, /* protocol assignments; Oracle's metadata is in it */
    {"192.0.0.192", false},
    {"192.0.0.255", false},
    {"192.0.1.0", true},
    {"192.0.2.0", false}, /* documentation */
    {"192.0.2.255", false},
    {"192.0.3.0", true},
    {"192.88.98.255", true},
    {"192.88.99.0", false}, /* 6to4 relays */
    {"192.88.99.255", false},
    {"192.88.100.0", true},
    {"192.167.255.255", true},
    {"192.168.0.0", false}, /* private */
    {"192.168.255.255", false},
    {"192.169.0.0", true},
    {"198.17.255.255", true},
    {"198.18.0.0", false}, /* benchmarks */
    {"198.19.255.255", false},
    {"198.20.0.0", true},
    {"198.51.99.255", true},
    {"198.51.100.0", false}, /* documentation */
    {"198.51.100.255", false},
    {"198.51.101.0", true},
    {"203.0.112.255", true},
    {"203.0.113.0", false}, /* documentation */
    {"203.0.113.255", false},
    {"203.0.114.0", true},
    {"223.255.255.255", true},
    {"224.0.0.0", false}, /* multicast */
    {"239.255.255.255", false},
    {"240.0.0.0", false}, /* reserved */
    {"255.255.255.255", false},

    /* IPv6 outside 2000::/3 */
    {"::", false},
    {"::1", false},
    {"::127.0.0.1", false}, /* IPv4-compatible */
    {"::8.8.8.8", false},
    {"::ffff:0:127.0.0.1", false}, /* IPv4-translated */
    {"::ffff:0:8.8.8.8", false},
    {"64:ff9b:1::", false}, /* local NAT64 */
    {"64:ff9b:1::8.8.8.8", false},
    {"64:ff9b::1:0:0", false}, /* beside NAT64 */
    {"100::", false},          /* discard */
    {"100:0:0:1::1", false},   /* dummy */
    {"1fff:ffff::", false},
    {"4000::", false},
    {"5f00::1", false}, /* segment routing */
    {"7fff::1", false},
    {"8000::", false},
    {"fc00::", false}, /* unique local; the metadata of AWS and Google is in it */
    {"fd00:ec2::254", false},
    {"fd20:ce::254", false},
    {"fdff:ffff::1", false},
    {"fe00::1", false},
    {"fe80::", false}, /* link-local */
    {"fe80::a9fe:a9fe", false},
    {"febf::1", false},
    {"fec0::1", false}, /* site-local */
    {"ff02::1", false}, /* multicast */
    {"ff0e::1", false},

    /* IPv6 inside it */
    {"2000::", true},
    {"2000:ffff::1", true},
    {"2001::1", false},           /* Teredo, */
    {"2001:0:808:808::1", false}, /* with a public server, */
    {"2001::f7f7:f7f7", false},   /* and with a public client */
    {"2001:2::1", false},         /* benchmarks */
    {"2001:20::1", false},        /* ORCHID */
    {"2001:1ff:ffff::1", false},
    {"2001:200::", true},
    {"2001:4860:4860::8888", true},
    {"2001:db7:ffff::1", true},
    {"2001:db8::", false}, /* documentation */
    {"2001:db8:ffff::1", false},
    {"2001:db9::", true},
    {"2606:4700::1111", true},
    {"3ffe:ffff::1", true},
    {"3fff::1", false}, /* documentation */
    {"3fff:fff:ffff::1", false},
    {"3fff:1000::", true},

    /* forms that carry an IPv4 address, which is what counts */
    {"::ffff:8.8.8.8", true}, /* mapped */
    {"::ffff:127.0.0.1", false},
    {"::ffff:7f00:1", false},
    {"::ffff:10.0.0.1", false},
    {"::ffff:169.254.169.254", false},
    {"64:ff9b::8.8.8.8", true}, /* NAT64 */
    {"64:ff9b::127.0.0.1", false},
    {"64:ff9b::a9fe:a9fe", false},
    {"64:ff9b::10.0.0.1", false},
    {"2002:808:808::1", true}, /* 6to4 */
    {"2002:7f00:1::", false},
    {"2002:a00:1::1", false},
    {"2002:a9fe:a9fe::1", false},
    {"2002:c0a8:101::1", false},

    /* no addresses */
    {"", false},
    {"localhost", false},
    {"127.1", false},
    {"0x7f.0.0.1", false},
    {"8.8.8.8 ", false},
    {"8.8.8.8/32", false},
    {"[2606:4700::1111]", false},
    {"2606:4700::1111%eth0", false},
};

static bool socket_address(const char *text, struct sockaddr_storage *address) {
  memset(address, 0, sizeof *address);
  struct sockaddr_in *v4 = (struct sockaddr_in *)address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
  address->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
  void *bytes = address->ss_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr;
  return inet_pton(address->ss_family, text, bytes) == 1;
}

static void judges_addresses(void **state) {
  static const struct lw_address_policy nothing, all = {.allow_all = true};
  (void)state;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    struct sockaddr_storage address;
    const char *text = forms[i].address;
    if (lw_address_text_allowed(&nothing, text) != forms[i].allowed) fail_msg("text: %s", text);
    assert_true(lw_address_text_allowed(&all, text));
    if (!socket_address(text, &address)) continue;
    if (lw_address_allowed(&nothing, (struct sockaddr *)&address) != forms[i].allowed)
      fail_msg("socket: %s", text);
    assert_true(lw_address_allowed(&all, (struct sockaddr *)&address));
  }
  struct sockaddr local = {.sa_family = AF_UNIX};
  assert_false(lw_address_allowed(&nothing, &local));
  assert_false(lw_address_text_allowed(&nothing, NULL));
}

/* Whatever is refused can be allowed, alone or with its network. */
static void refused_addresses_can_be_listed(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    struct lw_address_policy policy = {.count = 1};
    struct sockaddr_storage address;
    if (forms[i].allowed || !socket_address(forms[i].address, &address)) continue;
    assert_true(lw_network_parse(forms[i].address, &policy.allowed[0], NULL));
    if (!lw_address_text_allowed(&policy, forms[i].address)) fail_msg("%s", forms[i].address);
    const char *neighbour = strchr(forms[i].address, ':') ? "fe80::dead" : "10.9.9.9";
    assert_false(lw_address_text_allowed(&policy, neighbour));
  }
}

static void allow_list_opens_networks(void **state) {
  struct lw_address_policy policy = {.count = 3};
  (void)state;
  assert_true(lw_network_parse("10.0.0.0/8", &policy.allowed[0], NULL));
  assert_true(lw_network_parse("fd00::/8", &policy.allowed[1], NULL));
  assert_true(lw_network_parse("192.168.3.4", &policy.allowed[2], NULL));
  assert_true(lw_address_text_allowed(&policy, "10.9.8.7"));
  assert_true(lw_address_text_allowed(&policy, "::ffff:10.9.8.7"));
  assert_true(lw_address_text_allowed(&policy, "64:ff9b::10.9.8.7"));
  assert_true(lw_address_text_allowed(&policy, "2002:a00:1::"));
  assert_true(lw_address_text_allowed(&policy, "fd12::1"));
  assert_true(lw_address_text_allowed(&policy, "192.168.3.4"));
  assert_false(lw_address_text_allowed(&policy, "192.168.3.5"));
  assert_false(lw_address_text_allowed(&policy, "fc00::1"));
  assert_false(lw_address_text_allowed(&policy, "127.0.0.1"));
  policy.count = 1;
  assert_true(lw_network_parse("::/0", &policy.allowed[0], NULL));
  assert_true(lw_address_text_allowed(&policy, "::1"));
  assert_false(lw_address_text_allowed(&policy, "127.0.0.1"));
}

static void network_errors(void **state) {
  static const char *const bad[] = {
      "",         "10.0.0.0/33", "10.0.0.0/",   "10.0.0.0/x",  "10.0.0.1/8",   "fd00::1/8",   "fd00::/129",
      "10.0.0/8", "host",        "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", "10.0.0.0 /8", "/8"};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct lw_network network;
    struct lw_error error;
    if (lw_network_parse(bad[i], &network, &error)) fail_msg("parsed: '%s'", bad[i]);
    assert_string_equal(error.code, "invalid");
  }
}

/* -- proxies --------------------------------------------------------------------------------------- */

static void checks_proxies(void **state) {
  static const char *const good[] = {"http://proxy.example:3128", "https://proxy.example/",
                                     "http://user:secret@127.0.0.1:8080", "HTTP://[::1]:3128"};
  static const char *const bad[] = {"",
                                    "proxy.example:3128",
                                    "socks5://user:secret@proxy.example",
                                    "http://",
                                    "http://proxy.example/secret",
                                    "http://proxy.example?secret",
                                    "http://proxy.example#secret",
                                    "http://user:secret@proxy.example:99999999",
                                    "http://user:secret@"};
  struct lw_error error;
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    if (!lw_url_check_proxy(good[i], &error)) fail_msg("%s: %s", good[i], error.message);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (lw_url_check_proxy(bad[i], &error)) fail_msg("accepted: %s", bad[i]);
    assert_string_equal(error.code, "invalid");
    assert_memory_equal(error.message, "proxy: ", 7);
    assert_null(strstr(error.message, "secret"));
  }
}

/* What a proxy may be asked for: names, and addresses that the policy allows. The refused ones are tried
 * through a real sender in test_transport.c. */
static void judges_hosts_in_urls(void **state) {
  static const char *const allowed[] = {"http://receiver.example/", "https://8.8.8.8/",
                                        "http://134744072/",        "http://[2606:4700::1111]:8443/",
                                        "http://0x7f.example/",     "http://10.example./"};
  static const char *const refused[] = {"http://10.0.0.1/",    "https://user:secret@0xa.1/x",
                                        "http://[::]/",        "http://[2002:7f00:1::1]/",
                                        "http://0300.0250.1/", "no URL"};
  struct lw_address_policy policy = {.count = 0};
  char text[LW_ADDRESS_TEXT_SIZE];
  (void)state;
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
    if (!lw_url_host_allowed(allowed[i], &policy, text)) fail_msg("%s", allowed[i]);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    if (lw_url_host_allowed(refused[i], &policy, text)) fail_msg("%s", refused[i]);
  policy.count = 1;
  assert_true(lw_network_parse("10.0.0.0/8", &policy.allowed[0], NULL));
  assert_true(lw_url_host_allowed("http://0xa.1/", &policy, text));
  assert_false(lw_url_host_allowed("http://0xb.1@127.1/", &policy, text));
  assert_string_equal(text, "127.0.0.1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts_http_urls),
      cmocka_unit_test(refuses_other_urls),
      cmocka_unit_test(refuses_long_urls),
      cmocka_unit_test(judges_addresses),
      cmocka_unit_test(refused_addresses_can_be_listed),
      cmocka_unit_test(allow_list_opens_networks),
      cmocka_unit_test(network_errors),
      cmocka_unit_test(checks_proxies),
      cmocka_unit_test(judges_hosts_in_urls),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
