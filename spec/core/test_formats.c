/* The chat formats: what is written, every limit at n-1, n and n+1, and text that means harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "payload/formats.h"

enum { TEXT_SIZE = 1 << 20 };

static struct lw_message message; /* the one that is written */
static struct lw_buffer body;     /* what it became, with a NUL */
static char text_bytes[4][TEXT_SIZE + 8];

static struct lw_text of(const char *string) {
  return (struct lw_text){string, strlen(string)};
}

static int start(void **state) {
  (void)state;
  message = (struct lw_message){.severity = LW_FAILURE,
                                .emoji = LW_TEXT_OF("❌"),
                                .title = LW_TEXT_OF("Native build failed"),
                                .footer = LW_TEXT_OF("job_finished · app 70922e93"),
                                .time = LW_NO_TIME};
  lw_buffer_init(&body, LW_FORMAT_MAX_BYTES);
  return 0;
}

static int end(void **state) {
  (void)state;
  lw_buffer_free(&body);
  return 0;
}

/* `count` times `unit`, in one of four arrays. */
static struct lw_text repeat(int array, const char *unit, size_t count) {
  size_t length = strlen(unit);
  assert_true(count * length <= TEXT_SIZE);
  for (size_t i = 0; i < count; i++) memcpy(text_bytes[array] + i * length, unit, length);
  return (struct lw_text){text_bytes[array], count * length};
}

static void add_field(enum lw_field_kind kind, struct lw_text label, struct lw_text value) {
  message.fields[message.field_count++] =
      (struct lw_message_field){.label = label, .value = value, .kind = kind, .time = 1771143284003};
}

/* -- reading what was written ------------------------------------------------------------------------ */

/* Skips one JSON value; NULL: it is none. Strings hold no raw control characters. */
static const char *skip_value(const char *at);

static const char *skip_string(const char *at) {
  if (*at++ != '"') return NULL;
  for (; *at != '"'; at++) {
    if ((unsigned char)*at < 0x20) return NULL;
    if (*at == '\\' && strchr("\"\\/bfnrtu", *++at) == NULL) return NULL;
  }
  return at + 1;
}

static const char *skip_container(const char *at, bool object) {
  char close = object ? '}' : ']';
  if (at[1] == close) return at + 2;
  do {
    at++;
    if (object && ((at = skip_string(at)) == NULL || *at++ != ':')) return NULL;
    at = skip_value(at);
  } while (at && *at == ',');
  return at && *at == close ? at + 1 : NULL;
}

static const char *skip_value(const char *at) {
  static const char *const words[] = {"true", "false", "null"};
  if (*at == '"') return skip_string(at);
  if (*at == '{' || *at == '[') return skip_container(at, *at == '{');
  for (int i = 0; i < 3; i++)
    if (strncmp(at, words[i], strlen(words[i])) == 0) return at + strlen(words[i]);
  size_t digits = strspn(at, "0123456789");
  return digits > 0 ? at + digits : NULL;
}

static void write_with(void (*format)(const struct lw_message *, struct lw_buffer *)) {
  lw_buffer_clear(&body);
  format(&message, &body);
  assert_false(body.failed);
  lw_buffer_append_char(&body, '\0');
  assert_int_equal(strlen(body.data), body.length - 1);
}

static void write_json(void (*format)(const struct lw_message *, struct lw_buffer *)) {
  write_with(format);
  const char *after = skip_value(body.data);
  assert_non_null(after);
  assert_int_equal(*after, '\0');
}

static char *unescape(char *out, const char **at) {
  static const char shorts[] = "b\bf\fn\nr\rt\t";
  const char *found = strchr(shorts, *++*at);
  *out = found && **at != '\0' ? found[1] : **at;
  return out + 1;
}

