// The agent's own things: its state, its other runs, its records, and what earlier steps left behind.
#include "attacker.h"
#include <dirent.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

extern char **environ;

// A file of the step that the agent keeps: a hook's script, a rendered configuration.
static void ag04(void) {
    const char *path = fact("ATTACK_STEP_FILE");
    struct stat status;
    if (stat(path, &status) != 0) not_run("%s: %s", path, errno_name(errno));
    try_write(path);
    TRY(unlink(path), "unlink");
    TRY(chmod(path, 0777), "chmod");
    TRY(truncate(path, 0), "truncate");
    char other[600];
    snprintf(other, sizeof other, "%s/replacement", fact("ATTACK_ARTIFACTS"));
    close(open(other, O_CREAT | O_WRONLY, 0755));
    TRY(rename(other, path), "rename over it");
    unlink(other);
}

static void ag05(void) {
    static const char *const names[] = {"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "LISTEN_PID", "MAINPID"};
    for (int index = 0; index < 5; index++) {
        if (getenv(names[index])) succeeded("%s=%s", names[index], getenv(names[index]));
    }
    refused("absent", "NOTIFY_SOCKET");
    char path[600];
    static const char *const files[] = {"journal", "main.stdout.log", "main.stderr.log", "."};
    for (int index = 0; index < 4; index++) {
        snprintf(path, sizeof path, "%s/%s", fact("ATTACK_ATTEMPT"), files[index]);
        try_open(path, index == 3 ? O_RDONLY : O_WRONLY | O_APPEND);
    }
}

// Other runs of the same user: their directories, logs and artifacts.
static void a66(void) { each_path(fact("ATTACK_OTHER_RUNS"), try_read); }

// Links in what is writable lead nowhere else than paths do.
static void a67(void) {
    const char *own = fact("ATTACK_ARTIFACTS");
    char link[600];
    snprintf(link, sizeof link, "%s/way-out", own);
    char *copy = strdup(fact("ATTACK_SECRETS")), *rest = copy, *path;
    while ((path = strsep(&rest, "\n"))) {
        unlink(link);
        if (symlink(path, link) != 0) not_run("symlink: %s", errno_name(errno));
        try_read(link);
    }
    unlink(link);
    snprintf(link, sizeof link, "%s/../../../../../../../..%s", own, fact("ATTACK_STATE"));
    try_read(link);
}

// Nothing but what the agent documents is in the environment; ATTACK_* are the suite's own.
static void a68(void) {
    // What a run's programs are told, and no more.
    static const char *const usual[] = {"PATH", "LANG", "HOME", "USER", "LOGNAME", "TMPDIR", "POSTLUDE_RUN_ID",
                                        "POSTLUDE_RUN_NAME", "POSTLUDE_PROJECT", "POSTLUDE_ATTEMPT",
                                        "POSTLUDE_ARTIFACTS", "POSTLUDE_OUTPUTS", "POSTLUDE_CONTEXT",
                                        "POSTLUDE_MESSAGE"};
    for (char **entry = environ; *entry; entry++) {
        bool known = !strncmp(*entry, "ATTACK_", 7);
        for (size_t index = 0; index < sizeof usual / sizeof *usual; index++) {
            size_t length = strlen(usual[index]);
            known = known || (!strncmp(*entry, usual[index], length) && (*entry)[length] == '=');
        }
        // The same once more under Polyaxon's names, and what only Polyaxon has.
        static const char *const polyaxon[] = {"RUN_UUID=", "RUN_INSTANCE=", "CONTEXT_ROOT=", "ARTIFACTS_ROOT="};
        if (!strncmp(*entry, "POLYAXON_", 9)) {
            const char *name = *entry + 9, *value = strchr(name, '=');
            char own[128] = "";
            if (value) snprintf(own, sizeof own, "POSTLUDE_%.*s", (int)(value - name), name);
            const char *same = getenv(own);
            known = same && !strcmp(same, value + 1);
            for (size_t index = 0; index < sizeof polyaxon / sizeof *polyaxon; index++) {
                known = known || !strncmp(name, polyaxon[index], strlen(polyaxon[index]));
            }
        }
        // Where the module for outputs is shown.
        known = known || !strncmp(*entry, "PYTHONPATH=/plx-context/", 24);
        if (!known) succeeded("%s", *entry);
    }
    refused("clean", "environment");
}

// Descriptors of the agent or the warden.
static void a69(void) {
    DIR *directory = opendir("/proc/self/fd");
    if (!directory) not_run("/proc/self/fd: %s", errno_name(errno));
    extern int report;
    int seen = 0;
    for (const struct dirent *entry; (entry = readdir(directory));) {
        int number = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || number == dirfd(directory) || number == report) continue;
        seen++;
        char path[64], target[256] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", number);
        if (readlink(path, target, sizeof target - 1) < 0) continue;
        if (number > 2) succeeded("descriptor %d is %s", number, target);
        struct stat status;
        if (fstat(number, &status) == 0 && !S_ISFIFO(status.st_mode) && strcmp(target, "/dev/null")) {
            succeeded("descriptor %d is %s", number, target);
        }
    }
    closedir(directory);
    if (seen < 3) not_run("%d descriptors are seen", seen);
    refused("none", "inherited descriptors");
}

