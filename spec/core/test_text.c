/* Text for people: characters as a reader sees them, and how text is cut, cleaned and escaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "payload/text.h"

static struct lw_text of(const char *string) {
  return (struct lw_text){string, strlen(string)};
}

/* `text`, appended, must read `expected`; the result must be its code points. */
static void check(bool one_line, const char *text, size_t limit, lw_escape *escape, const char *expected) {
  struct lw_buffer out;
  lw_buffer_init(&out, 100000);
  lw_buffer_append_text(&out, "<");
  size_t count = one_line ? lw_text_append_line(&out, of(text), limit, escape)
                          : lw_text_append(&out, of(text), limit, escape);
  lw_buffer_append_char(&out, '\0');
  assert_string_equal(out.data + 1, expected);
  assert_int_equal(count, lw_text_count(of(expected)));
  lw_buffer_free(&out);
}

static size_t double_stars(const char *bytes, size_t length, enum lw_place place, char before,
                           char escaped[LW_ESCAPE_MAX]) {
  (void)before;
  memcpy(escaped, "\\", 1);
  if (*bytes == '*' || (*bytes == '#' && place == LW_LINE_START) ||
      (*bytes == '.' && place == LW_AFTER_NUMBER)) {
    escaped[1] = *bytes;
    return 2;
  }
  if (*bytes == '!') return 0;
  memcpy(escaped, bytes, length);
  return length;
}

/* The first character of each text is what stands before the bar. */
static void a_character_is_what_a_reader_sees(void **state) {
  (void)state;
  static const char *const cases[] = {
      "a|b",
      "a|",
      "e\u0301|x",
      "e\u0301\u0323|e",
      "👍🏽|👍",
      "👨‍👩‍👧‍👦|x",
      "❤️|❤",
      "1️⃣|2",
      "🇩🇪|🇫🇷",
      "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f|x",
      "\r\n|\n",
      "\r|\r",
      "\n|\u0301",
      "한|글",
      "\u1112\u1161\u11ab|\u1100",
      "각|\u1100",
      "कि|त",
      "กำ|ก",
      "a\u200d|b",
      "🙂|🙃",
      "\u2028|\u0301",
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char joined[100] = "";
    const char *bar = strchr(cases[i], '|');
    memcpy(joined, cases[i], (size_t)(bar - cases[i]));
    strcat(joined, bar + 1);
    assert_int_equal(lw_text_cluster(of(joined)), (size_t)(bar - cases[i]));
  }
}

static void a_pile_of_marks_has_an_end(void **state) {
  (void)state;
  char pile[1 + 2 * 100 + 1] = "a";
  for (size_t i = 0; i < 100; i++) memcpy(pile + 1 + 2 * i, "\u0301", 2);
  assert_int_equal(lw_text_cluster(of(pile)), 1 + 2 * (LW_CLUSTER_MAX - 1));
}

static void code_points_are_counted(void **state) {
  (void)state;
  assert_int_equal(lw_text_count(of("")), 0);
  assert_int_equal(lw_text_count(of("abc")), 3);
  assert_int_equal(lw_text_count(of("aé€🚀")), 4);
  assert_int_equal(lw_text_count(of("éééééééé€€€€🚀🚀🚀🚀🚀abcdefg")), 24);
  unsigned code;
  assert_int_equal(lw_text_code_point(of("🚀x"), &code), 4);
  assert_int_equal(code, 0x1f680);
  assert_int_equal(lw_text_code_point(of("é"), &code), 2);
  assert_int_equal(code, 0xe9);
}

static void white_space_is_trimmed_at_both_ends(void **state) {
  (void)state;
  struct lw_text text = lw_text_trim(of(" \t\r\n\u00a0\u3000a b\u2003\u2028 "));
  assert_int_equal(text.length, 3);
  assert_memory_equal(text.bytes, "a b", 3);
  assert_int_equal(lw_text_trim(of(" \u2028 ")).length, 0);
  assert_int_equal(lw_text_trim(of("")).length, 0);
}

static void blank_text_has_nothing_to_see(void **state) {
  (void)state;
  assert_true(lw_text_blank(of("")));
  assert_true(
      lw_text_blank(of(" \t\n\u00a0\u200b\u200d\ufeff\u202e\u2060\u00ad\u3164\ufe0f\x01\x7f\xc2\x85")));
  assert_true(lw_text_blank((struct lw_text){"\0\0", 2}));
  assert_false(lw_text_blank(of("\u200b.")));
  assert_false(lw_text_blank(of("é")));
}

static void text_is_cut_with_an_ellipsis_that_counts(void **state) {
  (void)state;
  check(false, "abcde", 6, NULL, "abcde");
  check(false, "abcde", 5, NULL, "abcde");
  check(false, "abcde", 4, NULL, "abc…");
  check(false, "abcde", 1, NULL, "…");
  check(false, "abcde", 0, NULL, "");
  check(false, "", 0, NULL, "");
  check(false, "🚀🚀🚀", 3, NULL, "🚀🚀🚀");
  check(false, "🚀🚀🚀", 2, NULL, "🚀…");
  check(false, "ab cd ef", LW_TEXT_NO_LIMIT, NULL, "ab cd ef");
}