/* The string after the `nth` (from 0) occurrence of `before`, without JSON's escapes. */
static const char *string_after(const char *before, int nth) {
  static char string[TEXT_SIZE];
  const char *at = body.data;
  for (int i = 0; i <= nth; i++) {
    at = strstr(at, before);
    if (at == NULL) return NULL;
    at += strlen(before);
  }
  char *out = string;
  for (at++; *at != '"'; at++) {
    if (*at == '\\')
      out = unescape(out, &at);
    else
      *out++ = *at;
  }
  *out = '\0';
  return string;
}

static size_t length_after(const char *before, int nth) {
  return lw_text_count(of(string_after(before, nth)));
}

static int occurrences(const char *what) {
  int count = 0;
  for (const char *at = body.data; (at = strstr(at, what)) != NULL; at += strlen(what)) count++;
  return count;
}

/* Without the `count` code points at the front. */
static const char *skip_code_points(const char *string, size_t count) {
  struct lw_text text = of(string);
  unsigned code;
  for (; count > 0; count--) {
    size_t length = lw_text_code_point(text, &code);
    text.bytes += length;
    text.length -= length;
  }
  return text.bytes;
}

/* -- limits ------------------------------------------------------------------------------------------ */

/* A string of a body whose text may have `limit` code points after `prefix` others. */
struct limit {
  void (*format)(const struct lw_message *, struct lw_buffer *);
  struct lw_text *part;
  const char *before; /* the string stands after this */
  int nth;
  size_t prefix, limit;
};

/* Around the limit, with a unit that becomes `size` code points when it is escaped. */
static void check_around(const struct limit *where, const char *unit, size_t size) {
  size_t most = where->limit / size;
  for (size_t count = most - 1; count <= most + 1; count++) {
    *where->part = repeat(0, unit, count);
    write_json(where->format);
    const char *shown = skip_code_points(string_after(where->before, where->nth), where->prefix);
    bool cut = count * size > where->limit;
    size_t expected = cut ? (where->limit - 1) / size * size + 1 : count * size;
    assert_int_equal(lw_text_count(of(shown)), expected);
    assert_int_equal(strcmp(shown + strlen(shown) - strlen("…"), "…") == 0, cut);
  }
}

static void check_limit(const struct limit *where, const char *grows, size_t size) {
  check_around(where, "x", 1);
  check_around(where, "🚀", 1);
  check_around(where, "👍🏽", 2);
  check_around(where, "\"", 1);
  check_around(where, grows, size);
}

static void slack_limits_are_kept(void **state) {
  (void)state;
  message.text = LW_TEXT_OF("text");
  add_field(LW_FIELD_TEXT, LW_TEXT_OF("L"), LW_TEXT_OF("v"));
  struct lw_message_field *field = &message.fields[0];
  const struct limit limits[] = {
      {lw_format_slack, &message.title, "{\"text\":", 0, 2, 148},
      {lw_format_slack, &message.title, "\"emoji\":false,\"text\":", 0, 2, 148},
      {lw_format_slack, &message.text, "true,\"text\":", 0, 0, 3000},
      {lw_format_slack, &field->value, "true,\"text\":", 1, 4, 500},
      {lw_format_slack, &message.footer, "\"elements\":[{\"type\":\"mrkdwn\",\"verbatim\":true,\"text\":", 0,
       0, 300},
  };
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    check_limit(&limits[i], "&", 5);
    *limits[i].part = LW_TEXT_OF("t");
  }
  field->label = repeat(0, "l", 101);
  write_json(lw_format_slack);
  assert_int_equal(length_after("true,\"text\":", 1), 1 + 100 + 2 + 1);
}

static void a_slack_section_holds_text_and_link(void **state) {
  (void)state;
  message.link = LW_TEXT_OF("https://x.io/?a=1&b=2");
  message.text = repeat(0, "x", 4000);
  write_json(lw_format_slack);
  assert_int_equal(length_after("true,\"text\":", 0), 3000);
  const char *section = string_after("true,\"text\":", 0);
  const char *link = "x…\n<https://x.io/?a=1&amp;b=2|Open>";
  assert_string_equal(section + strlen(section) - strlen(link), link);
  message.text.length = 0;
  write_json(lw_format_slack);
  assert_string_equal(string_after("true,\"text\":", 0), "<https://x.io/?a=1&amp;b=2|Open>");
}

