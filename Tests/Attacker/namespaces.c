// Leaving the namespaces, or seeing past them.
#include "attacker.h"
#include <dirent.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

static void ns01(void) { TRY(syscall(SYS_unshare, CLONE_NEWUSER), "unshare(NEWUSER)"); }

static void raw_clone(unsigned long flags, const char *what) {
    long child = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) _exit(0);
    int number = errno;
    if (child > 0) waitpid((pid_t)child, NULL, 0);
    errno = number;
    attempt(child, what);
}

static void ns02(void) {
    raw_clone(CLONE_NEWUSER | CLONE_NEWNS, "clone(NEWUSER|NEWNS)");
    raw_clone(CLONE_NEWUSER, "clone(NEWUSER)");
    // Bit 32 of an argument whose upper half the kernel ignores.
    raw_clone(CLONE_NEWUSER | 1UL << 32, "clone(NEWUSER|1<<32)");
}

static void ns03(void) {
    struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) _exit(0);
    attempt(child, "clone3(NEWUSER)");
    TRY(syscall(SYS_clone3, NULL, 0), "clone3(NULL)");
}

static void ns04(void) {
    TRY(unshare(CLONE_NEWNET), "NEWNET");
    TRY(unshare(CLONE_NEWPID), "NEWPID");
    TRY(unshare(CLONE_NEWNS), "NEWNS");
    TRY(unshare(CLONE_NEWIPC), "NEWIPC");
    TRY(unshare(CLONE_NEWUTS), "NEWUTS");
    TRY(unshare(CLONE_NEWCGROUP), "NEWCGROUP");
    TRY(unshare(0x80), "NEWTIME");
}

static void ns05(void) {
    int other = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (other < 0) {
        refused(errno_name(errno), "open(/proc/1/ns/mnt)");
    } else {
        TRY(setns(other, 0), "setns(/proc/1/ns/mnt)");
    }
    int process = (int)syscall(SYS_pidfd_open, 1, 0);
    if (process < 0) {
        refused(errno_name(errno), "pidfd_open(1)");
    } else {
        TRY(setns(process, CLONE_NEWNS), "setns(pidfd of 1)");
    }
    int own = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    if (own < 0) {
        refused(errno_name(errno), "open(/proc/self/ns/uts)");
    } else {
        TRY(setns(own, 0), "setns(own uts)");
    }
}

static void try_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return refused(errno_name(errno), path);
    TRY(write(file, text, strlen(text)), path);
    close(file);
}

static void ns07(void) {
    try_text("/proc/self/uid_map", "0 0 1\n");
    try_text("/proc/self/gid_map", "0 0 1\n");
    try_text("/proc/self/setgroups", "allow");
}

static size_t read_text(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = file < 0 ? -1 : read(file, text, size - 1);
    if (file >= 0) close(file);
    text[count > 0 ? count : 0] = 0;
    return count > 0 ? (size_t)count : 0;
}

// A process of another step is in another cgroup; within a cgroup namespace it reads as "/../...".
static void ns08(void) {
    char own[4096], other[4096], path[300];
    if (!read_text("/proc/self/cgroup", own, sizeof own)) not_run("/proc/self/cgroup: %s", errno_name(errno));
    DIR *directory = opendir("/proc");
    if (!directory) not_run("/proc: %s", errno_name(errno));
    int seen = 0;
    for (const struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%s/cgroup", entry->d_name);
        if (!read_text(path, other, sizeof other)) continue;
        seen++;
        if (strcmp(own, other)) succeeded("pid %s is in %s", entry->d_name, other);
    }
    closedir(directory);
    if (seen < 2) not_run("only %d processes are seen", seen);
    refused("own-only", "/proc");
}

static pid_t host_process(void) {
    pid_t pid = (pid_t)atoi(fact("ATTACK_HOST_PID"));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    char own[4096], other[4096];
    // The number may be one of our own here.
    if (read_text(path, other, sizeof other) && read_text("/proc/self/cgroup", own, sizeof own)
        && !strcmp(own, other) && getenv("ATTACK_INSIDE")) {
        not_run("%d is a process of our own", pid);
    }
    return pid;
}

static void ns09(void) {
    pid_t pid = host_process();
    cpu_set_t set;
    TRY(kill(pid, 0), "kill(host, 0)");
    TRY(kill(pid, SIGCONT), "kill(host, SIGCONT)");
    TRY(sched_getaffinity(pid, sizeof set, &set), "sched_getaffinity(host)");
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    TRY(sched_setaffinity(pid, sizeof set, &set), "sched_setaffinity(host)");
    TRY(getpriority(PRIO_PROCESS, (id_t)pid) == -1 && errno ? -1 : 0, "getpriority(host)");
}

static void ns10(void) {
    siginfo_t info = {.si_code = SI_QUEUE};
    pid_t pid = host_process();
    TRY(syscall(SYS_rt_sigqueueinfo, pid, 0, &info), "rt_sigqueueinfo(host)");
    TRY(syscall(SYS_rt_tgsigqueueinfo, pid, pid, 0, &info), "rt_tgsigqueueinfo(host)");
    TRY(syscall(SYS_tgkill, pid, pid, 0), "tgkill(host)");
    TRY(syscall(SYS_pidfd_open, pid, 0), "pidfd_open(host)");
}

