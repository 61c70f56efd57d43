// More of the kernel's surface: memory of others, keys, files of /proc and /sys one by one.
#include "attacker.h"
#include <dirent.h>
#include <ftw.h>
#include <linux/bpf.h>
#include <linux/futex.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

static void a36(void) {
    TRY(syscall(SYS_userfaultfd, O_CLOEXEC), "userfaultfd");
    TRY(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */), "userfaultfd(USER_MODE_ONLY)");
    TRY(syscall(1L << 32 | SYS_userfaultfd, O_CLOEXEC | 1), "userfaultfd and bit 32");
}

static void a37(void) {
    TRY(syscall(SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, NULL), "JOIN_SESSION_KEYRING");
    TRY(syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* session */, 0), "GET_KEYRING_ID");
    TRY(syscall(SYS_keyctl, 22 /* GET_PERSISTENT */, -1, -2), "GET_PERSISTENT");
    TRY(syscall(SYS_keyctl, 0, -4 /* user */, 1), "user keyring");
    if (access("/proc/keys", F_OK) == 0) try_read("/proc/keys");
}

static void a38(void) {
    union bpf_attr next = {.start_id = 0};
    TRY(syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &next, sizeof next), "PROG_GET_NEXT_ID");
    union bpf_attr get = {.pathname = (uintptr_t) "/sys/fs/bpf/none"};
    TRY(syscall(SYS_bpf, BPF_OBJ_GET, &get, sizeof get), "OBJ_GET");
    union bpf_attr detach = {.attach_type = BPF_CGROUP_DEVICE};
    TRY(syscall(SYS_bpf, BPF_PROG_DETACH, &detach, sizeof detach), "PROG_DETACH");
    TRY(syscall(SYS_bpf, 36 /* BPF_TOKEN_CREATE */, &detach, sizeof detach), "TOKEN_CREATE");
}

// Memory and descriptors of other processes.
static void a40(void) {
    // At the same place in the parent, where it must not hurt if it is written.
    static char byte;
    struct iovec own = {&byte, 1}, other = {&byte, 1};
    TRY(process_vm_readv(1, &own, 1, &other, 1, 0), "process_vm_readv(1)");
    TRY(process_vm_writev(getppid(), &own, 1, &other, 1, 0), "process_vm_writev(parent)");
    TRY(syscall(SYS_kcmp, getpid(), 1, 0, 0, 0), "kcmp(1)");
    int process = (int)syscall(SYS_pidfd_open, getppid(), 0);
    TRY(syscall(SYS_pidfd_getfd, process, 0, 0), "pidfd_getfd(parent)");
    TRY(syscall(SYS_pidfd_getfd, (int)syscall(SYS_pidfd_open, 1, 0), 3, 0), "pidfd_getfd(1)");
}

// Looking into pid 1 by what no filter denies.
static void a96(void) {
    if (!own_init()) not_run("pid 1 is not the step's");
    void *head;
    size_t size;
    TRY(syscall(SYS_get_robust_list, 1, &head, &size), "get_robust_list(1)");
    int process = (int)syscall(SYS_pidfd_open, 1, 0);
    if (process < 0) return refused(errno_name(errno), "pidfd_open(1)");
    struct iovec range = {(void *)4096, 4096};
    TRY(syscall(SYS_process_madvise, process, &range, 1, 4 /* DONTNEED */, 0), "process_madvise(1, DONTNEED)");
    TRY(syscall(SYS_process_mrelease, process, 0), "process_mrelease(1)");
    // PIDFD_GET_*_NAMESPACE
    for (unsigned request = 1; request <= 10; request++) {
        TRY(ioctl(process, _IO(0xFF, request), 0), "PIDFD_GET_NAMESPACE(1)");
    }
}

// Moving pages of pid 1, where pages may be moved at all.
static void a97(void) {
    if (!own_init()) not_run("pid 1 is not the step's");
    unsigned long nodes = 1;
    int status;
    void *page = NULL;
    TRY(syscall(SYS_migrate_pages, 1, 64, &nodes, &nodes), "migrate_pages(1)");
    TRY(syscall(SYS_move_pages, 1, 1, &page, NULL, &status, 0), "move_pages(1)");
}

static char where[4096];
static int walked;

