/* Requests: one block of memory each, with the URL and the header lines inside. */
#include "transport/request.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

struct lw_request_text {
  struct lw_request_text *next;
  size_t size;
  _Alignas(void *) char bytes[];
};

/* -- text ------------------------------------------------------------------------------------------ */

static void *more_text(struct lw_request *request, size_t size) {
  struct lw_request_text *block = malloc(sizeof *block + size);
  if (block == NULL) return NULL;
  block->next = request->more_text;
  block->size = size;
  request->more_text = block;
  return block->bytes;
}

/* Memory that lives as long as the request's URL; aligned for a pointer. */
static void *take_text(struct lw_request *request, size_t size) {
  size_t start = (request->text_used + _Alignof(void *) - 1) & ~(_Alignof(void *) - 1);
  if (start > sizeof request->text || size > sizeof request->text - start) return more_text(request, size);
  request->text_used = start + size;
  return request->text + start;
}

static void wipe_text(struct lw_request *request) {
  OPENSSL_cleanse(request->text, request->text_used);
  while (request->more_text) {
    struct lw_request_text *block = request->more_text;
    request->more_text = block->next;
    OPENSSL_cleanse(block->bytes, block->size);
    free(block);
  }
}

/* -- requests -------------------------------------------------------------------------------------- */

struct lw_request *lw_request_new(const char *url) {
  struct lw_request *request = calloc(1, sizeof *request);
  size_t size = strlen(url) + 1;
  char *copy = request ? take_text(request, size) : NULL;
  if (copy == NULL) {
    free(request);
    return NULL;
  }
  request->url = memcpy(copy, url, size);
  request->headers_end = &request->headers;
  return request;
}

void lw_request_free(struct lw_request *request) {
  if (request == NULL) return;
  wipe_text(request);
  lw_buffer_free(&request->answer_headers);
  lw_buffer_free(&request->answer_body);
  free(request);
}

/* -- headers --------------------------------------------------------------------------------------- */

static bool append_line(struct lw_request *request, const char *name, const char *between,
                        const char *value) {
  size_t name_length = strlen(name), between_length = strlen(between), value_length = strlen(value);
  struct curl_slist *line =
      take_text(request, sizeof *line + name_length + between_length + value_length + 1);
  if (line == NULL) return false;
  char *at = line->data = (char *)(line + 1);
  line->next = NULL;
  memcpy(at, name, name_length);
  memcpy(at + name_length, between, between_length);
  memcpy(at + name_length + between_length, value, value_length + 1);
  *request->headers_end = line;
  request->headers_end = &line->next;
  return true;
}

bool lw_request_add_header(struct lw_request *request, const char *name, const char *value) {
  if (name[0] == '\0' || strpbrk(name, "\r\n:;") != NULL || strpbrk(value, "\r\n") != NULL) return false;
  /* curl reads "Name:" as "leave this header out"; "Name;" is its way to send an empty one. */
  bool empty = value[strspn(value, " \t")] == '\0';
  return append_line(request, name, empty ? ";" : ": ", empty ? "" : value);
}

bool lw_request_leave_out_header(struct lw_request *request, const char *name) {
  return append_line(request, name, ":", "");
}
