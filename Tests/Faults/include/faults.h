#ifndef POSTLUDE_FAULTS_H
#define POSTLUDE_FAULTS_H

enum fault_kind { FAULT_SYNC, FAULT_WRITE, FAULT_MKDIR, FAULT_SPAWN, FAULT_OPEN, FAULT_PIDFD, FAULT_KINDS };

/// What is in the file that POSTLUDE_FAULTS names, shared with whoever writes it.
struct faults {
    struct fault {
        /// The errno with which calls fail; 0 for none.
        _Atomic int code;
        /// Microseconds for which each call waits before.
        _Atomic int delay;
        /// Only each so-manieth call fails; 0 and 1 for all.
        _Atomic int every;
        /// How many calls there were under the fault.
        _Atomic int hits;
    } kinds[FAULT_KINDS];
};

#endif
