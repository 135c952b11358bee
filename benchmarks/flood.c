/* Sends numbered packets out of an interface at a given rate: flood INTERFACE COUNT RATE SIZE. A size above an Ethernet
 * frame is sent as one TCP segment that the network card would cut (GSO). Built by _capture.py. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 32, VNET = 10, ETHERNET = 14, IP = 20, MAX_SIZE = 65000 };

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    uint64_t count = strtoull(argv[2], NULL, 10), sent = 0;
    double rate = atof(argv[3]);
    int size = atoi(argv[4]), offloaded = size > 1514, front = offloaded ? VNET : 0, one = 1;
    if (size < 64 || size > MAX_SIZE || rate <= 0) return 2;
    int out = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
    if (out < 0 || bind(out, (void *)&address, sizeof address)) return perror("bind"), 1;
    setsockopt(out, 263, PACKET_QDISC_BYPASS, &one, sizeof one);
    if (offloaded && setsockopt(out, 263, PACKET_VNET_HDR, &one, sizeof one)) return perror("vnet"), 1;
    static uint8_t packets[BATCH][VNET + MAX_SIZE];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        uint8_t *at = packets[i];
        if (offloaded) memcpy(at, (uint8_t[]){1, 1, 54, 0, 0xA8, 0x05, 34, 0, 16, 0}, VNET); /* TCPv4, 1448 a piece */
        at += front;
        memcpy(at, "\2\0\0\0\0\2\2\0\0\0\0\1\x08", 13);
        uint8_t *ip = at + ETHERNET, *transport = ip + IP;
        ip[0] = 0x45, ip[8] = 64, ip[9] = offloaded ? 6 : 17;
        uint16_t length = htons((uint16_t)(size - ETHERNET)), port = htons((uint16_t)(1024 + i));
        memcpy(ip + 2, &length, 2), memcpy(ip + 12, "\x0a\0\0\1\x0a\0\0\2", 8);
        memcpy(transport, &port, 2), memcpy(transport + 2, "\x27\x0f", 2);
        length = htons((uint16_t)(size - ETHERNET - IP));
        if (offloaded) transport[12] = 0x50, transport[13] = 0x18;
        else memcpy(transport + 4, &length, 2);
        for (int k = ETHERNET + IP + 28; k < size; k++) at[k] = (uint8_t)(k * 31 + i);
        parts[i] = (struct iovec){packets[i], (size_t)(front + size)};
        messages[i].msg_hdr.msg_iov = parts + i, messages[i].msg_hdr.msg_iovlen = 1;
    }
    double begun = now();
    while (sent < count) {
        unsigned wanted = count - sent < BATCH ? (unsigned)(count - sent) : BATCH, done = 0;
        for (unsigned i = 0; i < wanted; i++) {
            uint64_t number = sent + i;
            memcpy(packets[i] + front + ETHERNET + IP + 20, &number, 8);
        }
        while (done < wanted) {
            int made = sendmmsg(out, messages + done, wanted - done, 0);
            if (made < 0 && errno != ENOBUFS) return perror("send"), 1;
            done += made > 0 ? (unsigned)made : 0;
        }
        sent += wanted;
        struct timespec pause = {0, 100000};
        while (now() < begun + (double)sent / rate) nanosleep(&pause, NULL);
    }
    printf("%.0f\n", (double)sent / (now() - begun));
    return 0;
}
