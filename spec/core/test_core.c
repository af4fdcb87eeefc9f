/* The small parts that need no socket and no file: ids, numbers, retry, events, signatures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "delivery/retry.h"
#include "payload/event.h"
#include "payload/format_raw.h"
#include "signature/hmac.h"
#include "signature/verify.h"

/* A clock that stands still, with a random source that gives one byte for ever. */
struct still {
  int64_t now;
  uint8_t random;
};

static int64_t still_now(void *context) {
  return ((struct still *)context)->now;
}

static void still_random(void *context, void *bytes, size_t length) {
  memset(bytes, ((struct still *)context)->random, length);
}

static void ids_rise_when_the_clock_stands_still_or_goes_back(void **state) {
  (void)state;
  struct still still = {1771143284003, 0xff};
  struct lw_clock clock = {still_now, NULL, still_random, &still};
  struct lw_id_generator generator = {.clock = &clock};
  struct lw_id last, next;
  lw_id_next(&generator, &last);
  for (int i = 0; i < 100000; i++) {
    if (i == 50000) still.now -= 5000;
    lw_id_next(&generator, &next);
    assert_true(memcmp(&next, &last, sizeof next) > 0);
    assert_int_equal(next.bytes[6] >> 4, 7);
    assert_int_equal(next.bytes[8] >> 6, 2);
    last = next;
  }
}

static void an_id_survives_its_text(void **state) {
  (void)state;
  const char *text = "0192f5b0-1234-7abc-8def-0123456789ab";
  struct lw_id id;
  char again[LW_ID_TEXT_SIZE];
  assert_true(lw_id_parse(text, 36, &id));
  lw_id_format(&id, again);
  assert_string_equal(again, text);
  assert_int_equal(lw_id_time(&id), 0x0192f5b01234);
  assert_false(lw_id_parse(text, 35, &id));
  assert_false(lw_id_parse("0192f5b0-1234-7abc-8def-0123456789ag", 36, &id));
  assert_false(lw_id_parse("0192f5b01-234-7abc-8def-0123456789ab", 36, &id));
}

static void a_buffer_stops_at_its_maximum(void **state) {
  (void)state;
  struct lw_buffer buffer;
  lw_buffer_init(&buffer, 10);
  assert_true(lw_buffer_append(&buffer, "0123456789", 10));
  assert_false(lw_buffer_append_char(&buffer, 'x'));
  assert_true(buffer.failed);
  assert_int_equal(buffer.length, 10);
  lw_buffer_clear(&buffer);
  assert_true(lw_buffer_append_text(&buffer, "again"));
  lw_buffer_free(&buffer);
}

