#include "transport/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPED_BITS = 96, ADDRESS_BITS = 128, ADDRESS_BYTES = 16 };

#define V4(a, b, c, d, bits) \
  { {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, MAPPED_BITS + (bits) }

/* IANA special-purpose registries (RFC 6890, 8190) and the multicast and reserved ranges. */
static const struct lw_network special[] = {
    V4(0, 0, 0, 0, 8),              /* this network */
    V4(10, 0, 0, 0, 8),             /* private */
    V4(100, 64, 0, 0, 10),          /* carrier-grade NAT */
    V4(127, 0, 0, 0, 8),            /* loopback */
    V4(169, 254, 0, 0, 16),         /* link-local; cloud metadata lives here */
    V4(172, 16, 0, 0, 12),          /* private */
    V4(192, 0, 0, 0, 24),           /* protocol assignments */
    V4(192, 0, 2, 0, 24),           /* documentation */
    V4(192, 88, 99, 0, 24),         /* 6to4 relays */
    V4(192, 168, 0, 0, 16),         /* private */
    V4(198, 18, 0, 0, 15),          /* benchmarks */
    V4(198, 51, 100, 0, 24),        /* documentation */
    V4(203, 0, 113, 0, 24),         /* documentation */
    V4(224, 0, 0, 0, 4),            /* multicast */
    V4(240, 0, 0, 0, 4),            /* reserved, broadcast */
    V4(168, 63, 129, 16, 32),       /* Azure's host: metadata, for its machines only */
    {{0x00}, 3},                    /* ::, ::1, IPv4-compatible, local NAT64, discard, unassigned; and */
    {{0x40}, 2},                    /* the rest outside 2000::/3, the one range from which global unicast */
    {{0x80}, 1},                    /* is assigned: unique local, link-local, site-local, multicast */
    {{0x20, 0x01, 0}, 23},          /* protocol assignments: Teredo, benchmarks, ORCHID */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x3f, 0xff}, 20},             /* documentation */
};

