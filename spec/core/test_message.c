/* What people read: values, keys, templates, messages, and events that are packed and read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "payload/describe.h"
#include "payload/format_raw.h"
#include "payload/message.h"
#include "payload/template.h"

static void assert_text(struct lw_text text, const char *expected) {
  assert_int_equal(text.length, strlen(expected));
  assert_memory_equal(text.bytes, expected, text.length);
}

static void durations_read_in_two_units(void **state) {
  (void)state;
  const struct {
    int64_t seconds;
    const char *words;
  } cases[] = {{0, "0 s"},          {27, "27 s"},       {60, "1 min"},
               {87, "1 min 27 s"},  {3600, "1 h"},      {3605, "1 h"},
               {7500, "2 h 5 min"}, {97200, "1 d 3 h"}, {INT64_MAX, "106751991167300 d 15 h"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char out[LW_VALUE_SIZE];
    size_t length = lw_describe_duration(cases[i].seconds, out);
    assert_text((struct lw_text){out, length}, cases[i].words);
  }
}

static void times_read_in_utc(void **state) {
  (void)state;
  char out[LW_VALUE_SIZE];
  assert_text((struct lw_text){out, lw_describe_time(1771143284003, out)}, "2026-02-15 08:14 UTC");
  assert_text((struct lw_text){out, lw_describe_iso8601(1771143284003, out)}, "2026-02-15T08:14:44.003Z");
  assert_text((struct lw_text){out, lw_describe_iso8601(INT64_MAX, out)}, "9999-12-31T23:59:59.999Z");
  assert_text((struct lw_text){out, lw_describe_iso8601(INT64_MIN, out)}, "1970-01-01T00:00:00.000Z");
}

static void keys_read_as_words(void **state) {
  (void)state;
  const char *const cases[][2] = {{"customerName", "Customer name"},
                                  {"customer_name", "Customer name"},
                                  {"invoiceId", "Invoice ID"},
                                  {"id", "ID"},
                                  {"APIKey", "API key"},
                                  {"customerURL", "Customer URL"},
                                  {"invoice.paid", "Invoice paid"},
                                  {"größe", "Größe"},
                                  {"x2y", "X2y"},
                                  {"a", "A"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char out[LW_LABEL_SIZE];
    struct lw_text key = {cases[i][0], strlen(cases[i][0])};
    assert_text(lw_describe_key(key, false, out), cases[i][1]);
  }
  char out[LW_LABEL_SIZE];
  assert_text(lw_describe_key(LW_TEXT_OF("totalTimeInSeconds"), true, out), "Total time");
}

/* { id, status, createdAt, rate, nested = { name, list = { 7 } } } */
static void build(struct lw_event *event) {
  lw_event_init(event);
  assert_true(lw_event_start(event, "invoice_paid", 12));
  lw_event_open(event, LW_OBJECT);
  lw_event_key(event, "id", 2);
  lw_event_text(event, "16555c02-a320-4bec-a14a-52754d783970", 36);
  lw_event_key(event, "waitInSeconds", 13);
  lw_event_integer(event, 87);
  lw_event_key(event, "createdAt", 9);
  lw_event_double(event, 1771143284003.0);
  lw_event_key(event, "missing", 7);
  lw_event_null(event);
  lw_event_key(event, "customer", 8);
  lw_event_open(event, LW_OBJECT);
  lw_event_key(event, "name", 4);
  lw_event_text(event, "Größe & Co", strlen("Größe & Co"));
  lw_event_key(event, "orders", 6);
  lw_event_open(event, LW_ARRAY);
  lw_event_integer(event, 7);
  lw_event_close(event);
  lw_event_close(event);
  lw_event_close(event);
  assert_false(event->failed);
}

static void assert_filled(struct lw_event *event, const char *source, enum lw_template_kind kind,
                          const char *expected) {
  assert_true(lw_event_present(event));
  assert_true(lw_event_key(event, "title", 5));
  assert_true(lw_template_push(event, (struct lw_text){source, strlen(source)}, kind));
  lw_event_close(event);
  struct lw_event_view view = lw_event_view(event);
  const struct lw_node *title = lw_event_field(&view, view.presentation, "title");
  assert_non_null(title);
  assert_text((struct lw_text){view.text + title->as.text.offset, title->as.text.length}, expected);
}

