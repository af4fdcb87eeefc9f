#include <math.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/encoding.h"
#include "lua/binding.h"
#include "signature/hmac.h"
#include "signature/keyring.h"
#include "signature/schemes.h"
#include "signature/sign.h"
#include "signature/verify.h"

#define KEYRING "webhook.keyring"
#define SCHEME "webhook.scheme"

/* What would cost a look-up by name in the registry stands in upvalues. */
enum { KEYRING_UPVALUE = 1, SCHEME_UPVALUE = 2, UPVALUES = 2 };
enum { TABLE_UPVALUE = 2, SLOW_UPVALUE = 3, FAST_UPVALUES = 3 }; /* of the function that `signer` makes */

/* From a core function to the line of the application: webhook.verify calls a Lua function, which calls
 * core.verify; webhook.sign calls the Lua function given to `signer`, which calls core.sign. */
enum { VERIFY_LEVEL = 3, SIGN_LEVEL = 3 };

/* More than the names that any scheme reads: with so many, one stands there twice. */
enum { MAX_FIELDS = 32 };

/* Created empty, filled afterwards: an error half-way is always collected. */
struct keyring_box {
  struct lw_keyring *keyring;
};
struct scheme_box {
  const struct lw_scheme *scheme;
  struct lw_scheme *own; /* the same, when it was made by define_scheme */
};

/* -- reading arguments ------------------------------------------------------------------------------ */

static int misuse(lua_State *L, int level, const char *message) {
  luaL_where(L, level);
  lua_pushstring(L, message);
  lua_concat(L, 2);
  return lua_error(L);
}

static const struct lw_scheme *check_scheme(lua_State *L) {
  const struct scheme_box *box = lua_touserdata(L, 1);
  bool ours = box != NULL && lua_getmetatable(L, 1) && lua_rawequal(L, -1, lua_upvalueindex(SCHEME_UPVALUE));
  if (!ours || box->scheme == NULL) luaL_argerror(L, 1, "a scheme expected");
  lua_pop(L, 1);
  return box->scheme;
}

static struct lw_keyring *keyring_of(lua_State *L) {
  return ((struct keyring_box *)lua_touserdata(L, lua_upvalueindex(KEYRING_UPVALUE)))->keyring;
}

static bool read_bytes(lua_State *L, int index, struct lw_bytes *bytes) {
  if (lua_type(L, index) != LUA_TSTRING) return false;
  bytes->data = lua_tolstring(L, index, &bytes->length);
  return true;
}

/* A string, or a list of strings; false for anything else. Of more than LW_MAX_SECRETS all are counted. */
static bool read_secrets(lua_State *L, int index, struct lw_bytes secrets[LW_MAX_SECRETS], size_t *count) {
  *count = 1;
  if (read_bytes(L, index, &secrets[0])) return true;
  if (!lua_istable(L, index)) return false;
  *count = lwl_raw_length(L, index);
  lua_pushnil(L);
  if (*count == 0 && lua_next(L, index)) return false;
  for (size_t i = 0; i < *count; i++) {
    struct lw_bytes secret;
    lua_rawgeti(L, index, (int)i + 1);
    bool ok = read_bytes(L, -1, &secret);
    lua_pop(L, 1);
    if (!ok) return false;
    if (i < LW_MAX_SECRETS) secrets[i] = secret;
  }
  return true;
}

/* Whole seconds, rounded down, kept inside int64_t. */
static int64_t to_seconds(lua_State *L, int index) {
  int64_t integer;
  if (lwl_read_integer(L, index, &integer)) return integer;
  double seconds = floor(lua_tonumber(L, index));
  if (seconds >= (double)INT64_MAX) return INT64_MAX;
  return seconds > (double)INT64_MIN ? (int64_t)seconds : INT64_MIN;
}

static int64_t now(void) {
  return lw_system_clock()->now(lw_system_clock()->context) / 1000;
}

