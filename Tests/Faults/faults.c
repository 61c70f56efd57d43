// Calls of the C library that fail or are slow in a process that is started with this library before it (LD_PRELOAD), as
// long as the file that POSTLUDE_FAULTS names says so; for the tests only, never installed. The program is the one that
// is shipped: what it is told is what a failing kernel tells.
#define _GNU_SOURCE
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct faults *faults;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("POSTLUDE_FAULTS");
    if (path == NULL) return;
    int file = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) faults = memory;
    close(file);
}

// The errno with which this call is to fail; 0 when it is not.
static int fault(enum fault_kind kind)
{
    if (faults == NULL) return 0;
    struct fault *found = &faults->kinds[kind];
    int code = atomic_load(&found->code);
    int delay = atomic_load(&found->delay);
    if (code == 0 && delay == 0) return 0;
    int hit = atomic_fetch_add(&found->hits, 1);
    if (delay > 0) usleep(delay);
    int every = atomic_load(&found->every);
    return every > 1 && hit % every != 0 ? 0 : code;
}

#define FAIL_IF(kind) \
    do { \
        int code_ = fault(kind); \
        if (code_ != 0) { \
            errno = code_; \
            return -1; \
        } \
    } while (0)

int fsync(int file) { FAIL_IF(FAULT_SYNC); return REAL(fsync)(file); }

int fdatasync(int file) { FAIL_IF(FAULT_SYNC); return REAL(fdatasync)(file); }

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset)
{
    FAIL_IF(FAULT_WRITE);
    return REAL(pwrite)(file, bytes, count, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset)
{
    FAIL_IF(FAULT_WRITE);
    return REAL(pwrite64)(file, bytes, count, offset);
}

int mkdir(const char *path, mode_t mode) { FAIL_IF(FAULT_MKDIR); return REAL(mkdir)(path, mode); }

int posix_spawn(
    pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
    char *const arguments[], char *const environment[])
{
    int code = fault(FAULT_SPAWN);
    return code != 0 ? code : REAL(posix_spawn)(pid, path, actions, attributes, arguments, environment);
}

// A mode is there when a file may be made; reading one that is not is harmless here.
#define MODE(last) \
    va_list list; \
    va_start(list, last); \
    mode_t mode = va_arg(list, mode_t); \
    va_end(list)

int open(const char *path, int flags, ...) { FAIL_IF(FAULT_OPEN); MODE(flags); return REAL(open)(path, flags, mode); }

int open64(const char *path, int flags, ...) { FAIL_IF(FAULT_OPEN); MODE(flags); return REAL(open64)(path, flags, mode); }

int openat(int at, const char *path, int flags, ...)
{
    FAIL_IF(FAULT_OPEN);
    MODE(flags);
    return REAL(openat)(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
    FAIL_IF(FAULT_OPEN);
    MODE(flags);
    return REAL(openat64)(at, path, flags, mode);
}

// What has no function of its own.
long syscall(long number, ...)
{
    if (number == SYS_openat2 || number == SYS_pidfd_open || number == SYS_memfd_create) FAIL_IF(FAULT_OPEN);
    if (number == SYS_pidfd_open) FAIL_IF(FAULT_PIDFD);
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
    long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    return REAL(syscall)(number, a, b, c, d, e, f);
}
