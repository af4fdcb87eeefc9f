#include "delivery/flight.h"

#include <stdlib.h>
#include <string.h>

#include "payload/format_raw.h"
#include "signature/schemes.h"

struct lw_flight *lw_flight_new(const struct lw_id *id, const char *body, size_t length) {
  struct lw_flight *flight = malloc(sizeof *flight + length);
  if (flight == NULL) return NULL;
  *flight = (struct lw_flight){.id = *id, .body_length = length};
  if (length > 0) memcpy(flight->body, body, length);
  return flight;
}

void lw_flight_free(struct lw_flight *flight) {
  if (flight == NULL) return;
  lw_request_free(flight->request);
  free(flight);
}

#define ID_HEADER "Webhook-Id"

static bool sign_body(struct lw_flight *flight, struct lw_hmac *hmac) {
  char hex[LW_HMAC_HEX_SIZE];
  return lw_hmac_hex(hmac, flight->body, flight->body_length, hex) &&
         lw_request_add_header(flight->request, LW_SIGNATURE_HEADER, hex);
}

/* The id that is signed is the delivery's, which stands in its header already. */
static bool add_signed(struct lw_flight *flight, const struct lw_signed *made) {
  char value[LW_SIGNATURE_TEXT_SIZE + 1];
  for (size_t i = 0; i < made->count; i++) {
    const char *name = made->headers[i].name;
    struct lw_bytes bytes = made->headers[i].value;
    if (lw_same_name((struct lw_bytes){ID_HEADER, strlen(ID_HEADER)}, name)) continue;
    memcpy(value, bytes.data, bytes.length);
    value[bytes.length] = '\0';
    if (!lw_request_add_header(flight->request, name, value)) return false;
  }
  return true;
}

static bool sign_standard(struct lw_flight *flight, struct lw_signer *signer, const char *id, int64_t now) {
  struct lw_signed made;
  struct lw_bytes body = {flight->body, flight->body_length};
  return lw_signer_sign(signer, (struct lw_bytes){id, strlen(id)}, body, now, &made) &&
         add_signed(flight, &made);
}

static bool sign(struct lw_flight *flight, const struct lw_route *route, const char *id, int64_t now) {
  if (flight->own_body) return true;
  return (route->hmac == NULL || sign_body(flight, route->hmac)) &&
         (route->signer == NULL || sign_standard(flight, route->signer, id, now));
}

bool lw_flight_prepare(struct lw_flight *flight, const struct lw_route *route, int64_t now,
                       const struct lw_request_options *options) {
  char id[LW_ID_TEXT_SIZE];
  lw_id_format(&flight->id, id);
  struct lw_request *request = flight->request = lw_request_new(route->webhook->url);
  if (request == NULL) return false;
  request->context = flight;
  flight->webhook_id = route->webhook->id;
  flight->format = route->format->name;
  request->body = flight->body;
  request->body_length = flight->body_length;
  request->options = options;
  const char *content_type = flight->own_body ? route->format->content_type : LW_CONTENT_TYPE_JSON;
  return lw_request_add_header(request, "Content-Type", content_type) &&
         lw_request_add_header(request, ID_HEADER, id) && sign(flight, route, id, now);
}

static const char *trigger_of(const struct lw_flight *flight) {
  if (flight->tries > 0) return "retry";
  if (flight->attempts > 0) return "resend";
  return flight->test ? "test" : "emit";
}

struct lw_outcome lw_flight_outcome(const struct lw_flight *flight, const struct lw_id *dispatcher,
                                    const struct lw_retry_schedule *schedule, int64_t now, uint32_t random) {
  const struct lw_response *response = &flight->request->response;
  struct lw_outcome outcome = {
      .delivery_id = flight->id,
      .dispatcher = *dispatcher,
      .status = LW_SUCCEEDED,
      .due_at = now,
      .sent_at = response->sent_at,
      .duration = response->duration,
      .response_status_code = response->status,
      .response_headers = response->headers,
      .response_headers_length = response->headers_length,
      .response_headers_cut = response->headers_cut,
      .response_body = response->body,
      .response_body_length = response->body_length,
      .response_body_cut = response->body_cut,
      .error = response->error_code ? response->error : NULL,
      .trigger = trigger_of(flight),
  };
  struct lw_verdict verdict = lw_flight_verdict(flight, now);
  if (verdict.kind == LW_VERDICT_SUCCESS) return outcome;
  int64_t delay = -1;
  if (verdict.kind == LW_VERDICT_AGAIN) delay = lw_retry_delay(schedule, flight->tries + 1, random);
  if (delay >= 0 && delay < verdict.wait) delay = verdict.wait;
  outcome.status = delay < 0 ? LW_FAILED : LW_PENDING;
  outcome.due_at = delay < 0 ? now : now + delay;
  if (delay < 0) outcome.reason = verdict.reason ? verdict.reason : "the retry schedule is used up";
  return outcome;
}

struct lw_verdict lw_flight_verdict(const struct lw_flight *flight, int64_t now) {
  return lw_verdict_of(flight->format, &flight->request->response, now);
}

bool lw_flight_unsent(const struct lw_flight *flight) {
  const char *code = flight->request->response.error_code;
  return code != NULL && strcmp(code, "canceled") == 0;
}