static void a_link_too_long_is_left_out(void **state) {
  (void)state;
  const struct {
    void (*format)(const struct lw_message *, struct lw_buffer *);
    size_t limit;
  } cases[] = {{lw_format_slack, 2500}, {lw_format_discord, 2048}, {lw_format_teams, 2048}};
  for (size_t i = 0; i < 3; i++) {
    message.link = repeat(0, "https://x", cases[i].limit / 9 + 1);
    for (size_t length = cases[i].limit - 1; length <= cases[i].limit + 1; length++) {
      message.link.length = length;
      write_json(cases[i].format);
      assert_int_equal(strstr(body.data, "https://xhttps") != NULL, length <= cases[i].limit);
    }
  }
}

static void discord_limits_are_kept(void **state) {
  (void)state;
  add_field(LW_FIELD_TEXT, LW_TEXT_OF("L"), LW_TEXT_OF("v"));
  const struct limit limits[] = {
      {lw_format_discord, &message.title, "\"title\":", 0, 2, 254},
      {lw_format_discord, &message.text, "\"description\":", 0, 0, 4096},
      {lw_format_discord, &message.fields[0].label, "\"name\":", 0, 0, 256},
      {lw_format_discord, &message.fields[0].value, "\"value\":", 0, 0, 1024},
  };
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    check_limit(&limits[i], "*", 2);
    *limits[i].part = LW_TEXT_OF("t");
  }
  const struct limit footer = {lw_format_discord, &message.footer, "\"footer\":{\"text\":", 0, 0, 300};
  check_limit(&footer, "*", 1);
}

static void teams_limits_are_kept(void **state) {
  (void)state;
  add_field(LW_FIELD_TEXT, LW_TEXT_OF("L"), LW_TEXT_OF("v"));
  const struct limit limits[] = {
      {lw_format_teams, &message.title, "\"summary\":", 0, 2, 254},
      {lw_format_teams, &message.title, "\"wrap\":true,\"text\":", 0, 2, 254},
      {lw_format_teams, &message.text, "\"wrap\":true,\"text\":", 1, 0, 2800},
      {lw_format_teams, &message.fields[0].label, "{\"title\":", 0, 0, 100},
      {lw_format_teams, &message.fields[0].value, "\"value\":", 0, 0, 500},
      {lw_format_teams, &message.footer, "\"Small\",\"wrap\":true,\"text\":", 0, 0, 300},
  };
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    check_limit(&limits[i], "*", 2);
    check_around(&limits[i], "<", 4);
    *limits[i].part = LW_TEXT_OF("t");
  }
}

/* -- totals ------------------------------------------------------------------------------------------ */

static size_t embed_size(void) {
  size_t size = length_after("\"title\":", 0) + length_after("\"footer\":{\"text\":", 0);
  if (strstr(body.data, "\"description\":")) size += length_after("\"description\":", 0);
  for (int i = 0; i < occurrences("\"name\":"); i++)
    size += length_after("\"name\":", i) + length_after("\"value\":", i);
  return size;
}

static void a_discord_embed_may_have_6000_code_points(void **state) {
  (void)state;
  message.title = LW_TEXT_OF("t");
  message.footer = LW_TEXT_OF("f");
  message.text = repeat(0, "🚀", 4096);
  add_field(LW_FIELD_TEXT, LW_TEXT_OF("a"), repeat(1, "🚀", 1024));
  size_t rest = 6000 - (3 + 1 + 4096 + 1 + 1024 + 1);
  add_field(LW_FIELD_TEXT, LW_TEXT_OF("b"), (struct lw_text){"", 0});
  for (size_t length = rest - 1; length <= rest + 1; length++) {
    message.fields[1].value = repeat(2, "v", length);
    write_json(lw_format_discord);
    assert_int_equal(strstr(body.data, "and 1 more") == NULL, length <= rest);
    if (length <= rest) assert_int_equal(embed_size(), 6000 - rest + length);
  }
  message.fields[1].value = repeat(2, "v", rest);
  message.more = 7;
  write_json(lw_format_discord);
  assert_non_null(strstr(body.data, "and 8 more"));
}

