// Tries attacks on the sandbox that it runs in, and prints one line for each:
//
//     ID refused|succeeded|not-run ERRNO|SIGNAL|WORD what
//
// Controls (what must be possible) print `works` or `broken` instead. Each runs in a child of its own, so that one that
// is killed or hangs takes no other along.
//
//   postlude-attacker ID...          try these
//   postlude-attacker --all          try all
//   postlude-attacker --harmless     try those that may be tried on a host
//   postlude-attacker --list         print the ids
#include "attacker.h"
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

extern int report;
extern const char *current;
extern bool is_control;
void conclude(void) __attribute__((noreturn));
// Set-up for later steps and programs that attacks start; returns when the name is none of them.
void serve(const char *name, char **arguments);

static const attack *const tables[] = {namespace_attacks, privilege_attacks, file_attacks,   proc_attacks,
                                       cgroup_attacks,    device_attacks,    syscall_attacks, network_attacks,
                                       agent_attacks,     more_attacks,      escape_attacks,  mount_attacks,
                                       landlock_attacks,  controls,       file_controls};
static const size_t table_count = sizeof tables / sizeof *tables;

static const attack *find(const char *id) {
    for (size_t table = 0; table < table_count; table++) {
        for (const attack *entry = tables[table]; entry->id; entry++) {
            if (!strcmp(entry->id, id)) return entry;
        }
    }
    return NULL;
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void perform(const attack *entry, int output) __attribute__((noreturn));
static void perform(const attack *entry, int output) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    report = output;
    current = entry->id;
    is_control = entry->id[0] == 'C' && entry->id[1] != 'G';
    is_control = is_control || !strcmp(entry->id, "PS13") || !strcmp(entry->id, "SC25");
    entry->run();
    conclude();
}

// The process of an earlier attack may not be reaped yet, and count against a limit.
static pid_t fork_patiently(void) {
    pid_t child = -1;
    for (int tries = 0; tries < 500 && (child = fork()) < 0 && errno == EAGAIN; tries++) usleep(10000);
    return child;
}

static void run(const attack *entry) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        printf("%s not-run - pipe: %s\n", entry->id, errno_name(errno));
        return;
    }
    fflush(stdout);
    pid_t child = fork_patiently();
    if (child == 0) {
        close(ends[0]);
        perform(entry, ends[1]);
    }
    close(ends[1]);
    if (child < 0) {
        printf("%s not-run - fork: %s\n", entry->id, errno_name(errno));
        close(ends[0]);
        return;
    }
    long limit = milliseconds() + 1000L * (entry->limit ? entry->limit : 15);
    int status = 0;
    bool hangs = false;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (milliseconds() > limit) {
            hangs = true;
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            break;
        }
        usleep(500);
    }
    kill(-child, SIGKILL);
    char line[4096];
    size_t used = 0;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (ssize_t count; used < sizeof line - 1; used += (size_t)count) {
        if ((count = read(ends[0], line + used, sizeof line - 1 - used)) <= 0) break;
    }
    close(ends[0]);
    line[used] = 0;
    // Only SIGSYS is the sandbox's doing; another signal is an error in the attack, or the host's.
    if (used) {
        fputs(line, stdout);
    } else if (hangs) {
        printf("%s not-run - it did not end in time\n", entry->id);
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
        printf("%s refused SIGSYS killed\n", entry->id);
    } else if (WIFSIGNALED(status)) {
        printf("%s not-run - ended by %s\n", entry->id, signal_name(WTERMSIG(status)));
    } else {
        printf("%s not-run - ended with status %d and said nothing\n", entry->id, WEXITSTATUS(status));
    }
    fflush(stdout);
}

static void each(bool (*wanted)(const attack *), void (*body)(const attack *)) {
    for (size_t table = 0; table < table_count; table++) {
        for (const attack *entry = tables[table]; entry->id; entry++) {
            if (wanted(entry)) body(entry);
        }
    }
}

static bool every(const attack *entry) { return entry != NULL; }
static bool harmless(const attack *entry) { return entry->harmless; }
static void print(const attack *entry) { puts(entry->id); }

int main(int count, char **arguments) {
    if (count > 1) serve(arguments[1], arguments + 2);
    for (int index = 1; index < count; index++) {
        if (!strcmp(arguments[index], "--list")) {
            each(every, print);
        } else if (!strcmp(arguments[index], "--all")) {
            each(every, run);
        } else if (!strcmp(arguments[index], "--harmless")) {
            each(harmless, run);
        } else {
            const attack *entry = find(arguments[index]);
            if (entry) {
                run(entry);
            } else {
                printf("%s not-run - unknown id\n", arguments[index]);
            }
        }
    }
    return count < 2 ? 2 : 0;
}
