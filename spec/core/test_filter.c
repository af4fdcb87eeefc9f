/* Which events a webhook gets: patterns of names, channels, and tests of fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/choice.h"
#include "delivery/filter.h"
#include "delivery/routing.h"

/* -- patterns ------------------------------------------------------------------------------------------ */

static void a_star_stands_for_any_run_of_characters(void **state) {
  (void)state;
  static const struct {
    const char *pattern, *name;
    bool matches;
  } table[] = {
      {"job_created", "job_created", true},
      {"job_created", "job_creater", false},
      {"job_created", "job_created2", false},
      {"job_created", "job_create", false},
      {"*", "a", true},
      {"**", "a", true},
      {"*", "", true},
      {"job_*", "job_created", true},
      {"job_*", "job_", true},
      {"job_*", "job", false},
      {"job_*", "my_job_created", false},
      {"*_created", "app_build_created", true},
      {"*_created", "_created", true},
      {"*_created", "app_build_created_x", false},
      {"app_*_created", "app_build_created", true},
      {"app_*_created", "app__created", true},
      {"app_*_created", "app_created", false}, /* the two ends may not share a character */
      {"app_*_created", "app_build_createdapp", false},
      {"a*a", "a", false},
      {"a*a", "aa", true},
      {"*b*", "abc", true},
      {"*b*", "ac", false},
      {"*ab*ab*", "abab", true},
      {"*ab*ab*", "aba", false},
      {"*ab*ba*", "aba", false},
      {"*ab*ba*", "abba", true},
      {"a*b*c", "abbcc", true},
      {"a*b*c", "acb", false},
      {"a*bc*bc", "abc", false},
      {"a*bc*bc", "abcbc", true},
      {"a***c", "abc", true},
      {"*a.b", "xaXb", false}, /* a dot is a dot */
      {"*a.b", "xa.b", true},
      {"*A*", "a", false},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (lw_pattern_matches(table[i].pattern, strlen(table[i].pattern), table[i].name) != table[i].matches)
      fail_msg("%s on %s", table[i].pattern, table[i].name);
}

/* The plainest way to match, by trying everything. */
static bool matches_slowly(const char *pattern, const char *name) {
  if (*pattern == '\0') return *name == '\0';
  if (*pattern == '*')
    return matches_slowly(pattern + 1, name) || (*name != '\0' && matches_slowly(pattern, name + 1));
  return *pattern == *name && matches_slowly(pattern + 1, name + 1);
}

static void all_short_patterns_match_as_trying_everything_does(void **state) {
  (void)state;
  for (int p = 0; p < 3 * 3 * 3 * 3 * 3 * 3; p++) {
    char pattern[7] = "";
    for (int i = 0, rest = p; i < 6; i++, rest /= 3) pattern[i] = "ab*"[rest % 3];
    for (int n = 0; n < 128; n++) {
      char name[8] = "";
      int length = 0;
      for (int rest = n; rest > 1; rest /= 2) name[length++] = "ab"[rest % 2];
      for (size_t cut = 0; cut <= 6; cut += 3) {
        char part[7] = "";
        memcpy(part, pattern, 6 - cut);
        if (lw_pattern_matches(part, strlen(part), name) != matches_slowly(part, name))
          fail_msg("%s on %s", part, name);
      }
    }
  }
}

static void a_hostile_pattern_takes_no_time(void **state) {
  (void)state;
  enum { LENGTH = 10000 };
  char *pattern = malloc(LENGTH), *name = malloc(LENGTH + 1);
  assert_non_null(pattern);
  assert_non_null(name);
  for (int i = 0; i < LENGTH; i++) pattern[i] = i % 2 ? '*' : 'a';
  pattern[LENGTH - 2] = 'b';
  memset(name, 'a', LENGTH);
  name[LENGTH] = '\0';
  assert_false(lw_pattern_matches(pattern, LENGTH, name)); /* backtracking would not come back */
  free(pattern);
  free(name);
}

static void a_list_of_events_is_names_and_patterns(void **state) {
  (void)state;
  assert_true(lw_events_name("a,job_created", "job_created"));
  assert_true(lw_events_name("a,*", "job_created"));
  assert_false(lw_events_name("a,job_*", "job_created"));
  assert_true(lw_events_match("a,job_*", "job_created"));
  assert_true(lw_events_match("a,*", "job_created"));
  assert_false(lw_events_match("a,jo,created", "job_created"));
  assert_false(lw_events_match("", "job_created"));
  assert_true(lw_events_have_patterns("a,job_*"));
  assert_true(lw_events_have_patterns("*x,a"));
  assert_false(lw_events_have_patterns("a,*,b"));
  assert_false(lw_events_have_patterns("a,b"));
}

static void a_pattern_has_the_characters_of_a_name(void **state) {
  (void)state;
  char long_one[LW_EVENT_MAX_PATTERN + 2];
  memset(long_one, '*', sizeof long_one);
  assert_true(lw_pattern_valid("*", 1));
  assert_true(lw_pattern_valid("Az09_.:-*", 9));
  assert_true(lw_pattern_valid(long_one, LW_EVENT_MAX_PATTERN));
  assert_false(lw_pattern_valid(long_one, LW_EVENT_MAX_PATTERN + 1));
  assert_false(lw_pattern_valid("", 0));
  for (const char *bad = " ,?[]()%\n\x80/"; *bad; bad++) {
    const char pattern[] = {'a', *bad, '*'};
    assert_false(lw_pattern_valid(pattern, sizeof pattern));
  }
  assert_false(lw_pattern_valid("a\0*", 3));
}

/* -- channels ------------------------------------------------------------------------------------------ */

static void a_channel_admits_what_carries_it(void **state) {
  (void)state;
  static const struct {
    const char *webhook, *message;
    bool admits;
  } table[] = {
      {NULL, NULL, true},        {NULL, "a", true},    {"a", NULL, false},    {"a", "a", true},
      {"a", "b", false},         {"a,b", "c,b", true}, {"a,b", "c,d", false}, {"ab", "a", false},
      {"a", "ab", false},        {"a", "b,a", true},   {"a", "A", false},     {"a,b,c", "c", true},
      {"acme:x", "acme", false}, {"a", "aa,a", true},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (lw_channels_admit(table[i].webhook, table[i].message) != table[i].admits)
      fail_msg("%s, %s", table[i].webhook, table[i].message);
}

static void channels_are_checked(void **state) {
  (void)state;
  struct lw_error error;
  assert_true(lw_channels_check("a", &error));
  assert_true(lw_channels_check("acme,Beta-2:x.y_z", &error));
  static const char *const bad[] = {"", ",", "a,", ",a", "a,,b", "a b", "a*", "\xc3\xa9"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_false(lw_channels_check(bad[i], &error));
    assert_string_equal(error.code, "invalid");
  }
  char list[2 * (LW_MAX_CHANNELS + 1)] = "";
  for (int i = 0; i < LW_MAX_CHANNELS; i++) memcpy(list + 2 * i, i ? "a," : "b,", 3);
  list[2 * LW_MAX_CHANNELS - 1] = '\0';
  assert_true(lw_channels_check(list, &error));
  memcpy(list + 2 * LW_MAX_CHANNELS - 1, ",c", 3);
  assert_false(lw_channels_check(list, &error));
  assert_non_null(strstr(error.message, "more than 32"));
  char name[LW_CHANNEL_MAX_NAME + 2];
  memset(name, 'x', sizeof name);
  assert_true(lw_channel_check(name, LW_CHANNEL_MAX_NAME, &error));
  assert_false(lw_channel_check(name, LW_CHANNEL_MAX_NAME + 1, &error));
  assert_false(lw_channel_check("a\0b", 3, &error));
}

/* -- filters ------------------------------------------------------------------------------------------- */

static void add_text(struct lw_event *event, const char *key, const char *text) {
  lw_event_key(event, key, strlen(key));
  lw_event_text(event, text, strlen(text));
}

static void add_key(struct lw_event *event, const char *key) {
  lw_event_key(event, key, strlen(key));
}

/* What the tables below look at. */
static void make_event(struct lw_event *event) {
  lw_event_init(event);
  assert_true(lw_event_start(event, "job_finished", 12));
  lw_event_open(event, LW_OBJECT);
  add_text(event, "status", "failed");
  add_key(event, "none");
  lw_event_null(event);
  add_key(event, "yes");
  lw_event_boolean(event, true);
  add_key(event, "no");
  lw_event_boolean(event, false);
  add_key(event, "one");
  lw_event_integer(event, 1);
  add_key(event, "zero");
  lw_event_double(event, -0.0);
  add_key(event, "float");
  lw_event_double(event, 2.0);
  add_key(event, "half");
  lw_event_double(event, 0.5);
  add_key(event, "wide");
  lw_event_integer(event, INT64_C(9007199254740993));
  add_key(event, "even");
  lw_event_integer(event, INT64_C(9007199254740992));
  add_key(event, "least");
  lw_event_integer(event, INT64_MIN);
  add_key(event, "most");
  lw_event_integer(event, INT64_MAX);
  add_key(event, "huge");
  lw_event_unsigned(event, UINT64_MAX);
  add_key(event, "half_range");
  lw_event_unsigned(event, UINT64_C(1) << 63);
  add_key(event, "far");
  lw_event_double(event, 1e300);
  add_key(event, "customer");
  lw_event_open(event, LW_OBJECT);
  add_text(event, "country", "DE");
  add_text(event, "line", "a\n\"b\" 'c' |=.+-;");
  lw_event_close(event);
  add_key(event, "tags");
  lw_event_open(event, LW_ARRAY);
  lw_event_text(event, "x", 1);
  lw_event_text(event, "y", 1);
  lw_event_close(event);
  add_text(event, "empty", "");
  lw_event_close(event);
  assert_false(event->failed);
}

static struct lw_filter *parsed(const char *text) {
  struct lw_error error;
  struct lw_filter *filter = lw_filter_parse(text, strlen(text), &error);
  if (filter == NULL) fail_msg("%s: %s", text, error.message);
  return filter;
}

static void every_test_holds_or_not(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool matches;
  } table[] = {
      {"1.6:status=s6:failed", true},
      {"1.6:status=s9:succeeded", false},
      {"1.6:status=s5:faile", false},
      {"1.6:status=s7:failed!", false},
      {"1.6:Status=s6:failed", false},
      {"1.6:status|s9:timed_out|s6:failed", true},
      {"1.6:status|s9:timed_out", false},
      {"1.6:status|n|t|i1;|s6:failed", true},
      {"1.5:empty=s0:", true},
      {"1.6:status=s0:", false},
      /* paths */
      {"1.16:customer.country=s2:DE", true},
      {"1.16:customer.country=s2:FR", false},
      {"1.13:customer.line=s16:a\n\"b\" 'c' |=.+-;", true},
      {"1.6:tags.2=s1:y", true},
      {"1.6:tags.3=s1:y", false},
      {"1.4:tags=s1:x", false},
      {"1.8:customer=s2:DE", false},
      {"1.13:status.length=i6;", false},
      /* there or not */
      {"1.6:status+", true},
      {"1.6:status-", false},
      {"1.4:none+", false},
      {"1.4:none-", true},
      {"1.7:nowhere+", false},
      {"1.7:nowhere-", true},
      {"1.14:nowhere.at.all-", true},
      {"1.8:customer+", true},
      {"1.16:customer.country+", true},
      {"1.2:no+", true},
      {"1.5:empty+", true},
      /* null, booleans */
      {"1.4:none=n", true},
      {"1.7:nowhere=n", true},
      {"1.6:status=n", false},
      {"1.2:no=n", false},
      {"1.3:yes=t", true},
      {"1.3:yes=f", false},
      {"1.2:no=f", true},
      {"1.4:none=f", false},
      {"1.3:yes=s4:true", false},
      {"1.3:yes=i1;", false},
      /* numbers: 1.0 is 3ff0000000000000, 2.0 is 4000000000000000, 2^53 is 4340000000000000 */
      {"1.3:one=i1;", true},
      {"1.3:one=d3ff0000000000000", true},
      {"1.3:one=s1:1", false},
      {"1.3:one=t", false},
      {"1.3:one=i-1;", false},
      {"1.5:float=i2;", true},
      {"1.5:float=d4000000000000000", true},
      {"1.5:float=i3;", false},
      {"1.4:half=d3fe0000000000000", true},
      {"1.4:half=i0;", false},
      {"1.4:zero=i0;", true},
      {"1.4:zero=d0000000000000000", true},
      {"1.4:wide=i9007199254740993;", true},
      {"1.4:wide=i9007199254740992;", false},
      {"1.4:wide=d4340000000000000", false},
      {"1.4:even=d4340000000000000", true},
      {"1.5:least=i-9223372036854775808;", true},
      {"1.5:least=dc3e0000000000000", true}, /* -2^63 */
      {"1.4:most=i9223372036854775807;", true},
      {"1.4:most=i9223372036854775808;", false},
      {"1.4:most=d43e0000000000000", false}, /* 2^63 */
      {"1.10:half_range=d43e0000000000000", true},
      {"1.10:half_range=i9223372036854775808;", true},
      {"1.10:half_range=i-9223372036854775808;", false},
      {"1.4:huge=i18446744073709551615;", true},
      {"1.4:huge=i18446744073709551614;", false},
      {"1.4:huge=i-1;", false},
      {"1.4:huge=d43f0000000000000", false}, /* 2^64 */
      {"1.3:far=i9223372036854775807;", false},
      {"1.3:far=i18446744073709551615;", false},
      {"1.3:one=d7e37e43c8800759c", false}, /* 1e300 */
      {"1.3:far=d7e37e43c8800759c", true},
      /* all must hold */
      {"1.6:status=s6:failed.3:one=i1;", true},
      {"1.6:status=s6:failed.3:one=i2;", false},
      {"1.6:status=s1:x.3:one=i1;", false},
      {"1.6:status|s1:x|s6:failed.7:nowhere-.3:one+", true},
      {"1.6:status=s6:failed.6:status=s1:x", false},
  };
  struct lw_event event;
  make_event(&event);
  struct lw_event_view view = lw_event_view(&event);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_filter *filter = parsed(table[i].text);
    if (lw_filter_matches(filter, &view) != table[i].matches) fail_msg("%s", table[i].text);
    free(filter);
  }
  lw_event_free(&event);
}

