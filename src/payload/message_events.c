/* How the four events that exist from the start read. */
#include <string.h>

#include "payload/describe.h"
#include "payload/message_parts.h"

static bool is_native(struct lw_text platform) {
  return lw_text_is(platform, "ios") || lw_text_is(platform, "android");
}

/* As their owners write them; another name as it is. */
static struct lw_text platform_name(struct lw_text platform) {
  if (lw_text_is(platform, "ios")) return LW_TEXT_OF("iOS");
  if (lw_text_is(platform, "android")) return LW_TEXT_OF("Android");
  if (lw_text_is(platform, "web")) return LW_TEXT_OF("Web");
  return platform;
}

static const char *build_name(struct lw_text platform) {
  if (is_native(platform)) return "Native build";
  return lw_text_is(platform, "web") ? "Web build" : "App build";
}

/* " · piece", where there is one */
static void add_aside(struct lw_message *message, struct lw_text piece) {
  if (piece.length == 0) return;
  lw_part_add(message, LW_TEXT_OF(" · "));
  lw_part_add(message, piece);
}

static void add_words(struct lw_message *message, const char *before, struct lw_text piece) {
  if (piece.length == 0) return;
  lw_part_add(message, lw_text_of(before));
  lw_part_add(message, piece);
}

/* -- jobs ------------------------------------------------------------------------------------------ */

static const char *job_subject(const struct lw_event_view *event, struct lw_text platform) {
  if (lw_data_text(event, "appDeploymentId").length > 0) return "Deployment";
  if (lw_data_text(event, "appBuildId").length == 0 && platform.length == 0) return "Job";
  /* Only native builds need a Mac; which platform it builds for is not said. */
  struct lw_text stack = lw_data_text(event, "stack");
  if (platform.length == 0 && stack.length > 5 && memcmp(stack.bytes, "macos", 5) == 0) return "Native build";
  return build_name(platform);
}

static void job_title(struct lw_message *message, const struct lw_event_view *event,
                      const struct lw_status_words *words, const char *otherwise) {
  struct lw_text platform = lw_data_text(event, "platform");
  const char *subject = job_subject(event, platform);
  lw_part_begin(message);
  lw_part_add(message, lw_text_of(subject));
  lw_part_add(message, LW_TEXT_OF(" "));
  lw_part_add(message, lw_text_of(words ? words->verb : otherwise));
  if (strcmp(subject, "Web build") != 0) add_aside(message, platform_name(platform));
  add_aside(message, lw_data_text(event, "stack"));
  message->title = lw_part_end(message);
}

static void job_text(struct lw_message *message, const struct lw_event_view *event,
                     const struct lw_status_words *words) {
  static const struct lw_text key = {"totalTimeInSeconds", sizeof "totalTimeInSeconds" - 1};
  const struct lw_node *total = lw_event_field(event, event->data, key.bytes);
  struct lw_message_field duration;
  char made[LW_VALUE_SIZE];
  lw_part_begin(message);
  lw_part_add(message, lw_text_of(words->sentence));
  if (words->timed) {
    if (total && lw_describe_is_duration(key, total) && lw_describe_value(event, key, total, made, &duration))
      add_words(message, words->severity == LW_SUCCESS ? " in " : " after ", duration.value);
    lw_part_add(message, LW_TEXT_OF("."));
  }
  message->text = lw_part_end(message);
}

static void job_fields(struct lw_message *message, const struct lw_event_view *event) {
  lw_add_data_field(message, event, "Job", "id");
  lw_add_data_field(message, event, "Build", "appBuildId");
  lw_add_data_field(message, event, "Deployment", "appDeploymentId");
  lw_add_data_field(message, event, "Queue time", "queueTimeInSeconds");
  lw_add_data_field(message, event, "Pending time", "pendingTimeInSeconds");
  lw_add_data_field(message, event, "Run time", "inProgressTimeInSeconds");
  lw_add_data_field(message, event, "Created", "createdAt");
  lw_add_data_field(message, event, "Created by", "createdBy");
  lw_add_data_field(message, event, "Canceled by", "canceledBy");
}

static void job(struct lw_message *message, const struct lw_event_view *event, const char *otherwise,
                const char *const *times) {
  const struct lw_status_words *words = lw_status_words(event);
  job_title(message, event, words, otherwise);
  if (words) {
    message->severity = words->severity;
    message->emoji = lw_text_of(words->emoji);
    job_text(message, event, words);
  }
  job_fields(message, event);
  message->time = lw_data_time(event, times);
}

