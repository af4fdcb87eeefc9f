/* A request's memory, beside what sender.h says: internal to the sender. */
#ifndef LW_TRANSPORT_REQUEST_H
#define LW_TRANSPORT_REQUEST_H

#include "transport/sender.h"

/* Keeps curl from sending a header of its own. False when memory is out. */
bool lw_request_leave_out_header(struct lw_request *request, const char *name);

#endif
