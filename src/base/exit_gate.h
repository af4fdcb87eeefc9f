/* Exit without close: a host may call exit() while our threads run, and libraries (OpenSSL) free what the
 * threads use in their exit handlers. A thread stands inside the gate while it works and outside while it
 * sleeps; at exit our handler, which runs before theirs, waits until all are outside and keeps the gate shut
 * for ever.
 *
 * Lock: one process-wide read-write lock, read-held by a thread for one turn of its loop. */
#ifndef LW_BASE_EXIT_GATE_H
#define LW_BASE_EXIT_GATE_H

/* Once per process, after the libraries that the threads use were initialised. Further calls do nothing. */
void lw_exit_gate_prepare(void);
void lw_exit_gate_enter(void);
void lw_exit_gate_leave(void);

#endif