/* Units that stay, grow when they are escaped, and grow in JSON. */
static const char *const units[] = {
    "x", "🚀", "&", "*", "<", "\"", "\\", "\n-", "]({{", "\x01\x1f", "👨‍👩‍👧"};

static void fill_with(const char *unit, size_t fields) {
  start(NULL);
  message.title = repeat(0, unit, 20000);
  message.footer = message.title;
  message.text = repeat(1, unit, 20000);
  memset(text_bytes[2], 'u', 2048);
  message.link = (struct lw_text){text_bytes[2], 2048};
  message.time = 1771143284003;
  message.more = SIZE_MAX / 4;
  for (size_t i = 0; i < fields; i++) add_field(LW_FIELD_TEXT, message.title, message.title);
}

static void every_total_is_kept_by_any_text(void **state) {
  (void)state;
  for (size_t unit = 0; unit < sizeof units / sizeof *units; unit++) {
    for (size_t fields = 0; fields <= LW_MESSAGE_FIELDS; fields++) {
      fill_with(units[unit], fields);
      write_json(lw_format_slack);
      assert_true(lw_text_count(of(body.data)) <= 11000);
      write_json(lw_format_discord);
      assert_true(embed_size() <= 6000);
      assert_true(occurrences("\"name\":") <= 25);
      write_json(lw_format_teams);
      assert_true(strlen(body.data) <= 21000);
      if (fields > 0) assert_int_equal(occurrences("\"facts\":[{"), 1);
      end(NULL);
    }
  }
}

/* One more character of text costs the last fact that fitted. */
static void teams_facts_fill_the_room(void **state) {
  (void)state;
  for (int i = 0; i < LW_MESSAGE_FIELDS; i++) add_field(LW_FIELD_TEXT, LW_TEXT_OF("l"), repeat(0, "🚀", 500));
  int most = 0, least = LW_MESSAGE_FIELDS;
  for (size_t length = 1; length <= 2100; length++) {
    message.text = repeat(1, "x", length);
    write_json(lw_format_teams);
    int shown = occurrences("\"title\":\"l\"");
    assert_true(strlen(body.data) <= 21000);
    if (shown > most) most = shown;
    if (shown < least) least = shown;
  }
  assert_int_equal(most, 9);
  assert_in_range(most - least, 1, 2);
}

static void fields_that_do_not_fit_are_counted(void **state) {
  (void)state;
  message.more = 3;
  for (int i = 0; i < LW_MESSAGE_FIELDS; i++)
    add_field(LW_FIELD_TEXT, LW_TEXT_OF("Label"), repeat(0, "v", 1000));
  char more[40];
  write_json(lw_format_slack);
  snprintf(more, sizeof more, "\"and %d more\"", LW_MESSAGE_FIELDS - occurrences("*Label*") + 3);
  assert_non_null(strstr(body.data, more));
  write_json(lw_format_discord);
  snprintf(more, sizeof more, "\"and %d more\"", LW_MESSAGE_FIELDS - occurrences("\"name\":\"Label\"") + 3);
  assert_non_null(strstr(body.data, more));
  for (int i = 0; i < LW_MESSAGE_FIELDS; i++) message.fields[i].value = repeat(0, "🚀", 1000);
  write_json(lw_format_teams);
  snprintf(more, sizeof more, "\"and %d more\"", LW_MESSAGE_FIELDS - occurrences("\"title\":\"Label\"") + 3);
  assert_non_null(strstr(body.data, more));
}