static void doubles_are_short_and_read_back(void **state) {
  (void)state;
  const struct {
    double value;
    const char *text;
  } cases[] = {{0.1, "0.1"},
               {-0.0, "-0.0"},
               {1e300, "1e300"},
               {5e-324, "5e-324"},
               {100.0, "100"},
               {-12.5, "-12.5"},
               {1e16, "1e16"},
               {0.00001, "0.00001"},
               {1.5e-7, "1.5e-7"},
               {123456.75, "123456.75"},
               {1e15, "1000000000000000"},
               {2.0 / 3, "0.6666666666666666"},
               {9007199254740991.0, "9007199254740991"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct lw_buffer out;
    lw_buffer_init(&out, 100);
    lw_json_double(&out, cases[i].value);
    lw_buffer_append_char(&out, '\0');
    assert_string_equal(out.data, cases[i].text);
    assert_true(strtod(out.data, NULL) == cases[i].value);
    lw_buffer_free(&out);
  }
}

static void utf8_is_checked_strictly(void **state) {
  (void)state;
  const char *bad[] = {"\x80",     "\xc0\x80",         "\xed\xa0\x80", "\xf4\x90\x80\x80",
                       "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xff"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(lw_utf8_valid_prefix(bad[i], strlen(bad[i])), 0);
  const char *good = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x80";
  assert_int_equal(lw_utf8_valid_prefix(good, strlen(good)), strlen(good));
}

static void an_event_becomes_raw_bytes(void **state) {
  (void)state;
  struct lw_event event;
  struct lw_buffer out;
  lw_event_init(&event);
  lw_buffer_init(&out, 1000);
  assert_true(lw_event_start(&event, "a_b", 3));
  lw_event_open(&event, LW_OBJECT);
  lw_event_key(&event, "n", 1);
  lw_event_integer(&event, INT64_MIN);
  lw_event_key(&event, "u", 1);
  lw_event_unsigned(&event, UINT64_MAX);
  lw_event_key(&event, "s", 1);
  lw_event_unsigned(&event, 7);
  lw_event_key(&event, "l", 1);
  lw_event_open(&event, LW_ARRAY);
  lw_event_text(&event, "\"\\\x01\n", 4);
  lw_event_null(&event);
  lw_event_close(&event);
  lw_event_close(&event);
  struct lw_event_view view = lw_event_view(&event);
  assert_true(lw_format_raw(&view, &out));
  lw_buffer_append_char(&out, '\0');
  assert_string_equal(
      out.data,
      "{\"event\":\"a_b\",\"data\":{\"n\":-9223372036854775808,\"u\":18446744073709551615,\"s\":7,"
      "\"l\":[\"\\\"\\\\\\u0001\\n\",null]}}");
  lw_buffer_free(&out);
  lw_event_free(&event);
}

static void retry_follows_the_schedule_within_the_jitter(void **state) {
  (void)state;
  const struct lw_retry_schedule schedule = {.count = 2, .delays = {1000, 72000000}};
  assert_int_equal(lw_retry_delay(&schedule, 1, 0), 800);
  assert_int_equal(lw_retry_delay(&schedule, 1, UINT32_MAX), 1200);
  assert_int_equal(lw_retry_delay(&schedule, 2, UINT32_MAX), 86400000);
  assert_int_equal(lw_retry_delay(&schedule, 3, 0), -1);
}

static struct lw_bytes bytes(const char *text) {
  return (struct lw_bytes){text, strlen(text)};
}

static void the_published_vector_holds(void **state) {
  (void)state;
  struct lw_bytes secret = bytes("It's a Secret to Everybody");
  struct lw_field header = {bytes("x-signature"),
                            bytes("757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")};
  struct lw_verify_request request = {.scheme = lw_scheme_find("capawesome"),
                                      .secrets = &secret,
                                      .secret_count = 1,
                                      .headers = &header,
                                      .header_count = 1,
                                      .body = bytes("Hello, World!")};
  struct lw_proof proof;
  struct lw_error error;
  assert_true(lw_verify(&request, &proof, &error));
  request.body.length--;
  assert_false(lw_verify(&request, &proof, &error));
  assert_string_equal(error.code, "mismatch");
  header.value.length--;
  assert_false(lw_verify(&request, &proof, &error));
  assert_string_equal(error.code, "bad_format");
  assert_null(lw_hmac_new("", 0));
}

static void base64_is_canonical_or_refused(void **state) {
  (void)state;
  const char *good[] = {"AA==", "/w==", "AAA=", "//8=", "////", "AAEC", "+/+/Zm9v"};
  const char *bad[] = {
      "", "A", "AA", "AAA", "AB==", "AAB=", "A===", "====", "A=A=", "AA=A", "AAAA=", "_-__", "AA A"};
  uint8_t decoded[6];
  char again[8];
  size_t length;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    assert_true(lw_base64_decode(bytes(good[i]), decoded, sizeof decoded, &length));
    lw_base64_encode(decoded, length, again);
    assert_int_equal(LW_BASE64_LENGTH(length), strlen(good[i]));
    assert_memory_equal(again, good[i], strlen(good[i]));
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_false(lw_base64_decode(bytes(bad[i]), decoded, sizeof decoded, &length));
  assert_false(lw_base64_decode(bytes("AAAAAAAAAA=="), decoded, sizeof decoded, &length));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ids_rise_when_the_clock_stands_still_or_goes_back),
      cmocka_unit_test(an_id_survives_its_text),
      cmocka_unit_test(a_buffer_stops_at_its_maximum),
      cmocka_unit_test(doubles_are_short_and_read_back),
      cmocka_unit_test(utf8_is_checked_strictly),
      cmocka_unit_test(an_event_becomes_raw_bytes),
      cmocka_unit_test(retry_follows_the_schedule_within_the_jitter),
      cmocka_unit_test(the_published_vector_holds),
      cmocka_unit_test(base64_is_canonical_or_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
