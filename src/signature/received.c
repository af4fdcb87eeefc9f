#include "signature/received.h"

#include <string.h>

#include "base/encoding.h"

enum { MAX_DIGITS = 19 /* of an int64_t */ };

/* -- finding the headers --------------------------------------------------------------------------- */

static bool has(const struct lw_field *headers, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (lw_same_name(headers[i].name, name)) return true;
  return false;
}

static bool find(const struct lw_field *headers, size_t count, const char *name, struct lw_bytes *value,
                 struct lw_error *error) {
  *value = (struct lw_bytes){NULL, 0};
  if (name == NULL) return true;
  bool found = false;
  for (size_t i = 0; i < count; i++) {
    if (!lw_same_name(headers[i].name, name)) continue;
    if (found) return lw_fail(error, "duplicate_header", "the header %s is given twice", name);
    found = true;
    *value = headers[i].value;
  }
  return value->length > 0 || lw_fail(error, "missing_header", "the header %s is missing or empty", name);
}

static const struct lw_scheme_headers *choose_family(const struct lw_scheme *scheme,
                                                     const struct lw_field *headers, size_t count) {
  const struct lw_scheme_headers *first = &scheme->headers[0], *second = &scheme->headers[1];
  bool other = second->signature != NULL && !has(headers, count, first->signature) &&
               has(headers, count, second->signature);
  return other ? second : first;
}

/* -- reading them ---------------------------------------------------------------------------------- */

static bool read_timestamp(struct lw_received *received, struct lw_error *error) {
  struct lw_bytes text = received->timestamp;
  int64_t seconds = 0;
  bool ok = text.length >= 1 && text.length <= MAX_DIGITS;
  for (size_t i = 0; ok && i < text.length; i++)
    ok = text.data[i] >= '0' && text.data[i] <= '9' && !__builtin_mul_overflow(seconds, 10, &seconds) &&
         !__builtin_add_overflow(seconds, text.data[i] - '0', &seconds);
  received->seconds = seconds;
  return ok || lw_fail(error, "bad_format", "the timestamp must be seconds since the epoch, digits only");
}

static uint32_t decode(const struct lw_scheme *scheme, enum lw_algorithm algorithm, struct lw_bytes text,
                       uint8_t digest[LW_DIGEST_MAX_SIZE]) {
  size_t length, wanted = lw_digest_size(algorithm);
  if (scheme->encoding == LW_AS_IS) return lw_token_hash(text, digest);
  if (scheme->encoding == LW_HEX) return lw_hex_decode(text, digest, wanted);
  return lw_base64_decode(text, digest, wanted, &length) && length == wanted;
}

static bool add_signature(struct lw_received *received, const struct lw_scheme *scheme,
                          enum lw_algorithm algorithm, struct lw_bytes text, struct lw_error *error) {
  if (received->count == LW_MAX_SIGNATURES)
    return lw_fail(error, "bad_format", "more than %d signatures in one header", LW_MAX_SIGNATURES);
  struct lw_received_signature *next = &received->signatures[received->count];
  next->algorithm = algorithm;
  if (decode(scheme, algorithm, text, next->digest)) received->count++;
  return true;
}

/* Takes a piece off the front of `rest`, up to the separator, which goes too. */
static struct lw_bytes take(struct lw_bytes *rest, char separator) {
  const char *found = memchr(rest->data, separator, rest->length);
  struct lw_bytes piece = {rest->data, found != NULL ? (size_t)(found - rest->data) : rest->length};
  size_t gone = piece.length + (found != NULL);
  /* At the end nothing is left, not even the empty piece that follows a last separator. */
  *rest =
      found != NULL ? (struct lw_bytes){rest->data + gone, rest->length - gone} : (struct lw_bytes){NULL, 0};
  return piece;
}

static bool is(struct lw_bytes text, const char *wanted, size_t length) {
  return text.length == length && memcmp(text.data, wanted, length) == 0;
}