static void what_is_no_filter_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *why;
  } table[] = {
      {"", "damaged, or of another version"},
      {"2.1:a=n", "damaged, or of another version"},
      {"1", "filter: is empty"},
      {"1x", "damaged"},
      {"1.", "damaged"},
      {"1.1", "damaged"},
      {"1.9:a=n", "damaged"},
      {"1.99999999999999999999:a=n", "damaged"},
      {"1.:a=n", "damaged"},
      {"1.-1:a=n", "damaged"},
      {"1.0:=n", "filter: a field is 1 to 256 bytes"},
      {"1.2:.a=n", "filter: a field is"},
      {"1.2:a.=n", "filter: a field is"},
      {"1.4:a..b=n", "filter: a field is"},
      {"1.1:\xff=n", "filter: a field is"},
      {"1.1:a", "field 'a': the list is empty"},
      {"1.1:a.1:b=n", "field 'a': the list is empty"},
      {"1.1:a=", "field 'a': the stored text"},
      {"1.1:a|", "field 'a': the stored text"},
      {"1.1:a|n|", "damaged"},
      {"1.1:a=n|n", "damaged"},
      {"1.1:a=x", "damaged"},
      {"1.1:a?n", "damaged"},
      {"1.1:a+n", "damaged"},
      {"1.1:a=nn", "damaged"},
      {"1.1:a=s2:x", "damaged"},
      {"1.1:a=s1:xy", "damaged"},
      {"1.1:a=s1:\xff", "field 'a': is not valid UTF-8"},
      {"1.1:a=i;", "damaged"},
      {"1.1:a=i-;", "damaged"},
      {"1.1:a=i1", "damaged"},
      {"1.1:a=i1.5;", "damaged"},
      {"1.1:a=i18446744073709551616;", "damaged"},
      {"1.1:a=i-9223372036854775809;", "damaged"},
      {"1.1:a=d3ff", "damaged"},
      {"1.1:a=d3FF0000000000000", "damaged"},
      {"1.1:a=d7ff0000000000000", "field 'a': cannot be NaN or infinity"},
      {"1.1:a=dfff8000000000000", "field 'a': cannot be NaN or infinity"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_error error = {"", ""};
    if (lw_filter_parse(table[i].text, strlen(table[i].text), &error) != NULL)
      fail_msg("%s was read", table[i].text);
    assert_string_equal(error.code, "invalid");
    if (strstr(error.message, table[i].why) == NULL) fail_msg("%s: %s", table[i].text, error.message);
    assert_int_equal(strncmp(error.message, "filter: ", 8), 0);
  }
  struct lw_error error;
  assert_null(lw_filter_parse("1.1:a=s3:x\0y", 12, &error));
  assert_non_null(strstr(error.message, "field 'a': holds a NUL byte"));
  assert_null(lw_filter_parse("1.3:x\0y+", 8, &error));
}

