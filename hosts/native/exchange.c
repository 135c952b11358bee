#include "exchange.h"

int kx_abi(void) { return KX_ABI; }

/* Put the process on our core, and us; false, with nothing changed, where one of us may not be moved or there is no
 * choice. `ours` and `theirs` are where we may run. */
static bool share_core(pid_t pid, cpu_set_t *ours, cpu_set_t *theirs) {
    const int core = sched_getcpu();
    cpu_set_t here;
    if (pid <= 0 || core < 0 || core >= CPU_SETSIZE) return false; /* 0 would be ourselves */
    if (sched_getaffinity(0, sizeof *ours, ours) || CPU_COUNT(ours) < 2) return false;
    if (sched_getaffinity(pid, sizeof *theirs, theirs) || !CPU_ISSET(core, theirs)) return false;
    CPU_ZERO(&here);
    CPU_SET(core, &here);
    if (sched_setaffinity(0, sizeof here, &here)) return false;
    if (sched_setaffinity(pid, sizeof here, &here) == 0) return true;
    (void)sched_setaffinity(0, sizeof *ours, ours);
    return false;
}

int32_t kx_wait(int control, int32_t milliseconds, uint8_t *answer, uint32_t capacity) {
    struct pollfd waited = {control, POLLIN, 0};
    const int ready = poll(&waited, 1, milliseconds);
    if (ready == 0) return KX_LATE;
    if (ready < 0) return errno == EINTR ? KX_INTERRUPTED : KX_GONE;
    const ssize_t got = recv(control, answer, capacity, MSG_DONTWAIT);
    if (got < 0) return errno == EINTR || errno == EAGAIN ? KX_INTERRUPTED : KX_GONE;
    return (int32_t)got; /* at most `capacity`; 0 is KX_GONE */
}

int32_t kx_exchange(int control, int pid, uint32_t hook, uint32_t length, int32_t milliseconds, uint8_t *answer,
                    uint32_t capacity) {
    const uint32_t command[2] = {hook, length};
    cpu_set_t ours, theirs;
    const bool shared = share_core(pid, &ours, &theirs);
    const bool sent = send(control, command, sizeof command, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof command;
    if (shared) (void)sched_setaffinity(pid, sizeof theirs, &theirs); /* it was woken here: that is all we ask for */
    const int32_t said = sent ? kx_wait(control, milliseconds, answer, capacity) : KX_GONE;
    if (shared) (void)sched_setaffinity(0, sizeof ours, &ours);
    return said;
}
