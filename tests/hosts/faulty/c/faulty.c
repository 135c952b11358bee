/* Does what the first word of an item says: every way a plugin can go wrong. "say x" answers x. */
#define _GNU_SOURCE
#define ks_call sdk_call /* ours wraps the SDK's, to answer nonsense */
#include "kubeshark_plugin.h"
#undef ks_call

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *trick = ""; /* what to do to the result of this call */

static void (*volatile nobody)(void);

static int overflow(volatile char *before) {
    volatile char frame[4096];
    frame[0] = before ? before[0] : 0;
    return overflow(frame) + frame[0];
}

static void *nothing(void *argument) { return argument; }

static const char *secrets(void) {
    static char text[65536];
    extern char **environ;
    size_t at = 0;
    for (char **entry = environ; entry && *entry && at < sizeof text - 512; entry++)
        at += (size_t)snprintf(text + at, 512, "%s;", *entry);
    return text;
}

static void obey(const char *order, ks_writer *out) {
    if (!strcmp(order, "segfault")) *(volatile int *)8 = 1;
    else if (!strcmp(order, "abort")) abort();
    else if (!strcmp(order, "nullcall")) nobody();
    else if (!strcmp(order, "exit")) exit(3);
    else if (!strcmp(order, "loop")) for (;;) __asm__ volatile("");
    else if (!strcmp(order, "stack")) overflow(NULL);
    else if (!strcmp(order, "memory")) for (;;) *(volatile char *)malloc(1 << 20) = 1;
    else if (!strcmp(order, "fork")) fork();
    else if (!strcmp(order, "system")) { if (system("id")) return; }
    else if (!strcmp(order, "thread")) { pthread_t thread; pthread_create(&thread, NULL, nothing, NULL); }
    else if (!strcmp(order, "open")) open("/etc/passwd", O_RDONLY);
    else if (!strcmp(order, "socket")) socket(AF_INET, SOCK_STREAM, 0);
    else if (!strcmp(order, "kill")) kill(getppid(), SIGKILL);
    else if (!strcmp(order, "ptrace")) ptrace(PTRACE_TRACEME, 0, 0, 0);
    else if (!strcmp(order, "exec")) execl("/bin/sh", "sh", "-c", "id", (char *)NULL);
    else if (!strcmp(order, "peek")) syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
    else if (!strcmp(order, "keyring")) syscall(SYS_keyctl, 0, -3, 0, 0, 0);
    else if (!strcmp(order, "unshare")) syscall(SYS_unshare, CLONE_NEWUSER);
    else if (!strcmp(order, "newcode")) mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    else if (!strcmp(order, "shrink")) { for (int fd = 3; fd < 16; fd++) if (ftruncate(fd, 0)) continue; }
    else if (!strcmp(order, "write-request")) *(volatile uint8_t *)(uintptr_t)out->item->bytes.data = 'X';
    else if (!strcmp(order, "secrets")) ks_string(out, 0, secrets());
    else if (!strcmp(order, "print")) { for (int i = 0; i < 100000; i++) printf("flood %d\n", i), fprintf(stderr, "flood\n"); }
    else if (!strcmp(order, "flood")) { static char text[1 << 20]; memset(text, 'x', sizeof text - 1); for (int i = 0; i < 12; i++) { ks_message(out, KS_EVENT, 0, 0); ks_string(out, 0, text); } }
    else if (!strcmp(order, "control")) { for (int fd = 3; fd < 16; fd++) for (int i = 0; i < 3; i++) if (write(fd, "\0\0\0\0\xff\xff\xff\x7f", 8) < 0) break; }
    else if (!strcmp(order, "field")) ks_int(out, 99, 1);
    else if (!strcmp(order, "type")) ks_int(out, 0, 1);
    else if (!strcmp(order, "outside")) ks_field(out, 0, 3, (uint64_t)1 << 60);
    else if (!strcmp(order, "magic") || !strcmp(order, "partial") || !strcmp(order, "noise") || !strcmp(order, "failure") ||
             !strcmp(order, "huge") || !strcmp(order, "needed") || !strcmp(order, "offsets")) trick = order[0] == 'n' && order[1] == 'o' ? "noise" : order;
}

static char kept[64]; /* `trick` points into it while the call ends */

static uint32_t dissect(const ks_item *item, ks_writer *out) {
    char order[64];
    uint32_t length = item->bytes.length < 63 ? item->bytes.length : 63;
    memcpy(order, item->bytes.data, length);
    order[length] = 0;
    ks_message(out, KS_EVENT, 0, item->bytes.length);
    if (!strncmp(order, "say ", 4)) {
        ks_bytes said = {item->bytes.data + 4, item->bytes.length - 4};
        ks_text(out, 0, said);
    } else {
        memcpy(kept, order, sizeof kept);
        obey(kept, out);
    }
    return item->bytes.length;
}

const ks_plugin_hooks ks_plugin = {.dissect = dissect};

KS_EXPORT int64_t ks_call(uint32_t hook, const uint8_t *in, uint64_t in_len, uint8_t *out, uint64_t out_cap) {
    trick = "";
    int64_t written = sdk_call(hook, in, in_len, out, out_cap);
    if (!strcmp(trick, "magic")) out[0] = 'X';
    if (!strcmp(trick, "partial")) return written - 9;
    if (!strcmp(trick, "failure")) return 0;
    if (!strcmp(trick, "huge")) return (int64_t)1 << 40;
    if (!strcmp(trick, "needed")) return -((int64_t)1 << 40);
    if (!strcmp(trick, "offsets")) memset(out + 32, 0xFF, (size_t)written - 32);
    if (!strcmp(trick, "noise")) for (int64_t i = 0; i < written; i++) out[i] = (uint8_t)(i * 37 + 11);
    return written;
}
