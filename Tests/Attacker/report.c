// How an attack tells what happened: one line on descriptor `report`, at its end.
#include "attacker.h"
#include <dirent.h>
#include <stdarg.h>
#include <sys/wait.h>

int report = STDOUT_FILENO;
const char *current = "?";
bool is_control;

static char words[512];
static char parts[2048];
static char skipped[1024];

static void add(char *list, size_t size, const char *separator, const char *text) {
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used ? separator : "", text);
}

static bool has_word(const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length) {
        if ((at == words || at[-1] == '|') && (at[length] == 0 || at[length] == '|')) return true;
    }
    return false;
}

static void finish(const char *verdict, const char *word, const char *detail) __attribute__((noreturn));
static void finish(const char *verdict, const char *word, const char *detail) {
    char line[4096];
    snprintf(line, sizeof line, "%s %s %s %s", current, verdict, *word ? word : "-", detail);
    for (char *at = line; *at; at++) {
        if (*at == '\n') *at = ' ';
    }
    dprintf(report, "%s\n", line);
    _exit(0);
}

// Called when an attack's function returns: everything that was tried was refused.
void conclude(void) __attribute__((noreturn));
void conclude(void) {
    if (!*words) finish("not-run", "", *skipped ? skipped : "nothing was tried");
    if (*skipped) {
        add(parts, sizeof parts, "; ", "not tried: ");
        add(parts, sizeof parts, "", skipped);
    }
    finish(is_control ? "works" : "refused", is_control ? "" : words, parts);
}

void refused(const char *word, const char *what) {
    if (!has_word(word)) add(words, sizeof words, "|", word);
    char text[256];
    snprintf(text, sizeof text, "%s: %s", what, word);
    if (strlen(parts) < 1200 && !strstr(parts, text)) add(parts, sizeof parts, "; ", text);
}

void attempt(long result, const char *what) {
    int number = errno;
    if (result >= 0) succeeded("%s", what);
    // A call past the C library gives the errno itself where the wrapper was left out.
    refused(errno_name(number), what);
}

void works(long result, const char *what) {
    if (result < 0) {
        char text[512];
        int number = errno;
        snprintf(text, sizeof text, "%s", what);
        finish("broken", errno_name(number), text);
    }
    refused("ok", what);
}

void skip(const char *what, const char *why) {
    char text[256];
    snprintf(text, sizeof text, "%s: %s", what, why);
    if (strlen(skipped) < 600) add(skipped, sizeof skipped, "; ", text);
}

void succeeded(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    finish(is_control ? "broken" : "succeeded", "-", text);
}

void not_run(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    finish("not-run", "-", text);
}

void try_open(const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int number = errno;
    if (file >= 0) close(file);
    errno = number;
    attempt(file, path);
}

void try_write(const char *path) { try_open(path, O_WRONLY); }

void try_read(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return attempt(file, path);
    if (fstat(file, &status) == 0 && S_ISDIR(status.st_mode)) {
        DIR *directory = fdopendir(file);
        const struct dirent *entry;
        while (directory && (entry = readdir(directory))) {
            if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
                succeeded("%s holds %s", path, entry->d_name);
            }
        }
        if (directory) closedir(directory);
        return refused("empty", path);
    }
    char bytes[64];
    ssize_t count = read(file, bytes, sizeof bytes);
    int number = errno;
    close(file);
    errno = number;
    if (count == 0) return refused("empty", path);
    attempt(count, path);
}

void try_links(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) return attempt(-1, path);
    const struct dirent *entry;
    for (errno = 0; (entry = readdir(directory)); errno = 0) {
        char target[256];
        if (entry->d_name[0] == '.') continue;
        TRY(readlinkat(dirfd(directory), entry->d_name, target, sizeof target), path);
        TRY(openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), path);
    }
    if (errno) refused(errno_name(errno), path);
    closedir(directory);
    refused("no-links", path);
}

bool own_init(void) {
    char name[32] = "";
    int file = open("/proc/1/comm", O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t count = read(file, name, sizeof name - 1);
    close(file);
    return count > 0 && !strncmp(name, "postlude-init", 13);
}

bool own_dev(void) {
    struct stat directory, node;
    return stat("/dev", &directory) == 0 && stat("/dev/zero", &node) == 0 && directory.st_dev != node.st_dev;
}

const char *fact_or_null(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

const char *fact(const char *name) {
    const char *value = fact_or_null(name);
    if (!value) not_run("the suite does not say %s", name);
    return value;
}

void each_path(const char *list, void (*run)(const char *path)) {
    char *copy = strdup(list), *rest = copy, *path;
    while ((path = strsep(&rest, "\n"))) {
        if (*path) run(path);
    }
    free(copy);
}

int in_child(void (*body)(void)) {
    pid_t child = fork();
    if (child < 0) not_run("fork: %s", errno_name(errno));
    if (child == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) not_run("waitpid: %s", errno_name(errno));
    }
    return status;
}

void try_deadly(void (*body)(void), const char *what) {
    int status = in_child(body);
    if (WIFSIGNALED(status)) {
        refused(signal_name(WTERMSIG(status)), what);
    } else if (WEXITSTATUS(status) == WENT_THROUGH) {
        succeeded("%s", what);
    } else {
        refused(errno_name(WEXITSTATUS(status)), what);
    }
}

int new_terminal(void) {
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) not_run("/dev/ptmx: %s", errno_name(errno));
    char *name = grantpt(master) == 0 && unlockpt(master) == 0 ? ptsname(master) : NULL;
    int slave = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    if (slave < 0) not_run("terminal: %s", errno_name(errno));
    return slave;
}

const char *errno_name(int number) {
    const char *name = strerrorname_np(number);
    return name ? name : "E?";
}

const char *signal_name(int number) {
    static char text[32];
    const char *name = sigabbrev_np(number);
    snprintf(text, sizeof text, "SIG%s", name ? name : "?");
    return text;
}
