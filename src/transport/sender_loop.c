#include "transport/sender_loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_gate.h"

enum {
  MAX_CONNECTIONS = 1024,   /* kept open for reuse, all lanes together */
  MAX_IDLE_TRANSFERS = 256, /* curl handles a lane keeps for reuse */
  EVENTS_PER_WAIT = 256,
  MAX_WAIT_MS = 60 * 1000
};

static int64_t now_ticks(void) {
  const struct lw_clock *clock = lw_system_clock();
  return clock->ticks(clock->context);
}

/* -- lists and waking ------------------------------------------------------------------------------ */

void lw_request_list_append(struct lw_request_list *list, struct lw_request *first, struct lw_request *last) {
  if (list->first == NULL)
    list->first = first;
  else
    list->last->next = first;
  list->last = last;
}

static struct lw_request *take_first(struct lw_request_list *list) {
  struct lw_request *request = list->first;
  list->first = request->next;
  request->next = NULL;
  return request;
}

bool lw_sender_claim_wakeup(struct lw_sender *sender) {
  bool asleep = sender->asleep;
  sender->asleep = false;
  return asleep;
}

void lw_sender_wake(const struct lw_sender *sender) {
  const uint64_t one = 1;
  ssize_t written;
  do written = write(sender->wakeup, &one, sizeof one);
  while (written < 0 && errno == EINTR);
}

static void touch(struct lw_lane *lane) {
  if (lane->touched) return;
  lane->touched = true;
  lane->next_touched = lane->sender->touched;
  lane->sender->touched = lane;
}

static void give_back(struct lw_lane *lane, struct lw_request *request) {
  lane->came_back = true;
  touch(lane);
  lane->done(request, lane->context);
}

/* -- transfers of a lane (sender's thread) --------------------------------------------------------- */

static void link_transfer(struct lw_lane *lane, struct lw_transfer *transfer) {
  transfer->previous = NULL;
  transfer->next = lane->transfers;
  if (lane->transfers) lane->transfers->previous = transfer;
  lane->transfers = transfer;
  atomic_fetch_add_explicit(&lane->running, 1, memory_order_relaxed);
}

static void unlink_transfer(struct lw_lane *lane, struct lw_transfer *transfer) {
  if (transfer->next) transfer->next->previous = transfer->previous;
  if (transfer->previous)
    transfer->previous->next = transfer->next;
  else
    lane->transfers = transfer->next;
  atomic_fetch_sub_explicit(&lane->running, 1, memory_order_relaxed);
}

static struct lw_transfer *take_transfer(struct lw_lane *lane) {
  struct lw_transfer *transfer = lane->spare;
  if (transfer == NULL) return lw_transfer_new(&lane->sender->sockets);
  lane->spare = transfer->next;
  lane->spares--;
  return transfer;
}

static void put_transfer(struct lw_lane *lane, struct lw_transfer *transfer) {
  if (lane->spares >= MAX_IDLE_TRANSFERS) {
    lw_transfer_free(transfer);
    return;
  }
  transfer->next = lane->spare;
  lane->spare = transfer;
  lane->spares++;
}

static void start(struct lw_lane *lane, struct lw_request *request) {
  struct lw_transfer *transfer = take_transfer(lane);
  if (transfer == NULL) {
    lw_request_out_of_memory(request);
    give_back(lane, request);
    return;
  }
  CURLcode result = CURLE_OK;
  if (lw_transfer_begin(transfer, request, &result)) {
    if (curl_multi_add_handle(lane->sender->multi, transfer->easy) == CURLM_OK) {
      link_transfer(lane, transfer);
      return;
    }
    result = CURLE_FAILED_INIT;
  }
  lw_transfer_finish(transfer, result);
  put_transfer(lane, transfer);
  give_back(lane, request);
}

static void cancel_first(struct lw_lane *lane) {
  struct lw_request *request = take_first(&lane->waiting);
  lw_request_canceled(request);
  give_back(lane, request);
}

static void start_waiting(struct lw_lane *lane) {
  while (lane->waiting.first && lane->waiting.first->recalls != lane->recalled) cancel_first(lane);
  while (lane->waiting.first && lw_lane_running(lane) < lane->max_in_flight)
    start(lane, take_first(&lane->waiting));
}

static void end_transfer(struct lw_transfer *transfer) {
  struct lw_lane *lane = transfer->request->lane;
  curl_multi_remove_handle(lane->sender->multi, transfer->easy);
  unlink_transfer(lane, transfer);
}