static int64_t seconds_option(lua_State *L, int options, const char *name) {
  lua_getfield(L, options, name);
  int64_t seconds = lua_type(L, -1) == LUA_TNUMBER ? to_seconds(L, -1) : now();
  lua_pop(L, 1);
  return seconds;
}

static int64_t tolerance_option(lua_State *L, int options) {
  lua_getfield(L, options, "tolerance");
  int64_t tolerance = LW_USUAL_TIME;
  if (lua_type(L, -1) == LUA_TNUMBER) tolerance = to_seconds(L, -1);
  if (lua_isboolean(L, -1)) tolerance = LW_ANY_TIME;
  lua_pop(L, 1);
  return tolerance;
}

static void bytes_option(lua_State *L, int options, const char *name, struct lw_bytes *bytes) {
  lua_getfield(L, options, name);
  read_bytes(L, -1, bytes); /* the string stays in the table */
  lua_pop(L, 1);
}

/* A list { name, value, name, value, … } becomes an array that lives in a userdata on top of the stack;
 * anything else becomes NULL. */
static const struct lw_field *read_params(lua_State *L, int index, size_t *count) {
  *count = 0;
  if (!lua_istable(L, index)) return NULL;
  *count = lwl_raw_length(L, index) / 2;
  struct lw_field *fields = lwl_new_userdata(L, (*count + 1) * sizeof *fields);
  memset(fields, 0, (*count + 1) * sizeof *fields);
  for (size_t i = 0; i < *count; i++) {
    lua_rawgeti(L, index, (int)(2 * i + 1));
    read_bytes(L, -1, &fields[i].name);
    lua_rawgeti(L, index, (int)(2 * i + 2));
    read_bytes(L, -1, &fields[i].value);
    lua_pop(L, 2);
  }
  return fields;
}

/* -- sign ------------------------------------------------------------------------------------------- */

static int push_headers(lua_State *L, const struct lw_signed *result) {
  lua_createtable(L, 0, (int)result->count);
  for (size_t i = 0; i < result->count; i++) {
    lua_pushlstring(L, result->headers[i].value.data, result->headers[i].value.length);
    lua_setfield(L, -2, result->headers[i].name);
  }
  return 1;
}

static void read_sign_options(lua_State *L, int options, struct lw_sign_request *request) {
  request->timestamp = seconds_option(L, options, "timestamp");
  bytes_option(L, options, "id", &request->id);
  bytes_option(L, options, "url", &request->url);
  request->params = read_params(L, options + 1, &request->param_count);
}

static void make_id(struct lw_sign_request *request, char text[LW_ID_TEXT_SIZE]) {
  if (request->id.data != NULL || request->scheme->headers[0].id == NULL) return;
  struct lw_id id;
  lwl_new_id(&id);
  lw_id_format(&id, text);
  request->id = (struct lw_bytes){text, LW_ID_TEXT_SIZE - 1};
}

static int push_signed(lua_State *L, struct lw_sign_request *request) {
  char id[LW_ID_TEXT_SIZE];
  struct lw_signed result;
  struct lw_error error;
  make_id(request, id);
  return lw_sign(request, &result, &error) ? push_headers(L, &result) : lwl_failure(L, &error);
}

/* core.sign(scheme, secrets, body, options or nil, params or nil) -> headers | nil, message, code */
static int sign(lua_State *L) {
  struct lw_bytes secrets[LW_MAX_SECRETS];
  struct lw_sign_request request = {
      .scheme = check_scheme(L), .secrets = secrets, .timestamp = now(), .keyring = keyring_of(L)};
  if (!read_secrets(L, 2, secrets, &request.secret_count) || !read_bytes(L, 3, &request.body))
    return misuse(L, SIGN_LEVEL,
                  "sign: a secret and a body expected: the secret a string or a list of strings, the body a "
                  "string");
  lua_settop(L, 5);
  if (lua_istable(L, 4)) read_sign_options(L, 4, &request);
  return push_signed(L, &request);
}

