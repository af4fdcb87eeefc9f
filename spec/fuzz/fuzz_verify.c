/* libFuzzer target: any scheme (the built-in ones and rows of an application's own), any secrets, headers and
 * body. Beyond "no crash" it checks what must hold of every answer:
 *   - a refusal has a code of the documented ones and a reason; the same question gets the same answer, with
 *     and without a keyring;
 *   - what is accepted is no longer accepted with another body, or too late;
 *   - what lw_sign makes, lw_verify accepts, and refuses once any bit of a header is changed. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signature/keyring.h"
#include "signature/schemes.h"
#include "signature/sign.h"
#include "signature/verify.h"

#define MAX_HEADERS 12
#define MAX_PARAMS 8
#define MAX_BODY 4096
#define CHECK(condition, ...) ((condition) ? (void)0 : broken(#condition, __LINE__, __VA_ARGS__))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lw_keyring *keyring; /* kept over all inputs, as a process keeps it */

static void broken(const char *condition, int line, const char *what) {
  fprintf(stderr, "fuzz_verify.c:%d: %s: does not hold: %s\n", line, what, condition);
  abort();
}

/* ---- The input, read from its front. Reading beyond its end gives zeros. ---- */

struct input {
  const uint8_t *data;
  size_t size;
};

static uint8_t take_byte(struct input *input) {
  if (input->size == 0) return 0;
  input->size--;
  return *input->data++;
}

static unsigned take_choice(struct input *input, unsigned count) {
  return take_byte(input) % count;
}

static struct lw_bytes take_bytes(struct input *input, size_t most) {
  size_t length = take_byte(input);
  if (length == 255) length = 255 + take_byte(input) * 16;
  if (length > most) length = most;
  if (length > input->size) length = input->size;
  struct lw_bytes bytes = {(const char *)input->data, length};
  input->data += length;
  input->size -= length;
  return bytes;
}

/* A string for a scheme's row: printable for the most part, ended by a zero. */
static const char *take_string(struct input *input, char *room, size_t size) {
  struct lw_bytes bytes = take_bytes(input, size - 1);
  memcpy(room, bytes.data, bytes.length);
  room[bytes.length] = '\0';
  return room;
}

static struct lw_bytes text(const char *string) {
  return (struct lw_bytes){string, strlen(string)};
}

/* ---- Schemes ---- */

struct row_room {
  char names[3][64], prefix[64], content[256];
};

static const char *take_content(struct input *input, char *room, size_t size) {
  static const char *const good[] = {"{body}", "{timestamp}.{body}", "{id}.{timestamp}.{body}",
                                     "{timestamp}{body}"};
  static const char *const pieces[] = {
      "{body}", "{timestamp}", "{id}",      ".",   ":", "v0:", "{url}", "{params}",
      "{",      "}",           "{unknown}", "{id", "1", "a",   "\n",    ""};
  unsigned whole = take_choice(input, 8);
  if (whole < 4) return good[whole];
  room[0] = '\0';
  unsigned count = take_choice(input, 8);
  for (unsigned i = 0; i < count; i++) {
    const char *piece = pieces[take_choice(input, sizeof pieces / sizeof *pieces)];
    if (strlen(room) + strlen(piece) < size) strcat(room, piece);
  }
  return room;
}

static struct lw_scheme *take_own_scheme(struct input *input) {
  static const char *const names[] = {"X-Acme", "X-Time", "X-Id", "x-acme", "", "X-Acme "};
  struct row_room room;
  struct lw_scheme row = {.name = "own"};
  const char *taken[3] = {NULL, NULL, NULL};
  for (int i = 0; i < 3; i++) {
    unsigned choice = take_choice(input, 16);
    if (choice < 6) taken[i] = names[choice];
    if (choice == 6) taken[i] = take_string(input, room.names[i], sizeof room.names[i]);
    if (choice > 6 && choice < 12) taken[i] = names[i];
  }
  if (taken[0] == NULL) return NULL; /* the one thing that lw_scheme_new may rely on */
  row.headers[0].signature = taken[0];
  row.headers[0].timestamp = taken[1];
  row.headers[0].id = taken[2];
  row.layout = take_choice(input, 2) ? LW_PAIRS : LW_PLAIN;
  row.algorithm = (enum lw_algorithm)take_choice(input, LW_HMAC_SHA512 + 1);
  row.encoding = take_choice(input, 2) ? LW_BASE64 : LW_HEX;
  row.tolerance = LW_DEFAULT_TOLERANCE;
  static const char *const prefixes[] = {"", "v1=", "v1,", "sha256=", "t=", "="};
  unsigned choice = take_choice(input, 8);
  row.prefix = choice < 6 ? prefixes[choice] : take_string(input, room.prefix, sizeof room.prefix);
  row.content = take_content(input, room.content, sizeof room.content);
  struct lw_error error = {"", ""};
  struct lw_scheme *scheme = lw_scheme_new(&row, &error);
  CHECK(scheme != NULL || (error.code[0] && error.message[0]), "a refused row has a reason");
  return scheme;
}