static void slack_takes_ten_fields_a_section(void **state) {
  (void)state;
  for (size_t count = 9; count <= 11; count++) {
    message.field_count = 0;
    for (size_t i = 0; i < count; i++) add_field(LW_FIELD_TEXT, LW_TEXT_OF("L"), LW_TEXT_OF("v"));
    write_json(lw_format_slack);
    assert_int_equal(occurrences("\"fields\":["), count > 10 ? 2 : 1);
    assert_int_equal(occurrences("*L*"), count);
  }
}

/* -- hostile text ------------------------------------------------------------------------------------ */

static void write_hostile(void (*format)(const struct lw_message *, struct lw_buffer *), const char *text) {
  message.title = message.text = message.footer = of(text);
  message.field_count = 0;
  add_field(LW_FIELD_TEXT, of(text), of(text));
  write_json(format);
}

static void slack_is_not_told_to_ping(void **state) {
  (void)state;
  write_hostile(lw_format_slack, "<!channel> <@U1> <https://x|y> & &lt;");
  assert_null(strstr(body.data, "<!"));
  assert_null(strstr(body.data, "<@"));
  assert_null(strstr(body.data, "<h"));
  assert_non_null(strstr(body.data, "&lt;!channel&gt; &lt;@U1&gt; &lt;https://x|y&gt; &amp; &amp;lt;"));
  assert_int_equal(occurrences("\"mrkdwn\""), occurrences("\"mrkdwn\",\"verbatim\":true"));
}

static void discord_shows_markdown_as_it_is(void **state) {
  (void)state;
  write_hostile(lw_format_discord, "# <@1> @everyone [x](javascript:y) `c` ||s|| *b* _i_ ~~d~~ \\");
  const char *escaped =
      "\\# \\<@1> @everyone \\[x](javascript:y) \\`c\\` \\|\\|s\\|\\| \\*b\\* \\_i\\_ \\~\\~d\\~\\~ \\\\";
  assert_string_equal(string_after("\"description\":", 0), escaped);
  assert_string_equal(string_after("\"name\":", 0), escaped);
  assert_string_equal(string_after("\"value\":", 0), escaped);
  assert_non_null(strstr(body.data, "\"allowed_mentions\":{\"parse\":[]}"));
  message.text = LW_TEXT_OF("a - b\n- c\n  > d\n12. e\n1.5\n#f -# g\n-# h");
  write_json(lw_format_discord);
  assert_string_equal(string_after("\"description\":", 0),
                      "a - b\n\\- c\n  \\> d\n12\\. e\n1\\.5\n\\#f -# g\n\\-# h");
}

static void teams_shows_markdown_as_it_is(void **state) {
  (void)state;
  write_hostile(lw_format_teams, "<at>A</at> {{DATE(x)}} {\x01{TIME [x](y) *b* a_b _i_ ~ ` \\");
  const char *escaped = "&lt;at>A&lt;/at> {\\{DATE(x)}} {\\{TIME \\[x\\]\\(y) \\*b\\* a_b \\_i_ \\~ \\` \\\\";
  assert_string_equal(string_after("{\"title\":", 0), escaped);
  assert_string_equal(string_after("\"value\":", 0), escaped);
  assert_string_equal(string_after("\"wrap\":true,\"text\":", 1), escaped);
  assert_null(strstr(body.data, "<at>"));
  assert_null(strstr(body.data, "{{"));
  message.text = LW_TEXT_OF("a\n- b\n+ c\n1) d\n# e\n> f");
  write_json(lw_format_teams);
  assert_string_equal(string_after("\"wrap\":true,\"text\":", 1),
                      "a\n\n\\- b\n\n\\+ c\n\n1\\) d\n\n\\# e\n\n\\> f");
}

static void nothing_hidden_reaches_a_service(void **state) {
  (void)state;
  void (*const formats[])(const struct lw_message *, struct lw_buffer *) = {
      lw_format_slack, lw_format_discord, lw_format_teams};
  for (int i = 0; i < 3; i++) {
    write_hostile(formats[i], "a\u202eb\x1b[31m\u200fc\ufeff");
    assert_null(strstr(body.data, "\u202e"));
    assert_null(strstr(body.data, "\\u00"));
    assert_null(strstr(body.data, "\u200f"));
    assert_null(strstr(body.data, "\ufeff"));
  }
}