static void finish(struct lw_transfer *transfer, CURLcode result) {
  struct lw_request *request = transfer->request;
  end_transfer(transfer);
  lw_transfer_finish(transfer, result);
  put_transfer(request->lane, transfer);
  give_back(request->lane, request);
}

static void cancel_running(struct lw_lane *lane) {
  while (lane->transfers) {
    struct lw_transfer *transfer = lane->transfers;
    struct lw_request *request = transfer->request;
    end_transfer(transfer);
    lw_transfer_cancel(transfer);
    put_transfer(lane, transfer);
    give_back(lane, request);
  }
}

static void cancel_waiting(struct lw_lane *lane) {
  while (lane->waiting.first) cancel_first(lane);
}

/* -- curl's hooks ---------------------------------------------------------------------------------- */

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *known) {
  struct lw_sender *sender = context;
  uint32_t events = 0;
  (void)easy, (void)known;
  if (what == CURL_POLL_REMOVE) {
    lw_sockets_ignore(&sender->sockets, socket);
    return 0;
  }
  if (what & CURL_POLL_IN) events |= EPOLLIN;
  if (what & CURL_POLL_OUT) events |= EPOLLOUT;
  return lw_sockets_watch(&sender->sockets, socket, events) ? 0 : -1;
}

static int set_timer(CURLM *multi, long milliseconds, void *context) {
  struct lw_sender *sender = context;
  (void)multi;
  sender->timer = milliseconds < 0 ? LW_SENDER_NEVER : now_ticks() + (int64_t)milliseconds * 1000;
  return 0;
}

static void collect_finished(struct lw_sender *sender) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(sender->multi, &left)) != NULL) {
    char *transfer = NULL;
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode result = message->data.result; /* the message does not outlive the handle's removal */
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    finish((struct lw_transfer *)(void *)transfer, result);
  }
}

