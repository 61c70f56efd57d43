// Getting rights that the sandbox took away.
#include "attacker.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void *wait_here(void *semaphore) {
    pthread_barrier_wait(semaphore);
    pthread_barrier_wait(semaphore);
    return NULL;
}

static void field(const char *status, const char *name, const char *wanted, const char *task) {
    const char *at = strstr(status, name);
    if (!at) not_run("%s has no %s", task, name);
    at += strlen(name);
    while (*at == '\t' || *at == ' ') at++;
    size_t length = strcspn(at, "\n");
    if (length == strlen(wanted) && !strncmp(at, wanted, length)) return refused("locked", name);
    succeeded("%s of thread %s is %.*s", name, task, (int)length, at);
}

static void pr02(void) {
    pthread_barrier_t barrier;
    pthread_t threads[4];
    pthread_barrier_init(&barrier, NULL, 5);
    for (int index = 0; index < 4; index++) {
        if (pthread_create(&threads[index], NULL, wait_here, &barrier)) not_run("pthread_create");
    }
    pthread_barrier_wait(&barrier);
    FILE *tasks = popen("ls /proc/$PPID/task", "re");
    char task[32], path[64], status[4096];
    int seen = 0;
    while (tasks && fgets(task, sizeof task, tasks)) {
        task[strcspn(task, "\n")] = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
        FILE *file = fopen(path, "re");
        size_t count = file ? fread(status, 1, sizeof status - 1, file) : 0;
        if (file) fclose(file);
        status[count] = 0;
        if (!count) not_run("%s: %s", path, errno_name(errno));
        seen++;
        field(status, "NoNewPrivs:", "1", task);
        field(status, "Seccomp:", "2", task);
        field(status, "CapEff:", "0000000000000000", task);
        field(status, "CapPrm:", "0000000000000000", task);
        field(status, "CapBnd:", "0000000000000000", task);
    }
    if (tasks) pclose(tasks);
    pthread_barrier_wait(&barrier);
    if (seen != 5) not_run("%d threads were seen", seen);
}

// What a program of the suite prints about itself once it runs.
static void run_and_read(const char *path, const char *argument, char *text, size_t size) {
    int ends[2];
    if (pipe(ends) != 0) not_run("pipe: %s", errno_name(errno));
    pid_t child = fork();
    if (child < 0) not_run("fork: %s", errno_name(errno));
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl(path, path, argument, NULL);
        _exit(100 + (errno & 31));
    }
    close(ends[1]);
    ssize_t count = read(ends[0], text, size - 1);
    text[count > 0 ? count : 0] = 0;
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    if (count <= 0) not_run("%s could not be executed (status %d)", path, WEXITSTATUS(status));
}

static void pr03(void) {
    // Owned by another user, and setuid: the suite made it.
    const char *path = fact("ATTACK_SETUID");
    char text[128];
    struct stat status;
    if (stat(path, &status) != 0) not_run("%s: %s", path, errno_name(errno));
    if (!(status.st_mode & S_ISUID) || status.st_uid == geteuid()) not_run("%s gives nothing new", path);
    run_and_read(path, "--ids", text, sizeof text);
    unsigned real, effective;
    if (sscanf(text, "%u %u", &real, &effective) != 2) not_run("it printed '%s'", text);
    if (effective != geteuid()) succeeded("the effective uid is %u", effective);
    refused("unchanged", path);
}

static void pr04(void) {
    const char *path = fact("ATTACK_FILECAPS");
    char text[128];
    run_and_read(path, "--capabilities", text, sizeof text);
    unsigned long long effective = 1;
    if (sscanf(text, "%llx", &effective) != 1) not_run("it printed '%s'", text);
    if (effective) succeeded("the effective capabilities are %llx", effective);
    refused("unchanged", path);
}

static void pr06(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{~0U, ~0U, ~0U}, {~0U, ~0U, ~0U}};
    TRY(syscall(SYS_capset, &header, data), "capset(all)");
    struct __user_cap_data_struct one[2] = {{1U << CAP_SYS_ADMIN, 1U << CAP_SYS_ADMIN, 0}, {0, 0, 0}};
    TRY(syscall(SYS_capset, &header, one), "capset(SYS_ADMIN)");
}

