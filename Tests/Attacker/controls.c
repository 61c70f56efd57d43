// What must be possible in every sandbox, by the needs of drivers of accelerators, language runtimes and tools.
#include "attacker.h"
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/landlock.h>
#include <linux/membarrier.h>
#include <mqueue.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>

extern char **environ;

static const char *in_artifacts(const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", fact("ATTACK_ARTIFACTS"), name);
    return path;
}

void truth(bool holds, const char *what);
void truth(bool holds, const char *what) { works(holds ? 0 : -1, what); }

void shell(const char *program, const char *script, const char *what);
void shell(const char *program, const char *script, const char *what) {
    if (access(program, X_OK) != 0) not_run("this host has no %s", program);
    pid_t child = fork();
    if (child == 0) {
        setenv("HOME", fact("ATTACK_ARTIFACTS"), 1);
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        if (chdir(fact("ATTACK_ARTIFACTS")) == 0) execl("/bin/sh", "sh", "-ec", script, NULL);
        _exit(126);
    }
    int status = 0;
    waitpid(child, &status, 0);
    errno = 0;
    if (status) fprintf(stderr, "%s: status %d, signal %d\n", what, WEXITSTATUS(status), WTERMSIG(status));
    truth(status == 0, what);
}

static void ps13(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)gettid());
    int file = open(path, O_WRONLY | O_CLOEXEC);
    MUST(file, path);
    MUST(write(file, "renamed", 7), "write");
    MUST(open("/proc/self/comm", O_RDWR | O_CLOEXEC), "/proc/self/comm");
    MUST(prctl(PR_SET_NAME, "renamed"), "PR_SET_NAME");
}

static void sc25(void) {
    cpu_set_t set;
    int mode;
    void *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create");
    MUST(mlock(page, 65536), "mlock");
    MUST(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0), "get_mempolicy");
    MUST(syscall(SYS_set_mempolicy, 0, NULL, 0), "set_mempolicy");
    MUST(syscall(SYS_mbind, page, 65536, 0, NULL, 0, 0), "mbind");
    MUST(sched_getaffinity(0, sizeof set, &set), "sched_getaffinity");
}

static void c01(void) {
    int memory = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    MUST(memory, "memfd_create");
    MUST(ftruncate(memory, 4096), "ftruncate");
    truth(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, memory, 0) != MAP_FAILED, "mmap(EXEC, memfd)");
    MUST(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), "F_ADD_SEALS");
}

static void *nothing(void *argument) { return argument; }

static void c02(void) {
    pthread_t threads[32];
    for (int index = 0; index < 32; index++) {
        errno = pthread_create(&threads[index], NULL, nothing, NULL);
        truth(errno == 0, "pthread_create");
    }
    for (int index = 0; index < 32; index++) pthread_join(threads[index], NULL);
}

static void c03(void) {
    void *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(mlock(page, 32768), "mlock");
    MUST(mlock2(page, 32768, 0), "mlock2");
    MUST(munlock(page, 65536), "munlock");
    MUST(mprotect(page, 65536, PROT_READ | PROT_EXEC), "mprotect(EXEC)");
    truth(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED,
          "mmap(EXEC)");
    truth(mremap(page, 65536, 131072, MREMAP_MAYMOVE) != MAP_FAILED, "mremap");
    void *huge = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int result = madvise(huge, 4 << 20, MADV_HUGEPAGE);
    truth(result == 0 || errno == EINVAL, "MADV_HUGEPAGE");
}

static void c04(void) {
    int memory = shm_open("/control", O_CREAT | O_RDWR, 0600);
    MUST(memory, "shm_open");
    MUST(ftruncate(memory, 4 << 20), "ftruncate");
    char *map = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    truth(map != MAP_FAILED, "mmap");
    memset(map, 1, 4 << 20);
    MUST(shm_unlink("/control"), "shm_unlink");
    sem_t *semaphore = sem_open("/control", O_CREAT, 0600, 1);
    truth(semaphore != SEM_FAILED, "sem_open");
    MUST(sem_wait(semaphore), "sem_wait");
    MUST(sem_unlink("/control"), "sem_unlink");
    int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    MUST(segment, "shmget");
    MUST(shmctl(segment, IPC_RMID, NULL), "IPC_RMID");
    mqd_t queue = mq_open("/control", O_CREAT | O_RDWR, 0600, NULL);
    MUST(queue, "mq_open");
    MUST(mq_unlink("/control"), "mq_unlink");
}

