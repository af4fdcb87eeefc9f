#include "transport/sender_sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { FIRST_COUNT = 64 };

/* NULL when memory is out: the socket is then watched without a memory of it. */
static struct lw_socket_slot *slot_of(struct lw_sockets *sockets, int socket) {
  if (socket < 0) return NULL;
  size_t at = (size_t)socket;
  if (at < sockets->count) return &sockets->slots[at];
  size_t count = sockets->count ? sockets->count : FIRST_COUNT;
  while (count <= at) count *= 2;
  struct lw_socket_slot *slots = realloc(sockets->slots, count * sizeof *slots);
  if (slots == NULL) return NULL;
  memset(slots + sockets->count, 0, (count - sockets->count) * sizeof *slots);
  sockets->slots = slots;
  sockets->count = count;
  return &slots[at];
}

static void unregister(struct lw_sockets *sockets, int socket, struct lw_socket_slot *slot) {
  epoll_ctl(sockets->epoll, EPOLL_CTL_DEL, socket, NULL);
  if (slot) slot->registered = 0;
}

void lw_sockets_opened(struct lw_sockets *sockets, int socket) {
  struct lw_socket_slot *slot = slot_of(sockets, socket);
  if (slot) *slot = (struct lw_socket_slot){.kept = true};
}

/* Explicitly, before the close: a forked child may hold the socket open, and epoll would go on reporting it.
 */
void lw_sockets_closed(struct lw_sockets *sockets, int socket) {
  struct lw_socket_slot *slot = slot_of(sockets, socket);
  if (slot == NULL || slot->registered) unregister(sockets, socket, slot);
  if (slot) *slot = (struct lw_socket_slot){.kept = false};
}

bool lw_sockets_watch(struct lw_sockets *sockets, int socket, uint32_t events) {
  struct lw_socket_slot *slot = slot_of(sockets, socket);
  struct epoll_event event = {.events = events, .data.fd = socket};
  if (slot) slot->wanted = true;
  if (slot && slot->registered == events) return true;
  bool known = slot && slot->registered;
  int failed = epoll_ctl(sockets->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
  if (failed && errno == (known ? ENOENT : EEXIST))
    failed = epoll_ctl(sockets->epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
  if (failed) return false;
  if (slot) slot->registered = events;
  return true;
}

void lw_sockets_ignore(struct lw_sockets *sockets, int socket) {
  struct lw_socket_slot *slot = slot_of(sockets, socket);
  if (slot) slot->wanted = false;
  if (slot == NULL || !slot->kept) unregister(sockets, socket, slot);
}

bool lw_sockets_wanted(struct lw_sockets *sockets, int socket) {
  struct lw_socket_slot *slot = slot_of(sockets, socket);
  if (slot == NULL || slot->wanted) return true;
  unregister(sockets, socket, slot);
  return false;
}

void lw_sockets_free(struct lw_sockets *sockets) {
  free(sockets->slots);
  sockets->slots = NULL;
  sockets->count = 0;
}