/* The scheme of that name in the application's table, which holds nothing but schemes. */
static const struct lw_scheme *known_scheme(lua_State *L, int name) {
  lua_pushvalue(L, name);
  lua_rawget(L, lua_upvalueindex(TABLE_UPVALUE));
  const struct scheme_box *box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return box != NULL ? box->scheme : NULL;
}

/* webhook.sign(name, secret, body) without a step through Lua, which would cost a twentieth of the signature.
 * Anything else goes to the Lua function. */
static int sign_fast(lua_State *L) {
  struct lw_bytes secret;
  struct lw_sign_request request = {.secrets = &secret, .secret_count = 1};
  if (lua_gettop(L) == 3 && read_bytes(L, 2, &secret) && read_bytes(L, 3, &request.body) &&
      (request.scheme = known_scheme(L, 1)) != NULL) {
    request.keyring = keyring_of(L);
    if (lw_scheme_has_timestamp(request.scheme)) request.timestamp = now();
    return push_signed(L, &request);
  }
  lua_pushvalue(L, lua_upvalueindex(SLOW_UPVALUE));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* core.signer(keyring, schemes, slow) -> webhook.sign */
static int signer(lua_State *L) {
  luaL_checkudata(L, 1, KEYRING);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  lua_pushcclosure(L, sign_fast, FAST_UPVALUES);
  return 1;
}

/* -- verify ----------------------------------------------------------------------------------------- */

/* A value that is no string counts as an empty one, which is a missing header. */
static void add_value(lua_State *L, struct lw_field *fields, size_t *count, struct lw_bytes name) {
  if (*count == MAX_FIELDS) return;
  struct lw_bytes value = {"", 0};
  read_bytes(L, -1, &value);
  fields[(*count)++] = (struct lw_field){name, value};
}

/* The headers that the scheme reads. Strings stay in the table. */
static size_t read_headers(lua_State *L, int index, const struct lw_scheme *scheme,
                           struct lw_field fields[MAX_FIELDS]) {
  size_t count = 0;
  struct lw_bytes name;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (!read_bytes(L, -2, &name) || !lw_scheme_reads(scheme, name)) continue;
    if (!lua_istable(L, -1)) {
      add_value(L, fields, &count, name);
      continue;
    }
    size_t values = lwl_raw_length(L, -1);
    for (size_t i = 1; i <= values && count < MAX_FIELDS; i++) {
      lua_rawgeti(L, -1, (int)i);
      add_value(L, fields, &count, name);
      lua_pop(L, 1);
    }
  }
  return count;
}

static void push_hash(lua_State *L, const struct lw_proof *proof) {
  char hash[LW_HEX_LENGTH(LW_CONTENT_HASH_SIZE)];
  lw_hex_encode(proof->content_hash, sizeof proof->content_hash, hash);
  lua_pushlstring(L, hash, sizeof hash);
}

static void push_proof(lua_State *L, const struct lw_scheme *scheme, const struct lw_proof *proof) {
  lua_createtable(L, 0, 5); /* webhook.resty adds the body */
  lwl_set_bytes(L, "scheme", scheme->name, strlen(scheme->name));
  lwl_set_bytes(L, "id", proof->id.data, proof->id.length);
  lua_pushinteger(L, (lua_Integer)proof->secret_index + 1);
  lua_setfield(L, -2, "secret_index");
  if (proof->has_timestamp) {
    lwl_push_integer(L, proof->timestamp);
    lua_setfield(L, -2, "timestamp");
  }
}

/* core.verify(scheme, secrets, headers, body, options or nil, params or nil, wants_hash)
 * -> proof, hash of the signed content when it is wanted | nil, message, code */
