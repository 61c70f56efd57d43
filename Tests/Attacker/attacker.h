// What the files of the attacker share. Each attack runs in a process of its own and ends by saying what happened.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

typedef struct {
    const char *id;
    void (*run)(void);
    // Seconds until it counts as hanging; 0 takes the usual limit.
    unsigned limit;
    // Whether it may be tried on the host itself, as root, to show that it succeeds where no sandbox is.
    bool harmless;
} attack;

// Each ends with an entry without id.
extern const attack namespace_attacks[], privilege_attacks[], file_attacks[], proc_attacks[], cgroup_attacks[],
    device_attacks[], syscall_attacks[], network_attacks[], agent_attacks[], more_attacks[], escape_attacks[],
    mount_attacks[], landlock_attacks[], controls[], file_controls[];

// A system call's result: below 0 it was refused with errno, otherwise the attack has succeeded.
void attempt(long result, const char *what);
#define TRY(call, what) attempt((errno = 0, (long)(call)), what)
// The attack was refused in a way that errno does not say.
void refused(const char *word, const char *what);
// This part could not be tried. An attack of which no part could be tried has not run.
void skip(const char *what, const char *why);
void succeeded(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void not_run(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
// For controls: what must work did not.
void works(long result, const char *what);
#define MUST(call, what) works((errno = 0, (long)(call)), what)

// Opens and closes again; a missing file on the host is the caller's to know.
void try_open(const char *path, int flags);
// Opens and reads: nothing in it counts as refused ("empty").
void try_read(const char *path);
// Writes to a file that must not take it; only opens it for writing.
void try_write(const char *path);
// Reads where the links in a directory lead; with the directory itself nothing is gained.
void try_links(const char *directory);
// What the suite says about the host; ends the attack as not run when it does not.
const char *fact(const char *name);
const char *fact_or_null(const char *name);
// Whether pid 1 is that of the step, and not the machine's, which must not come to harm.
bool own_init(void);
// Whether /dev is the step's own: its nodes are mounts. The host's must not be changed, whatever layer is missing.
bool own_dev(void);
// Calls `run` for each path of a list that newlines separate.
void each_path(const char *list, void (*run)(const char *path));
// Runs `body` in a child; its wait status. Tells of a signal by WIFSIGNALED.
int in_child(void (*body)(void));
// A system call that must end the process: SIGSYS is a refusal, everything else a success or an error.
// `body` exits with this, or with the errno.
#define WENT_THROUGH 255
void try_deadly(void (*body)(void), const char *what);
// The slave of a new terminal.
int new_terminal(void);
const char *errno_name(int number);
const char *signal_name(int number);

#ifndef __NR_clone3
#define __NR_clone3 435
#endif
#define NR_quotactl_fd 443
#define NR_memfd_secret 447
#define NR_fchmodat2 452
#define NR_statmount 457
#define NR_listmount 458
#define NR_mseal 462
#define NR_open_tree_attr 467
#define NR_listns 470
#define NR_uretprobe 335
