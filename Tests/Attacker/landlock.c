// Files and devices where only rules for files stand in the way: a mount or a node that no plan has.
#include "attacker.h"
#include <linux/random.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char *slipped(const char *name) {
    static char path[2][600];
    static int next;
    char *place = path[next++ % 2];
    const char *directory = fact("ATTACK_SLIPPED");
    if (access(directory, F_OK) != 0) not_run("%s is not there", directory);
    snprintf(place, sizeof path[0], "%s/%s", directory, name);
    return place;
}

static void a110(void) {
    try_open(slipped("written"), O_WRONLY);
    try_open(slipped("written"), O_RDWR | O_APPEND);
    try_open(slipped("new"), O_CREAT | O_EXCL | O_WRONLY);
    try_open(slipped("."), O_TMPFILE | O_RDWR);
    TRY(mkdir(slipped("directory"), 0700), "mkdir");
    TRY(symlink("/etc", slipped("link")), "symlink");
    TRY(mkfifo(slipped("fifo"), 0600), "mkfifo");
    TRY(link(slipped("written"), slipped("second")), "link");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", slipped("socket"));
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TRY(bind(server, (struct sockaddr *)&address, sizeof address), "bind");
}

static void a111(void) {
    TRY(unlink(slipped("removed")), "unlink");
    TRY(rename(slipped("removed"), slipped("renamed")), "rename");
    TRY(rename(slipped("removed"), slipped("below/renamed")), "rename into another directory");
    TRY(rmdir(slipped("below")), "rmdir");
}

static void a112(void) {
    TRY(truncate(slipped("shortened"), 0), "truncate");
    int file = open(slipped("shortened"), O_RDONLY | O_CLOEXEC);
    if (file < 0) not_run("%s: %s", slipped("shortened"), errno_name(errno));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    TRY(truncate(path, 0), "truncate(/proc/self/fd)");
}

static const char *slipped_node(void) {
    const char *path = fact("ATTACK_SLIPPED_NODE");
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISCHR(status.st_mode)) not_run("%s is not there", path);
    return path;
}

static void a113(void) {
    try_open(slipped_node(), O_RDWR);
    try_open(slipped_node(), O_WRONLY);
}

// Whatever its driver says of it: the command has reached it.
static void command(const char *path, unsigned long number, const char *what) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return refused(errno_name(errno), path);
    long answer = 0;
    errno = 0;
    long result = ioctl(file, number, &answer);
    int error = errno;
    close(file);
    if (result < 0 && (error == EACCES || error == EPERM)) return refused(errno_name(error), what);
    succeeded("%s of %s was answered: %s", what, path, result < 0 ? errno_name(error) : "0");
}

static void a114(void) { command(slipped_node(), _IOR('u', 1, long), "ioctl"); }

static void a115(void) {
    command("/dev/random", RNDGETENTCNT, "RNDGETENTCNT");
    command("/dev/urandom", RNDGETENTCNT, "RNDGETENTCNT");
    command("/dev/zero", _IOR('u', 1, long), "ioctl");
    command("/dev/null", _IOR('u', 1, long), "ioctl");
    command("/dev/full", _IOR('u', 1, long), "ioctl");
}

// In a user namespace of its own a process has every capability over its mounts.
static void a116(void) {
    TRY(syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS) == 0 ? mount("none", "/tmp", "tmpfs", 0, NULL) : -1,
        "mount in an own user namespace");
}

const attack landlock_attacks[] = {
    {"A110", a110, 0, false}, {"A111", a111, 0, false}, {"A112", a112, 0, false}, {"A113", a113, 0, false},
    {"A114", a114, 0, false}, {"A115", a115, 0, true},  {"A116", a116, 0, false}, {NULL, NULL, 0, false},
};