static void c05(void) {
    int notify = inotify_init1(IN_CLOEXEC);
    MUST(notify, "inotify_init1");
    MUST(inotify_add_watch(notify, "/tmp", IN_CREATE), "inotify_add_watch");
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    MUST(epoll_ctl(poll, EPOLL_CTL_ADD, notify, &event), "epoll_ctl");
    MUST(epoll_wait(poll, &event, 1, 0), "epoll_wait");
    MUST(eventfd(0, EFD_CLOEXEC), "eventfd");
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec time = {.it_value.tv_nsec = 1000};
    MUST(timerfd_settime(timer, 0, &time, NULL), "timerfd_settime");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    MUST(signalfd(-1, &set, SFD_CLOEXEC), "signalfd");
    timer_t clock;
    MUST(timer_create(CLOCK_MONOTONIC, NULL, &clock), "timer_create");
}

static void c06(void) {
    int ends[2], more[2];
    MUST(pipe2(ends, O_CLOEXEC), "pipe2");
    MUST(pipe2(more, O_CLOEXEC), "pipe2");
    MUST(write(ends[1], "text", 4), "write");
    MUST(tee(ends[0], more[1], 4, 0), "tee");
    MUST(splice(ends[0], NULL, more[1], NULL, 4, 0), "splice");
    MUST(fcntl(ends[1], F_SETPIPE_SZ, 65536), "F_SETPIPE_SZ");
    struct iovec part = {"text", 4};
    MUST(vmsplice(more[1], &part, 1, 0), "vmsplice");
}

static void c07(void) {
    cpu_set_t set;
    MUST(sched_getaffinity(0, sizeof set, &set), "sched_getaffinity");
    MUST(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
    MUST(sched_yield(), "sched_yield");
    MUST(setpriority(PRIO_PROCESS, 0, 5), "setpriority(5)");
    struct sched_param none = {0};
    MUST(sched_setscheduler(0, SCHED_BATCH, &none), "SCHED_BATCH");
    unsigned cpu;
    MUST(getcpu(&cpu, NULL), "getcpu");
    MUST(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 7), "ioprio_set(best effort)");
}

static void c08(void) {
    char bytes[16];
    MUST(getrandom(bytes, sizeof bytes, 0), "getrandom");
    MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0), "membarrier(QUERY)");
    MUST(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0), "membarrier(REGISTER)");
    // The C library has registered it for this thread: anything but EPERM and ENOSYS says that it can.
    long result = syscall(SYS_rseq, bytes, 32, 0, 0);
    truth(result == 0 || (errno != EPERM && errno != ENOSYS), "rseq");
    uint32_t word = 1;
    // Since Linux 6.7; what the kernel itself has not is ENOSYS outside too.
    struct utsname kernel;
    uname(&kernel);
    int major = 0, minor = 0;
    sscanf(kernel.release, "%d.%d", &major, &minor);
    if (major > 6 || (major == 6 && minor >= 7)) {
        MUST(syscall(454 /* futex_wake */, &word, ~0U, 1, 2 /* 32 bits */), "futex_wake");
        errno = 0;
        result = syscall(455 /* futex_wait */, &word, 0, ~0U, 2, NULL, CLOCK_MONOTONIC);
        truth(result == 0 || errno == EAGAIN, "futex_wait");
    }
    struct {
        uint64_t value, address;
        uint32_t flags, spare;
    } waiter = {0, (uintptr_t)&word, 2, 0};
    result = syscall(SYS_futex_waitv, &waiter, 1, 0, NULL, 0);
    truth(result >= 0 || errno == EAGAIN, "futex_waitv");
    MUST(syscall(SYS_futex, &word, FUTEX_WAKE, 1), "futex");
}

static void c09(void) {
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
    char data = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&data, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &pair[0], sizeof(int));
    MUST(sendmsg(pair[0], &message, 0), "sendmsg(SCM_RIGHTS)");
    MUST(recvmsg(pair[1], &message, 0), "recvmsg");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/control.socket");
    unlink(address.sun_path);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(bind(server, (struct sockaddr *)&address, sizeof address), "bind");
    MUST(listen(server, 4), "listen");
    MUST(connect(client, (struct sockaddr *)&address, sizeof address), "connect");
    MUST(accept4(server, NULL, NULL, SOCK_CLOEXEC), "accept4");
}

