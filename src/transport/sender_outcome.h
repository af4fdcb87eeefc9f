/* What the end of a transfer means: the word and the sentence of a failure, the parts of an answer. Internal
 * to the sender. */
#ifndef LW_TRANSPORT_SENDER_OUTCOME_H
#define LW_TRANSPORT_SENDER_OUTCOME_H

#include <curl/curl.h>

#include "transport/sender_transfer.h"

/* The message names the host, and never what may be a secret: path, query, credentials, a file's content. */
void lw_outcome_failure(struct lw_transfer *transfer, CURLcode result);
/* The response borrows from the request. */
void lw_outcome_answer(struct lw_transfer *transfer);

#endif
