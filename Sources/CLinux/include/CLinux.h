// System calls, structures and constants that the C library's Swift module lacks. One line per call; nothing here decides.
// Numbers and structures that kernel headers of 6.1 may lack are defined here, from the kernel's own UAPI headers.
#pragma once

// No _GNU_SOURCE: the C library's own module is built without it, and two definitions of one structure do not mix.
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// System call numbers shared by every architecture since the unified table (kernel 5.1), and those that glibc 2.36 may lack.
#define LINUX_NR_pidfd_send_signal 424
#define LINUX_NR_open_tree 428
#define LINUX_NR_move_mount 429
#define LINUX_NR_fsopen 430
#define LINUX_NR_fsconfig 431
#define LINUX_NR_fsmount 432
#define LINUX_NR_pidfd_open 434
#define LINUX_NR_clone3 435
#define LINUX_NR_close_range 436
#define LINUX_NR_openat2 437
#define LINUX_NR_mount_setattr 442

// MARK: processes

static const uint64_t LINUX_CLONE_FILES = 0x00000400;
static const uint64_t LINUX_CLONE_PIDFD = 0x00001000;
static const uint64_t LINUX_CLONE_PARENT = 0x00008000;
static const uint64_t LINUX_CLONE_NEWNS = 0x00020000;
static const uint64_t LINUX_CLONE_NEWCGROUP = 0x02000000;
static const uint64_t LINUX_CLONE_NEWUTS = 0x04000000;
static const uint64_t LINUX_CLONE_NEWIPC = 0x08000000;
static const uint64_t LINUX_CLONE_NEWUSER = 0x10000000;
static const uint64_t LINUX_CLONE_NEWPID = 0x20000000;
static const uint64_t LINUX_CLONE_NEWNET = 0x40000000;
static const uint64_t LINUX_CLONE_INTO_CGROUP = 0x200000000ULL;

struct linux_clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static inline long linux_clone3(struct linux_clone_args *args) { return syscall(LINUX_NR_clone3, args, sizeof *args); }
static inline int linux_unshare(uint64_t flags) { return (int)syscall(SYS_unshare, flags); }
static inline int linux_setns(int fd, uint64_t kind) { return (int)syscall(SYS_setns, fd, (int)kind); }
static inline int linux_pidfd_open(pid_t pid) { return (int)syscall(LINUX_NR_pidfd_open, pid, 0); }
static inline int linux_pidfd_send_signal(int fd, int signal) { return (int)syscall(LINUX_NR_pidfd_send_signal, fd, signal, NULL, 0); }

static inline int linux_pidfd_getfd(int pidfd, int number) { return (int)syscall(438, pidfd, number, 0); }

static const int LINUX_P_PIDFD = 3;
// The raw call, unlike the library's waitid, also returns the resources used.
static inline int linux_waitid_pidfd(int fd, siginfo_t *info, int options, struct rusage *usage) { return (int)syscall(SYS_waitid, LINUX_P_PIDFD, fd, info, options, usage); }
static inline int linux_siginfo_code(const siginfo_t *info) { return info->si_code; }
static inline int linux_siginfo_status(const siginfo_t *info) { return info->si_status; }
static inline pid_t linux_siginfo_pid(const siginfo_t *info) { return info->si_pid; }
static inline int linux_wifexited(int status) { return WIFEXITED(status); }
static inline int linux_wexitstatus(int status) { return WEXITSTATUS(status); }
static inline int linux_wifsignaled(int status) { return WIFSIGNALED(status); }
static inline int linux_wtermsig(int status) { return WTERMSIG(status); }
static inline int linux_wcoredump(int status) { return WCOREDUMP(status) ? 1 : 0; }
static inline pid_t linux_wait4(pid_t pid, int *status, int options, struct rusage *usage) { return (pid_t)syscall(SYS_wait4, pid, status, options, usage); }
static inline int linux_getrusage(int who, struct rusage *usage) { return (int)syscall(SYS_getrusage, who, usage); }
static inline int linux_prlimit(pid_t pid, unsigned resource, const struct rlimit *new_limit, struct rlimit *old_limit) { return (int)syscall(SYS_prlimit64, pid, resource, new_limit, old_limit); }

