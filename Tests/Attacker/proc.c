// /proc and /sys: what they show of the host, and what writing to them would do.
#include "attacker.h"
#include <dirent.h>
#include <glob.h>

static void try_write_existing(const char *pattern, int most) {
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0) return skip(pattern, "there is none");
    for (size_t index = 0; index < found.gl_pathc && index < (size_t)most; index++) {
        struct stat status;
        if (lstat(found.gl_pathv[index], &status) == 0 && S_ISDIR(status.st_mode)) continue;
        try_write(found.gl_pathv[index]);
    }
    globfree(&found);
}

static void ps02(void) {
    try_write_existing("/proc/sys/kernel/core_pattern", 1);
    try_write_existing("/proc/sys/kernel/modprobe", 1);
    try_write_existing("/proc/sys/kernel/hotplug", 1);
    try_write_existing("/proc/sys/kernel/panic", 1);
    try_write_existing("/proc/sys/vm/*", 60);
    try_write_existing("/proc/sys/net/ipv4/ip_forward", 1);
    try_write_existing("/proc/sys/fs/binfmt_misc/register", 1);
    try_write_existing("/proc/sys/kernel/ns_last_pid", 1);
    try_write_existing("/proc/sys/kernel/randomize_va_space", 1);
}

static void ps04(void) {
    FILE *file = fopen("/proc/kallsyms", "re");
    if (!file) return refused(errno_name(errno), "/proc/kallsyms");
    char line[512];
    int lines = 0;
    while (fgets(line, sizeof line, file)) {
        lines++;
        if (strtoull(line, NULL, 16)) succeeded("%s", line);
    }
    fclose(file);
    refused(lines ? "zeroed" : "empty", "/proc/kallsyms");
}

static void ps05(void) {
    const char *pid = fact("ATTACK_HOST_PID");
    static const char *const names[] = {"mem", "environ", "fd", "maps", "root/etc/passwd", "cwd/.", "ns/net"};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%s/%s", pid, names[index]);
        try_open(path, O_RDONLY);
    }
}

static void ps06(void) {
    if (!own_init()) not_run("pid 1 is not the step's");
    try_open("/proc/1/environ", O_RDONLY);
    try_open("/proc/1/maps", O_RDONLY);
    try_open("/proc/1/mem", O_RDWR);
    try_open("/proc/1/auxv", O_RDONLY);
    try_open("/proc/1/fd/3", O_RDWR);
    try_open("/proc/1/cwd/.", O_RDONLY);
    try_links("/proc/1/fd");
}

static void ps09(void) {
    try_write_existing("/sys/kernel/uevent_helper", 1);
    try_write_existing("/sys/power/*", 20);
    try_write_existing("/sys/module/*/parameters/*", 200);
    try_write_existing("/sys/kernel/mm/transparent_hugepage/enabled", 1);
    try_write_existing("/sys/kernel/profiling", 1);
    try_write_existing("/sys/devices/system/cpu/cpu*/online", 4);
    try_write_existing("/sys/class/block/*/queue/scheduler", 4);
}

static void ps10(void) {
    try_write_existing("/sys/bus/pci/devices/*/remove", 40);
    try_write_existing("/sys/bus/pci/devices/*/reset", 40);
    try_write_existing("/sys/bus/pci/rescan", 1);
    try_write_existing("/sys/bus/*/drivers/*/unbind", 60);
    try_write_existing("/sys/bus/*/drivers/*/bind", 60);
    try_write_existing("/sys/class/drm/*/device/gpu_recover", 4);
}

static void ps11(void) {
    static const char *const names[] = {"/sys/kernel/debug", "/sys/kernel/tracing", "/sys/firmware",
                                        "/sys/devices/virtual/powercap", "/sys/fs/bpf", "/sys/fs/pstore",
                                        "/sys/kernel/security", "/sys/fs/cgroup"};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        if (access(names[index], F_OK) != 0) {
            skip(names[index], "there is none");
        } else {
            try_read(names[index]);
        }
    }
}

static void ps12(void) {
    if (access("/proc/driver/nvidia", F_OK) != 0) not_run("this host has no NVIDIA driver");
    try_write_existing("/proc/driver/nvidia/suspend", 1);
    try_write_existing("/proc/driver/nvidia/params", 1);
    try_write_existing("/proc/driver/nvidia/gpus/*/*", 40);
}

const attack proc_attacks[] = {
    {"PS02", ps02, 0, true},  {"PS04", ps04, 0, false}, {"PS05", ps05, 0, true},  {"PS06", ps06, 0, false},
    {"PS09", ps09, 0, false}, {"PS10", ps10, 0, false}, {"PS11", ps11, 0, true},  {"PS12", ps12, 0, false},
    {NULL, NULL, 0, false},
};
