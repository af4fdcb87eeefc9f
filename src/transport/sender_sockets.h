/* Which sockets the sender's epoll watches. curl asks to watch a connection and to forget it again for every
 * request, though the socket lives on in its pool: a socket that was opened through lw_sockets_opened stays
 * registered between requests, and the epoll_ctl calls are saved. A socket that nobody told us about (curl's
 * resolver makes some) is forgotten at once, because nobody would tell us when its number means another one.
 *
 * Used on the sender's thread only. */
#ifndef LW_TRANSPORT_SENDER_SOCKETS_H
#define LW_TRANSPORT_SENDER_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lw_socket_slot {
  uint32_t registered; /* the events that epoll reports, 0: not registered */
  bool kept;           /* between its opening and its closing by curl */
  bool wanted;         /* curl waits for it */
};

struct lw_sockets {
  int epoll;
  struct lw_socket_slot *slots; /* by descriptor */
  size_t count;
};

/* curl opened this socket, and lw_sockets_closed will be called before it is closed. */
void lw_sockets_opened(struct lw_sockets *sockets, int socket);
void lw_sockets_closed(struct lw_sockets *sockets, int socket);

/* False with errno when epoll refuses it. `events` are EPOLLIN and EPOLLOUT. */
bool lw_sockets_watch(struct lw_sockets *sockets, int socket, uint32_t events);
void lw_sockets_ignore(struct lw_sockets *sockets, int socket);

/* Asked for every event. False: curl does not wait for this socket (its peer has closed an idle connection,
 * say); it is unregistered, or it would be reported again at once. */
bool lw_sockets_wanted(struct lw_sockets *sockets, int socket);

void lw_sockets_free(struct lw_sockets *sockets);

#endif
