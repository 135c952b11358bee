/* One exchange with a plugin's process: a command goes over the control socket, its answer comes back.
 *
 * The two never work at the same time, so they share a core for as long as the exchange takes: what one wrote is in
 * that core's cache when the other reads it, and nobody has to wake an idle core. We are kept on ours until the
 * answer is there; the process is put on it and may be moved off at once, if others want that core. Oracle:
 * hosts/_exchange.py, which leaves both to the scheduler. No function keeps a pointer or allocates.
 */
#ifndef KUBESHARK_EXCHANGE_H
#define KUBESHARK_EXCHANGE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getcpu, cpu_set_t */
#endif
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { KX_ABI = 1 };
enum { KX_GONE = 0, KX_LATE = -1, KX_INTERRUPTED = -2 }; /* instead of the bytes of an answer */

int kx_abi(void);

/* Send the command and wait for its answer. `pid` is the process that is to answer; `control` is its SOCK_SEQPACKET
 * socket. Returns the bytes in `answer`, or KX_GONE, KX_LATE, or KX_INTERRUPTED: then `kx_wait` waits on. */
int32_t kx_exchange(int control, int pid, uint32_t hook, uint32_t length, int32_t milliseconds, uint8_t *answer,
                    uint32_t capacity);

/* Wait for an answer; as above. */
int32_t kx_wait(int control, int32_t milliseconds, uint8_t *answer, uint32_t capacity);

#endif