static int verify(lua_State *L) {
  struct lw_bytes secrets[LW_MAX_SECRETS];
  struct lw_field fields[MAX_FIELDS];
  struct lw_verify_request request = {.scheme = check_scheme(L),
                                      .secrets = secrets,
                                      .headers = fields,
                                      .tolerance = LW_USUAL_TIME,
                                      .keyring = keyring_of(L),
                                      .wants_content_hash = lua_toboolean(L, 7)};
  if (!read_secrets(L, 2, secrets, &request.secret_count) || !lua_istable(L, 3) ||
      !read_bytes(L, 4, &request.body))
    return misuse(
        L, VERIFY_LEVEL,
        "verify: a secret, a table of headers and a body expected: the secret a string or a list of "
        "strings, the body a string");
  lua_settop(L, 7);
  request.header_count = read_headers(L, 3, request.scheme, fields);
  if (lua_istable(L, 5)) {
    request.now = seconds_option(L, 5, "now");
    request.tolerance = tolerance_option(L, 5);
    bytes_option(L, 5, "url", &request.url);
  } else {
    request.now = now();
  }
  request.params = read_params(L, 6, &request.param_count);
  struct lw_proof proof;
  struct lw_error error;
  if (!lw_verify(&request, &proof, &error)) return lwl_failure(L, &error);
  push_proof(L, request.scheme, &proof);
  if (!request.wants_content_hash) return 1;
  push_hash(L, &proof);
  return 2;
}

/* -- schemes ---------------------------------------------------------------------------------------- */

static struct scheme_box *push_scheme(lua_State *L, const struct lw_scheme *scheme) {
  struct scheme_box *box = lwl_new_userdata(L, sizeof *box);
  *box = (struct scheme_box){.scheme = scheme};
  luaL_getmetatable(L, SCHEME);
  lua_setmetatable(L, -2);
  return box;
}

static int free_scheme(lua_State *L) {
  struct scheme_box *box = luaL_checkudata(L, 1, SCHEME);
  lw_scheme_free(box->own);
  *box = (struct scheme_box){NULL, NULL};
  return 0;
}

/* core.schemes() -> { name = scheme, … } */
static int schemes(lua_State *L) {
  lua_createtable(L, 0, (int)lw_scheme_count);
  for (size_t i = 0; i < lw_scheme_count; i++) {
    push_scheme(L, &lw_schemes[i]);
    lua_setfield(L, -2, lw_schemes[i].name);
  }
  return 1;
}

/* core.tolerance(scheme) -> seconds | false: any time | nil: no timestamp */
static int tolerance(lua_State *L) {
  const struct scheme_box *box = luaL_checkudata(L, 1, SCHEME);
  if (box->scheme == NULL || !lw_scheme_has_timestamp(box->scheme)) return 0;
  if (box->scheme->tolerance == LW_ANY_TIME)
    lua_pushboolean(L, false);
  else
    lwl_push_integer(L, box->scheme->tolerance);
  return 1;
}

static enum lw_algorithm algorithm_of(const char *name) {
  if (strcmp(name, "sha1") == 0) return LW_HMAC_SHA1;
  return strcmp(name, "sha512") == 0 ? LW_HMAC_SHA512 : LW_HMAC_SHA256;
}

/* core.define { name, header, algorithm, content, encoding, prefix, timestamp_header, id_header, tolerance }
 * -> scheme | nil, message, code. The Lua side has checked types and the words of algorithm and encoding. */
static int define(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct lw_scheme row = {
      .name = lwl_string_field(L, 1, "name"),
      .headers = {{lwl_string_field(L, 1, "header"), lwl_string_field(L, 1, "timestamp_header"),
                   lwl_string_field(L, 1, "id_header")}},
      .prefix = lwl_string_field(L, 1, "prefix"),
      .content = lwl_string_field(L, 1, "content"),
  };
  const char *algorithm = lwl_string_field(L, 1, "algorithm");
  const char *encoding = lwl_string_field(L, 1, "encoding");
  if (!row.name || !row.headers[0].signature || !row.prefix || !row.content || !algorithm || !encoding)
    return luaL_error(L, "define: a field is missing");
  row.algorithm = algorithm_of(algorithm);
  row.encoding = strcmp(encoding, "base64") == 0 ? LW_BASE64 : LW_HEX;
  bool timed = strstr(row.content, "{timestamp}") != NULL;
  if (timed && row.headers[0].timestamp == NULL) row.layout = LW_PAIRS;
  row.tolerance = tolerance_option(L, 1);
  if (row.tolerance == LW_USUAL_TIME) row.tolerance = LW_DEFAULT_TOLERANCE;
  struct scheme_box *box = push_scheme(L, NULL);
  struct lw_error error;
  box->scheme = box->own = lw_scheme_new(&row, &error);
  return box->own != NULL ? 1 : lwl_failure(L, &error);
}