static void text_with_nothing_to_see_is_left_out(void **state) {
  (void)state;
  message.text = LW_TEXT_OF(" \u200b\x01\n");
  write_json(lw_format_slack);
  assert_null(strstr(body.data, "section"));
  write_json(lw_format_discord);
  assert_null(strstr(body.data, "description"));
  assert_null(strstr(body.data, "fields"));
  write_json(lw_format_teams);
  assert_null(strstr(body.data, "FactSet"));
  assert_null(strstr(body.data, "actions"));
}

/* -- whole bodies ------------------------------------------------------------------------------------ */

static void fill_example(void) {
  message.text = LW_TEXT_OF("Failed after 1 min 27 s.");
  message.link = LW_TEXT_OF("https://ci.example.com/1");
  message.time = 1771143284003;
  add_field(LW_FIELD_CODE, LW_TEXT_OF("Job"), LW_TEXT_OF("16555c02"));
  add_field(LW_FIELD_TIME, LW_TEXT_OF("Created"), LW_TEXT_OF("2026-02-15 08:14 UTC"));
}

static void a_whole_slack_message(void **state) {
  (void)state;
  fill_example();
  write_json(lw_format_slack);
  assert_string_equal(
      body.data,
      "{\"text\":\"❌ Native build "
      "failed\",\"blocks\":[{\"type\":\"header\",\"text\":{\"type\":\"plain_text\","
      "\"emoji\":false,\"text\":\"❌ Native build failed\"}}],\"attachments\":[{\"color\":\"#E74C3C\","
      "\"blocks\":[{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\",\"verbatim\":true,"
      "\"text\":\"Failed after 1 min 27 s.\\n<https://ci.example.com/1|Open>\"}},"
      "{\"type\":\"section\",\"fields\":["
      "{\"type\":\"mrkdwn\",\"verbatim\":true,\"text\":\"*Job*\\n`16555c02`\"},"
      "{\"type\":\"mrkdwn\",\"verbatim\":true,\"text\":"
      "\"*Created*\\n<!date^1771143284^{date_short_pretty} at {time}|2026-02-15 08:14 UTC>\"}]},"
      "{\"type\":\"context\",\"elements\":[{\"type\":\"mrkdwn\",\"verbatim\":true,\"text\":"
      "\"job_finished · app 70922e93 · "
      "<!date^1771143284^{date_short_pretty} at {time}|2026-02-15 08:14 UTC>\"}]}]}]}");
}

static void a_whole_discord_message(void **state) {
  (void)state;
  fill_example();
  write_json(lw_format_discord);
  assert_string_equal(
      body.data,
      "{\"allowed_mentions\":{\"parse\":[]},\"embeds\":[{\"title\":\"❌ Native build failed\","
      "\"url\":\"https://ci.example.com/1\",\"color\":15158332,\"description\":\"Failed after 1 min 27 s.\","
      "\"footer\":{\"text\":\"job_finished · app 70922e93\"},\"timestamp\":\"2026-02-15T08:14:44.003Z\","
      "\"fields\":[{\"name\":\"Job\",\"value\":\"`16555c02`\",\"inline\":true},"
      "{\"name\":\"Created\",\"value\":\"<t:1771143284:f>\",\"inline\":true}]}]}");
}

