/* Who may be called: networks in CIDR form, and the list of those that are not the public internet
 * (private, loopback, link-local, CGNAT, multicast, metadata, documentation, IPv4-mapped and the
 * tunnel forms that carry an IPv4 address: judged by the address they carry).
 * Source: IANA special-purpose address registries (RFC 6890 and its successors). */
#ifndef LW_TRANSPORT_ADDRESS_H
#define LW_TRANSPORT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

#define LW_ADDRESS_MAX_NETWORKS 128
#define LW_ADDRESS_TEXT_SIZE 64

struct lw_network {
  uint8_t bytes[16]; /* IPv4 is held in its mapped form, ::ffff:a.b.c.d */
  int prefix;        /* 0 to 128, counted over the 16 bytes */
};

struct lw_address_policy {
  bool allow_all; /* webhook.send: the URL is the caller's own */
  size_t count;
  struct lw_network allowed[LW_ADDRESS_MAX_NETWORKS];
};

/* "10.0.0.0/8", "fd00::/8", or a single address. Host bits that are set are an error. */
bool lw_network_parse(const char *text, struct lw_network *network, struct lw_error *error);
/* The same as text, which parses to the same network: always with its prefix. */
void lw_network_format(const struct lw_network *network, char text[LW_ADDRESS_TEXT_SIZE]);

/* True when `policy` lets this socket address be called. */
bool lw_address_allowed(const struct lw_address_policy *policy, const struct sockaddr *address);

/* The same for an address written as text (curl's primary IP). Unreadable text is refused. */
bool lw_address_text_allowed(const struct lw_address_policy *policy, const char *text);

/* "127.0.0.1" for messages; "?" for a family that is neither IPv4 nor IPv6. */
void lw_address_format(const struct sockaddr *address, char text[LW_ADDRESS_TEXT_SIZE]);

#endif