/* Ranges whose addresses carry an IPv4 address, and where in the bytes it stands. */
static const struct {
  struct lw_network network;
  int offset;
} carriers[] = {
    {{{0, 0x64, 0xff, 0x9b}, 96}, 12}, /* NAT64 */
    {{{0x20, 0x02}, 16}, 2},           /* 6to4 */
};

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_mapped(const uint8_t *bytes) {
  return memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void map_v4(uint8_t *bytes, const void *v4) {
  memcpy(bytes, mapped_prefix, sizeof mapped_prefix);
  memcpy(bytes + sizeof mapped_prefix, v4, 4);
}

/* An IPv6 network wide enough to span the mapped range ("::/0") does not speak of IPv4 addresses. */
static bool contains(const struct lw_network *network, const uint8_t *bytes) {
  if (network->prefix < MAPPED_BITS && is_mapped(bytes)) return false;
  size_t whole = (size_t)network->prefix / 8;
  if (memcmp(network->bytes, bytes, whole) != 0) return false;
  int rest = network->prefix % 8;
  return rest == 0 || ((network->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool any_contains(const struct lw_network *networks, size_t count, const uint8_t *bytes) {
  for (size_t i = 0; i < count; i++)
    if (contains(&networks[i], bytes)) return true;
  return false;
}

static bool bytes_allowed(const struct lw_address_policy *policy, const uint8_t *bytes) {
  if (policy->allow_all || any_contains(policy->allowed, policy->count, bytes)) return true;
  for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++) {
    if (!contains(&carriers[i].network, bytes)) continue;
    uint8_t carried[ADDRESS_BYTES];
    map_v4(carried, bytes + carriers[i].offset);
    return bytes_allowed(policy, carried); /* a mapped address is in no carrier range: one level deep */
  }
  return !any_contains(special, sizeof special / sizeof *special, bytes);
}

static bool text_to_bytes(const char *text, uint8_t *bytes, bool *is_v4) {
  struct in_addr v4;
  *is_v4 = inet_pton(AF_INET, text, &v4) == 1;
  if (*is_v4) {
    map_v4(bytes, &v4);
    return true;
  }
  return inet_pton(AF_INET6, text, bytes) == 1;
}

/* The digits after the slash; -1 where they are no number from 0 to `maximum`. */
static int parse_prefix(const char *digits, int maximum) {
  size_t length = strlen(digits);
  if (length < 1 || length > 3 || strspn(digits, "0123456789") != length) return -1;
  if (length > 1 && digits[0] == '0') return -1;
  long value = strtol(digits, NULL, 10);
  return value <= maximum ? (int)value : -1;
}

static bool host_bits_set(const struct lw_network *network) {
  for (int bit = network->prefix; bit < ADDRESS_BITS; bit++)
    if (network->bytes[bit / 8] & (0x80 >> (bit % 8))) return true;
  return false;
}

bool lw_network_parse(const char *text, struct lw_network *network, struct lw_error *error) {
  const char *slash = strchr(text, '/');
  size_t length = slash ? (size_t)(slash - text) : strlen(text);
  char address[INET6_ADDRSTRLEN];
  bool is_v4 = false;
  if (length >= sizeof address) return lw_fail(error, "invalid", "'%.60s' is not a network", text);
  memcpy(address, text, length);
  address[length] = '\0';
  if (!text_to_bytes(address, network->bytes, &is_v4))
    return lw_fail(error, "invalid", "'%.60s' is not a network: write it as 10.0.0.0/8 or fd00::/8", text);
  int first = is_v4 ? MAPPED_BITS : 0;
  int prefix = slash ? parse_prefix(slash + 1, ADDRESS_BITS - first) : ADDRESS_BITS - first;
  if (prefix < 0)
    return lw_fail(error, "invalid", "'%.60s': the prefix length must be 0 to %d", text,
                   ADDRESS_BITS - first);
  network->prefix = first + prefix;
  if (host_bits_set(network))
    return lw_fail(error, "invalid", "'%.60s' has bits set after its prefix of %d", text, prefix);
  return true;
}

void lw_network_format(const struct lw_network *network, char text[LW_ADDRESS_TEXT_SIZE]) {
  bool is_v4 = network->prefix >= MAPPED_BITS && is_mapped(network->bytes);
  int first = is_v4 ? MAPPED_BITS : 0;
  char address[INET6_ADDRSTRLEN] = "?";
  inet_ntop(is_v4 ? AF_INET : AF_INET6, network->bytes + first / 8, address, sizeof address);
  snprintf(text, LW_ADDRESS_TEXT_SIZE, "%s/%d", address, network->prefix - first);
}

bool lw_address_allowed(const struct lw_address_policy *policy, const struct sockaddr *address) {
  uint8_t bytes[ADDRESS_BYTES];
  if (policy->allow_all) return true;
  if (address->sa_family == AF_INET) {
    map_v4(bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr);
  } else if (address->sa_family == AF_INET6) {
    memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof bytes);
  } else {
    return false;
  }
  return bytes_allowed(policy, bytes);
}

bool lw_address_text_allowed(const struct lw_address_policy *policy, const char *text) {
  uint8_t bytes[ADDRESS_BYTES];
  bool is_v4;
  if (policy->allow_all) return true;
  return text != NULL && text_to_bytes(text, bytes, &is_v4) && bytes_allowed(policy, bytes);
}

void lw_address_format(const struct sockaddr *address, char text[LW_ADDRESS_TEXT_SIZE]) {
  const void *bytes = NULL;
  if (address->sa_family == AF_INET) {
    bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
  } else if (address->sa_family == AF_INET6) {
    bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
  }
  if (bytes == NULL || inet_ntop(address->sa_family, bytes, text, LW_ADDRESS_TEXT_SIZE) == NULL)
    snprintf(text, LW_ADDRESS_TEXT_SIZE, "?");
}