/* --------------------------------------------------------------------------------------------------- */

/* core.hmac_hex(secret, body) -> hex | nil, message, code */
static int hmac_hex(lua_State *L) {
  size_t secret_length, body_length;
  const char *secret = luaL_checklstring(L, 1, &secret_length);
  const char *body = luaL_checklstring(L, 2, &body_length);
  char hex[LW_HMAC_HEX_SIZE];
  struct lw_error error;
  struct lw_hmac *hmac = lw_hmac_new(secret, secret_length);
  bool ok = hmac != NULL && lw_hmac_hex(hmac, body, body_length, hex);
  lw_hmac_free(hmac);
  if (!ok) {
    if (secret_length == 0)
      lw_fail(&error, "missing_secret", "the secret is empty");
    else
      lw_fail(&error, "crypto", "OpenSSL could not compute the HMAC");
    return lwl_failure(L, &error);
  }
  lua_pushlstring(L, hex, LW_HMAC_HEX_SIZE - 1);
  return 1;
}

/* core.generate_secret() -> "whsec_…" */
static int generate_secret(lua_State *L) {
  enum { BYTES = 32 };
  uint8_t bytes[BYTES];
  const char prefix[] = {'w', 'h', 's', 'e', 'c', '_'};
  char text[sizeof prefix + LW_BASE64_LENGTH(BYTES)];
  lw_system_clock()->random(lw_system_clock()->context, bytes, sizeof bytes);
  memcpy(text, prefix, sizeof prefix);
  lw_base64_encode(bytes, sizeof bytes, text + sizeof prefix);
  lua_pushlstring(L, text, sizeof text);
  OPENSSL_cleanse(bytes, sizeof bytes);
  OPENSSL_cleanse(text, sizeof text);
  return 1;
}

static int free_keyring(lua_State *L) {
  struct keyring_box *box = luaL_checkudata(L, 1, KEYRING);
  lw_keyring_free(box->keyring);
  box->keyring = NULL; /* signing still works, at the price of a key each time */
  return 0;
}

static void make_metatable(lua_State *L, const char *name, lua_CFunction collect) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

static void push_keyring(lua_State *L) {
  struct keyring_box *box = lwl_new_userdata(L, sizeof *box);
  box->keyring = NULL;
  luaL_getmetatable(L, KEYRING);
  lua_setmetatable(L, -2);
  box->keyring = lw_keyring_new();
}

/* The module's table is at -2, the keyring at -1. */
static void add_keyed(lua_State *L, const char *name, lua_CFunction function) {
  lua_pushvalue(L, -1);
  luaL_getmetatable(L, SCHEME);
  lua_pushcclosure(L, function, UPVALUES);
  lua_setfield(L, -3, name);
}

void lwl_open_signature(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction function;
  } functions[] = {{"hmac_hex", hmac_hex}, {"schemes", schemes}, {"tolerance", tolerance},
                   {"define", define},     {"signer", signer},   {"generate_secret", generate_secret}};
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    lua_pushcfunction(L, functions[i].function);
    lua_setfield(L, -2, functions[i].name);
  }
  make_metatable(L, KEYRING, free_keyring);
  make_metatable(L, SCHEME, free_scheme);
  push_keyring(L);
  add_keyed(L, "sign", sign);
  add_keyed(L, "verify", verify);
  lua_setfield(L, -2, "keyring");
}