static bool read_plain(struct lw_received *received, const struct lw_scheme *scheme, struct lw_bytes value,
                       struct lw_error *error) {
  size_t prefix = strlen(scheme->prefix);
  if (value.length < prefix || memcmp(value.data, scheme->prefix, prefix) != 0)
    return lw_fail(error, "bad_format", "the signature must begin with '%s'", scheme->prefix);
  struct lw_bytes text = {value.data + prefix, value.length - prefix};
  return add_signature(received, scheme, scheme->algorithm, text, error);
}

/* Standard Webhooks: "v1,base64 v1a,base64". */
static bool read_list(struct lw_received *received, const struct lw_scheme *scheme, struct lw_bytes value,
                      struct lw_error *error) {
  for (struct lw_bytes rest = value; rest.data != NULL;) {
    struct lw_bytes text = take(&rest, ' '), version = take(&text, ',');
    if (version.length == 0 || text.length == 0)
      return lw_fail(error, "bad_format", "signatures must be 'version,signature', one space between them");
    bool ok = true;
    if (is(version, scheme->prefix, strlen(scheme->prefix) - 1))
      ok = add_signature(received, scheme, scheme->algorithm, text, error);
    else if (is(version, "v1a", 3))
      ok = add_signature(received, scheme, LW_ED25519, text, error);
    if (!ok) return false;
  }
  return true;
}

/* Stripe: "t=1614265330,v1=hex,v1=hex,v0=hex". */
static bool read_pairs(struct lw_received *received, const struct lw_scheme *scheme, struct lw_bytes value,
                       struct lw_error *error) {
  for (struct lw_bytes rest = value; rest.data != NULL;) {
    struct lw_bytes text = take(&rest, ','), name = take(&text, '=');
    if (name.length == 0 || text.length == 0)
      return lw_fail(error, "bad_format",
                     "the signature header must be 'name=value' pairs, ',' between them");
    if (is(name, "t", 1)) {
      if (received->timestamp.data != NULL)
        return lw_fail(error, "bad_format", "the signature header has the timestamp 't=' twice");
      received->timestamp = text;
    }
    bool ours = is(name, scheme->prefix, strlen(scheme->prefix) - 1);
    if (ours && !add_signature(received, scheme, scheme->algorithm, text, error)) return false;
  }
  return received->timestamp.data != NULL ||
         lw_fail(error, "bad_format", "the signature header has no timestamp 't='");
}

static bool fail_form(const struct lw_scheme *scheme, struct lw_error *error) {
  size_t size = lw_digest_size(scheme->algorithm);
  if (scheme->encoding == LW_HEX)
    return lw_fail(error, "bad_format", "the header holds no signature '%s' and %zu lower-case hex digits",
                   scheme->prefix, LW_HEX_LENGTH(size));
  if (scheme->encoding == LW_BASE64)
    return lw_fail(error, "bad_format",
                   "the header holds no signature '%s' and %zu bytes in canonical base64", scheme->prefix,
                   size);
  return lw_fail(error, "crypto", "OpenSSL could not hash a token");
}

static bool read_signatures(struct lw_received *received, const struct lw_scheme *scheme,
                            struct lw_bytes value, struct lw_error *error) {
  bool ok = scheme->layout == LW_LIST    ? read_list(received, scheme, value, error)
            : scheme->layout == LW_PAIRS ? read_pairs(received, scheme, value, error)
                                         : read_plain(received, scheme, value, error);
  return ok && (received->count > 0 || fail_form(scheme, error));
}

bool lw_receive(const struct lw_scheme *scheme, const struct lw_field *headers, size_t count,
                struct lw_received *received, struct lw_error *error) {
  const struct lw_scheme_headers *names = choose_family(scheme, headers, count);
  struct lw_bytes value;
  received->count = 0;
  if (!find(headers, count, names->signature, &value, error) ||
      !find(headers, count, names->timestamp, &received->timestamp, error) ||
      !find(headers, count, names->id, &received->id, error) ||
      !read_signatures(received, scheme, value, error))
    return false;
  if (received->id.data != NULL && !lw_scheme_allows_id(scheme, received->id))
    return lw_fail(error, "bad_format", "the id in %s is longer than %d bytes, or holds a separator",
                   names->id, LW_MAX_ID);
  return !lw_scheme_has_timestamp(scheme) || read_timestamp(received, error);
}
