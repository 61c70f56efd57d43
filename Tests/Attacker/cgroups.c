// Cgroups: leaving them, widening them, using them up.
#include "attacker.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static const char *const roots[] = {"",         "/unified", "/memory",  "/cpu", "/cpu,cpuacct", "/pids",
                                    "/devices", "/freezer", "/systemd", "/cpuset"};

// Every place where the file could be if the tree were visible: nothing there is what must be.
static void try_everywhere(const char *name) {
    char path[256], own[1024] = "";
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(own, sizeof own, file)) {
        const char *place = strrchr(own, ':');
        if (!place) continue;
        char group[512];
        snprintf(group, sizeof group, "%.*s", (int)strcspn(place + 1, "\n"), place + 1);
        for (size_t index = 0; index < sizeof roots / sizeof *roots; index++) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s%.150s/%s", roots[index], group, name);
            int number = open(path, O_WRONLY | O_CLOEXEC) < 0 ? errno : 0;
            if (!number) succeeded("open(%s)", path);
            refused(errno_name(number), name);
        }
    }
    if (file) fclose(file);
    for (size_t index = 0; index < sizeof roots / sizeof *roots; index++) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", roots[index], name);
        int number = open(path, O_WRONLY | O_CLOEXEC) < 0 ? errno : 0;
        if (!number) succeeded("open(%s)", path);
        refused(errno_name(number), name);
    }
}

static void cg01(void) {
    try_everywhere("cgroup.procs");
    try_everywhere("tasks");
    try_everywhere("cgroup.threads");
    TRY(mkdir("/sys/fs/cgroup/attack", 0755), "mkdir");
}

static void cg03(void) { try_everywhere("devices.allow"); }

static void cg04(void) {
    try_everywhere("memory.max");
    try_everywhere("memory.limit_in_bytes");
    try_everywhere("pids.max");
    try_everywhere("cpu.max");
    try_everywhere("cpu.cfs_quota_us");
    try_everywhere("cgroup.freeze");
    try_everywhere("cgroup.kill");
}

static void cg05(void) {
    int ends[2];
    if (pipe(ends) != 0) not_run("pipe: %s", errno_name(errno));
    for (int index = 0; index < 20000; index++) {
        pid_t child = fork();
        if (child < 0) {
            int number = errno;
            close(ends[1]);
            return refused(errno_name(number), "fork");
        }
        if (child == 0) {
            char byte;
            close(ends[1]);
            ssize_t count = read(ends[0], &byte, 1);
            _exit(count < 0);
        }
    }
    succeeded("20000 processes");
}

static void cg11(void) {
    const int orphans = atoi(fact("ATTACK_ORPHANS"));
    for (int index = 0; index < orphans; index++) {
        pid_t child = -1;
        for (int tries = 0; tries < 2000 && (child = fork()) < 0 && errno == EAGAIN; tries++) usleep(1000);
        if (child < 0) succeeded("after %d orphans nothing can be started: %s", index, errno_name(errno));
        if (child == 0) {
            if (fork() == 0) _exit(0);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    usleep(200000);
    DIR *directory = opendir("/proc");
    int zombies = 0;
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[300], text[512] = "";
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (file < 0) continue;
        ssize_t count = read(file, text, sizeof text - 1);
        close(file);
        const char *end = count > 0 ? strrchr(text, ')') : NULL;
        if (end && end[2] == 'Z') zombies++;
    }
    if (directory) closedir(directory);
    if (zombies > 10) succeeded("%d zombies are left", zombies);
    char what[40];
    snprintf(what, sizeof what, "%d orphans", orphans);
    refused("reaped", what);
}

static void *burn(void *end) {
    struct timespec now;
    do {
        for (volatile int index = 0; index < 100000; index++) {}
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < *(long *)end);
    return NULL;
}

static void cg12(void) {
    double cores = atof(fact("ATTACK_MILLICPU")) / 1000;
    struct timespec now;
    pthread_t threads[8];
    clock_gettime(CLOCK_MONOTONIC, &now);
    const long wall = 3000;
    long end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + wall;
    for (int index = 0; index < 8; index++) {
        if (pthread_create(&threads[index], NULL, burn, &end)) not_run("pthread_create");
    }
    for (int index = 0; index < 8; index++) pthread_join(threads[index], NULL);
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    double seconds = (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    // Two periods of 100 ms may begin before and end after the measured time.
    double allowed = cores * (wall / 1000.0 * 1.05 + 0.2);
    if (sysconf(_SC_NPROCESSORS_ONLN) * 0.9 < cores) not_run("the host has no more than %.2f cores", cores);
    if (seconds > allowed) succeeded("%.2f s of CPU in 3 s on %.2f cores", seconds, cores);
    refused("bounded", "8 threads");
}

static void cg13(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    int last = -1;
    long opened = 0;
    while (opened < 1100000 && (last = dup(STDIN_FILENO)) >= 0) opened++;
    int number = errno;
    syscall(SYS_close_range, 10, ~0U, 0);
    if (last >= 0) succeeded("%ld descriptors", opened);
    refused(errno_name(number), "descriptors");
    for (opened = 0; opened < 100000 && (last = inotify_init1(0)) >= 0; opened++) {}
    number = errno;
    syscall(SYS_close_range, 10, ~0U, 0);
    if (last >= 0) succeeded("%ld inotify instances", opened);
    refused(errno_name(number), "inotify instances");
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    for (opened = 0; opened < 1000000 && (last = timer_create(CLOCK_MONOTONIC, &event, &timer)) == 0;) opened++;
    if (last == 0) succeeded("%ld timers", opened);
    refused(errno_name(errno), "timers");
}

const attack cgroup_attacks[] = {
    {"CG01", cg01, 0, true},  {"CG03", cg03, 0, false},  {"CG04", cg04, 0, false}, {"CG05", cg05, 30, false},
    {"CG11", cg11, 120, false}, {"CG12", cg12, 30, false}, {"CG13", cg13, 60, false}, {NULL, NULL, 0, false},
};
