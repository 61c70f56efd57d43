// Device nodes: making them, finding them, using those that were not granted.
#include "attacker.h"
#include <dirent.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

static void dv01(void) {
    static const char *const usual[] = {"fd",    "full", "mqueue", "null",  "ptmx",   "pts",     "random",
                                        "shm",   "stderr", "stdin", "stdout", "tty",   "urandom", "zero"};
    DIR *directory = opendir("/dev");
    if (!directory) not_run("/dev: %s", errno_name(errno));
    for (const struct dirent *entry; (entry = readdir(directory));) {
        bool known = entry->d_name[0] == '.';
        for (size_t index = 0; index < sizeof usual / sizeof *usual; index++) {
            known = known || !strcmp(entry->d_name, usual[index]);
        }
        if (!known) succeeded("/dev/%s", entry->d_name);
    }
    closedir(directory);
    refused("exact", "/dev");
}

static void make(const char *name, mode_t type, unsigned major, unsigned minor) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/node-%s", name);
    unlink(path);
    TRY(mknod(path, type | 0666, makedev(major, minor)), name);
}

static void dv02(void) {
    make("mem", S_IFCHR, 1, 1);
    make("nvidia", S_IFCHR, 195, 0);
    make("sda", S_IFBLK, 8, 0);
    make("kmsg", S_IFCHR, 1, 11);
    make("whiteout", S_IFCHR, 0, 0);
    TRY(mknodat(AT_FDCWD, "/tmp/node-at", S_IFBLK | 0666, makedev(7, 0)), "mknodat(loop0)");
    TRY(mknod("/dev/node", S_IFCHR | 0666, makedev(1, 3)), "mknod in /dev");
}

static void dv03(void) {
    const char *path = fact("ATTACK_INJECTED");
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISCHR(status.st_mode)) not_run("%s is not there", path);
    try_open(path, O_RDWR);
    try_open(path, O_RDONLY);
    int first = open(path, O_PATH | O_CLOEXEC);
    if (first < 0) return;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", first);
    try_open(link, O_RDWR);
}

// Nodes that exist on this host, under the names and in the place they have there.
static void try_nodes(const char *prefixes) {
    char *copy = strdup(fact("ATTACK_NODES")), *rest = copy, *path;
    int tried = 0;
    while ((path = strsep(&rest, "\n"))) {
        for (const char *at = prefixes; *at && *path; at += strcspn(at, " ")) {
            at += strspn(at, " ");
            size_t length = strcspn(at, " ");
            if (length && !strncmp(path, at, length)) {
                try_open(path, O_RDWR);
                tried++;
                break;
            }
        }
    }
    free(copy);
    if (!tried) not_run("this host has none of %s", prefixes);
}

static void dv04(void) { try_nodes("/dev/nvidia /dev/kfd /dev/dri/render /dev/accel"); }
static void dv14(void) { try_nodes("/dev/nvidia-caps"); }
static void dv17(void) {
    try_nodes("/dev/mem /dev/port /dev/kmsg /dev/fuse /dev/kvm /dev/vfio /dev/net/tun /dev/loop /dev/uinput /dev/input "
              "/dev/dri/card /dev/snd /dev/video /dev/hidraw /dev/tty0 /dev/tty1 /dev/vcs /dev/console /dev/cpu "
              "/dev/autofs /dev/btrfs-control /dev/hwrng /dev/vga_arbiter /dev/cpu_dma_latency /dev/vsock /dev/rtc "
              "/dev/userfaultfd /dev/sd /dev/vd /dev/nvme /dev/dm- /dev/mapper /dev/snapshot /dev/ppp /dev/nvram");
}

static void dv15(void) {
    static const char *const paths[] = {"/usr/bin/nvidia-modprobe", "/usr/local/bin/nvidia-modprobe"};
    for (int index = 0; index < 2; index++) {
        if (access(paths[index], X_OK) != 0) continue;
        if (system(paths[index]) != 0) return refused("failed", paths[index]);
        if (access("/dev/nvidia0", F_OK) == 0) succeeded("/dev/nvidia0 was made");
        return refused("no-effect", paths[index]);
    }
    not_run("this host has no nvidia-modprobe");
}

// A node that the submitter's own directory holds, of a device that was not leased.
static void a54(void) {
    each_path(fact("ATTACK_OWN_NODES"), try_write);
}

// Changing the host's node through the one that is shown. The mode and owner stay what they are.
static void change(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) return skip(path, errno_name(errno));
    char what[64];
    snprintf(what, sizeof what, "chmod(%s)", path);
    TRY(chmod(path, status.st_mode & 07777), what);
    snprintf(what, sizeof what, "chown(%s)", path);
    TRY(chown(path, status.st_uid, status.st_gid), what);
    struct timespec times[2] = {status.st_atim, status.st_mtim};
    snprintf(what, sizeof what, "utimensat(%s)", path);
    TRY(utimensat(AT_FDCWD, path, times, 0), what);
}

static void a55(void) {
    change("/dev/null");
    change("/dev/zero");
    change("/dev/full");
    change("/dev/random");
    change("/dev/urandom");
    change("/dev/tty");
}

// The same through what is already open: standard input is a node of the host's.
static void a56(void) {
    struct stat status;
    if (fstat(0, &status) != 0 || !S_ISCHR(status.st_mode)) not_run("standard input is no device");
    TRY(fchmod(0, status.st_mode & 07777), "fchmod(0)");
    TRY(fchown(0, status.st_uid, status.st_gid), "fchown(0)");
    struct timespec times[2] = {status.st_atim, status.st_mtim};
    TRY(futimens(0, times), "futimens(0)");
    TRY(chmod("/proc/self/fd/0", status.st_mode & 07777), "chmod(/proc/self/fd/0)");
}

// A cover of a hidden file is /dev/null, the host's.
static void a57(void) {
    const char *path = "/etc/shadow";
    struct stat status;
    if (stat(path, &status) != 0) return refused(errno_name(errno), path);
    if (!S_ISCHR(status.st_mode)) {
        struct stat again = status;
        if (chmod(path, again.st_mode & 07777) == 0) succeeded("chmod(%s)", path);
        return refused(errno_name(errno), path);
    }
    change(path);
    change("/proc/kcore");
}

static void a58(void) {
    if (!own_dev()) not_run("/dev is the host's");
    TRY(rename("/dev/null", "/dev/null2"), "rename(/dev/null)");
    TRY(unlink("/dev/null"), "unlink(/dev/null)");
    TRY(mount("/tmp", "/dev/shm", NULL, MS_BIND, NULL), "bind over /dev/shm");
    TRY(rename("/dev/pts", "/dev/pts2"), "rename(/dev/pts)");
}

const attack device_attacks[] = {
    {"DV01", dv01, 0, true},  {"DV02", dv02, 0, false}, {"DV03", dv03, 0, true}, {"DV04", dv04, 0, false},
    {"DV14", dv14, 0, false}, {"DV15", dv15, 0, false}, {"DV17", dv17, 0, false}, {"A54", a54, 0, false},
    {"A55", a55, 0, true},    {"A56", a56, 0, false},   {"A57", a57, 0, false},  {"A58", a58, 0, false},
    {NULL, NULL, 0, false},
};
