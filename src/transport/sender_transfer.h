/* One request on one curl easy handle: its options, its callbacks, and what its end means. Internal to
 * the sender; used on the sender's thread only, except the lw_request functions. */
#ifndef LW_TRANSPORT_SENDER_TRANSFER_H
#define LW_TRANSPORT_SENDER_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/sender.h"
#include "transport/sender_sockets.h"

struct lw_transfer {
  CURL *easy;      /* CURLOPT_PRIVATE is the transfer */
  uint64_t serial; /* of the options the handle is set up for; 0: none */
  struct lw_sockets *sockets;
  struct lw_request *request;
  struct lw_transfer *next; /* the lane's list of running ones, or of idle ones */
  struct lw_transfer *previous;
  int64_t started;     /* ticks, microseconds */
  size_t header_bytes; /* all received, kept or not */
  size_t drained;      /* body bytes read and dropped */
  bool flooded;
  bool complete; /* all headers of the last answer are here */
  bool cut;      /* the body was */
  bool headers_cut;
  char refused[LW_ADDRESS_TEXT_SIZE]; /* the last address the policy refused, or "" */
  char detail[CURL_ERROR_SIZE];
};

/* `sockets` must outlive all connections. NULL when memory is out. */
struct lw_transfer *lw_transfer_new(struct lw_sockets *sockets);
void lw_transfer_free(struct lw_transfer *transfer);

/* Sets the handle up for the request and its options. False when that fails or the host is refused: call
 * lw_transfer_finish with `result`. */
bool lw_transfer_begin(struct lw_transfer *transfer, struct lw_request *request, CURLcode *result);

/* Fills the request's response and lets go of the request. */
void lw_transfer_finish(struct lw_transfer *transfer, CURLcode result);
void lw_transfer_cancel(struct lw_transfer *transfer);

/* For requests that never got a transfer. */
void lw_request_canceled(struct lw_request *request);
void lw_request_out_of_memory(struct lw_request *request);

#endif