bool lw_sender_prepare(struct lw_sender *sender, struct lw_error *error) {
  struct epoll_event event = {.events = EPOLLIN};
  sender->timer = LW_SENDER_NEVER;
  sender->sockets.epoll = epoll_create1(EPOLL_CLOEXEC);
  sender->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  event.data.fd = sender->wakeup;
  if (sender->sockets.epoll < 0 || sender->wakeup < 0 ||
      epoll_ctl(sender->sockets.epoll, EPOLL_CTL_ADD, sender->wakeup, &event) != 0)
    return lw_fail(error, "network", "the sender could not start: %s", strerror(errno));
  sender->multi = curl_multi_init();
  if (sender->multi == NULL) return lw_fail(error, "memory", "the sender could not start: out of memory");
  curl_multi_setopt(sender->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
  curl_multi_setopt(sender->multi, CURLMOPT_SOCKETDATA, sender);
  curl_multi_setopt(sender->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(sender->multi, CURLMOPT_TIMERDATA, sender);
  curl_multi_setopt(sender->multi, CURLMOPT_MAXCONNECTS, (long)MAX_CONNECTIONS);
  return true;
}

void lw_sender_dispose(struct lw_sender *sender) {
  if (sender->multi) curl_multi_cleanup(sender->multi); /* still calls watch_socket: before the epoll */
  lw_sockets_free(&sender->sockets);
  if (sender->sockets.epoll >= 0) close(sender->sockets.epoll);
  if (sender->wakeup >= 0) close(sender->wakeup);
}

/* -- the thread ------------------------------------------------------------------------------------ */

static int wait_milliseconds(const struct lw_sender *sender) {
  int64_t until = sender->timer;
  for (const struct lw_lane *lane = sender->closing_lanes; lane; lane = lane->next_closing)
    if (lane->deadline < until) until = lane->deadline;
  if (until == LW_SENDER_NEVER) return -1;
  int64_t left = (until - now_ticks() + 999) / 1000;
  return left <= 0 ? 0 : left < MAX_WAIT_MS ? (int)left : MAX_WAIT_MS;
}

static int wait_for_events(struct lw_sender *sender, struct epoll_event *events) {
  int timeout = wait_milliseconds(sender);
  pthread_mutex_lock(&sender->mutex);
  bool more =
      sender->inbox.first || sender->recalling || sender->closing || sender->stopping || sender->touched;
  sender->asleep = !more && timeout != 0;
  pthread_mutex_unlock(&sender->mutex);
  return epoll_wait(sender->sockets.epoll, events, EVENTS_PER_WAIT, more ? 0 : timeout);
}

static void drive_curl(struct lw_sender *sender, const struct epoll_event *events, int count) {
  int running;
  for (int i = 0; i < count; i++) {
    int flags = 0;
    if (events[i].data.fd == sender->wakeup) {
      uint64_t ignored;
      while (read(sender->wakeup, &ignored, sizeof ignored) < 0 && errno == EINTR) continue;
      continue;
    }
    if (!lw_sockets_wanted(&sender->sockets, events[i].data.fd)) continue;
    if (events[i].events & EPOLLIN) flags |= CURL_CSELECT_IN;
    if (events[i].events & EPOLLOUT) flags |= CURL_CSELECT_OUT;
    if (events[i].events & (EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_ERR;
    curl_multi_socket_action(sender->multi, events[i].data.fd, flags, &running);
  }
  if (sender->timer <= now_ticks()) {
    sender->timer = LW_SENDER_NEVER; /* curl sets it again from inside the call */
    curl_multi_socket_action(sender->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

static void route(struct lw_request *request) {
  while (request) {
    struct lw_request *next = request->next;
    struct lw_lane *lane = request->lane;
    request->next = NULL;
    lw_request_list_append(&lane->waiting, request, request);
    touch(lane);
    request = next;
  }
}

static void take_closing(struct lw_sender *sender, struct lw_lane *lane) {
  while (lane) {
    struct lw_lane *next = lane->next_closing;
    lane->closing = true;
    lane->next_closing = sender->closing_lanes;
    sender->closing_lanes = lane;
    touch(lane);
    lane = next;
  }
}

/* Under the mutex. */
static void take_recalling(struct lw_sender *sender) {
  for (struct lw_lane *lane = sender->recalling; lane; lane = lane->next_recalling) {
    lane->recalling = false;
    lane->recalled = lane->recalls;
    touch(lane);
  }
  sender->recalling = NULL;
}

/* Returns false when the sender is to stop. */
static bool take_inbox(struct lw_sender *sender) {
  pthread_mutex_lock(&sender->mutex);
  struct lw_request *requests = sender->inbox.first;
  struct lw_lane *closing = sender->closing;
  bool stopping = sender->stopping;
  sender->inbox.first = NULL;
  sender->closing = NULL;
  sender->asleep = false;
  take_recalling(sender);
  for (struct lw_request *request = requests; request; request = request->next) request->lane->submitted--;
  pthread_mutex_unlock(&sender->mutex);
  take_closing(sender, closing);
  route(requests);
  return !stopping;
}

/* Starts what may start and calls idle, once for each lane in which anything happened. */
static void serve_touched(struct lw_sender *sender) {
  struct lw_lane *lane = sender->touched;
  sender->touched = NULL;
  while (lane) {
    struct lw_lane *next = lane->next_touched;
    if (lane->closing)
      cancel_waiting(lane);
    else
      start_waiting(lane);
    lane->touched = false; /* only now: what came back above is told by the idle below */
    if (lane->came_back && lane->idle) lane->idle(lane->context);
    lane->came_back = false;
    lane = next;
  }
}

static bool lane_is_over(struct lw_lane *lane) {
  return lane->transfers == NULL && lane->waiting.first == NULL && !lane->touched && lane->submitted == 0 &&
         !lane->recalling;
}

/* Tells the closers of empty lanes. The closer frees the lane as soon as the mutex is let go. */
static void finish_closing(struct lw_sender *sender) {
  struct lw_lane **link = &sender->closing_lanes;
  if (*link == NULL) return;
  pthread_mutex_lock(&sender->mutex);
  while (*link) {
    struct lw_lane *lane = *link;
    if (!lane_is_over(lane)) {
      link = &lane->next_closing;
      continue;
    }
    *link = lane->next_closing;
    lane->closed = true;
    pthread_cond_signal(&lane->closed_changed);
  }
  pthread_mutex_unlock(&sender->mutex);
}

static void expire_closing(struct lw_sender *sender) {
  for (struct lw_lane *lane = sender->closing_lanes; lane; lane = lane->next_closing) {
    if (lane->deadline > now_ticks()) continue;
    lane->deadline = LW_SENDER_NEVER; /* nothing starts in a closing lane, so once is enough */
    cancel_running(lane);
  }
}

void *lw_sender_run(void *argument) {
  struct lw_sender *sender = argument;
  struct epoll_event events[EVENTS_PER_WAIT] = {{0}};
  bool go_on = true;
  pthread_setname_np(pthread_self(), "webhook-sender");
  while (go_on) {
    int count = wait_for_events(sender, events);
    lw_exit_gate_enter();
    drive_curl(sender, events, count);
    collect_finished(sender);
    go_on = take_inbox(sender);
    expire_closing(sender);
    serve_touched(sender);
    finish_closing(sender);
    lw_exit_gate_leave();
  }
  return NULL;
}
