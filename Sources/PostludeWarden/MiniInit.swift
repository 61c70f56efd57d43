import Glibc
import PostludeLinux
import PostludePlan

/// Pid 1 of a step: starts the program when the warden says so, passes SIGTERM on to it, reaps orphans, tells the
/// warden how the program ended and ends too, whereupon the kernel kills what is left in the pid namespace.
///
/// Every signal stays blocked; the program starts with none blocked and all at their default.
struct MiniInit {
    let plan: StepPlan
    let control: Int32
    /// What Landlock enforces, and its ABI.
    let landlock: (rules: Landlock.Rules, abi: Int32)

    func run() -> Never {
        ProcessControl.setName("postlude-init")
        // A seccomp program may refuse even this: then nobody would ever say that the program may start.
        guard StepMessage(.ready, index: landlock.rules.rawValue, value: landlock.abi).send(to: control) else {
            _exit(127)
        }
        let arguments = CStrings(plan.arguments)
        let environment = CStrings(plan.environment)
        waitForGo()
        let program = start(arguments, environment)
        supervise(program)
    }

    private func waitForGo() {
        var byte: UInt8 = 0
        while true {
            let count = read(control, &byte, 1)
            if count == 1 { return }
            // The warden is gone or wants nothing to run.
            if count == 0 || errno != EINTR { _exit(127) }
        }
    }

    private func start(_ arguments: CStrings, _ environment: CStrings) -> pid_t {
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let newSession: Int32 = 0x80  // POSIX_SPAWN_SETSID
        posix_spawnattr_setflags(
            &attributes, Int16(Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF) | newSession))
        var pid: pid_t = 0
        // Unlike execve after fork, this also tells why the program could not be executed.
        let failure = posix_spawn(&pid, plan.program, nil, &attributes, arguments.pointers, environment.pointers)
        if failure != 0 {
            StepMessage(.failed, stage: .exec, value: failure).send(to: control)
            _exit(127)
        }
        return pid
    }

    private func supervise(_ program: pid_t) -> Never {
        var awaited = sigset_t()
        sigemptyset(&awaited)
        sigaddset(&awaited, SIGCHLD)
        sigaddset(&awaited, SIGTERM)
        while true {
            while let child = Children.reapAny() {
                if child.pid == program { report(child.end) }
            }
            if sigwaitinfo(&awaited, nil) == SIGTERM { kill(program, SIGTERM) }
        }
    }

    private func report(_ end: ProcessEnd) -> Never {
        let memory = Children.usage().maxRSSBytes
        switch end {
        case .code(let code):
            StepMessage(.exited, value: code, maxRSSBytes: memory).send(to: control)
        case .signal(let number, let coreDumped):
            StepMessage(.signalled, index: coreDumped ? 1 : 0, value: number, maxRSSBytes: memory).send(to: control)
        }
        _exit(0)
    }
}

/// A null-terminated array of C strings that lives as long as the process.
struct CStrings {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    init(_ strings: [String]) {
        pointers = .allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() { (pointers + index).initialize(to: strdup(string)) }
        (pointers + strings.count).initialize(to: nil)
    }
}