static int open_for_writing(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)place;
    if (kind == FTW_D && !strncmp(path, "/proc/", 6) && path[6] >= '0' && path[6] <= '9') return FTW_SKIP_SUBTREE;
    // The network namespace's own; it is judged by the network's attacks.
    if (kind == FTW_D && !strcmp(path, "/proc/sys/net")) return FTW_SKIP_SUBTREE;
    if (kind != FTW_F || !S_ISREG(status->st_mode)) return FTW_CONTINUE;
    walked++;
    int file = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (file >= 0) {
        close(file);
        size_t used = strlen(where);
        if (used < 600) snprintf(where + used, sizeof where - used, " %s", path);
        return FTW_CONTINUE;
    }
    refused(errno_name(errno), "open for writing");
    return FTW_CONTINUE;
}

static void walk(const char *directory, int least) {
    if (nftw(directory, open_for_writing, 32, FTW_PHYS | FTW_ACTIONRETVAL) < 0) {
        not_run("%s: %s", directory, errno_name(errno));
    }
    if (*where) succeeded("writable:%s", where);
    if (walked < least) not_run("%s has only %d files", directory, walked);
}

static void a50(void) {
    if (!getenv("ATTACK_INSIDE")) not_run("only inside: opening some of these does something");
    walk("/proc", 100);
}

static void a56b(void) {
    if (!getenv("ATTACK_INSIDE")) not_run("only inside: opening some of these does something");
    walk("/sys", 100);
}

// Of pid 1 in /proc, what its own user could write if it were dumpable.
static void a101(void) {
    if (!own_init()) not_run("pid 1 is not the step's");
    // What only pid 1 itself would suffer from is left out.
    static const char *const names[] = {"mem", "attr/current", "uid_map", "gid_map", "setgroups", "timens_offsets",
                                        "loginuid"};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/1/%s", names[index]);
        int file = open(path, O_WRONLY | O_CLOEXEC);
        if (file < 0) {
            refused(errno_name(errno), path);
            continue;
        }
        // uid 0 owns what is not dumpable: the check comes with the write.
        TRY(write(file, "0", 1), path);
        close(file);
    }
}

// Kernel messages by every way there is.
static void a48(void) {
    try_read("/proc/kmsg");
    if (access("/dev/kmsg", F_OK) == 0) {
        try_read("/dev/kmsg");
    } else {
        refused(errno_name(errno), "/dev/kmsg");
    }
}

// Memory of the kernel and of the machine by files.
static void a49(void) {
    static const char *const paths[] = {"/proc/kcore", "/proc/kpageflags", "/proc/kpagecount", "/proc/kpagecgroup",
                                        "/proc/vmallocinfo", "/proc/slabinfo", "/proc/timer_list", "/proc/iomem",
                                        "/proc/ioports", "/proc/pagetypeinfo"};
    for (size_t index = 0; index < sizeof paths / sizeof *paths; index++) {
        if (access(paths[index], F_OK) != 0) {
            skip(paths[index], errno_name(errno));
            continue;
        }
        if (strstr(paths[index], "/proc/io")) {
            // Shown to everybody, but without addresses.
            FILE *file = fopen(paths[index], "re");
            char line[256];
            if (!file) {
                refused(errno_name(errno), paths[index]);
                continue;
            }
            while (fgets(line, sizeof line, file)) {
                unsigned long long first = 1, last = 1;
                if (sscanf(line, " %llx-%llx", &first, &last) == 2 && (first || last)) succeeded("%s", line);
            }
            fclose(file);
            refused("zeroed", paths[index]);
        } else {
            try_read(paths[index]);
        }
    }
}

// Addresses of pages from /proc/self/pagemap help to hammer rows and to find the kernel's memory.
static void a60(void) {
    int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (file < 0) return refused(errno_name(errno), "pagemap");
    uint64_t entry = 0;
    volatile char page[8192] = {1};
    page[4096] = 1;
    if (pread(file, &entry, 8, (off_t)((uintptr_t)&page[4096] / 4096 * 8)) != 8) not_run("%s", errno_name(errno));
    if (entry & ((1ULL << 55) - 1)) succeeded("a page's frame number is shown");
    refused("zeroed", "/proc/self/pagemap");
}

const attack more_attacks[] = {
    {"A36", a36, 0, true},  {"A37", a37, 0, true},   {"A38", a38, 0, true},  {"A40", a40, 0, true},
    {"A48", a48, 0, false}, {"A49", a49, 0, true},   {"A50", a50, 60, false}, {"A60", a60, 0, true},
    {"A61", a56b, 120, false}, {"A96", a96, 0, false}, {"A97", a97, 0, false}, {"A101", a101, 0, false},
    {NULL, NULL, 0, false},
};