/* Cut anywhere, or with any byte changed, a text is read or refused, and never read past its end (the copy
 * is as long as the text, which the sanitizers watch). */
static void damage_anywhere_is_survived(void **state) {
  (void)state;
  static const char whole[] = "1.6:status|s6:failed|i-12;|d3ff0000000000000|n|t.1:a+.1:b=f";
  struct lw_error error;
  for (size_t length = 0; length < sizeof whole; length++) {
    char *copy = malloc(length + 1);
    assert_non_null(copy);
    memcpy(copy, whole, length);
    for (size_t at = 0; at < length; at++) {
      for (int byte = 0; byte < 256; byte++) {
        copy[at] = (char)byte;
        char *exact = malloc(length);
        memcpy(exact, copy, length);
        free(lw_filter_parse(exact, length, &error));
        free(exact);
      }
      copy[at] = whole[at];
    }
    free(copy);
  }
}

static void the_bounds_are_kept(void **state) {
  (void)state;
  struct lw_error error;
  struct lw_buffer out;
  lw_buffer_init(&out, 4 * LW_FILTER_MAX_BYTES);
  for (int extra = 0; extra <= 1; extra++) {
    lw_buffer_clear(&out);
    lw_filter_start(&out);
    for (int i = 0; i < LW_FILTER_MAX_ENTRIES + extra; i++) {
      lw_filter_field(&out, "a", 1);
      lw_filter_test(&out, LW_FILTER_EXISTS);
    }
    struct lw_filter *filter = lw_filter_parse(out.data, out.length, &error);
    assert_true((filter != NULL) == (extra == 0));
    free(filter);
  }
  assert_string_equal(error.message, "filter: has more than 32 fields");
  for (int extra = 0; extra <= 1; extra++) {
    lw_buffer_clear(&out);
    lw_filter_start(&out);
    lw_filter_field(&out, "a", 1);
    for (int i = 0; i < LW_FILTER_MAX_VALUES + extra; i++) {
      lw_filter_test(&out, LW_FILTER_ANY);
      lw_filter_integer(&out, i);
    }
    struct lw_filter *filter = lw_filter_parse(out.data, out.length, &error);
    assert_true((filter != NULL) == (extra == 0));
    free(filter);
  }
  assert_string_equal(error.message, "filter: field 'a': has more than 64 values");
  static char long_text[LW_FILTER_MAX_BYTES + 1];
  memset(long_text, 'x', sizeof long_text);
  for (int extra = 0; extra <= 1; extra++) {
    lw_buffer_clear(&out);
    lw_filter_start(&out);
    lw_filter_field(&out, long_text, LW_FILTER_MAX_PATH + (size_t)extra);
    lw_filter_test(&out, LW_FILTER_EXISTS);
    struct lw_filter *filter = lw_filter_parse(out.data, out.length, &error);
    assert_true((filter != NULL) == (extra == 0));
    free(filter);
  }
  for (size_t extra = 0; extra <= 1; extra++) {
    lw_buffer_clear(&out);
    lw_filter_start(&out);
    lw_filter_field(&out, "a", 1);
    lw_filter_test(&out, LW_FILTER_IS);
    lw_filter_text(&out, long_text, LW_FILTER_MAX_BYTES - strlen("1.1:a=s16372:") + extra);
    struct lw_filter *filter = lw_filter_parse(out.data, out.length, &error);
    assert_true((filter != NULL) == (extra == 0));
    free(filter);
  }
  assert_string_equal(error.message, "filter: longer than 16384 bytes");
  lw_buffer_free(&out);
}