static void a_whole_teams_message(void **state) {
  (void)state;
  fill_example();
  write_json(lw_format_teams);
  assert_string_equal(
      body.data,
      "{\"type\":\"message\",\"summary\":\"❌ Native build failed\",\"attachments\":[{"
      "\"contentType\":\"application/vnd.microsoft.card.adaptive\",\"contentUrl\":null,\"content\":{"
      "\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\",\"type\":\"AdaptiveCard\","
      "\"version\":\"1.5\",\"msteams\":{\"width\":\"Full\"},\"body\":[{\"type\":\"Container\","
      "\"bleed\":true,\"style\":\"attention\",\"items\":[{\"type\":\"TextBlock\",\"style\":\"heading\","
      "\"size\":\"Medium\",\"weight\":\"Bolder\",\"wrap\":true,\"text\":\"❌ Native build failed\"},"
      "{\"type\":\"TextBlock\",\"wrap\":true,\"text\":\"Failed after 1 min 27 s.\"}]},"
      "{\"type\":\"FactSet\",\"facts\":[{\"title\":\"Job\",\"value\":\"16555c02\"},"
      "{\"title\":\"Created\",\"value\":\"2026-02-15 08:14 UTC\"}]},"
      "{\"type\":\"TextBlock\",\"isSubtle\":true,\"size\":\"Small\",\"wrap\":true,"
      "\"text\":\"job_finished · app 70922e93 · 2026-02-15 08:14 UTC\"}],"
      "\"actions\":[{\"type\":\"Action.OpenUrl\",\"title\":\"Open\",\"url\":\"https://ci.example.com/"
      "1\"}]}}]}");
}

static void a_whole_preview(void **state) {
  (void)state;
  fill_example();
  message.more = 3;
  message.fields[0].label = LW_TEXT_OF("Job\x1b[31m\n über");
  write_with(lw_format_preview);
  assert_string_equal(body.data,
                      "❌ Native build failed\n"
                      "Failed after 1 min 27 s.\n"
                      "  Job[31m über  16555c02\n"
                      "  Created       2026-02-15 08:14 UTC\n"
                      "and 3 more\n"
                      "https://ci.example.com/1\n"
                      "job_finished · app 70922e93 · 2026-02-15 08:14 UTC");
}

/* -- the table --------------------------------------------------------------------------------------- */

static void formats_are_found_by_name(void **state) {
  (void)state;
  assert_string_equal(lw_format_find("teams")->content_type, "application/json; charset=utf-8");
  assert_string_equal(lw_format_find("slack")->content_type, "application/json");
  assert_null(lw_format_find("raw")->write_message);
  assert_null(lw_format_find("Slack"));
  assert_null(lw_format_find(""));
}

static void a_body_too_large_fails(void **state) {
  (void)state;
  struct lw_event event;
  lw_event_init(&event);
  assert_true(lw_event_start(&event, "a", 1));
  lw_event_open(&event, LW_OBJECT);
  lw_event_close(&event);
  struct lw_event_view view = lw_event_view(&event);
  const char *names[] = {"raw", "slack", "discord", "teams"};
  for (int i = 0; i < 4; i++) {
    lw_buffer_clear(&body);
    assert_true(lw_format_write(lw_format_find(names[i]), &view, &body));
    for (size_t maximum = 0; maximum < body.length; maximum++) {
      struct lw_buffer small;
      lw_buffer_init(&small, maximum);
      assert_false(lw_format_write(lw_format_find(names[i]), &view, &small));
      lw_buffer_free(&small);
    }
  }
  lw_event_free(&event);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(slack_limits_are_kept),
      TEST(a_slack_section_holds_text_and_link),
      TEST(a_link_too_long_is_left_out),
      TEST(discord_limits_are_kept),
      TEST(teams_limits_are_kept),
      TEST(a_discord_embed_may_have_6000_code_points),
      TEST(every_total_is_kept_by_any_text),
      TEST(teams_facts_fill_the_room),
      TEST(fields_that_do_not_fit_are_counted),
      TEST(slack_takes_ten_fields_a_section),
      TEST(slack_is_not_told_to_ping),
      TEST(discord_shows_markdown_as_it_is),
      TEST(teams_shows_markdown_as_it_is),
      TEST(nothing_hidden_reaches_a_service),
      TEST(text_with_nothing_to_see_is_left_out),
      TEST(a_whole_slack_message),
      TEST(a_whole_discord_message),
      TEST(a_whole_teams_message),
      TEST(a_whole_preview),
      TEST(formats_are_found_by_name),
      TEST(a_body_too_large_fails),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
