// The mount interface of newer kernels, and what the mounts of the sandbox are.
#include "attacker.h"
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/swap.h>

static void a01(void) {
    static const char *const types[] = {"tmpfs", "ext4", "overlay", "proc", "sysfs", "cgroup", "cgroup2", "fuse"};
    for (size_t index = 0; index < sizeof types / sizeof *types; index++) {
        TRY(syscall(SYS_fsopen, types[index], 0), types[index]);
    }
}

static void a02(void) {
    TRY(syscall(SYS_fspick, AT_FDCWD, "/", 0), "fspick");
    TRY(syscall(SYS_fsconfig, -1, 0, "source", "none", 0), "fsconfig");
    TRY(syscall(SYS_fsmount, -1, 0, 0), "fsmount");
}

static void a03(void) {
    TRY(syscall(SYS_open_tree, AT_FDCWD, "/etc", O_CLOEXEC), "open_tree without clone");
    TRY(syscall(SYS_open_tree, AT_FDCWD, "", 1 | AT_EMPTY_PATH | O_CLOEXEC), "open_tree(CLONE, empty path)");
    TRY(syscall(SYS_open_tree, AT_FDCWD, "/proc", 1 | AT_RECURSIVE | O_CLOEXEC), "open_tree(/proc)");
}

// Undoing what was made read-only, by every interface there is.
static void a04(void) {
    uint64_t clear[4] = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
    static const char *const paths[] = {"/", "/usr", "/etc", "/sys", "/proc/sys"};
    for (size_t index = 0; index < sizeof paths / sizeof *paths; index++) {
        TRY(syscall(SYS_mount_setattr, AT_FDCWD, paths[index], 0, clear, sizeof clear), paths[index]);
        TRY(mount(NULL, paths[index], NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL), paths[index]);
        TRY(mount(NULL, paths[index], NULL, MS_REMOUNT, NULL), paths[index]);
    }
}

static void a08(void) {
    TRY(swapon("/no/such/file", 0), "swapon");
    TRY(swapoff("/no/such/file"), "swapoff");
    TRY(syscall(SYS_acct, "/no/such/file"), "acct");
}

static void a10(void) {
    TRY(syscall(SYS_fanotify_init, 0, O_RDONLY), "fanotify_init");
    TRY(syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY), "fanotify_init(FID)");
    TRY(syscall(SYS_fanotify_mark, -1, 1, 1, AT_FDCWD, "/"), "fanotify_mark");
}

static void each_mount(void (*body)(const char *point, const char *options, const char *type, const char *rest)) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file) not_run("mountinfo: %s", errno_name(errno));
    char line[4096];
    int lines = 0;
    while (fgets(line, sizeof line, file)) {
        char point[1024], options[512], type[128] = "", source[512] = "", super[512] = "";
        if (sscanf(line, "%*d %*d %*s %*s %1023s %511s", point, options) != 2) continue;
        const char *rest = strstr(line, " - ");
        if (rest) sscanf(rest, " - %127s %511s %511s", type, source, super);
        lines++;
        body(point, options, type, super);
    }
    fclose(file);
    if (lines < 5) not_run("mountinfo has %d lines", lines);
}

static bool has(const char *options, const char *option) {
    size_t length = strlen(option);
    for (const char *at = options; (at = strstr(at, option)); at += length) {
        if ((at == options || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return true;
    }
    return false;
}

static bool below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return !strncmp(path, directory, length) && (path[length] == 0 || path[length] == '/');
}

static void look_for_writable(const char *point, const char *options, const char *type, const char *super) {
    if (has(options, "ro") || has(super, "ro")) return;
    static const char *const places[] = {"/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/dev/pts", "/proc"};
    for (size_t index = 0; index < sizeof places / sizeof *places; index++) {
        if (!strcmp(point, places[index])) return;
    }
    const char *artifacts = fact_or_null("ATTACK_ARTIFACTS"), *home = getenv("HOME");
    if (artifacts && below(point, artifacts)) return;
    // The suite's own doing, for other attacks.
    const char *slipped = fact_or_null("ATTACK_SLIPPED");
    if (slipped && below(point, slipped)) return;
    // Ours, made for this step, where nothing of the host is: a tmpfs under the home, /run, /dev or a cover.
    if (!strcmp(type, "tmpfs")) {
        if (!strcmp(point, "/run") || !strcmp(point, "/dev") || (home && below(home, point))) return;
        struct stat status;
        if (stat(point, &status) == 0 && access(point, W_OK) != 0) return;
    }
    succeeded("%s (%s) is writable", point, type);
}

static void a52(void) {
    each_mount(look_for_writable);
    refused("expected", "writable mounts");
}

static void look_for_setuid(const char *point, const char *options, const char *type, const char *super) {
    (void)super;
    if (!has(options, "nosuid")) succeeded("%s (%s) honours setuid", point, type);
}

static void a53(void) {
    each_mount(look_for_setuid);
    refused("nosuid", "mounts");
}

static void look_for_devices(const char *point, const char *options, const char *type, const char *super) {
    (void)super;
    struct stat status;
    bool isNode = stat(point, &status) == 0 && S_ISCHR(status.st_mode);
    if (has(options, "nodev") || isNode || !strcmp(point, "/dev/pts")) return;
    succeeded("%s (%s) honours device nodes", point, type);
}

static void a51(void) {
    each_mount(look_for_devices);
    refused("nodev", "mounts");
}

// A mount that the host's own namespace would see.
static void a05(void) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file) not_run("mountinfo: %s", errno_name(errno));
    char line[4096];
    while (fgets(line, sizeof line, file)) {
        const char *rest = strstr(line, " - ");
        const char *shared = strstr(line, " shared:"), *slave = strstr(line, " master:");
        if (rest && ((shared && shared < rest) || (slave && slave < rest))) succeeded("%s", line);
    }
    fclose(file);
    refused("private", "mounts");
}

const attack mount_attacks[] = {
    {"A01", a01, 0, true},  {"A02", a02, 0, false}, {"A03", a03, 0, true},  {"A04", a04, 0, false},
    {"A05", a05, 0, false}, {"A08", a08, 0, false}, {"A10", a10, 0, true},  {"A51", a51, 0, true},
    {"A52", a52, 0, true},  {"A53", a53, 0, true},  {NULL, NULL, 0, false},
};