// prctl
static const int LINUX_PR_SET_PDEATHSIG = 1, LINUX_PR_GET_DUMPABLE = 3, LINUX_PR_SET_DUMPABLE = 4, LINUX_PR_SET_NAME = 15,
                 LINUX_PR_CAPBSET_READ = 23, LINUX_PR_CAPBSET_DROP = 24, LINUX_PR_SET_NO_NEW_PRIVS = 38,
                 LINUX_PR_SCHED_CORE = 62, LINUX_PR_CAP_AMBIENT = 47, LINUX_PR_CAP_AMBIENT_RAISE = 2, LINUX_PR_CAP_AMBIENT_CLEAR_ALL = 4;
static inline int linux_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) { return (int)syscall(SYS_prctl, option, a, b, c, d); }
static inline int linux_set_name(const char *name) { return (int)syscall(SYS_prctl, LINUX_PR_SET_NAME, name, 0, 0, 0); }

// MARK: credentials; raw calls act on the calling thread only, which in a process of one thread is the whole of it

static inline int linux_setgroups(size_t count, const uint32_t *groups) { return (int)syscall(SYS_setgroups, count, groups); }
static inline int linux_setresgid(uint32_t r, uint32_t e, uint32_t s) { return (int)syscall(SYS_setresgid, r, e, s); }
static inline int linux_setresuid(uint32_t r, uint32_t e, uint32_t s) { return (int)syscall(SYS_setresuid, r, e, s); }

#define LINUX_CAPABILITY_VERSION_3 0x20080522
struct linux_cap_header { uint32_t version; int32_t pid; };
struct linux_cap_data { uint32_t effective, permitted, inheritable; };
static inline int linux_capget(struct linux_cap_header *header, struct linux_cap_data *two) { return (int)syscall(SYS_capget, header, two); }
static inline int linux_capset(struct linux_cap_header *header, const struct linux_cap_data *two) { return (int)syscall(SYS_capset, header, two); }

static const int LINUX_KEYCTL_JOIN_SESSION_KEYRING = 1;
static inline long linux_join_session_keyring(void) { return syscall(SYS_keyctl, LINUX_KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0); }

struct linux_sock_filter { uint16_t code; uint8_t jt, jf; uint32_t k; };
struct linux_sock_fprog { uint16_t len; const struct linux_sock_filter *filter; };
static const unsigned LINUX_SECCOMP_SET_MODE_FILTER = 1;
static inline int linux_seccomp(unsigned operation, unsigned flags, const void *argument) { return (int)syscall(SYS_seccomp, operation, flags, argument); }

// MARK: files

static const int LINUX_O_PATH = 010000000, LINUX_AT_EMPTY_PATH = 0x1000, LINUX_AT_RECURSIVE = 0x8000,
                 LINUX_AT_SYMLINK_NOFOLLOW = 0x100, LINUX_AT_FDCWD = -100;
static const uint64_t LINUX_RESOLVE_NO_XDEV = 1, LINUX_RESOLVE_NO_MAGICLINKS = 2, LINUX_RESOLVE_NO_SYMLINKS = 4,
                      LINUX_RESOLVE_BENEATH = 8, LINUX_RESOLVE_IN_ROOT = 16;
struct linux_open_how { uint64_t flags, mode, resolve; };
static inline int linux_openat2(int dir, const char *path, const struct linux_open_how *how) { return (int)syscall(LINUX_NR_openat2, dir, path, how, sizeof *how); }
static inline int linux_close_range(unsigned first, unsigned last, unsigned flags) { return (int)syscall(LINUX_NR_close_range, first, last, flags); }
static inline int linux_getcwd(char *buffer, size_t size) { return (int)syscall(SYS_getcwd, buffer, size); }

static const unsigned LINUX_MFD_CLOEXEC = 1, LINUX_MFD_ALLOW_SEALING = 2;
static const int LINUX_F_ADD_SEALS = 1033, LINUX_F_GET_SEALS = 1034, LINUX_F_SETPIPE_SZ = 1031, LINUX_F_SEAL_SEAL = 1,
                 LINUX_F_SEAL_SHRINK = 2, LINUX_F_SEAL_GROW = 4, LINUX_F_SEAL_WRITE = 8;
static inline int linux_memfd_create(const char *name, unsigned flags) { return (int)syscall(SYS_memfd_create, name, flags); }
static inline int linux_fcntl(int fd, int command, long argument) { return fcntl(fd, command, argument); }
static inline int linux_pipe2(int *two, int flags) { return (int)syscall(SYS_pipe2, two, flags); }

static const unsigned LINUX_SPLICE_F_MOVE = 1, LINUX_SPLICE_F_NONBLOCK = 2;
static inline long linux_splice(int in, int out, size_t count, unsigned flags) { return syscall(SYS_splice, in, NULL, out, NULL, count, flags); }