static void c10(void) {
    pid_t child;
    char *arguments[] = {"true", NULL};
    errno = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ);
    truth(errno == 0, "posix_spawn");
    int process = (int)syscall(SYS_pidfd_open, child, 0);
    MUST(process, "pidfd_open");
    siginfo_t info;
    MUST(waitid(P_PIDFD, (id_t)process, &info, WEXITED), "waitid(P_PIDFD)");
    child = fork();
    MUST(child, "fork");
    if (child == 0) {
        setsid();
        pause();
        _exit(0);
    }
    process = (int)syscall(SYS_pidfd_open, child, 0);
    MUST(syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0), "pidfd_send_signal");
    MUST(waitpid(child, NULL, 0), "waitpid");
}

static void c11(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    MUST(server, "socket");
    MUST(bind(server, (struct sockaddr *)&address, size), "bind");
    MUST(listen(server, 4), "listen");
    MUST(getsockname(server, (struct sockaddr *)&address, &size), "getsockname");
    MUST(connect(client, (struct sockaddr *)&address, size), "connect(127.0.0.1)");
    MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), "AF_INET6");
    MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), "NETLINK_ROUTE");
}

static void c12(void) {
    int file = open(in_artifacts("control"), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    MUST(file, "create");
    MUST(write(file, "text", 4), "write");
    MUST(fallocate(file, 0, 0, 65536), "fallocate");
    MUST(fsync(file), "fsync");
    MUST(flock(file, LOCK_EX | LOCK_NB), "flock");
    MUST(fchmod(file, 0600), "fchmod");
    char other[600];
    snprintf(other, sizeof other, "%s", in_artifacts("control-2"));
    unlink(other);
    MUST(link(in_artifacts("control"), other), "link");
    MUST(rename(other, in_artifacts("control-3")), "rename");
    unlink(in_artifacts("control-4"));
    MUST(symlink("control", in_artifacts("control-4")), "symlink");
    MUST(mkdir(in_artifacts("directory"), 0755) == 0 || errno == EEXIST ? 0 : -1, "mkdir");
    int target = open("/tmp/control", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    MUST(target, "/tmp");
    loff_t offset = 0;
    truth(copy_file_range(file, &offset, target, NULL, 4096, 0) >= 0 || errno == EXDEV, "copy_file_range");
    struct statx status;
    MUST(statx(AT_FDCWD, "/tmp/control", 0, STATX_ALL, &status), "statx");
    int unnamed = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    MUST(unnamed, "O_TMPFILE");
    truth(setxattr(in_artifacts("control"), "user.control", "x", 1, 0) == 0 || errno == ENOTSUP, "user xattr");
    MUST(truncate(in_artifacts("control"), 0), "truncate");
    MUST(mkfifo("/tmp/fifo", 0600) == 0 || errno == EEXIST ? 0 : -1, "mkfifo");
    MUST(utimensat(AT_FDCWD, "/tmp/control", NULL, 0), "utimensat");
}

static void c13(void) {
    aio_context_t context = 0;
    MUST(syscall(SYS_io_setup, 4, &context), "io_setup");
    MUST(syscall(SYS_io_destroy, context), "io_destroy");
}

static void c14(void) {
    int master, slave;
    struct termios settings;
    MUST(openpty(&master, &slave, NULL, NULL, NULL), "openpty");
    MUST(tcgetattr(slave, &settings), "tcgetattr");
    MUST(tcsetattr(slave, TCSANOW, &settings), "tcsetattr");
    pid_t child = fork();
    MUST(child, "fork");
    if (child == 0) _exit(setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) != 0 ? errno : 0);
    int status;
    MUST(waitpid(child, &status, 0), "waitpid");
    errno = WEXITSTATUS(status);
    truth(errno == 0, "TIOCSCTTY on an own terminal");
}

static void c15(void) {
    static const char *const paths[] = {"/proc/cpuinfo", "/proc/meminfo", "/proc/self/maps", "/proc/self/status",
                                        "/proc/stat", "/proc/loadavg", "/proc/filesystems", "/proc/devices",
                                        "/proc/sys/kernel/osrelease", "/proc/sys/vm/overcommit_memory",
                                        "/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible",
                                        "/etc/passwd", "/etc/hosts", "/usr/lib/os-release", "/proc/self/cgroup"};
    for (size_t index = 0; index < sizeof paths / sizeof *paths; index++) {
        char byte;
        int file = open(paths[index], O_RDONLY | O_CLOEXEC);
        MUST(file, paths[index]);
        truth(read(file, &byte, 1) == 1, paths[index]);
        close(file);
    }
    MUST(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
    MUST(open("/dev/zero", O_RDWR | O_CLOEXEC), "/dev/zero");
    MUST(open("/dev/urandom", O_RDONLY | O_CLOEXEC), "/dev/urandom");
    MUST(open("/dev/random", O_RDONLY | O_CLOEXEC), "/dev/random");
    MUST(open("/dev/full", O_RDWR | O_CLOEXEC), "/dev/full");
    MUST(write(open("/dev/null", O_WRONLY | O_CLOEXEC), "x", 1), "write(/dev/null)");
}

static void c16(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur /= 2;
    MUST(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit(lower)");
    struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    if (version < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) return skip("landlock", errno_name(errno));
    long set = syscall(SYS_landlock_create_ruleset, &rules, 8, 0);
    MUST(set, "landlock_create_ruleset");
    MUST(syscall(SYS_landlock_restrict_self, set, 0), "landlock_restrict_self");
}

static void c20(void) { shell("/usr/bin/python3", "/usr/bin/python3 -c 'import json, ssl, threading; print(1)'", "python3"); }

static void c21(void) {
    shell("/usr/bin/python3",
          "cat > pool.py <<'E'\n"
          "import multiprocessing as m\n"
          "def f(x): return x * x\n"
          "if __name__ == '__main__':\n"
          "    for way in ('fork', 'spawn'):\n"
          "        with m.get_context(way).Pool(2) as pool: assert pool.map(f, [1, 2]) == [1, 4]\n"
          "    lock = m.Lock(); lock.acquire(); lock.release()\n"
          "    q = m.Queue(); q.put(1); assert q.get() == 1\n"
          "    from multiprocessing import shared_memory as s\n"
          "    a = s.SharedMemory(create=True, size=4096); a.close(); a.unlink()\n"
          "E\n/usr/bin/python3 pool.py",
          "multiprocessing");
}

static void c22(void) {
    shell("/usr/bin/git",
          "rm -rf repository && git init -q repository && cd repository && echo x > file && git add file && "
          "git -c user.name=x -c user.email=x@example.org commit -q -m x && git log -1 --format=%H && "
          "git clone -q . ../repository-copy && rm -rf ../repository-copy",
          "git");
}

static void c23(void) {
    shell("/usr/bin/cc",
          "printf '#include <stdio.h>\\nint main(void) { puts(\"built\"); return 0; }\\n' > built.c && "
          "cc -O1 -o built built.c && test \"$(./built)\" = built",
          "cc");
}

static void c24(void) {
    shell("/bin/sh", "printf '#!/bin/sh\\necho $1\\n' > script && chmod +x script && test \"$(./script x | tr x y)\" = y",
          "script");
}

const attack controls[] = {
    {"PS13", ps13, 0, true}, {"SC25", sc25, 0, true}, {"C01", c01, 0, true},  {"C02", c02, 0, true},
    {"C03", c03, 0, true},   {"C04", c04, 0, true},   {"C05", c05, 0, true},  {"C06", c06, 0, true},
    {"C07", c07, 0, true},   {"C08", c08, 0, true},   {"C09", c09, 0, true},  {"C10", c10, 0, true},
    {"C11", c11, 0, true},   {"C12", c12, 0, true},   {"C13", c13, 0, true},  {"C14", c14, 0, true},
    {"C15", c15, 0, true},   {"C16", c16, 0, true},   {"C20", c20, 30, true}, {"C21", c21, 60, true},
    {"C22", c22, 30, true},  {"C23", c23, 30, true},  {"C24", c24, 0, true},  {NULL, NULL, 0, false},
};