static void pr07(void) {
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0), "PR_CAP_AMBIENT_RAISE");
    TRY(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "PR_SET_SECUREBITS");
    TRY(prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0), "PR_CAPBSET_DROP");
}

static void pr08(void) { TRY(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), "PR_SET_NO_NEW_PRIVS 0"); }

static void pr09(void) {
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = 1, .filter = allow};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return refused(errno_name(errno), "PR_SET_SECCOMP");
    }
    TRY(mount("none", "/tmp", "tmpfs", 0, NULL), "mount after an own filter");
    TRY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_DISABLED, NULL) == 0 ? 0 : -1, "PR_SET_SECCOMP(disabled)");
}

static void pr10(void) {
    TRY(prctl(PR_SET_MM, PR_SET_MM_START_CODE, 0x400000, 0, 0), "PR_SET_MM_START_CODE");
    int file = open("/bin/sh", O_RDONLY | O_CLOEXEC);
    TRY(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, file, 0, 0), "PR_SET_MM_EXE_FILE");
}

static void pr11(void) {
    struct sched_param fifo = {.sched_priority = 1};
    TRY(setpriority(PRIO_PROCESS, 0, -20), "setpriority(-20)");
    TRY(sched_setscheduler(0, SCHED_FIFO, &fifo), "SCHED_FIFO");
    TRY(sched_setscheduler(0, SCHED_RR, &fifo), "SCHED_RR");
    TRY(syscall(SYS_ioprio_set, 1, 0, 1 << 13), "ioprio_set(RT)");
    // SCHED_DEADLINE: 1 ms of every 10.
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } deadline = {.size = 48, .policy = 6, .runtime = 1000000, .deadline = 10000000, .period = 10000000};
    TRY(syscall(SYS_sched_setattr, 0, &deadline, 0), "SCHED_DEADLINE");
}

static void widen(int resource, const char *what) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) return skip(what, errno_name(errno));
    if (limit.rlim_max == RLIM_INFINITY) return skip(what, "it has no limit here");
    limit.rlim_max += 1;
    TRY(setrlimit((__rlimit_resource_t)resource, &limit), what);
}

static void pr12(void) {
    widen(RLIMIT_MEMLOCK, "MEMLOCK");
    widen(RLIMIT_NOFILE, "NOFILE");
    widen(RLIMIT_CORE, "CORE");
    widen(RLIMIT_NICE, "NICE");
    widen(RLIMIT_RTPRIO, "RTPRIO");
}

static void pr13(void) {
    int file = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (file < 0) return refused(errno_name(errno), "open");
    TRY(write(file, "-1000", 5), "-1000");
}

static void pr14(void) {
    static const char *const names[] = {"docker", "disk", "kvm",   "shadow", "sudo", "root", "adm", "tty",
                                        "lxd",    "video", "render", "input", "kmem", "wheel", "systemd-journal"};
    gid_t groups[256];
    int count = getgroups(256, groups);
    if (count < 0) not_run("getgroups: %s", errno_name(errno));
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        const struct group *group = getgrnam(names[index]);
        for (int place = 0; group && place < count; place++) {
            if (groups[place] == group->gr_gid && group->gr_gid != getgid()) succeeded("member of %s", names[index]);
        }
    }
    gid_t one = 0;
    if (getgid() != 0) {
        TRY(setgroups(1, &one), "setgroups(root)");
        TRY(setresgid(0, 0, 0), "setresgid(0)");
    }
    TRY(setresuid(geteuid() + 1, geteuid() + 1, geteuid() + 1), "setresuid(another)");
    refused("own-groups", "getgroups");
}

const attack privilege_attacks[] = {
    {"PR02", pr02, 0, true},  {"PR03", pr03, 0, false}, {"PR04", pr04, 0, true},  {"PR06", pr06, 0, false},
    {"PR07", pr07, 0, true},  {"PR08", pr08, 0, false}, {"PR09", pr09, 0, false}, {"PR10", pr10, 0, false},
    {"PR11", pr11, 0, true},  {"PR12", pr12, 0, false}, {"PR13", pr13, 0, false},  {"PR14", pr14, 0, true},
    {NULL, NULL, 0, false},
};
