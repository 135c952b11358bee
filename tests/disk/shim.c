/* Stands between a process and its disk: records what it does below a folder, and lets it fail on demand.
 *
 * Built and preloaded by _shim.py. Settings come from the environment:
 *   DISK_ROOT    the folder, absolute and without links
 *   DISK_LOG     where records go, outside of it: a struct entry, both paths (relative to the folder), the data
 *   DISK_FAIL    KINDS:FIRST:ERRNO:COUNT: operations of these kinds fail, COUNT of them from the FIRST on (0 is the
 *                first, COUNT 0 is "for ever"). A write that runs into a full disk (ENOSPC) first writes half.
 * Kinds: C create, T truncate, W write, S sync, R rename, U unlink, L link, D make folder, X remove folder,
 * M written to standard output (a mark in time: never fails), ? something that the model of _model.py does not know.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct entry {
    char kind;
    char padding[3];
    uint32_t path_bytes, target_bytes;
    uint32_t padding2;
    uint64_t inode, offset, data_bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int log_fd = -1;
static const char *fail_kinds = "";
static long fail_first, fail_count, fail_seen;
static int fail_errno;

/* Begin with these settings, as if the process started now; _runner.py calls it in its children. */
void disk_start(const char *folder, const char *log, const char *fail) {
    static char kinds[32];
    root_length = folder != NULL ? (size_t)snprintf(root, sizeof root, "%s/", folder) : 0;
    log_fd = -1;
    if (log != NULL) log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    fail_seen = 0;
    bool fails = fail != NULL && sscanf(fail, "%31[^:]:%ld:%d:%ld", kinds, &fail_first, &fail_errno, &fail_count) == 4;
    fail_kinds = fails ? kinds : "";
}

__attribute__((constructor)) static void start(void) {
    disk_start(getenv("DISK_ROOT"), getenv("DISK_LOG"), getenv("DISK_FAIL"));
}

/* Write the path of `name` (relative to `folder`) below the root to `out`; false if it lies elsewhere. */
static bool below_root(int folder, const char *name, char out[PATH_MAX]) {
    char full[2 * PATH_MAX], base[PATH_MAX], link[64];
    if (root_length == 0 || name == NULL) return false;
    if (name[0] == '/') {
        snprintf(full, sizeof full, "%s", name);
    } else {
        ssize_t length;
        if (folder == AT_FDCWD) {
            if (getcwd(base, sizeof base) == NULL) return false;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            length = readlink(link, base, sizeof base - 1);
            if (length <= 0) return false;
            base[length] = 0;
        }
        snprintf(full, sizeof full, "%s/%s", base, name);
    }
    if (strncmp(full, root, root_length) != 0) {
        if (strncmp(full, root, root_length - 1) != 0 || full[root_length - 1] != 0) return false;
        out[0] = 0; /* the root itself */
        return true;
    }
    snprintf(out, PATH_MAX, "%s", full + root_length);
    return true;
}

static bool file_below_root(int fd, char out[PATH_MAX]) {
    char link[64], full[PATH_MAX];
    if (root_length == 0) return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, full, sizeof full - 1);
    if (length <= 0) return false;
    full[length] = 0;
    return below_root(AT_FDCWD, full, out);
}

static void record(char kind, uint64_t inode, uint64_t offset, const char *path, const char *target, const void *data,
                   size_t size) {
    if (log_fd < 0) return;
    struct entry entry = {kind, {0}, (uint32_t)strlen(path), (uint32_t)strlen(target), 0, inode, offset, size};
    struct iovec parts[4] = {{&entry, sizeof entry},
                             {(void *)path, entry.path_bytes},
                             {(void *)target, entry.target_bytes},
                             {(void *)data, size}};
    ssize_t wanted = (ssize_t)(sizeof entry + entry.path_bytes + entry.target_bytes + size);
    if (syscall(SYS_writev, log_fd, parts, 4) != wanted) abort();
}

/* Say whether the operation that comes now must fail. The caller holds the lock. */
static bool must_fail(char kind) {
    if (strchr(fail_kinds, kind) == NULL) return false;
    long number = fail_seen++;
    if (number < fail_first || (fail_count > 0 && number >= fail_first + fail_count)) return false;
    errno = fail_errno;
    return true;
}

static uint64_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

