/* A statistical test of constant time: how long lw_verify takes when the signature is equal, differs in its
 * first byte, or in its last, a million samples each, in random order. Welch's t between two of them says how
 * many standard errors their means lie apart; |t| < 10 passes.
 *
 * Equal and different are compared up to the moment when the answer is known (lw_reveal, which this program
 * replaces): after it an acceptance and a refusal go different ways, which is no secret, for the answer
 * itself says so. The two refusals are compared over the whole call.
 *
 * The control is a comparison that stops at the first difference: a test that does not see it is worth
 * nothing. The clock is the processor's counter where there is one. Samples far above the usual (interrupts)
 * are cut off at the same bound for all. */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/secret.h"
#include "signature/keyring.h"
#include "signature/schemes.h"
#include "signature/sign.h"
#include "signature/verify.h"

#define SAMPLES 1000000 /* of each class */
#define WARM_UP 200000
#define LIMIT 10.0
#define CUT_AT_MEDIANS 2.0 /* samples above so many medians are cut off */
#define NOW 1614265330
#define BODY_SIZE 655
#define MAX_VALUE 256

enum { EQUAL, FIRST, LAST, CLASSES };

static uint64_t ticks(void) {
#if defined(__x86_64__)
  unsigned processor;
  uint64_t now = __rdtscp(&processor);
  _mm_lfence();
  return now;
#else
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

/* A refusal's last call of lw_reveal is where the answer is known; an acceptance goes on, to say which secret
 * it was. */
static uint64_t known_at;
static unsigned reveals, answering_reveal;

uint32_t lw_reveal(uint32_t value) {
  if (++reveals == answering_reveal) known_at = ticks();
  return value;
}

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* ---- Means and variances (Welford), and Welch's t ---- */

struct moments {
  double count, mean, squares;
};

static void add(struct moments *moments, double value) {
  moments->count++;
  double away = value - moments->mean;
  moments->mean += away / moments->count;
  moments->squares += away * (value - moments->mean);
}

static double welch(const struct moments *a, const struct moments *b) {
  double variance = a->squares / (a->count - 1) / a->count + b->squares / (b->count - 1) / b->count;
  return variance > 0 ? (a->mean - b->mean) / sqrt(variance) : 0;
}

/* ---- What is measured ---- */

struct subject {
  const char *name;
  struct lw_verify_request request;
  struct lw_field headers[LW_SIGNED_HEADERS];
  size_t signature;                /* its place among the headers */
  char values[CLASSES][MAX_VALUE]; /* of the signature header */
  char value[MAX_VALUE];           /* what lw_verify sees: the same place for every class */
  bool is_control;
};

/* Stops at the first difference. */
__attribute__((noinline)) static bool careless(const char *a, const char *b, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (a[i] != b[i]) return false;
  return true;
}

struct sample {
  double known, whole;
};

static struct sample measure(struct subject *subject, int class) {
  struct lw_proof proof;
  memcpy(subject->value, subject->values[class], MAX_VALUE);
  reveals = 0;
  uint64_t began = ticks();
  if (subject->is_control) {
    volatile bool equal = careless(subject->values[EQUAL], subject->value, MAX_VALUE);
    (void)equal;
    known_at = ticks();
  } else if (lw_verify(&subject->request, &proof, NULL) != (class == EQUAL)) {
    printf("%s: a wrong answer\n", subject->name);
    exit(1);
  }
  uint64_t ended = ticks();
  return (struct sample){(double)(known_at - began), (double)(ended - began)};
}

static int compare_doubles(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

struct measured {
  struct moments known[CLASSES], whole[CLASSES];
  double cut;
};

static struct measured run(struct subject *subject) {
  struct measured measured;
  memset(&measured, 0, sizeof measured);
  answering_reveal = 0;
  measure(subject, FIRST); /* fills the keyring */
  measure(subject, FIRST);
  answering_reveal = reveals;
  double *warm = malloc(WARM_UP * sizeof *warm);
  if (warm == NULL) exit(1);
  for (size_t i = 0; i < WARM_UP; i++) warm[i] = measure(subject, (int)(next_random() % CLASSES)).whole;
  qsort(warm, WARM_UP, sizeof *warm, compare_doubles);
  double bound = warm[WARM_UP / 2] * CUT_AT_MEDIANS;
  free(warm);
  size_t left[CLASSES] = {SAMPLES, SAMPLES, SAMPLES};
  size_t all = (size_t)SAMPLES * CLASSES, cut = 0;
  for (size_t done = 0; done < all;) {
    int class = (int)(next_random() % CLASSES);
    if (left[class] == 0) continue;
    struct sample sample = measure(subject, class);
    left[class]--;
    done++;
    if (done % (all / 10) == 0 && isatty(STDERR_FILENO)) {
      fprintf(stderr, "\r%-28s %3zu %%", subject->name, done * 100 / all);
      fflush(stderr);
    }
    if (sample.whole > bound) {
      cut++;
      continue;
    }
    add(&measured.known[class], sample.known);
    add(&measured.whole[class], sample.whole);
  }
  if (isatty(STDERR_FILENO)) fprintf(stderr, "\r%40s\r", "");
  measured.cut = (double)cut / (double)all;
  return measured;
}

static bool report_line(const char *name, const char *span, const char *pair, const struct moments *a,
                        const struct moments *b, bool is_control) {
  double t = welch(a, b);
  bool ok = is_control ? fabs(t) > LIMIT : fabs(t) < LIMIT;
  const char *verdict = is_control ? (ok ? "seen, as it must be" : "NOT SEEN") : (ok ? "ok" : "FAILED");
  printf("%-24s %-16s %-14s %10.1f %10.1f %9.2f  %s\n", name, span, pair, a->mean, b->mean, t, verdict);
  fflush(stdout);
  return ok;
}

static bool test(struct subject *subject) {
  struct measured m = run(subject);
  bool control = subject->is_control;
  if (control)
    return report_line(subject->name, "whole", "first, last", &m.whole[FIRST], &m.whole[LAST], true);
  const char *known = "until known";
  bool ok = report_line(subject->name, known, "equal, first", &m.known[EQUAL], &m.known[FIRST], false);
  ok &= report_line(subject->name, known, "equal, last", &m.known[EQUAL], &m.known[LAST], false);
  ok &= report_line(subject->name, known, "first, last", &m.known[FIRST], &m.known[LAST], false);
  ok &= report_line(subject->name, "whole call", "first, last", &m.whole[FIRST], &m.whole[LAST], false);
  return ok;
}

/* ---- Making the three signatures ---- */

static char body[BODY_SIZE];

static void die(const char *what, const char *why) {
  fprintf(stderr, "timing: %s: %s\n", what, why);
  exit(1);
}

/* Another digit that is one in hex and in base64, so that only the bytes differ, not the form. The last
 * character that counts in base64 is the one before the last: some bits of the last stand for nothing. */
static char other_digit(char digit) {
  return digit == '0' ? '1' : '0';
}

static void prepare(struct subject *subject, const char *scheme, const struct lw_bytes *secret,
                    size_t skipped, size_t from_end, struct lw_keyring *keyring) {
  static struct lw_signed result; /* headers point into it */
  struct lw_error error;
  struct lw_sign_request request = {.scheme = lw_scheme_find(scheme),
                                    .secrets = secret,
                                    .secret_count = 1,
                                    .body = {body, sizeof body},
                                    .id = {"msg_p5jXN8AQM9LWM0D4loKWxJek", 28},
                                    .timestamp = NOW};
  if (!lw_sign(&request, &result, &error)) die(scheme, error.message);
  memset(subject, 0, sizeof *subject);
  subject->name = scheme;
  for (size_t i = 0; i < result.count; i++) {
    const char *name = result.headers[i].name;
    subject->headers[i].name = (struct lw_bytes){name, strlen(name)};
    if (strcmp(name, request.scheme->headers[0].signature) == 0) subject->signature = i;
    subject->headers[i].value = result.headers[i].value;
    if (i != subject->signature) {
      char *copy = malloc(result.headers[i].value.length);
      if (copy == NULL) die(scheme, "no memory");
      memcpy(copy, result.headers[i].value.data, result.headers[i].value.length);
      subject->headers[i].value.data = copy;
    }
  }
  struct lw_bytes *value = &subject->headers[subject->signature].value;
  if (value->length >= MAX_VALUE) die(scheme, "the signature is too long");
  for (int class = 0; class < CLASSES; class ++) memcpy(subject->values[class], value->data, value->length);
  char *first = &subject->values[FIRST][skipped],
       *last = &subject->values[LAST][value->length - 1 - from_end];
  *first = other_digit(*first);
  *last = other_digit(*last);
  value->data = subject->value;
  subject->request = (struct lw_verify_request){.scheme = request.scheme,
                                                .secrets = secret,
                                                .secret_count = 1,
                                                .headers = subject->headers,
                                                .header_count = result.count,
                                                .body = {body, sizeof body},
                                                .now = NOW,
                                                .tolerance = LW_DEFAULT_TOLERANCE,
                                                .keyring = keyring};
}

int main(void) {
  static const struct {
    const char *scheme;
    struct lw_bytes secret;
    size_t skipped, from_end; /* of the header's value: what stands before and after the digits */
  } subjects[] = {
      {"capawesome", {"It's a Secret to Everybody", 26}, 0, 0},
      {"github", {"It's a Secret to Everybody", 26}, sizeof "sha256=" - 1, 0},
      {"shopify", {"It's a Secret to Everybody", 26}, 0, 2},
      {"standard", {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 38}, sizeof "v1," - 1, 2},
      {"gitlab", {"0123456789abcdefghijklmnopqrstuvwxyz", 36}, 0, 0},
  };
  memset(body, 'b', sizeof body);
  struct lw_keyring *keyring = lw_keyring_new();
  if (keyring == NULL) die("keyring", "no memory");
  printf("Welch's t over %d samples of each class, in random order; |t| < %.0f passes; means in ticks\n",
         SAMPLES, LIMIT);
  printf("%-24s %-16s %-14s %10s %10s %9s\n", "scheme", "span", "classes", "mean", "mean", "t");
  fflush(stdout);

  static struct subject subject;
  prepare(&subject, "capawesome", &subjects[0].secret, 0, 0, NULL);
  subject.name = "control: early exit";
  subject.is_control = true;
  bool ok = test(&subject);
  for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
    prepare(&subject, subjects[i].scheme, &subjects[i].secret, subjects[i].skipped, subjects[i].from_end,
            keyring);
    ok &= test(&subject);
  }
  lw_keyring_free(keyring);
  printf("%s\n", ok ? "passed" : "FAILED");
  return ok ? 0 : 1;
}
