/* A bare curl-multi loop: the yardstick of script/bench. Posts BODY bytes COUNT times to URL over CONNECTIONS
 * connections, without a queue, a store or a signature. Prints requests per second.
 * Usage: bare URL COUNT CONNECTIONS */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BODY_BYTES = 655, MAX_CONNECTIONS = 1024 };

static size_t discard(char *bytes, size_t size, size_t count, void *context) {
  (void)bytes;
  (void)context;
  return size * count;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static CURL *make_handle(const char *url, const char *body, struct curl_slist *headers) {
  CURL *easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)BODY_BYTES);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  return easy;
}

/* Collects what is done and starts as many again. Returns how many were done. */
static long turn_over(CURLM *multi, long *to_start, long *failed) {
  int waiting;
  long done = 0;
  for (CURLMsg *message; (message = curl_multi_info_read(multi, &waiting)) != NULL; done++) {
    CURL *easy = message->easy_handle;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (message->data.result != CURLE_OK || status != 200) ++*failed;
    curl_multi_remove_handle(multi, easy);
    if (*to_start > 0) {
      --*to_start;
      curl_multi_add_handle(multi, easy);
    } else {
      curl_easy_cleanup(easy);
    }
  }
  return done;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: bare URL COUNT CONNECTIONS\n");
    return 2;
  }
  long count = strtol(argv[2], NULL, 10);
  long connections = strtol(argv[3], NULL, 10);
  if (count < 1 || connections < 1 || connections > MAX_CONNECTIONS) return 2;
  char body[BODY_BYTES];
  memset(body, 'x', sizeof body);
  curl_global_init(CURL_GLOBAL_ALL);
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Webhook-Id: 0192f5b0-0000-7000-8000-000000000000");
  CURLM *multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections);
  double began = seconds();
  long to_start = count, done = 0, failed = 0;
  for (long i = 0; i < connections && to_start > 0; i++, to_start--)
    curl_multi_add_handle(multi, make_handle(argv[1], body, headers));
  while (done < count) {
    int running;
    curl_multi_perform(multi, &running);
    long turned = turn_over(multi, &to_start, &failed);
    done += turned;
    if (turned == 0) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  printf("%.0f\n", (double)count / (seconds() - began));
  if (failed > 0) fprintf(stderr, "%ld requests failed\n", failed);
  curl_multi_cleanup(multi);
  curl_slist_free_all(headers);
  curl_global_cleanup();
  return failed > 0;
}