static inline int linux_syncfs(int descriptor) { return (int)syscall(SYS_syncfs, descriptor); }

static inline uint32_t linux_major(uint64_t device) { return major(device); }
static inline uint32_t linux_minor(uint64_t device) { return minor(device); }
static inline uint64_t linux_makedev(uint32_t a, uint32_t b) { return makedev(a, b); }
static inline int linux_mknodat(int dir, const char *path, uint32_t mode, uint64_t device) { return mknodat(dir, path, mode, device); }
static inline int linux_fstatat(int dir, const char *path, struct stat *out, int flags) { return fstatat(dir, path, out, flags); }

// MARK: mounts

static const unsigned LINUX_OPEN_TREE_CLONE = 1, LINUX_OPEN_TREE_CLOEXEC = 02000000;
static const unsigned LINUX_MOVE_MOUNT_F_EMPTY_PATH = 0x4, LINUX_MOVE_MOUNT_T_EMPTY_PATH = 0x40;
static const unsigned LINUX_FSOPEN_CLOEXEC = 1, LINUX_FSMOUNT_CLOEXEC = 1;
static const unsigned LINUX_FSCONFIG_SET_FLAG = 0, LINUX_FSCONFIG_SET_STRING = 1, LINUX_FSCONFIG_CMD_CREATE = 6;
static const uint64_t LINUX_MOUNT_ATTR_RDONLY = 1, LINUX_MOUNT_ATTR_NOSUID = 2, LINUX_MOUNT_ATTR_NODEV = 4,
                      LINUX_MOUNT_ATTR_NOEXEC = 8;
static const uint64_t LINUX_MS_REC = 16384, LINUX_MS_PRIVATE = 1 << 18;
static const int LINUX_MNT_DETACH = 2;
struct linux_mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };

static inline int linux_open_tree(int dir, const char *path, unsigned flags) { return (int)syscall(LINUX_NR_open_tree, dir, path, flags); }
static inline int linux_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) { return (int)syscall(LINUX_NR_move_mount, from, from_path, to, to_path, flags); }
static inline int linux_mount_setattr(int dir, const char *path, unsigned flags, const struct linux_mount_attr *attr) { return (int)syscall(LINUX_NR_mount_setattr, dir, path, flags, attr, sizeof *attr); }
static inline int linux_fsopen(const char *type, unsigned flags) { return (int)syscall(LINUX_NR_fsopen, type, flags); }
static inline int linux_fsconfig(int fd, unsigned command, const char *key, const char *value, int aux) { return (int)syscall(LINUX_NR_fsconfig, fd, command, key, value, aux); }
static inline int linux_fsmount(int fd, unsigned flags, unsigned attributes) { return (int)syscall(LINUX_NR_fsmount, fd, flags, attributes); }
static inline int linux_mount(const char *source, const char *target, const char *type, uint64_t flags, const char *data) { return (int)syscall(SYS_mount, source, target, type, flags, data); }
static inline int linux_umount2(const char *target, int flags) { return (int)syscall(SYS_umount2, target, flags); }
struct linux_landlock_ruleset_attr { uint64_t handled_access_fs, handled_access_net, scoped; };
static inline int linux_landlock_create_ruleset(const struct linux_landlock_ruleset_attr *attr, size_t size, unsigned flags) { return (int)syscall(444, attr, size, flags); }
struct linux_landlock_path_rule { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed));
static inline int linux_landlock_add_path_rule(int ruleset, uint64_t access, int parent) { struct linux_landlock_path_rule rule = {access, parent}; return (int)syscall(445, ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &rule, 0); }
static inline int linux_landlock_restrict_self(int ruleset, unsigned flags) { return (int)syscall(446, ruleset, flags); }
static inline int linux_statx(int dir, const char *path, int flags, unsigned mask, struct statx *out) { return (int)syscall(SYS_statx, dir, path, flags, mask, out); }
static inline int linux_pivot_root(const char *new_root, const char *put_old) { return (int)syscall(SYS_pivot_root, new_root, put_old); }
static inline int linux_sethostname(const char *name, size_t length) { return (int)syscall(SYS_sethostname, name, length); }

// MARK: bpf; each structure is the part of union bpf_attr that its command reads, padded so that the kernel sees zeroes