/* ---- What is asked ---- */

static const char *const known_secrets[] = {
    "It's a Secret to Everybody",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
    "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "k",
};

static const char *const known_values[] = {
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    "t=1614265330,v1=3c5817089d739023dd6190f70a3757e04f7a2fd8b5dab12c2e000f51970dccff",
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY=",
    "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
    "1614265330",
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
};

static const char *const known_bodies[] = {"Hello, World!", "{\"test\": 2432232314}",
                                           "{\"id\":\"evt_test_webhook\",\"object\":\"event\"}", "{\"id\":1}",
                                           ""};

static const char *const known_urls[] = {
    "https://mycompany.com/myapp.php?foo=1&bar=2", "https://example.com:8443/a:80/b?c=d", "http://[::1]:80/",
    "https://example.com/?bodySHA256=dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f"};

#define TAKE_ONE_OF(input, list) text((list)[take_choice(input, sizeof(list) / sizeof *(list))])

struct question {
  struct lw_verify_request request;
  struct lw_bytes secrets[LW_MAX_SECRETS + 2];
  struct lw_field headers[MAX_HEADERS], params[MAX_PARAMS];
};

static struct lw_bytes take_text(struct input *input, const char *const *known, size_t count, size_t most) {
  unsigned choice = take_choice(input, 3);
  return choice == 0 ? take_bytes(input, most) : text(known[take_choice(input, (unsigned)count)]);
}

static struct lw_bytes take_header_name(struct input *input, const struct lw_scheme *scheme) {
  const struct lw_scheme_headers *family = &scheme->headers[take_choice(input, LW_SCHEME_FAMILIES)];
  const char *names[] = {family->signature, family->timestamp, family->id, NULL};
  const char *name = names[take_choice(input, 4)];
  return name ? text(name) : take_bytes(input, 64);
}

static void take_question(struct input *input, const struct lw_scheme *scheme, struct question *question) {
  struct lw_verify_request *request = &question->request;
  memset(question, 0, sizeof *question);
  request->scheme = scheme;

  request->secrets = question->secrets;
  request->secret_count = take_choice(input, LW_MAX_SECRETS + 3);
  if (request->secret_count > 3 && take_choice(input, 4)) request->secret_count = 1;
  for (size_t i = 0; i < request->secret_count; i++)
    question->secrets[i] = take_text(input, known_secrets, sizeof known_secrets / sizeof *known_secrets, 200);

  request->headers = question->headers;
  request->header_count = take_choice(input, MAX_HEADERS + 1);
  for (size_t i = 0; i < request->header_count; i++) {
    question->headers[i].name = take_header_name(input, scheme);
    question->headers[i].value =
        take_text(input, known_values, sizeof known_values / sizeof *known_values, 4096);
  }

  static const int64_t times[] = {1614265330, 0,         1614265630, 1614265631,
                                  INT64_MAX,  INT64_MIN, -1,         1700000000};
  static const int64_t tolerances[] = {LW_DEFAULT_TOLERANCE, LW_USUAL_TIME, LW_ANY_TIME, 0, 1, INT64_MAX};
  request->now = times[take_choice(input, sizeof times / sizeof *times)];
  request->tolerance = tolerances[take_choice(input, sizeof tolerances / sizeof *tolerances)];

  if (take_choice(input, 2)) request->url = TAKE_ONE_OF(input, known_urls);
  if (take_choice(input, 4) == 1) request->url = take_bytes(input, 300);
  if (take_choice(input, 2)) {
    request->params = question->params;
    request->param_count = take_choice(input, MAX_PARAMS + 1);
    for (size_t i = 0; i < request->param_count; i++) {
      question->params[i].name = take_bytes(input, 16);
      question->params[i].value = take_bytes(input, 16);
    }
  }
  request->wants_content_hash = take_choice(input, 2);
  request->body = take_text(input, known_bodies, sizeof known_bodies / sizeof *known_bodies, MAX_BODY);
}