// What an init step (--plant) left for main outside the artifacts.
static void a76(void) {
    fact("ATTACK_PLANTED");
    TRY(shmget(0x7057001, 0, 0), "SysV memory of the init step");
    TRY(shm_open("/planted", O_RDONLY, 0), "POSIX memory of the init step");
    try_open("/tmp/planted", O_RDONLY);
    try_open("/var/tmp/planted", O_RDONLY);
    DIR *directory = opendir("/proc");
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[300], name[64] = "";
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        int file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (file < 0) continue;
        if (read(file, name, sizeof name - 1) > 0 && !strncmp(name, "planted", 7)) succeeded("its process runs");
        close(file);
    }
    if (directory) closedir(directory);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0planted-socket"};
    int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TRY(connect(own, (struct sockaddr *)&address, sizeof(sa_family_t) + 15), "its socket");
}

// Artifacts of another user's run, by a path that is guessed.
static void a81(void) { each_path(fact("ATTACK_FOREIGN"), try_read); }

// Log files are not the job's to shorten, although it may write to them through a pipe.
static void a82(void) {
    struct stat status;
    if (fstat(1, &status) != 0 || !S_ISFIFO(status.st_mode)) succeeded("standard output is no pipe");
    TRY(ftruncate(1, 0), "ftruncate(1)");
    TRY(lseek(1, 0, SEEK_SET), "lseek(1)");
}

const attack agent_attacks[] = {
    {"AG04", ag04, 0, false}, {"AG05", ag05, 0, false}, {"A66", a66, 0, true},  {"A67", a67, 0, false},
    {"A68", a68, 0, false},   {"A69", a69, 0, false},   {"A76", a76, 0, false}, {"A81", a81, 0, true},
    {"A82", a82, 0, false},   {NULL, NULL, 0, false},
};

static void plant(void) {
    prctl(PR_SET_NAME, "planted");
    const char *own = getenv("ATTACK_ARTIFACTS");
    char path[600];
    // In place of what the next step's mounts go to, and of what it reads.
    static const char *const names[] = {"proc", "dev", "sys", "etc", "null"};
    for (int index = 0; own && index < 5; index++) {
        snprintf(path, sizeof path, "%s/%s", own, names[index]);
        (void)!symlink("/", path);
    }
    if (own_dev()) {
        (void)!unlink("/dev/null");
        (void)!symlink("/etc/passwd", "/dev/null");
        (void)!rename("/dev/pts", "/dev/pts-old");
    }
    (void)!symlink("/tmp", "/proc/self/attr/exec");
    close(open("/tmp/planted", O_CREAT | O_WRONLY, 0666));
    close(open("/var/tmp/planted", O_CREAT | O_WRONLY, 0666));
    close(shm_open("/planted", O_CREAT | O_RDWR, 0666));
    (void)!shmget(0x7057001, 4096, IPC_CREAT | 0666);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0planted-socket"};
    int own_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)!bind(own_socket, (struct sockaddr *)&address, sizeof(sa_family_t) + 15);
    listen(own_socket, 4);
    if (fork() == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        sleep(60);
        _exit(0);
    }
    _exit(0);
}

