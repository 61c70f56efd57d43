// System calls that reach far into the kernel, and ways around a filter by number.
#include "attacker.h"
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>

static void sc01(void) {
    struct bpf_insn program[] = {{.code = 0xb7}, {.code = 0x95}};
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2};
    load.insns = (uintptr_t)program;
    load.license = (uintptr_t) "GPL";
    TRY(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load), "BPF_PROG_LOAD");
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    TRY(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map), "BPF_MAP_CREATE");
}

static void sc02(void) {
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event};
    event.exclude_kernel = 1;
    TRY(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), "self");
    TRY(syscall(SYS_perf_event_open, &event, -1, 0, -1, 0), "cpu 0");
}

static void sc04(void) {
    char parameters[120] = {0};
    TRY(syscall(SYS_io_uring_setup, 1, parameters), "io_uring_setup");
    TRY(syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0), "io_uring_enter");
    TRY(syscall(SYS_io_uring_register, -1, 0, NULL, 0), "io_uring_register");
}

static void sc06(void) {
    TRY(syscall(SYS_add_key, "user", "attack", "x", 1, -2 /* KEY_SPEC_PROCESS_KEYRING */), "add_key");
    TRY(syscall(SYS_request_key, "keyring", "_uid.0", NULL, -2), "request_key");
}

static void sc07(void) {
    // Garbage: the check for the right comes before the look at the module.
    TRY(syscall(SYS_init_module, "x", 1, ""), "init_module");
    TRY(syscall(SYS_finit_module, -1, "", 0), "finit_module");
    TRY(syscall(SYS_delete_module, "no-such-module", O_NONBLOCK), "delete_module");
}

static void sc08(void) {
    TRY(syscall(SYS_kexec_load, 0, 1UL << 20, NULL, 0), "kexec_load");
    TRY(syscall(SYS_kexec_file_load, -1, -1, 0, "", 0), "kexec_file_load");
    // No valid magic numbers: with the right to reboot this gives EINVAL and reboots nothing.
    TRY(syscall(SYS_reboot, 1, 2, 3, NULL), "reboot");
}

static void sc10(void) {
    struct timeval now;
    gettimeofday(&now, NULL);
    TRY(syscall(SYS_settimeofday, &now, NULL), "settimeofday");
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    TRY(syscall(SYS_clock_settime, CLOCK_REALTIME, &clock), "clock_settime");
    // What is set is what it is.
    struct timex state = {.modes = 0};
    syscall(SYS_adjtimex, &state);
    state.modes = ADJ_TICK;
    TRY(syscall(SYS_adjtimex, &state), "adjtimex");
    state.modes = ADJ_TICK;
    TRY(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &state), "clock_adjtime");
}

static void sc11(void) {
#ifdef __x86_64__
    TRY(syscall(SYS_iopl, 3), "iopl");
    TRY(syscall(SYS_ioperm, 0x80, 1, 1), "ioperm");
#endif
    char text[64];
    TRY(klogctl(3 /* READ_ALL */, text, sizeof text), "syslog");
    TRY(klogctl(10 /* SIZE_BUFFER */, NULL, 0), "syslog(SIZE)");
}

static void sc12(void) {
    TRY(ptrace(PTRACE_ATTACH, atoi(fact("ATTACK_HOST_PID")), NULL, NULL), "PTRACE_ATTACH(host)");
    TRY(ptrace(PTRACE_SEIZE, 1, NULL, NULL), "PTRACE_SEIZE(1)");
    TRY(ptrace(PTRACE_TRACEME, 0, NULL, NULL), "PTRACE_TRACEME");
}

static void sc14(void) {
    static const struct {
        unsigned long value;
        const char *what;
    } personas[] = {{ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC, "no ASLR, READ_IMPLIES_EXEC"},
                    {ADDR_NO_RANDOMIZE, "no ASLR"},
                    {MMAP_PAGE_ZERO, "page 0"},
                    {1UL << 32 | ADDR_NO_RANDOMIZE, "no ASLR and bit 32"},
                    {6, "PER_SVR4 without bits"}};
    for (size_t index = 0; index < 5; index++) {
        // The upper half counts for nothing in the kernel: only whether it was let through does.
        TRY(syscall(SYS_personality, personas[index].value), personas[index].what);
    }
}

#if defined(__x86_64__)
static void x32_getpid(void) { _exit(syscall(0x40000000 + SYS_getpid) >= 0 ? WENT_THROUGH : errno); }
static void x32_execve(void) { _exit(syscall(0x40000000 + 520, NULL, NULL, NULL) >= 0 ? WENT_THROUGH : errno); }
static void x32_mount(void) { _exit(syscall(0x40000000 + SYS_mount, 0, "/tmp", "tmpfs", 0, 0) >= 0 ? WENT_THROUGH : errno); }
static void x32_ptrace(void) { _exit(syscall(0x40000000 + 521, 0, 0, 0, 0) >= 0 ? WENT_THROUGH : errno); }

static long int80(long number, long first, long second) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(0L), "S"(0L), "D"(0L)
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}
static int ended(long result) { return result >= 0 ? WENT_THROUGH : (int)-result; }
static void i386_getpid(void) { _exit(ended(int80(20, 0, 0))); }
static void i386_unshare(void) { _exit(ended(int80(310, 0x10000000, 0))); }
static void i386_keyctl(void) { _exit(ended(int80(288, 0, -3))); }
static void i386_socketcall(void) { _exit(ended(int80(102, 1, 0))); }
// Number 26 is ptrace there and msync here; 165 is mount here and getresuid there.
static void i386_confused(void) { _exit(ended(int80(165, 0, 0))); }
#endif

