// Files of the host: reading what is hidden, changing what is not the job's.
#include "attacker.h"
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

static void fs01(void) {
    TRY(mount("none", "/tmp", "tmpfs", 0, NULL), "tmpfs");
    TRY(mount("/etc", "/tmp", NULL, MS_BIND, NULL), "bind");
    TRY(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL), "remount,bind,rw");
    TRY(mount("proc", "/tmp", "proc", 0, NULL), "proc");
    TRY(mount("none", "/tmp", "cgroup2", 0, NULL), "cgroup2");
    TRY(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL), "shared");
}

static void fs02(void) {
    TRY(umount2("/proc/kcore", MNT_DETACH), "/proc/kcore");
    TRY(umount2("/sys/fs/cgroup", MNT_DETACH), "/sys/fs/cgroup");
    TRY(umount2("/proc/sys", MNT_DETACH), "/proc/sys");
    TRY(umount2("/dev", MNT_DETACH), "/dev");
}

static void fs03(void) {
    TRY(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    TRY(chroot("/tmp"), "chroot(/tmp)");
}

static void fs05(void) {
    TRY(syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC), "open_tree(CLONE)");
    TRY(syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0), "move_mount");
    uint64_t attributes[4] = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
    TRY(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, attributes, sizeof attributes), "mount_setattr");
}

static void fs06(void) {
    uint64_t attributes[4] = {0};
    TRY(syscall(NR_open_tree_attr, AT_FDCWD, "/", 0, attributes, sizeof attributes), "open_tree_attr");
    struct {
        uint32_t size, spare;
        uint64_t mount, param, ns;
    } request = {.size = 24, .mount = ~0ULL /* LSMT_ROOT */, .param = 0};
    uint64_t list[64];
    TRY(syscall(NR_listmount, &request, list, 64, 0), "listmount");
    char buffer[4096];
    request.param = 2;
    TRY(syscall(NR_statmount, &request, buffer, sizeof buffer, 0), "statmount");
}

static void fs07(void) {
    struct {
        struct file_handle head;
        unsigned char bytes[64];
    } handle = {.head = {.handle_bytes = 8, .handle_type = 1}};
    uint32_t inode[2] = {2, 0};
    memcpy(handle.bytes, inode, sizeof inode);
    int mount = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mount < 0) not_run("/usr: %s", errno_name(errno));
    TRY(open_by_handle_at(mount, &handle.head, O_RDONLY), "open_by_handle_at(inode 2)");
    int id;
    handle.head.handle_bytes = 64;
    TRY(name_to_handle_at(AT_FDCWD, "/etc", &handle.head, &id, 0), "name_to_handle_at");
}

static void fs08(void) {
    // The suite names what is there on the host: its own secret, the state directory, what profiles hide.
    each_path(fact("ATTACK_SECRETS"), try_read);
}

// What would be lost if it succeeded belongs to the suite, or is only opened, or is set to what it is.
static void fs09(void) {
    struct stat status;
    const char *victim = fact("ATTACK_VICTIM");
    char other[600];
    snprintf(other, sizeof other, "%s-renamed", victim);
    if (stat("/usr/bin/true", &status) != 0) not_run("/usr/bin/true: %s", errno_name(errno));
    try_write("/usr/bin/true");
    TRY(chmod("/usr/bin/true", status.st_mode & 07777), "chmod");
    struct timespec times[2] = {status.st_atim, status.st_mtim};
    TRY(utimensat(AT_FDCWD, "/usr/bin/true", times, 0), "utimensat");
    try_write("/etc/passwd");
    static const char *const fresh[] = {"/usr/attack", "/etc/attack", "/attack", "/plx-context/attack"};
    for (size_t index = 0; index < sizeof fresh / sizeof *fresh; index++) {
        long result = mkdir(fresh[index], 0700);
        int number = errno;
        if (result == 0) rmdir(fresh[index]);
        errno = number;
        attempt(result, fresh[index]);
    }
    TRY(rename(victim, other), "rename");
    TRY(truncate(victim, 0), "truncate");
    TRY(unlink(victim), "unlink");
}

static void fs12(void) {
    char text[256];
    if (!own_init()) not_run("pid 1 is not the step's");
    try_open("/proc/1/exe", O_WRONLY);
    try_open("/proc/1/exe", O_RDONLY);
    TRY(readlink("/proc/1/exe", text, sizeof text), "readlink");
    try_links("/proc/1/map_files");
}

