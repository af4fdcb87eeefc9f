/* The signature schemes that receivers meet, one row each. A row says which headers carry what, which bytes
 * are signed, by which algorithm, and how the signature is written; lw_sign and lw_verify read it, so a new
 * HMAC scheme is a new row in schemes.c and a test. The vendors' pages are named beside the rows. */
#ifndef LW_SIGNATURE_SCHEMES_H
#define LW_SIGNATURE_SCHEMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

#define LW_SIGNATURE_HEADER "X-Signature" /* of the scheme capawesome */

#define LW_SCHEME_FAMILIES 2
#define LW_DEFAULT_TOLERANCE 300 /* seconds, in both directions */
#define LW_ANY_TIME (-1)         /* a tolerance: the age of a timestamp is not checked */
#define LW_MAX_PREFIX 32         /* bytes */
#define LW_MAX_ID 256            /* bytes */

enum lw_algorithm { LW_HMAC_SHA1, LW_HMAC_SHA256, LW_HMAC_SHA512, LW_ED25519, LW_TOKEN };

/* How a digest is written. Hex is lower-case; base64 is canonical (RFC 4648, section 3.5), with padding. */
enum lw_encoding { LW_HEX, LW_BASE64, LW_AS_IS };

/* How the signature header is laid out. */
enum lw_layout {
  LW_PLAIN, /* prefix, then the signature: "sha256=…" */
  LW_LIST,  /* "v1,… v1a,…", separated by one space; the prefix stands before each signature of ours */
  LW_PAIRS, /* "t=timestamp,v1=…,v1=…"; the prefix stands before each signature of ours */
};

/* What the text of a secret says. */
enum lw_key_form {
  LW_KEY_TEXT,     /* the key itself, as it is */
  LW_KEY_STANDARD, /* base64 after whsec_ (or after nothing): HMAC; after whsk_, whpk_: ed25519 */
  LW_KEY_HEX,      /* 32 bytes in hex: an ed25519 public key to verify, the private seed to sign */
};

struct lw_scheme_headers {
  const char *signature;
  const char *timestamp, *id; /* NULL where the scheme has none */
};

struct lw_scheme {
  const char *name;
  /* The second family is read when the first one's signature is absent; {NULL} where there is none. */
  struct lw_scheme_headers headers[LW_SCHEME_FAMILIES];
  enum lw_layout layout;
  const char *prefix;
  const char *content; /* text with {id}, {timestamp}, {body}, {url}, {params} */
  enum lw_algorithm algorithm;
  enum lw_encoding encoding;
  enum lw_key_form key;
  bool signs_url;    /* the content has {url} and {params} */
  int64_t tolerance; /* seconds that a timestamp may be off, or LW_ANY_TIME; 0 where there is no timestamp */
};

/* The built-in rows; they are never freed. */
extern const struct lw_scheme lw_schemes[];
extern const size_t lw_scheme_count;
const struct lw_scheme *lw_scheme_find(const char *name); /* NULL when there is none of that name */

/* A scheme of the application's own: a copy of `row` and its strings, for lw_scheme_free. HMAC in hex or
 * base64, keyed with LW_KEY_TEXT, laid out LW_PLAIN or LW_PAIRS. Fails with "invalid" when the row
 * contradicts itself: content without {body}, an {id} that nothing parts from its neighbours, a field in the
 * content that stands in no header (LW_PAIRS has {timestamp} in the signature header), a header that is not
 * signed. */
struct lw_scheme *lw_scheme_new(const struct lw_scheme *row, struct lw_error *error);
void lw_scheme_free(struct lw_scheme *scheme); /* NULL is fine */

bool lw_scheme_has_timestamp(const struct lw_scheme *scheme);
/* Whether verifying looks at a header of this name (in any case). */
bool lw_scheme_reads(const struct lw_scheme *scheme, struct lw_bytes name);
/* Whether an id has 1 to LW_MAX_ID bytes, none of them the one that parts {id} from its neighbours: else two
 * messages could have the same signed content. */
bool lw_scheme_allows_id(const struct lw_scheme *scheme, struct lw_bytes id);
bool lw_same_name(struct lw_bytes name,
                  const char *other); /* as names of headers, whose case does not matter */

#endif
