// What must be possible with files and terminals although rules for files are in force.
#include "attacker.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <pty.h>
#include <termios.h>

void truth(bool holds, const char *what);
void shell(const char *program, const char *script, const char *what);

// Two at a time.
static const char *at(const char *directory, const char *name) {
    static char path[4][600];
    static int next;
    char *place = path[next++ % 4];
    snprintf(place, sizeof path[0], "%s/%s", directory, name);
    return place;
}

static void make(const char *path) {
    int file = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
    MUST(file, path);
    MUST(write(file, "text", 4), "write");
    close(file);
}

// Moving files about where they may be made, from one directory to another too; between two file systems nobody can.
static void move(const char *place, const char *elsewhere) {
    mkdir(at(place, "one"), 0755);
    mkdir(at(place, "two"), 0755);
    make(at(place, "one/file"));
    MUST(rename(at(place, "one/file"), at(place, "two/file")), "rename to another directory");
    MUST(link(at(place, "two/file"), at(place, "one/link")), "link in another directory");
    make(at(place, "one/other"));
    MUST(renameat2(AT_FDCWD, at(place, "one/other"), AT_FDCWD, at(place, "two/file"), RENAME_EXCHANGE), "exchange");
    MUST(rename(at(place, "one"), at(place, "two/one")), "rename a directory");
    int unnamed = open(place, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    MUST(unnamed, "O_TMPFILE");
    char link_to[64];
    snprintf(link_to, sizeof link_to, "/proc/self/fd/%d", unnamed);
    MUST(linkat(AT_FDCWD, link_to, AT_FDCWD, at(place, "named"), AT_SYMLINK_FOLLOW), "give it a name");
    MUST(open(link_to, O_RDWR | O_TRUNC | O_CLOEXEC), "open it again");
    errno = 0;
    truth(rename(at(place, "named"), at(elsewhere, "named")) != 0 && errno == EXDEV, "rename elsewhere is EXDEV");
    errno = 0;
    truth(link(at(place, "named"), at(elsewhere, "named")) != 0 && errno == EXDEV, "link elsewhere is EXDEV");
    MUST(truncate(at(place, "named"), 100), "truncate");
    MUST(unlink(at(place, "named")), "unlink");
    MUST(unlink(at(place, "two/one/other")), "unlink");
    MUST(unlink(at(place, "two/one/link")), "unlink");
    MUST(unlink(at(place, "two/file")), "unlink");
    MUST(rmdir(at(place, "two/one")), "rmdir");
    MUST(rmdir(at(place, "two")), "rmdir");
}

static void c17(void) {
    move(fact("ATTACK_ARTIFACTS"), "/tmp");
    move("/tmp", fact("ATTACK_ARTIFACTS"));
    move("/dev/shm", "/tmp");
    int queue = open("/dev/mqueue/file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    MUST(queue, "/dev/mqueue");
    MUST(unlink("/dev/mqueue/file"), "unlink in /dev/mqueue");
}

static void c18(void) {
    char name[256] = "";
    int master, slave, flag = 1, session;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    MUST(openpty(&master, &slave, name, NULL, &size), "openpty");
    truth(isatty(slave) == 1 && isatty(master) == 1, "isatty");
    errno = ttyname_r(slave, name, sizeof name);
    truth(errno == 0 && !strncmp(name, "/dev/pts/", 9), "ttyname");
    struct termios settings;
    MUST(ioctl(slave, TCGETS, &settings), "TCGETS");
    MUST(ioctl(slave, TIOCGWINSZ, &size), "TIOCGWINSZ");
    MUST(ioctl(slave, TIOCSWINSZ, &size), "TIOCSWINSZ");
    MUST(ioctl(master, TIOCPKT, &flag), "TIOCPKT");
    int again = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    MUST(again, "open it by its name");
    MUST(ioctl(again, FIONREAD, &flag), "FIONREAD");
    pid_t child = fork();
    MUST(child, "fork");
    if (child == 0) {
        // With a terminal of its own the session has a /dev/tty.
        if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) != 0) _exit(errno);
        int own = open("/dev/tty", O_RDWR | O_CLOEXEC);
        _exit(own < 0 || ioctl(own, TIOCGSID, &session) != 0 || session != getpid() ? errno ? errno : 255 : 0);
    }
    int status;
    MUST(waitpid(child, &status, 0), "waitpid");
    errno = WEXITSTATUS(status);
    truth(status == 0, "/dev/tty");
    errno = 0;
    truth(!isatty(open("/dev/null", O_RDWR | O_CLOEXEC)), "/dev/null is no terminal");
}

static void c19(void) {
    shell("/bin/sh",
          "echo own > /proc/self/comm && echo x > /dev/null && echo x >> /dev/stdout && : > /dev/shm/x && rm /dev/shm/x && "
          "echo one > file && : > file && echo two >> file && mv file /tmp/file && cp /tmp/file . && rm /tmp/file file && "
          "mkdir -p a/b && touch a/b/c && mv a/b d && rm -r a d",
          "what a shell does with files");
}

static void c25(void) {
    shell("/usr/bin/cc",
          "cd /tmp && printf 'int main(void) { return 7; }\\n' > built.c && cc -o built built.c && "
          "{ ./built; test $? = 7; } && cp built copied && { ./copied; test $? = 7; } && rm built built.c copied",
          "compile, link and run in /tmp");
}

static void c26(void) {
    if (access("/usr/bin/python3", X_OK) != 0) not_run("this host has no python3");
    if (system("/usr/bin/python3 -c 'import sqlite3' 2> /dev/null") != 0) not_run("its python3 has no sqlite3");
    shell("/usr/bin/python3",
          "cat > database.py <<'E'\n"
          "import os, sqlite3\n"
          "for mode in ('DELETE', 'TRUNCATE', 'WAL'):\n"
          "    name = 'database-' + mode\n"
          "    with sqlite3.connect(name) as db:\n"
          "        assert db.execute('pragma journal_mode=' + mode).fetchone()[0] == mode.lower()\n"
          "        db.execute('create table t (x)')\n"
          "        db.execute('insert into t values (1)')\n"
          "        db.commit()\n"
          "        db.execute('delete from t')\n"
          "        db.rollback()\n"
          "        assert db.execute('select count(*) from t').fetchone() == (1,)\n"
          "    db.execute('vacuum')\n"
          "    db.close()\n"
          "    os.unlink(name)\n"
          "E\n/usr/bin/python3 database.py",
          "databases of SQLite");
}

static void c27(void) {
    shell("/usr/bin/git",
          "rm -rf origin /tmp/cloned && git init -q origin && cd origin && echo x > file && git add file && "
          "git -c user.name=x -c user.email=x@example.org commit -q -m x && git clone -q . /tmp/cloned && cd /tmp/cloned && "
          "git checkout -q -b other && git mv file moved && git gc -q && cd /tmp && rm -rf cloned",
          "git clone from the artifacts to /tmp");
}

const attack file_controls[] = {
    {"C17", c17, 0, false}, {"C18", c18, 0, true}, {"C19", c19, 0, false}, {"C25", c25, 30, true},
    {"C26", c26, 60, true}, {"C27", c27, 30, true}, {NULL, NULL, 0, false},
};