static void job_created(struct lw_message *message, const struct lw_event_view *event) {
  static const char *const times[] = {"createdAt", NULL};
  job(message, event, "created", times);
}

static void job_finished(struct lw_message *message, const struct lw_event_view *event) {
  static const char *const times[] = {"finishedAt", "canceledAt", "createdAt", NULL};
  job(message, event, "finished", times);
}

/* -- builds and deployments ------------------------------------------------------------------------ */

static const char *const created_at[] = {"createdAt", NULL};

/* "Build 45 of com.example.app from main." */
static void build_text(struct lw_message *message, const struct lw_event_view *event) {
  struct lw_text number = lw_data_text(event, "numberAsString");
  struct lw_text package = lw_data_text(event, "packageName");
  struct lw_text ref = lw_data_text(event, "gitRef");
  if (number.length + package.length + ref.length == 0) return;
  lw_part_begin(message);
  lw_part_add(message, LW_TEXT_OF("Build"));
  add_words(message, " ", number);
  add_words(message, " of ", package);
  add_words(message, " from ", ref);
  lw_part_add(message, LW_TEXT_OF("."));
  message->text = lw_part_end(message);
}

static void app_build_created(struct lw_message *message, const struct lw_event_view *event) {
  struct lw_text platform = lw_data_text(event, "platform");
  lw_part_begin(message);
  lw_part_add(message, lw_text_of(build_name(platform)));
  lw_part_add(message, LW_TEXT_OF(" created"));
  if (!lw_text_is(platform, "web")) add_aside(message, platform_name(platform));
  add_aside(message, lw_data_text(event, "packageVersion"));
  message->title = lw_part_end(message);
  message->emoji = LW_TEXT_OF("📦");
  build_text(message, event);
  lw_add_data_field(message, event, "Build", "id");
  lw_add_data_field(message, event, "Type", "type");
  lw_add_data_field(message, event, "Job", "jobId");
  lw_add_data_field(message, event, "Created by", "createdBy");
  message->time = lw_data_time(event, created_at);
}

/* 0.25 reads "25 %". */
static void rollout_text(struct lw_message *message, const struct lw_event_view *event) {
  const struct lw_node *node = lw_event_field(event, event->data, "rolloutPercentage");
  if (node == NULL || (node->kind != LW_DOUBLE && node->kind != LW_INTEGER)) return;
  double part = node->kind == LW_DOUBLE ? node->as.number : (double)node->as.integer;
  if (!(part >= 0 && part <= 1)) return;
  char made[LW_VALUE_SIZE];
  size_t length = lw_describe_integer((int64_t)(part * 100 + 0.5), made);
  lw_part_begin(message);
  bool tiny = part > 0 && part < 0.005;
  lw_part_add(message, LW_TEXT_OF("Rolled out to "));
  lw_part_add(message, tiny ? LW_TEXT_OF("less than 1") : (struct lw_text){made, length});
  lw_part_add(message, LW_TEXT_OF(" %."));
  message->text = lw_part_end(message);
}

static void app_deployment_created(struct lw_message *message, const struct lw_event_view *event) {
  struct lw_text channel = lw_data_text(event, "appChannelName");
  struct lw_text destination = lw_data_text(event, "appDestinationName");
  lw_part_begin(message);
  lw_part_add(message, LW_TEXT_OF("Deployment created"));
  add_aside(message, channel);
  add_aside(message, destination);
  message->title = lw_part_end(message);
  message->emoji = LW_TEXT_OF("🚀");
  rollout_text(message, event);
  lw_add_data_field(message, event, "Deployment", "id");
  lw_add_data_field(message, event, "Build", "appBuildId");
  if (channel.length == 0) lw_add_data_field(message, event, "Channel", "appChannelId");
  if (destination.length == 0) lw_add_data_field(message, event, "Destination", "appDestinationId");
  lw_add_data_field(message, event, "Job", "jobId");
  lw_add_data_field(message, event, "Created by", "createdBy");
  message->time = lw_data_time(event, created_at);
}

bool lw_message_known_event(struct lw_message *message, const struct lw_event_view *event) {
  static const struct {
    const char *name;
    void (*describe)(struct lw_message *, const struct lw_event_view *);
  } known[] = {{"job_finished", job_finished},
               {"job_created", job_created},
               {"app_build_created", app_build_created},
               {"app_deployment_created", app_deployment_created}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(event->name, known[i].name) != 0) continue;
    known[i].describe(message, event);
    return true;
  }
  return false;
}