static void templates_are_filled_from_the_data(void **state) {
  (void)state;
  const char *const cases[][2] = {{"plain", "plain"},
                                  {"", ""},
                                  {"{customer.name}", "Größe & Co"},
                                  {"{customer.orders.1}, {customer.orders.2}", "7, "},
                                  {"{missing}{nothing}{customer}", ""},
                                  {"{{{waitInSeconds}}}", "{1 min 27 s}"},
                                  {"at {createdAt}", "at 2026-02-15 08:14 UTC"},
                                  {"{id}", "16555c02-a320-4bec-a14a-52754d783970"},
                                  {"open { end", "open { end"},
                                  {"{", "{"},
                                  {"}", "}"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct lw_event event;
    build(&event);
    assert_filled(&event, cases[i][0], LW_TEMPLATE_TEXT, cases[i][1]);
    lw_event_free(&event);
  }
}

static void links_get_encoded_values(void **state) {
  (void)state;
  struct lw_event event;
  build(&event);
  assert_filled(&event, "https://x.example/{customer.name}?t={createdAt}", LW_TEMPLATE_LINK,
                "https://x.example/Gr%C3%B6%C3%9Fe%20%26%20Co?t=1771143284003");
  lw_event_free(&event);
}

static void a_template_is_bounded(void **state) {
  (void)state;
  struct lw_event event;
  lw_event_init(&event);
  lw_event_start(&event, "big", 3);
  lw_event_open(&event, LW_OBJECT);
  lw_event_key(&event, "text", 4);
  char *text = malloc(3 * 100000);
  for (int i = 0; i < 100000; i++) memcpy(text + 3 * i, "…", 3);
  assert_true(lw_event_text(&event, text, 3 * 100000));
  lw_event_close(&event);
  lw_event_present(&event);
  lw_event_key(&event, "title", 5);
  assert_true(lw_template_push(&event, LW_TEXT_OF("{text}{text}{text}{text}"), LW_TEMPLATE_TEXT));
  lw_event_close(&event);
  struct lw_event_view view = lw_event_view(&event);
  const struct lw_node *title = lw_event_field(&view, view.presentation, "title");
  assert_in_range(title->as.text.length, LW_TEMPLATE_MAX - 3, LW_TEMPLATE_MAX);
  assert_int_equal(title->as.text.length % 3, 0);
  free(text);
  lw_event_free(&event);
}

static void an_event_survives_packing(void **state) {
  (void)state;
  struct lw_event event;
  struct lw_buffer packed, direct, again;
  build(&event);
  lw_buffer_init(&packed, 1 << 20);
  lw_buffer_init(&direct, 1 << 20);
  lw_buffer_init(&again, 1 << 20);
  lw_event_present(&event);
  lw_event_key(&event, "title", 5);
  lw_event_text(&event, "Paid", 4);
  lw_event_close(&event);
  assert_true(lw_event_pack(&event, &packed));
  size_t second = packed.length;
  assert_int_equal(second % 8, 0);
  assert_true(lw_event_pack(&event, &packed));
  struct lw_event_view view = lw_event_view(&event), copy = lw_event_unpack(packed.data + second);
  lw_format_raw(&view, &direct);
  lw_format_raw(&copy, &again);
  assert_int_equal(direct.length, again.length);
  assert_memory_equal(direct.data, again.data, again.length);
  struct lw_message message;
  lw_message_make(&message, &copy);
  assert_text(message.title, "Paid");
  lw_buffer_free(&packed);
  lw_buffer_free(&direct);
  lw_buffer_free(&again);
  lw_event_free(&event);
}

static void an_event_without_a_presentation_reads_well(void **state) {
  (void)state;
  struct lw_event event;
  struct lw_message message;
  build(&event);
  struct lw_event_view view = lw_event_view(&event);
  lw_message_make(&message, &view);
  assert_text(message.title, "Invoice paid");
  assert_text(message.emoji, "🔔");
  assert_text(message.footer, "invoice_paid");
  assert_int_equal(message.field_count, 3);
  assert_text(message.fields[0].label, "ID");
  assert_text(message.fields[0].value, "16555c02");
  assert_int_equal(message.fields[0].kind, LW_FIELD_CODE);
  assert_text(message.fields[1].label, "Wait");
  assert_text(message.fields[1].value, "1 min 27 s");
  assert_int_equal(message.fields[2].kind, LW_FIELD_TIME);
  assert_int_equal(message.time, 1771143284003);
  lw_event_free(&event);
}

static void the_longest_pieces_fit_the_scratch(void **state) {
  (void)state;
  static const char *const texts[] = {
      "platform", "stack",      "packageVersion", "packageName",    "gitRef",
      "appId",    "appBuildId", "numberAsString", "appChannelName", "appDestinationName"};
  static const char *const names[] = {"job_finished", "app_build_created", "app_deployment_created", "other"};
  for (size_t n = 0; n < 4; n++) {
    struct lw_event event;
    struct lw_message message;
    lw_event_init(&event);
    lw_event_start(&event, names[n], strlen(names[n]));
    lw_event_open(&event, LW_OBJECT);
    char text[5000];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
      lw_event_key(&event, texts[i], strlen(texts[i]));
      lw_event_text(&event, text, sizeof text);
    }
    lw_event_close(&event);
    struct lw_event_view view = lw_event_view(&event);
    lw_message_make(&message, &view);
    assert_true(message.scratch_used < LW_MESSAGE_SCRATCH / 2);
    assert_true(message.title.length > 0 && message.footer.length > 0);
    lw_event_free(&event);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(durations_read_in_two_units),
      cmocka_unit_test(times_read_in_utc),
      cmocka_unit_test(keys_read_as_words),
      cmocka_unit_test(templates_are_filled_from_the_data),
      cmocka_unit_test(links_get_encoded_values),
      cmocka_unit_test(a_template_is_bounded),
      cmocka_unit_test(an_event_survives_packing),
      cmocka_unit_test(an_event_without_a_presentation_reads_well),
      cmocka_unit_test(the_longest_pieces_fit_the_scratch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