// After an earlier step of the same attempt tried to leave others in their place.
static void fs15(void) {
    static const struct {
        const char *path;
        unsigned major, minor;
    } nodes[] = {{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/urandom", 1, 9}};
    for (size_t index = 0; index < 4; index++) {
        struct stat status;
        if (lstat(nodes[index].path, &status) != 0) succeeded("%s is gone", nodes[index].path);
        if (!S_ISCHR(status.st_mode) || status.st_rdev != (nodes[index].major << 8 | nodes[index].minor)) {
            succeeded("%s is another file", nodes[index].path);
        }
    }
    struct statfs system;
    if (statfs("/dev/pts", &system) != 0 || system.f_type != 0x1cd1) succeeded("/dev/pts is no devpts");
    refused("genuine", "/dev");
}

static void fs16(void) {
    struct statfs system;
    struct stat status, root;
    if (lstat("/proc", &status) != 0 || !S_ISDIR(status.st_mode)) succeeded("/proc is no directory");
    if (statfs("/proc", &system) != 0 || system.f_type != 0x9fa0) succeeded("/proc is no procfs");
    if (stat("/proc", &root) != 0 || root.st_ino != 1) succeeded("/proc is not the root of a procfs");
    if (statfs("/proc/self/attr", &system) == 0 && system.f_type != 0x9fa0) succeeded("/proc/self/attr is covered");
    if (statfs("/sys", &system) != 0 || system.f_type != 0x62656572) succeeded("/sys is no sysfs");
    refused("genuine", "/proc");
}

static void fs17(void) {
    const char *own = fact("ATTACK_ARTIFACTS"), *shown = fact("ATTACK_SHOWN");
    char path[512];
    snprintf(path, sizeof path, "%s/linked", own);
    TRY(link(shown, path), "link(read-only file)");
    TRY(link("/usr/bin/env", path), "link(program of root)");
    TRY(rename(shown, path), "rename(read-only file)");
    TRY(linkat(AT_FDCWD, "/proc/self/exe", AT_FDCWD, path, AT_SYMLINK_FOLLOW), "linkat(/proc/self/exe)");
}

static void fs20(void) {
    char path[64];
    if (mkdir("/tmp/inodes", 0700) != 0) not_run("/tmp: %s", errno_name(errno));
    // More than any profile leaves /tmp, or fewer where the suite says so: an emulated machine takes too long.
    const int most = atoi(fact("ATTACK_FILES"));
    for (int index = 0; index < most; index++) {
        snprintf(path, sizeof path, "/tmp/inodes/%d", index);
        int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (file >= 0) {
            close(file);
            continue;
        }
        int number = errno;
        for (int other = 0; other < index; other++) {
            snprintf(path, sizeof path, "/tmp/inodes/%d", other);
            unlink(path);
        }
        rmdir("/tmp/inodes");
        return refused(errno_name(number), "create");
    }
    for (int other = 0; other < most; other++) {
        snprintf(path, sizeof path, "/tmp/inodes/%d", other);
        unlink(path);
    }
    rmdir("/tmp/inodes");
    succeeded("%d files", most);
}

static void fs21(void) {
    char path[512];
    snprintf(path, sizeof path, "%s/stubborn", fact("ATTACK_ARTIFACTS"));
    int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) not_run("%s: %s", path, errno_name(errno));
    static const int stubborn[] = {FS_IMMUTABLE_FL, FS_APPEND_FL};
    for (int index = 0; index < 2; index++) {
        int flags = stubborn[index], none = 0;
        long result = ioctl(file, FS_IOC_SETFLAGS, &flags);
        int number = errno;
        // It must not outlive the attempt.
        if (result == 0) ioctl(file, FS_IOC_SETFLAGS, &none);
        errno = number;
        attempt(result, index == 0 ? "FS_IMMUTABLE_FL" : "FS_APPEND_FL");
    }
}

const attack file_attacks[] = {
    {"FS01", fs01, 0, false}, {"FS02", fs02, 0, false}, {"FS03", fs03, 0, false}, {"FS05", fs05, 0, true},
    {"FS06", fs06, 0, true},  {"FS07", fs07, 0, true},  {"FS08", fs08, 0, true},  {"FS09", fs09, 0, false},
    {"FS12", fs12, 0, false}, {"FS15", fs15, 0, false}, {"FS16", fs16, 0, false}, {"FS17", fs17, 0, false},
    {"FS20", fs20, 60, false}, {"FS21", fs21, 0, false}, {NULL, NULL, 0, false},
};