static void ns11(void) {
    if (!own_init()) not_run("pid 1 is not the step's");
    for (int index = 0; index < 3; index++) {
        if (kill(1, index == 0 ? SIGKILL : index == 1 ? SIGSTOP : SIGSEGV) != 0) {
            refused(errno_name(errno), "kill(1)");
        }
    }
    usleep(50000);
    if (kill(1, 0) != 0 && errno != EPERM) succeeded("pid 1 is gone");
    char status[256];
    if (!read_text("/proc/1/stat", status, sizeof status)) succeeded("pid 1 is gone");
    const char *end = strrchr(status, ')');
    if (!end || end[2] == 'T' || end[2] == 'Z') succeeded("pid 1 is stopped or ended");
    refused("survived", "kill(1, SIGKILL)");
}

static void ns12(void) {
    TRY(sethostname("attacker", 8), "sethostname");
    TRY(setdomainname("attacker", 8), "setdomainname");
}

static void ns13(void) {
    key_t key = (key_t)strtol(fact("ATTACK_IPC_KEY"), NULL, 10);
    TRY(shmget(key, 0, 0), "shmget");
    TRY(semget(key, 0, 0), "semget");
    TRY(msgget(key, 0), "msgget");
}

static void ns15(void) {
    struct stat root, other;
    if (stat("/", &root) != 0) not_run("/: %s", errno_name(errno));
    char text[256];
    ssize_t length = readlink("/proc/1/root", text, sizeof text - 1);
    if (length < 0) {
        refused(errno_name(errno), "readlink(/proc/1/root)");
    } else if (stat("/proc/1/root/", &other) == 0 && (other.st_dev != root.st_dev || other.st_ino != root.st_ino)) {
        succeeded("/proc/1/root is another root");
    } else {
        refused("own-root", "/proc/1/root");
    }
    int up = open("/proc/self/root/../../../../..", O_PATH | O_DIRECTORY);
    if (up < 0 || fstat(up, &other) != 0) not_run("/..: %s", errno_name(errno));
    if (other.st_dev != root.st_dev || other.st_ino != root.st_ino) succeeded("/.. leads out");
    if (openat(up, "../oldroot", O_PATH) >= 0) succeeded("/oldroot is there");
    refused("own-root", "/..");
}

static void ns16(void) {
    const char *state = fact("ATTACK_STATE");
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file) not_run("mountinfo: %s", errno_name(errno));
    char line[4096];
    int lines = 0;
    while (fgets(line, sizeof line, file)) {
        char root[1024], point[1024], type[128] = "";
        if (sscanf(line, "%*d %*d %*s %1023s %1023s", root, point) != 2) continue;
        lines++;
        const char *rest = strstr(line, " - ");
        if (rest) sscanf(rest, " - %127s", type);
        if (strstr(point, "oldroot") || strstr(point, "(unreachable)")) succeeded("%s is mounted", point);
        if (!strcmp(point, "/") && strcmp(type, "tmpfs")) succeeded("the root is a %s", type);
        if (!strncmp(point, state, strlen(state)) && strcmp(type, "tmpfs")) succeeded("%s is mounted", point);
        if (!strcmp(type, "cgroup") || !strcmp(type, "cgroup2") || !strcmp(type, "debugfs")
            || !strcmp(type, "tracefs") || !strcmp(type, "bpf") || !strcmp(type, "devtmpfs")) {
            // A cover of ours lies over what is below a directory of the host; it must not be reachable.
            char name[1100];
            snprintf(name, sizeof name, "%s/.", point);
            struct stat status;
            if (stat(name, &status) == 0) {
                DIR *directory = opendir(point);
                const struct dirent *entry = NULL;
                while (directory && (entry = readdir(directory)) && entry->d_name[0] == '.') {}
                bool isNode = S_ISCHR(status.st_mode);
                if (entry && !isNode) succeeded("%s of type %s shows %s", point, type, entry->d_name);
                if (directory) closedir(directory);
            }
        }
    }
    fclose(file);
    if (lines < 3) not_run("mountinfo has %d lines", lines);
    refused("absent", "mountinfo");
}

const attack namespace_attacks[] = {
    {"NS01", ns01, 0, true},  {"NS02", ns02, 0, true},  {"NS03", ns03, 0, true},  {"NS04", ns04, 0, true},
    {"NS05", ns05, 0, true},  {"NS07", ns07, 0, false}, {"NS08", ns08, 0, true},  {"NS09", ns09, 0, true},
    {"NS10", ns10, 0, true},  {"NS11", ns11, 0, false}, {"NS12", ns12, 0, false}, {"NS13", ns13, 0, true},
    {"NS15", ns15, 0, false}, {"NS16", ns16, 0, true},  {NULL, NULL, 0, false},
};