static void sc20(void) {
#if defined(__x86_64__)
    try_deadly(x32_getpid, "x32 getpid");
    try_deadly(x32_execve, "x32 execve");
    try_deadly(x32_mount, "x32 mount");
    try_deadly(x32_ptrace, "x32 ptrace");
#else
    not_run("another architecture than x86-64");
#endif
}

static void a43(void) {
#if defined(__x86_64__)
    try_deadly(i386_getpid, "int 0x80 getpid");
    try_deadly(i386_unshare, "int 0x80 unshare");
    try_deadly(i386_keyctl, "int 0x80 keyctl");
    try_deadly(i386_socketcall, "int 0x80 socketcall");
    try_deadly(i386_confused, "int 0x80 165");
#else
    not_run("another architecture than x86-64");
#endif
}

static void sc22(void) {
    static const long numbers[] = {NR_mseal, NR_open_tree_attr, NR_listns, 471, 500, 999};
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        char what[32];
        snprintf(what, sizeof what, "%ld", numbers[index]);
        TRY(syscall(numbers[index], 0, 0, 0, 0, 0, 0), what);
    }
}

static void highest(void) { _exit(syscall(0x7fffffffL) >= 0 ? WENT_THROUGH : errno); }
static void minus_one(void) { _exit(syscall(-1L) >= 0 ? WENT_THROUGH : errno); }

// Every number that no kernel of today has, and numbers whose upper half is set: the kernel takes 32 bits.
static void a45(void) {
    for (long number = 480; number < 1024; number++) {
        if (syscall(number, 0, 0, 0, 0, 0, 0) >= 0) succeeded("%ld", number);
        refused(errno_name(errno), "480...1023");
    }
    TRY(syscall(0x3fffffffL), "0x3fffffff");
    // These have the bit that says x32.
    try_deadly(highest, "0x7fffffff");
    try_deadly(minus_one, "-1");
    TRY(syscall(1L << 32 | SYS_keyctl, 0, -3, 0), "keyctl and bit 32");
    TRY(syscall(1L << 32 | SYS_unshare, 0x10000000), "unshare and bit 32");
}

static void sc23(void) {
    TRY(syscall(NR_memfd_secret, 0), "memfd_secret");
#ifdef __x86_64__
    char buffer[256];
    TRY(syscall(SYS_lookup_dcookie, 0, buffer, sizeof buffer), "lookup_dcookie");
    TRY(syscall(SYS_uselib, "/lib/none"), "uselib");
    TRY(syscall(SYS_ustat, 0, buffer), "ustat");
    TRY(syscall(SYS__sysctl, NULL), "_sysctl");
    TRY(syscall(SYS_nfsservctl, 0, NULL, NULL), "nfsservctl");
    TRY(syscall(SYS_sysfs, 3), "sysfs");
    TRY(syscall(SYS_modify_ldt, 0, buffer, sizeof buffer), "modify_ldt");
#endif
    TRY(syscall(SYS_vhangup), "vhangup");
}

static void sc24(void) {
    unsigned long nodes = 1;
    int status;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY(syscall(SYS_set_mempolicy, 0, NULL, 0), "set_mempolicy");
    TRY(syscall(SYS_get_mempolicy, &status, &nodes, 64, NULL, 0), "get_mempolicy");
    TRY(syscall(SYS_mbind, page, 4096, 0, NULL, 0, 0), "mbind");
    TRY(syscall(SYS_move_pages, 0, 1, &page, NULL, &status, 0), "move_pages");
    TRY(syscall(SYS_migrate_pages, 0, 64, &nodes, &nodes), "migrate_pages");
}

static void terminal(unsigned long request, const char *what) {
    int slave = new_terminal();
    char text[4] = "x";
    // ENOTTY and EINVAL would say that the request reached the driver, and it knows none such.
    TRY(syscall(SYS_ioctl, slave, request, text), what);
    close(slave);
}

static void sc26(void) { terminal(TIOCSTI, "TIOCSTI"); }

static void sc27(void) {
    terminal(1UL << 32 | TIOCSTI, "TIOCSTI and bit 32");
    terminal(0xffffffffUL << 32 | TIOCSTI, "TIOCSTI and all upper bits");
}

static void sc28(void) {
    terminal(TIOCLINUX, "TIOCLINUX");
    terminal(1UL << 32 | TIOCLINUX, "TIOCLINUX and bit 32");
    terminal(TIOCSETD, "TIOCSETD");
    terminal(TIOCCONS, "TIOCCONS");
    terminal(0x4B32 /* KDSETLED */, "KDSETLED");
}

const attack syscall_attacks[] = {
    {"SC01", sc01, 0, true},  {"SC02", sc02, 0, true},  {"SC04", sc04, 0, true},  {"SC06", sc06, 0, true},
    {"SC07", sc07, 0, false}, {"SC08", sc08, 0, false}, {"SC10", sc10, 0, false}, {"SC11", sc11, 0, true},
    {"SC12", sc12, 0, false}, {"SC14", sc14, 0, true},  {"SC20", sc20, 0, false}, {"SC22", sc22, 0, false},
    {"SC23", sc23, 0, false},  {"SC24", sc24, 0, true},  {"SC26", sc26, 0, false}, {"SC27", sc27, 0, false},
    {"SC28", sc28, 0, false},  {"A43", a43, 0, true},    {"A45", a45, 0, true},    {NULL, NULL, 0, false},
};