static void what_is_written_is_read_back(void **state) {
  (void)state;
  struct lw_buffer out;
  lw_buffer_init(&out, LW_FILTER_MAX_BYTES);
  lw_filter_start(&out);
  lw_filter_field(&out, "a.b c\n'\"=|", 10);
  lw_filter_test(&out, LW_FILTER_ANY);
  lw_filter_null(&out);
  lw_filter_test(&out, LW_FILTER_ANY);
  lw_filter_boolean(&out, true);
  lw_filter_test(&out, LW_FILTER_ANY);
  lw_filter_boolean(&out, false);
  lw_filter_test(&out, LW_FILTER_ANY);
  lw_filter_integer(&out, INT64_MIN);
  lw_filter_test(&out, LW_FILTER_ANY);
  lw_filter_unsigned(&out, UINT64_MAX);
  lw_filter_test(&out, LW_FILTER_ANY);
  lw_filter_double(&out, 0.1);
  lw_filter_test(&out, LW_FILTER_ANY);
  lw_filter_text(&out, "s1:x|.+\n", 8);
  lw_filter_field(&out, "c", 1);
  lw_filter_test(&out, LW_FILTER_EXISTS);
  lw_filter_field(&out, "d", 1);
  lw_filter_test(&out, LW_FILTER_MISSING);
  lw_filter_field(&out, "e", 1);
  lw_filter_test(&out, LW_FILTER_IS);
  lw_filter_integer(&out, 7);
  struct lw_error error;
  struct lw_filter *filter = lw_filter_parse(out.data, out.length, &error);
  lw_buffer_free(&out); /* the filter keeps nothing of it */
  assert_non_null(filter);
  assert_int_equal(filter->count, 4);
  const struct lw_filter_entry *entry = filter->entries;
  assert_int_equal(entry->test, LW_FILTER_ANY);
  assert_int_equal(entry->path_length, 10);
  assert_memory_equal(entry->path, "a.b c\n'\"=|", 10);
  assert_int_equal(entry->count, 7);
  assert_int_equal(entry->values[0].kind, LW_NULL);
  assert_int_equal(entry->values[1].kind, LW_TRUE);
  assert_int_equal(entry->values[2].kind, LW_FALSE);
  assert_true(entry->values[3].kind == LW_INTEGER && entry->values[3].as.integer == INT64_MIN);
  assert_true(entry->values[4].kind == LW_UNSIGNED && entry->values[4].as.wide == UINT64_MAX);
  assert_true(entry->values[5].kind == LW_DOUBLE && entry->values[5].as.number == 0.1);
  assert_int_equal(entry->values[6].as.text.length, 8);
  assert_memory_equal(filter->text + entry->values[6].as.text.offset, "s1:x|.+\n", 8);
  assert_int_equal(entry[1].test, LW_FILTER_EXISTS);
  assert_int_equal(entry[2].test, LW_FILTER_MISSING);
  assert_int_equal(entry[3].test, LW_FILTER_IS);
  assert_true(entry[3].count == 1 && entry[3].values[0].as.integer == 7);
  free(filter);
}