/* ---- What must hold ---- */

static bool documented(const char *code) {
  static const char *const codes[] = {"missing_secret", "bad_secret", "missing_header", "duplicate_header",
                                      "bad_format",     "stale",      "missing_url",    "missing_params",
                                      "mismatch",       "bad_id",     "bad_timestamp"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strcmp(code, codes[i]) == 0) return true;
  return false;
}

static bool ask(const struct lw_verify_request *request, struct lw_proof *proof) {
  struct lw_error error = {"", ""};
  memset(proof, 0, sizeof *proof);
  bool ok = lw_verify(request, proof, &error);
  if (!ok) {
    CHECK(documented(error.code), error.code);
    CHECK(error.message[0] != '\0', "a refusal has a reason");
  }
  return ok;
}

static bool same_bytes(struct lw_bytes a, struct lw_bytes b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static bool covers_body(const struct lw_verify_request *request) {
  const struct lw_scheme *scheme = request->scheme;
  return scheme->algorithm != LW_TOKEN && (strstr(scheme->content, "{body}") || request->params == NULL);
}

/* One flipped bit, at a place that the input chooses. The copy is the caller's to free. */
static struct lw_bytes flipped(struct lw_bytes bytes, struct input *input) {
  char *copy = malloc(bytes.length);
  memcpy(copy, bytes.data, bytes.length);
  size_t at = ((size_t)take_byte(input) << 8 | take_byte(input)) % bytes.length;
  copy[at] = (char)(copy[at] ^ (1 << take_choice(input, 8)));
  return (struct lw_bytes){copy, bytes.length};
}

static void check_other_body(const struct lw_verify_request *request, struct input *input) {
  struct lw_proof proof;
  struct lw_verify_request other = *request;
  if (!covers_body(request)) return;
  if (request->body.length > 0) {
    other.body = flipped(request->body, input);
    CHECK(!ask(&other, &proof), "a changed body is refused");
    free((char *)other.body.data);
    other.body = (struct lw_bytes){request->body.data, request->body.length - 1};
    CHECK(!ask(&other, &proof), "a shorter body is refused");
  } else {
    other.body = text("x");
    CHECK(!ask(&other, &proof), "a longer body is refused");
  }
}

static void check_accepted(const struct lw_verify_request *request, const struct lw_proof *proof,
                           struct input *input) {
  CHECK(proof->secret_index < request->secret_count, "the secret is one of those given");
  CHECK(proof->has_timestamp == lw_scheme_has_timestamp(request->scheme), "a timestamp is proven");
  CHECK((proof->id.data != NULL) == (request->scheme->headers[0].id != NULL), "an id is proven");
  if (proof->has_timestamp) {
    CHECK(proof->timestamp >= 0, "a timestamp is a time");
    struct lw_proof again;
    struct lw_verify_request late = *request;
    late.tolerance = 5;
    late.now = proof->timestamp < INT64_MAX - 6 ? proof->timestamp + 6 : proof->timestamp - 6;
    CHECK(!ask(&late, &again), "six seconds are more than five");
    late.now = proof->timestamp < INT64_MAX - 6 ? proof->timestamp + 5 : proof->timestamp - 5;
    CHECK(ask(&late, &again), "five seconds are not more than five");
  }
  check_other_body(request, input);
}

static void check_answer(const struct question *question, struct input *input) {
  struct lw_proof proof, again;
  struct lw_verify_request with_keyring = question->request;
  with_keyring.keyring = keyring;
  bool ok = ask(&question->request, &proof);
  CHECK(ok == ask(&with_keyring, &again), "a keyring changes no answer");
  CHECK(ok == ask(&with_keyring, &again), "the same question gets the same answer");
  if (!ok) return;
  CHECK(proof.secret_index == again.secret_index && proof.timestamp == again.timestamp &&
            same_bytes(proof.id, again.id) &&
            memcmp(proof.content_hash, again.content_hash, LW_CONTENT_HASH_SIZE) == 0,
        "the same question gets the same proof");
  check_accepted(&question->request, &proof, input);
}

/* The secrets that verify what `secret` signs: a private key's public half. */
static struct lw_bytes verifying_secret(const struct lw_scheme *scheme, struct lw_bytes secret) {
  if (scheme->key == LW_KEY_STANDARD && same_bytes(secret, text(known_secrets[2])))
    return text(known_secrets[3]);
  if (scheme->key == LW_KEY_HEX && same_bytes(secret, text(known_secrets[5]))) return text(known_secrets[4]);
  return secret;
}

static bool key_pair_is_known(const struct lw_scheme *scheme, struct lw_bytes secret) {
  if (scheme->key == LW_KEY_HEX) return same_bytes(secret, text(known_secrets[5]));
  bool private = scheme->key == LW_KEY_STANDARD && secret.length > 5 && memcmp(secret.data, "whsk_", 5) == 0;
  return !private || same_bytes(secret, text(known_secrets[2]));
}

static void check_signed(const struct question *question, struct input *input) {
  const struct lw_verify_request *asked = &question->request;
  static const int64_t times[] = {1614265330, 0, 1, INT64_MAX, INT64_MAX - 1, -1, 1700000000};
  static const char *const ids[] = {"msg_p5jXN8AQM9LWM0D4loKWxJek", "1", "a b"};
  struct lw_sign_request request = {.scheme = asked->scheme,
                                    .secrets = asked->secrets,
                                    .secret_count = asked->secret_count,
                                    .body = asked->body,
                                    .timestamp = times[take_choice(input, sizeof times / sizeof *times)],
                                    .url = asked->url,
                                    .params = asked->params,
                                    .param_count = asked->param_count,
                                    .keyring = take_choice(input, 2) ? keyring : NULL};
  request.id = take_choice(input, 2) ? TAKE_ONE_OF(input, ids) : take_bytes(input, 300);
  static struct lw_signed result;
  struct lw_error error = {"", ""};
  if (!lw_sign(&request, &result, &error)) {
    CHECK(documented(error.code) || strcmp(error.code, "too_long") == 0, error.code);
    CHECK(error.message[0] != '\0', "a refusal has a reason");
    return;
  }
  CHECK(result.count >= 1 && result.count <= LW_SIGNED_HEADERS, "what is signed has headers");
  /* Where there is room for one signature, the first secret made it, and the others were not looked at. */
  size_t secret_count = asked->scheme->layout == LW_PLAIN ? 1 : asked->secret_count;
  CHECK(secret_count <= LW_MAX_SECRETS, "what is signed can be verified");

  struct lw_bytes secrets[LW_MAX_SECRETS];
  for (size_t i = 0; i < secret_count; i++) {
    if (!key_pair_is_known(asked->scheme, asked->secrets[i])) return;
    secrets[i] = verifying_secret(asked->scheme, asked->secrets[i]);
  }
  struct lw_field headers[LW_SIGNED_HEADERS];
  for (size_t i = 0; i < result.count; i++)
    headers[i] = (struct lw_field){text(result.headers[i].name), result.headers[i].value};
  struct lw_verify_request back = *asked;
  back.secrets = secrets;
  back.secret_count = secret_count;
  back.headers = headers;
  back.header_count = result.count;
  back.now = request.timestamp;
  back.tolerance = 0;
  struct lw_proof proof;
  error.code[0] = '\0';
  bool ok = lw_verify(&back, &proof, &error);
  CHECK(ok, error.message);
  if (proof.has_timestamp) CHECK(proof.timestamp == request.timestamp, "the timestamp is the one signed");
  if (proof.id.data) CHECK(same_bytes(proof.id, request.id), "the id is the one signed");
  check_accepted(&back, &proof, input);

  /* With several secrets a header holds several signatures, and losing one leaves the others. */
  if (secret_count != 1) return;
  back.tolerance = LW_ANY_TIME;
  for (size_t i = 0; i < result.count; i++) {
    headers[i].value = flipped(result.headers[i].value, input);
    CHECK(!ask(&back, &proof), "a header with a changed bit is refused");
    free((char *)headers[i].value.data);
    headers[i].value = result.headers[i].value;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  if (keyring == NULL) keyring = lw_keyring_new();
  unsigned choice = take_choice(&input, (unsigned)lw_scheme_count + 4);
  struct lw_scheme *own = choice < lw_scheme_count ? NULL : take_own_scheme(&input);
  const struct lw_scheme *scheme = choice < lw_scheme_count ? &lw_schemes[choice] : own;
  if (scheme) {
    struct question question;
    take_question(&input, scheme, &question);
    check_answer(&question, &input);
    check_signed(&question, &input);
  }
  lw_scheme_free(own);
  return 0;
}
