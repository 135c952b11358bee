/* Sends UDP datagrams of 18 bytes to an address as fast as it can for some seconds; prints how many a second. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int count, char **given)
{
    if (count != 4)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(given[2]))};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || inet_pton(AF_INET, given[1], &to.sin_addr) != 1 || connect(fd, (struct sockaddr *)&to, sizeof to))
        return 1;
    char data[18] = {0};
    struct iovec piece = {data, sizeof data};
    struct mmsghdr batch[BATCH];
    memset(batch, 0, sizeof batch);
    for (int i = 0; i < BATCH; i++) {
        batch[i].msg_hdr.msg_iov = &piece;
        batch[i].msg_hdr.msg_iovlen = 1;
    }
    double began = now(), end = began + atof(given[3]);
    long sent = 0;
    while (now() < end) {
        int done = sendmmsg(fd, batch, BATCH, 0);
        sent += done > 0 ? done : 0;
    }
    printf("%.0f\n", (double)sent / (now() - began));
    return 0;
}