/* -- routing ------------------------------------------------------------------------------------------- */

static void a_filter_of_a_newer_version_is_left_to_it(void **state) {
  (void)state;
  struct lw_error error;
  struct lw_store *store = lw_store_open(":memory:", &error);
  assert_non_null(store);
  static const struct {
    const char *filter;
    bool routed, readable;
  } table[] = {{NULL, true, false}, {"1.1:a-", true, true}, {"1.1:a+", false, true}, {"2?new", false, false}};
  struct lw_event event;
  make_event(&event);
  struct lw_buffer packed;
  lw_buffer_init(&packed, LW_EVENT_MAX_BYTES);
  assert_true(lw_event_pack(&event, &packed));
  struct lw_emit_item item = {.app_id = "app", .event = "job_finished", .packed = packed.data};
  struct lw_routing routing;
  struct lw_settings *defaults = lw_settings_default();
  bool reloaded;
  lw_routing_init(&routing, defaults);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct lw_webhook webhook = {.id = {{(uint8_t)(i + 1)}},
                                 .app_id = (char *)"app",
                                 .name = (char *)"x",
                                 .url = (char *)"https://example.test/",
                                 .format = (char *)"raw",
                                 .events = (char *)"job_*",
                                 .enabled = true,
                                 .filter = (char *)table[i].filter};
    bool found;
    assert_true(lw_store_insert_webhook(store, &webhook, &error));
    assert_true(lw_routing_refresh(&routing, store, &reloaded, &error));
    struct lw_route *route = lw_routing_find(&routing, &webhook.id);
    assert_non_null(route); /* what was stored for it is sent */
    assert_true(route->patterns);
    assert_true(route->choosy == (table[i].filter != NULL));
    assert_true((route->filter != NULL) == table[i].readable);
    assert_int_equal(lw_routing_choose(&routing, &item), table[i].routed);
    assert_true(lw_store_delete_webhook(store, &webhook.id, &found, &error));
  }
  lw_routing_free(&routing);
  lw_settings_drop(defaults);
  lw_store_close(store);
  lw_buffer_free(&packed);
  lw_event_free(&event);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_star_stands_for_any_run_of_characters),
      cmocka_unit_test(all_short_patterns_match_as_trying_everything_does),
      cmocka_unit_test(a_hostile_pattern_takes_no_time),
      cmocka_unit_test(a_list_of_events_is_names_and_patterns),
      cmocka_unit_test(a_pattern_has_the_characters_of_a_name),
      cmocka_unit_test(a_channel_admits_what_carries_it),
      cmocka_unit_test(channels_are_checked),
      cmocka_unit_test(every_test_holds_or_not),
      cmocka_unit_test(what_is_no_filter_is_refused),
      cmocka_unit_test(damage_anywhere_is_survived),
      cmocka_unit_test(the_bounds_are_kept),
      cmocka_unit_test(what_is_written_is_read_back),
      cmocka_unit_test(a_filter_of_a_newer_version_is_left_to_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
