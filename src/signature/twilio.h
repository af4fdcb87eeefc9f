/* What Twilio signs: the URL and the sorted parameters (twilio.com/docs/usage/security, "Validating
 * requests"). */
#ifndef LW_SIGNATURE_TWILIO_H
#define LW_SIGNATURE_TWILIO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "signature/content.h"

#define LW_MAX_PARAMS 1000

struct lw_twilio_request {
  struct lw_bytes url, body;
  const struct lw_field *params; /* NULL: not given */
  size_t param_count;
};

/* Appends what is signed after the URL: each name and value, sorted, doubles left out. With no parameters the
 * body must be empty, or the URL's bodySHA256 be its hash. Codes: missing_url, missing_params, bad_format,
 * mismatch, memory, crypto. */
bool lw_twilio_params(const struct lw_twilio_request *request, struct lw_buffer *params,
                      struct lw_error *error);

/* Cuts a URL at its port. `port` is ":" and digits, or empty where the URL names none. */
struct lw_url lw_url_cut(struct lw_bytes url);
/* ":443" for https, ":80" for all others, as Twilio's own libraries have it. */
struct lw_bytes lw_url_default_port(struct lw_bytes url);

#endif
