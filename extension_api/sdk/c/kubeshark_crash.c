/* Compiled into every C and C++ plugin by `kubeshark plugin build`: when the plugin crashes, the addresses of the calls
 * that led there are left where kubeshark finds them, which then names function, file and line (hosts/c/_crash.py).
 * Constructors are watched, too, and a plugin that takes too long is asked in the same way where it is: SIGVTALRM.
 *
 * Runs in the sandbox, on a stack of its own, and asks the kernel for nothing. What it leaves is not trusted.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As hosts/c/_crash.py reads it. */
typedef struct {
    char magic[8];
    uint32_t signal;
    uint32_t count;
    uint64_t offsets[32]; /* from where the object was loaded; of a call, inside it; the innermost first */
} ks_crash_record;

enum { KS_CRASH_STACK = 64 << 10 }; /* AVX-512 state alone takes 3 KiB, the unwinder some more */

extern const char __ehdr_start[] __attribute__((visibility("hidden"))); /* of this object: the linker defines it */

/* Of libgcc or libunwind; kubeshark has one loaded. */
struct _Unwind_Context;
int _Unwind_Backtrace(int (*)(struct _Unwind_Context *, void *), void *) __attribute__((weak));
uintptr_t _Unwind_GetIPInfo(struct _Unwind_Context *, int *) __attribute__((weak));

static ks_crash_record *ks_record;
static char ks_crash_stack[KS_CRASH_STACK] __attribute__((aligned(16)));

typedef struct {
    ks_crash_record record;
    uintptr_t pc;
    int is_there; /* past the frames of the handler itself */
} ks_crash_walk;

static void ks_crash_note(ks_crash_record *record, uintptr_t address) {
    if (record->count < sizeof record->offsets / sizeof record->offsets[0]) {
        record->offsets[record->count++] = (uint64_t)(address - (uintptr_t)__ehdr_start);
    }
}

static int ks_crash_frame(struct _Unwind_Context *context, void *argument) {
    ks_crash_walk *walk = (ks_crash_walk *)argument;
    int is_exact = 0;
    const uintptr_t address = _Unwind_GetIPInfo(context, &is_exact);
    if (address == walk->pc) {
        walk->is_there = is_exact = 1;
    }
    if (walk->is_there) ks_crash_note(&walk->record, is_exact ? address : address - 1);
    return walk->record.count < sizeof walk->record.offsets / sizeof walk->record.offsets[0] ? 0 : 5; /* end of stack */
}

static void ks_on_crash(int number, siginfo_t *info, void *context) {
    const mcontext_t *machine = &((const ucontext_t *)context)->uc_mcontext;
    ks_crash_walk walk;
    uintptr_t caller = 0;
    (void)info;
    memset(&walk, 0, sizeof walk);
    memcpy(walk.record.magic, "KSCRASH1", 8);
    walk.record.signal = (uint32_t)number;
#if defined(__x86_64__)
    walk.pc = (uintptr_t)machine->gregs[REG_RIP];
    if (walk.pc < 4096) caller = *(const uintptr_t *)machine->gregs[REG_RSP]; /* a call of NULL: nothing to unwind from */
#elif defined(__aarch64__)
    walk.pc = (uintptr_t)machine->pc;
    if (walk.pc < 4096) caller = (uintptr_t)machine->regs[30];
#endif
    if (caller) ks_crash_note(&walk.record, caller - 1);
    else if (_Unwind_Backtrace && _Unwind_GetIPInfo) _Unwind_Backtrace(ks_crash_frame, &walk);
    if (!walk.record.count) ks_crash_note(&walk.record, walk.pc);
    if (ks_record) memcpy(ks_record, &walk.record, sizeof walk.record);
} /* the handler is gone: back in the plugin, the same happens again and ends the process, or time goes on */

/* Where to leave the record. */
__attribute__((visibility("default"))) void ks_crash(uint8_t *record, uint64_t size) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGVTALRM};
    struct sigaction action;
    stack_t stack;
    if (size < sizeof(ks_crash_record) || (uintptr_t)record % sizeof(uint64_t)) return;
    ks_record = (ks_crash_record *)(void *)record;
    memset(&stack, 0, sizeof stack);
    stack.ss_sp = ks_crash_stack;
    stack.ss_size = sizeof ks_crash_stack;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = ks_on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND | SA_NODEFER;
    if (sigaltstack(&stack, NULL) != 0) return;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaction(numbers[i], &action, NULL);
}

/* Before the plugin's own constructors; the address is gone from the environment when the object is loaded. */
__attribute__((constructor(101))) static void ks_crash_early(void) {
    const char *where = getenv("KUBESHARK_CRASH");
    if (where) ks_crash((uint8_t *)(uintptr_t)strtoull(where, NULL, 16), sizeof(ks_crash_record));
}

#ifdef __cplusplus
}
#endif