static void print_capabilities(void) {
    char status[4096];
    int file = open("/proc/self/status", O_RDONLY);
    ssize_t count = read(file, status, sizeof status - 1);
    status[count > 0 ? count : 0] = 0;
    const char *at = strstr(status, "CapEff:");
    if (at) printf("%.16s\n", at + 8);
    exit(0);
}

static void print_locks(void) {
    char status[4096];
    int file = open("/proc/self/status", O_RDONLY);
    ssize_t count = read(file, status, sizeof status - 1);
    status[count > 0 ? count : 0] = 0;
    const char *privileges = strstr(status, "NoNewPrivs:"), *filter = strstr(status, "Seccomp:");
    if (privileges && filter) printf("%c%c\n", privileges[12], filter[9]);
    exit(0);
}

static void print_ids(void) {
    printf("%u %u\n", getuid(), geteuid());
    exit(0);
}

// A run beside the one that attacks: listens until it is ended.
static void be_neighbour(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = getenv("ATTACK_NEIGHBOUR");
    int own = socket(AF_UNIX, SOCK_STREAM, 0);
    if (name) snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
    socklen_t size = (socklen_t)(sizeof(sa_family_t) + 1 + strlen(name ? name : ""));
    if (bind(own, (struct sockaddr *)&address, size) != 0 || listen(own, 16) != 0) exit(3);
    const char *port = getenv("ATTACK_NEIGHBOUR_PORT");
    struct sockaddr_in internet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    internet.sin_port = htons((uint16_t)(port ? atoi(port) : 0));
    int other = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(other, (struct sockaddr *)&internet, sizeof internet) != 0 || listen(other, 16) != 0) exit(4);
    printf("up\n");
    fflush(stdout);
    for (;;) pause();
}

// Things of the host for the suite: kept until they are removed by the same key.
static void change_ipc(const char *text, bool make) {
    key_t key = (key_t)strtol(text, NULL, 10);
    int flags = make ? IPC_CREAT | IPC_EXCL | 0666 : 0;
    int memory = shmget(key, make ? 4096 : 0, flags), set = semget(key, make ? 1 : 0, flags), queue = msgget(key, flags);
    if (memory < 0 || set < 0 || queue < 0) exit(1);
    if (!make) exit(shmctl(memory, IPC_RMID, NULL) | semctl(set, 0, IPC_RMID) | msgctl(queue, IPC_RMID, NULL));
    exit(0);
}

// cap_net_raw and cap_sys_admin, effective (VFS_CAP_REVISION_2).
static void give_capabilities(const char *path) {
    static const uint32_t value[5] = {0x02000001, 1U << 13 | 1U << 21, 0, 0, 0};
    exit(setxattr(path, "security.capability", value, sizeof value, 0) != 0);
}

// Exchanges two files until it is ended.
static void swap(const char *first, const char *second) {
    for (;;) syscall(SYS_renameat2, AT_FDCWD, first, AT_FDCWD, second, 2 /* RENAME_EXCHANGE */);
}

void serve(const char *name, char **arguments) {
    if (!strcmp(name, "--swap") && arguments[0] && arguments[1]) swap(arguments[0], arguments[1]);
    if (!strcmp(name, "--make-ipc") && *arguments) change_ipc(*arguments, true);
    if (!strcmp(name, "--remove-ipc") && *arguments) change_ipc(*arguments, false);
    if (!strcmp(name, "--give-capabilities") && *arguments) give_capabilities(*arguments);
    if (!strcmp(name, "--plant")) plant();
    if (!strcmp(name, "--ids")) print_ids();
    if (!strcmp(name, "--capabilities")) print_capabilities();
    if (!strcmp(name, "--locks")) print_locks();
    if (!strcmp(name, "--neighbour")) be_neighbour();
}
