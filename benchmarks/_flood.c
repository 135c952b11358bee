/* Sends a number of UDP datagrams of 18 bytes to an address from one processor: flood ADDRESS PORT COUNT PROCESSOR. Prints
 * how many were sent, and the nanoseconds of processor time and of the clock that it took. Built by _firewall_drops.py. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64 };

static long long now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int count, char **given)
{
    if (count != 5)
        return 2;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(atoi(given[4]), &one);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(given[2]))};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || inet_pton(AF_INET, given[1], &to.sin_addr) != 1 || sched_setaffinity(0, sizeof one, &one) ||
        connect(fd, (struct sockaddr *)&to, sizeof to))
        return perror("flood"), 1;
    char data[18] = {0};
    struct iovec piece = {data, sizeof data};
    struct mmsghdr batch[BATCH];
    memset(batch, 0, sizeof batch);
    for (int i = 0; i < BATCH; i++) {
        batch[i].msg_hdr.msg_iov = &piece;
        batch[i].msg_hdr.msg_iovlen = 1;
    }
    long wanted = atol(given[3]), sent = 0;
    long long began = now(CLOCK_MONOTONIC), used = now(CLOCK_PROCESS_CPUTIME_ID);
    while (sent < wanted) {
        int done = sendmmsg(fd, batch, wanted - sent < BATCH ? (unsigned)(wanted - sent) : BATCH, 0);
        if (done < 0 && errno != ECONNREFUSED && errno != ENOBUFS) /* nobody listens: an answer to an earlier one */
            return perror("flood"), 1;
        sent += done > 0 ? done : 0;
    }
    printf("%ld %lld %lld\n", sent, now(CLOCK_PROCESS_CPUTIME_ID) - used, now(CLOCK_MONOTONIC) - began);
    return 0;
}