static const int LINUX_BPF_PROG_LOAD = 5, LINUX_BPF_PROG_ATTACH = 8, LINUX_BPF_PROG_DETACH = 9,
                 LINUX_BPF_PROG_GET_FD_BY_ID = 13, LINUX_BPF_PROG_QUERY = 16;
static const uint32_t LINUX_BPF_PROG_TYPE_CGROUP_DEVICE = 15, LINUX_BPF_CGROUP_DEVICE = 6, LINUX_BPF_F_ALLOW_MULTI = 2,
                      LINUX_BPF_F_REPLACE = 4;
struct linux_bpf_insn { uint8_t code; uint8_t registers; int16_t offset; int32_t immediate; };
struct linux_bpf_load { uint32_t type, count; uint64_t instructions, license; uint32_t log_level, log_size; uint64_t log_buffer; uint32_t kernel_version, flags; char name[16]; uint64_t padding[10]; };
struct linux_bpf_attach { uint32_t target_fd, program_fd, type, flags, replace_fd; uint32_t zero; uint64_t padding[13]; };
struct linux_bpf_query { uint32_t target_fd, type, query_flags, attach_flags; uint64_t ids; uint32_t count, zero; uint64_t padding[12]; };
struct linux_bpf_get_fd { uint32_t id, next_id, open_flags, zero; uint64_t padding[14]; };
static inline int linux_bpf(int command, void *attributes, unsigned size) { return (int)syscall(SYS_bpf, command, attributes, size); }

// MARK: sockets

static inline size_t linux_cmsg_space(size_t length) { return CMSG_SPACE(length); }
static inline size_t linux_cmsg_len(size_t length) { return CMSG_LEN(length); }
static inline struct cmsghdr *linux_cmsg_first(struct msghdr *message) { return CMSG_FIRSTHDR(message); }
static inline struct cmsghdr *linux_cmsg_next(struct msghdr *message, struct cmsghdr *header) { return CMSG_NXTHDR(message, header); }
static inline void *linux_cmsg_data(struct cmsghdr *header) { return CMSG_DATA(header); }
static const int LINUX_MSG_CMSG_CLOEXEC = 0x40000000, LINUX_MSG_NOSIGNAL = 0x4000, LINUX_MSG_DONTWAIT = 0x40, LINUX_MSG_TRUNC = 0x20,
                 LINUX_MSG_CTRUNC = 0x8, LINUX_SCM_RIGHTS = 1;
static const int LINUX_SOCK_SEQPACKET = 5, LINUX_SOCK_CLOEXEC = 02000000, LINUX_SOCK_NONBLOCK = 04000;
static inline int linux_socketpair(int type, int *two) { return socketpair(AF_UNIX, type, 0, two); }
static inline int linux_set_interface_flags(int socket, const char *name, short flags) { struct ifreq request = {.ifr_flags = flags}; strncpy(request.ifr_name, name, IFNAMSIZ - 1); return ioctl(socket, 0x8914 /* SIOCSIFFLAGS */, &request); }

// MARK: readiness

static const uint32_t LINUX_EPOLLIN = 1, LINUX_EPOLLPRI = 2, LINUX_EPOLLERR = 8, LINUX_EPOLLHUP = 16, LINUX_EPOLLONESHOT = 1u << 30, LINUX_EPOLLET = 1u << 31;
static inline int linux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int linux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data) { struct epoll_event event = {.events = events, .data = {.u64 = data}}; return epoll_ctl(epoll, operation, fd, &event); }
static inline int linux_epoll_wait(int epoll, struct epoll_event *events, int count, int milliseconds) { return epoll_wait(epoll, events, count, milliseconds); }
static inline uint32_t linux_epoll_events(const struct epoll_event *event) { return event->events; }
static inline uint64_t linux_epoll_data(const struct epoll_event *event) { return event->data.u64; }
static inline int linux_eventfd(unsigned initial) { return eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK); }
// Takes the space and leaves the length as it is (FALLOC_FL_KEEP_SIZE).
static inline int linux_fallocate_keeping_size(int fd, off_t length) { return (int)syscall(SYS_fallocate, fd, 1, (off_t)0, length); }
static inline int linux_inotify_create(void) { return inotify_init1(IN_CLOEXEC | IN_NONBLOCK); }
static inline int linux_timerfd_create(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); }
static inline int linux_timerfd_set(int fd, const struct itimerspec *value) { return timerfd_settime(fd, 0, value, NULL); }
static inline int linux_signalfd(const sigset_t *set) { return signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK); }