static int open_recorded(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    bool writes = (flags & (O_CREAT | O_TRUNC)) != 0;
    if (!writes || !below_root(folder, name, path)) return (int)syscall(SYS_openat, folder, name, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat status;
    bool exists = fstatat(folder, name, &status, 0) == 0;
    int fd = -1;
    bool creates = !exists || fail_errno == EROFS; /* a disk that is read-only refuses to open what is there, too */
    if (!creates || !must_fail('C')) fd = (int)syscall(SYS_openat, folder, name, flags, mode);
    int why = errno;
    if (fd >= 0 && !exists) record('C', inode_of(fd), 0, path, "", NULL, 0);
    if (fd >= 0 && exists && (flags & O_TRUNC) && status.st_size > 0) record('T', status.st_ino, 0, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = why;
    return fd;
}

#define OPEN_LIKE(name)                                            \
    int name(const char *path, int flags, ...) {                   \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                              \
        return open_recorded(AT_FDCWD, path, flags, mode);         \
    }
#define OPENAT_LIKE(name)                                          \
    int name(int folder, const char *path, int flags, ...) {       \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                              \
        return open_recorded(folder, path, flags, mode);           \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)
OPENAT_LIKE(openat)
OPENAT_LIKE(openat64)

static ssize_t write_recorded(int fd, const void *data, size_t size, off_t at, bool positioned) {
    char path[PATH_MAX];
    bool is_mark = fd == 1;
    if (!is_mark && !file_below_root(fd, path))
        return positioned ? syscall(SYS_pwrite64, fd, data, size, at) : syscall(SYS_write, fd, data, size);
    pthread_mutex_lock(&lock);
    bool fails = !is_mark && must_fail('W');
    ssize_t done = -1;
    int why = errno;
    if (fails && fail_errno == ENOSPC && size > 1) {
        size /= 2; /* what still fits: the next write fails */
        fails = false;
    }
    if (!fails) {
        if (!is_mark && !positioned) {
            at = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
        }
        done = positioned ? syscall(SYS_pwrite64, fd, data, size, at) : syscall(SYS_write, fd, data, size);
        why = errno;
        if (done > 0 && is_mark) record('M', 0, 0, "", "", data, (size_t)done);
        if (done > 0 && !is_mark) record('W', inode_of(fd), (uint64_t)at, path, "", data, (size_t)done);
    }
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return write_recorded(fd, data, size, 0, false); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return write_recorded(fd, data, size, at, true); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return write_recorded(fd, data, size, at, true); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (done < 0) return total > 0 ? total : done;
        total += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return total;
}

static int truncate_recorded(int fd, off_t size) {
    char path[PATH_MAX];
    if (!file_below_root(fd, path)) return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    int result = must_fail('T') ? -1 : (int)syscall(SYS_ftruncate, fd, size), why = errno;
    if (result == 0) record('T', inode_of(fd), (uint64_t)size, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = why;
    return result;
}

int ftruncate(int fd, off_t size) { return truncate_recorded(fd, size); }
int ftruncate64(int fd, off_t size) { return truncate_recorded(fd, size); }

static int sync_recorded(int fd) { /* not passed on: the record is the disk, and tests want to be quick */
    char path[PATH_MAX];
    if (!file_below_root(fd, path)) return (int)syscall(SYS_fsync, fd);
    pthread_mutex_lock(&lock);
    int result = must_fail('S') ? -1 : 0, why = errno;
    if (result == 0) record('S', inode_of(fd), 0, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = why;
    return result;
}

int fsync(int fd) { return sync_recorded(fd); }
int fdatasync(int fd) { return sync_recorded(fd); }

/* A call that changes names: `call` when it may not fail, recorded when it went well. */
#define NAMES(kind, folder, name, target_folder, target, call)                                       \
    do {                                                                                             \
        char path[PATH_MAX] = "", other[PATH_MAX] = "";                                              \
        bool here = below_root(folder, name, path);                                                  \
        bool there = (target) != NULL && below_root(target_folder, target, other);                   \
        if (!here && !there) return (int)(call);                                                     \
        pthread_mutex_lock(&lock);                                                                   \
        int result = must_fail(kind) ? -1 : (int)(call), why = errno;                                \
        if (result == 0) record((target) == NULL || here == there ? kind : '?', 0, 0, path, other, NULL, 0); \
        pthread_mutex_unlock(&lock);                                                                 \
        errno = why;                                                                                 \
        return result;                                                                               \
    } while (0)

int renameat2(int from, const char *name, int to, const char *target, unsigned flags) {
    NAMES(flags & ~1u ? '?' : 'R', from, name, to, target, syscall(SYS_renameat2, from, name, to, target, flags));
}
int rename(const char *name, const char *target) { return renameat2(AT_FDCWD, name, AT_FDCWD, target, 0); }
int renameat(int from, const char *name, int to, const char *target) { return renameat2(from, name, to, target, 0); }
int linkat(int from, const char *name, int to, const char *target, int flags) {
    NAMES('L', from, name, to, target, syscall(SYS_linkat, from, name, to, target, flags));
}
int link(const char *name, const char *target) { return linkat(AT_FDCWD, name, AT_FDCWD, target, 0); }
int unlinkat(int folder, const char *name, int flags) {
    NAMES(flags & AT_REMOVEDIR ? 'X' : 'U', folder, name, -1, (const char *)NULL,
          syscall(SYS_unlinkat, folder, name, flags));
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int symlinkat(const char *content, int folder, const char *name) {
    NAMES('?', folder, name, -1, (const char *)NULL, syscall(SYS_symlinkat, content, folder, name));
}
int symlink(const char *content, const char *name) { return symlinkat(content, AT_FDCWD, name); }

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    if (!below_root(folder, name, path)) return (int)syscall(SYS_mkdirat, folder, name, mode);
    pthread_mutex_lock(&lock);
    int result = must_fail('D') ? -1 : (int)syscall(SYS_mkdirat, folder, name, mode), why = errno;
    struct stat status;
    if (result == 0 && fstatat(folder, name, &status, 0) == 0) record('D', status.st_ino, 0, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = why;
    return result;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* Ways to write that the model does not know: said, not missed. */
static void unknown(int fd) {
    char path[PATH_MAX];
    if (!file_below_root(fd, path)) return;
    pthread_mutex_lock(&lock);
    record('?', inode_of(fd), 0, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
    unknown(to);
    return syscall(SYS_sendfile, to, from, offset, size);
}
ssize_t sendfile64(int to, int from, off_t *offset, size_t size) { return sendfile(to, from, offset, size); }
ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *end, size_t size, unsigned flags) {
    unknown(to);
    return syscall(SYS_copy_file_range, from, start, to, end, size, flags);
}
static void *map(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE)) unknown(fd);
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}
void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    return map(address, size, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset) {
    return map(address, size, protection, flags, fd, offset);
}