static void a_cut_never_splits_a_character(void **state) {
  (void)state;
  check(false, "ab👨‍👩‍👧cd", 6, NULL, "ab…");
  check(false, "ab👨‍👩‍👧cd", 7, NULL, "ab…");
  check(false, "ab👨‍👩‍👧cd", 8, NULL, "ab👨‍👩‍👧…");
  check(false, "ab👨‍👩‍👧cd", 9, NULL, "ab👨‍👩‍👧cd");
  check(false, "xe\u0301y", 3, NULL, "x…");
  check(false, "xe\u0301y", 4, NULL, "xe\u0301y");
  check(false, "🇩🇪🇫🇷", 3, NULL, "🇩🇪…");
  check(false, "👍🏽", 1, NULL, "…");
}

static void a_cut_never_splits_an_escape(void **state) {
  (void)state;
  check(false, "***", 6, double_stars, "\\*\\*\\*");
  check(false, "***", 5, double_stars, "\\*\\*…");
  check(false, "***", 4, double_stars, "\\*…");
  check(false, "***", 3, double_stars, "\\*…");
  check(false, "***", 2, double_stars, "…");
  check(false, "a!!b", 2, double_stars, "ab");
}

static void an_escape_knows_its_place(void **state) {
  (void)state;
  check(false, "# a # b", 99, double_stars, "\\# a # b");
  check(false, "a\n \t# b", 99, double_stars, "a\n  \\# b");
  check(false, "x\r\n10. y 2. z", 99, double_stars, "x\n10\\. y 2. z");
  check(false, "1 . 2", 99, double_stars, "1 . 2");
  check(false, "v1.2", 99, double_stars, "v1.2");
  check(true, "a\n# b", 99, double_stars, "a # b");
}

static void nothing_hidden_comes_through(void **state) {
  (void)state;
  check(false,
        "a\x1b[31mb\x7f\xc2\x9b"
        "c",
        99, NULL, "a[31mbc");
  check(false, "a\u202eb\u2066c\u200ed\u061ce\ufefff\u200fg", 99, NULL, "abcdefg");
  check(false, "a\u202e\u202e\u202e", 1, NULL, "a");
  check(false,
        "a\r\nb\rc\u2028d\u2029e\xc2\x85"
        "f\vg",
        99, NULL, "a\nb\nc\nd\ne\nf\ng");
  check(false, "a\tb", 99, NULL, "a b");
}

static void one_line_is_one_line(void **state) {
  (void)state;
  check(true, "  a \r\n\t b\u2028\u3000c  ", 99, NULL, "a b c");
  check(true, "a\x01 \x02 b", 99, NULL, "a b");
  check(true, "a b", 3, NULL, "a b");
  check(true, "a b   ", 3, NULL, "a b");
  check(true, "a bc", 3, NULL, "a…");
  check(true, "a bcd", 4, NULL, "a b…");
  check(true, "   ", 99, NULL, "");
  check(true, "\x01 a", 99, NULL, "a");
}

/* Plain runs take a short cut; any limit must give the same as cutting one character after the other. */
static void every_limit_cuts_the_same_way(void **state) {
  (void)state;
  const char *text = "Build 45 of com.example.app from main: e\u0301* 1. done 👍🏽 ok";
  size_t all = lw_text_count(of(text));
  for (size_t limit = 1; limit <= all + 1; limit++) {
    struct lw_buffer out;
    lw_buffer_init(&out, 1000);
    size_t appended = lw_text_append(&out, of(text), limit, NULL);
    assert_int_equal(appended, lw_text_count((struct lw_text){out.data, out.length}));
    size_t shown = 0, length = 0;
    while (limit < all) {
      size_t step = lw_text_cluster(of(text + length));
      size_t count = lw_text_count((struct lw_text){text + length, step});
      if (shown + count > limit - 1) break;
      shown += count;
      length += step;
    }
    if (limit >= all) length = strlen(text);
    assert_int_equal(out.length, limit < all ? length + strlen("…") : length);
    assert_memory_equal(out.data, text, length);
    lw_buffer_free(&out);
  }
}

static void a_full_buffer_stays_within_its_maximum(void **state) {
  (void)state;
  struct lw_buffer out;
  lw_buffer_init(&out, 4);
  lw_text_append(&out, of("abc*def"), 5, double_stars);
  assert_true(out.failed);
  assert_true(out.length <= 4);
  lw_buffer_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_character_is_what_a_reader_sees),
      cmocka_unit_test(a_pile_of_marks_has_an_end),
      cmocka_unit_test(code_points_are_counted),
      cmocka_unit_test(white_space_is_trimmed_at_both_ends),
      cmocka_unit_test(blank_text_has_nothing_to_see),
      cmocka_unit_test(text_is_cut_with_an_ellipsis_that_counts),
      cmocka_unit_test(a_cut_never_splits_a_character),
      cmocka_unit_test(a_cut_never_splits_an_escape),
      cmocka_unit_test(an_escape_knows_its_place),
      cmocka_unit_test(nothing_hidden_comes_through),
      cmocka_unit_test(one_line_is_one_line),
      cmocka_unit_test(every_limit_cuts_the_same_way),
      cmocka_unit_test(a_full_buffer_stays_within_its_maximum),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
