/* How a request is sent, beside its URL, its headers and its body: the same for many requests, and never
 * changed while one of them is under way. Strings are borrowed: they live as long as the options. */
#ifndef LW_TRANSPORT_REQUEST_OPTIONS_H
#define LW_TRANSPORT_REQUEST_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "transport/address.h"

enum lw_http_version {
  LW_HTTP_2, /* over TLS, where the receiver offers it; else 1.1 (or over what is open already) */
  LW_HTTP_1_1
};

struct lw_request_options {
  /* Differs between any two sets of options that live in one process: a curl handle that was last used with
   * the same serial needs no setting anew. From lw_request_options_serial. */
  uint64_t serial;
  int64_t timeout;          /* milliseconds, whole transfer */
  int64_t connect_timeout;  /* milliseconds */
  size_t max_response_body; /* bytes kept */
  enum lw_http_version http_version;
  const char *user_agent; /* NULL: "lua-webhook/<version>" */
  const char *ca_file;    /* PEM; NULL: the system's, which it replaces; a proxy's too */
  /* PEM files; NULL: none. The key may stand in the certificate's, and has no passphrase. */
  const char *client_cert, *client_key;
  /* NULL: none. An http or https URL (lw_url_check_proxy), perhaps with credentials. A proxy's own address
   * may be any: who configures it chose it. It connects for us: where the URL's host is an address
   * `addresses` still has its say, the names it resolves are its own affair. */
  const char *proxy;
  struct lw_address_policy addresses;
};

uint64_t lw_request_options_serial(void); /* any thread */

#endif
