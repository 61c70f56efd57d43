import Glibc
import PostludeFailpoints
import PostludeLinux
import PostludePlan
import Synchronization

/// A warden that this agent started or adopted.
final class WardenProcess: Sendable {
    let identity: WardenIdentity
    private let process: ProcessDescriptor
    /// The agent's end of the control channel, until the programs may start; closing it lets the warden go before.
    private let channel: Mutex<Channel?>
    private let hasPlan = Atomic<Bool>(false)

    private final class Channel: Sendable {
        let end: OwnedDescriptor
        init(_ end: consuming OwnedDescriptor) { self.end = end }
    }

    private init(identity: WardenIdentity, process: consuming ProcessDescriptor, channel: Channel?) {
        self.identity = identity
        self.process = process
        self.channel = Mutex(channel)
    }

    /// Starts a warden in a slot whose directories exist and sends it there; it answers when it is prepared.
    static func start(
        path: String, slot: String, request: PrepareRequest, descriptors: [Int32], bootID: String, cgroupInode: UInt64
    ) throws(SandboxError) -> WardenProcess {
        do throws(LinuxError) {
            let channel = try PacketSocket.pair()
            let pid = try spawn(path, control: channel.writer.rawValue)
            Failpoint.reach(.wardenSpawned)
            do throws(LinuxError) {
                // Not reaped yet, so that the number is still its own even if it has ended.
                let process = try ProcessDescriptor(pid: pid)
                guard let startTime = try ProcessIdentity.startTime(of: pid) else {
                    throw LinuxError("read", "/proc/\(pid)/stat", errno: ESRCH)
                }
                let identity = WardenIdentity(
                    slot: slot, pid: pid, startTime: startTime, bootID: bootID, cgroupInode: cgroupInode)
                try PacketSocket.send(
                    [ControlMessage.prepare.rawValue] + request.encoded(), descriptors: descriptors,
                    to: channel.reader.rawValue)
                // A copy of the agent's end: the pair goes here, and the warden's death shows as the channel's end.
                let end = Channel(try OwnedDescriptor(duplicating: channel.reader.rawValue))
                return WardenProcess(identity: identity, process: process, channel: end)
            } catch {
                // Nobody would know of it.
                Glibc.kill(pid, SIGKILL)
                while waitpid(pid, nil, 0) < 0, errno == EINTR {}
                throw error
            }
        } catch {
            throw .wardenFailed("It could not be started: \(error.message)", path: path, isTemporary: true)
        }
    }

    /// Finds a warden of an earlier agent; nil when it is gone, or when its number now is another process's.
    ///
    /// - Throws: when nobody can say, as when the agent is out of descriptors.
    static func adopt(_ identity: WardenIdentity) throws(LinuxError) -> WardenProcess? {
        guard identity.pid > 0 else { return nil }
        do throws(LinuxError) {
            let process = try ProcessDescriptor(pid: identity.pid)
            // The descriptor first, the comparison second: from here on the number cannot be used again unnoticed.
            guard try ProcessIdentity.startTime(of: identity.pid) == identity.startTime, try !process.hasEnded() else {
                return nil
            }
            return WardenProcess(identity: identity, process: process, channel: nil)
        } catch {
            if error.errno == ESRCH { return nil }
            throw error
        }
    }

    /// Waits for its answer.
    ///
    /// - Throws: `sandbox.warden-failed` with the stage at which it failed.
    func awaitReady(path: String, milliseconds: Int32 = 10_000) throws(SandboxError) {
        guard let channel = channel.withLock({ $0 }) else { return }
        let raw = channel.end.rawValue
        do {
            guard try waitReadable(raw, milliseconds: milliseconds) else {
                throw SandboxError.wardenFailed(
                    "It did not answer within \(milliseconds / 1000) s.", path: path, isTemporary: true)
            }
            guard let answer = try PacketSocket.receive(from: raw, limit: 64) else {
                throw SandboxError.wardenFailed("It ended at once.", path: path, isTemporary: true)
            }
            guard let failure = try ControlMessage.failure(in: answer.bytes) else { return }
            throw SandboxError.wardenFailed(
                "Preparing failed at \(failure.stage.what): \(errorText(failure.errno)).", path: path,
                isTemporary: SandboxError.isShortage(failure.errno))
        } catch let error as SandboxError {
            throw error
        } catch let error as LinuxError {
            // ECONNRESET: it ended without having read what it was told.
            throw .wardenFailed(
                error.errno == ECONNRESET ? "It ended at once." : error.message, path: path, isTemporary: true)
        } catch let error as PlanError {
            throw .wardenFailed(error.message, path: path)
        } catch {
            throw .wardenFailed("\(error)", path: path)
        }
    }

    /// Sends the plan. From then on the warden needs nobody, unless it is held: then its programs wait for `start`.
    ///
    /// - Throws: `sandbox.warden-failed` when it is gone, or has a plan already.
    func send(_ plan: LaunchPlan, _ descriptors: [Int32], isHeld: Bool = false, path: String) throws(SandboxError) {
        let channel = hasPlan.exchange(true, ordering: .relaxed) ? nil : channel.withLock { isHeld ? $0 : $0.take() }
        guard let channel else { throw .wardenFailed("It has been given a plan before.", path: path) }
        let word = isHeld ? ControlMessage.launchHeld : .launch
        do {
            let memory = try MemoryFile.sealed("postlude-plan", plan.encoded())
            try PacketSocket.send(
                [word.rawValue], descriptors: [memory.rawValue] + descriptors, to: channel.end.rawValue)
        } catch {
            // With a warden that is gone the next one is asked.
            throw .wardenFailed("The plan could not be sent: \(error.message)", path: path, isTemporary: true)
        }
    }

    /// Lets the programs of a held plan start; from then on the warden needs nobody.
    ///
    /// - Throws: `sandbox.warden-failed` when it is gone.
    func start(path: String) throws(SandboxError) {
        guard let channel = channel.withLock({ $0.take() }) else {
            throw .wardenFailed("It was let go before.", path: path)
        }
        do {
            try PacketSocket.send([ControlMessage.start.rawValue], to: channel.end.rawValue)
        } catch {
            throw .wardenFailed("It could not be told to start: \(error.message)", path: path)
        }
    }

    /// Lets a warden go that is idle, or whose plan is held: nothing of that runs then.
    func dismiss() {
        channel.withLock { $0 = nil }
        do throws(LinuxError) {
            // One that somebody has stopped would not notice.
            try signal(SIGCONT)
        } catch {
            // It has ended, or goes when somebody lets it go on.
        }
    }

    /// Whether it still runs; a zombie does not. One that nobody can ask about counts as running.
    var isAlive: Bool {
        do { return try !process.hasEnded() } catch { return true }
    }

    /// A pidfd of its own for whoever waits.
    func waitable() throws(LinuxError) -> OwnedDescriptor {
        try OwnedDescriptor(duplicating: process.descriptor.rawValue)
    }

    func signal(_ number: Int32) throws(LinuxError) {
        do {
            try process.signal(number)
        } catch {
            if error.errno != ESRCH { throw error }
        }
    }

    /// Waits for its end, and reaps it; false when it still runs then.
    func awaitEnd(milliseconds: Int32) -> Bool {
        do {
            guard try waitReadable(process.descriptor.rawValue, milliseconds: milliseconds) else { return false }
        } catch {
            return false
        }
        reap()
        return true
    }

    /// Lets the kernel forget it, if it is our child and has ended.
    func reap() {
        do {
            _ = try process.reap(block: false)
        } catch {
            // ECHILD: adopted, or reaped before.
        }
    }

    // MARK: spawning

    private static let controlDescriptor: Int32 = 3

    /// Nothing of the agent goes along: no environment, no descriptor but the channel, no signal state, an own session.
    private static func spawn(_ path: String, control: Int32) throws(LinuxError) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in Int32(0)...2 {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, control, controlDescriptor)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        // POSIX_SPAWN_SETSID is glibc's 0x80: a terminal's signals must not reach wardens.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | 0x80))
        var pid: pid_t = 0
        let result = "postlude-warden".withCString { name -> Int32 in
            "user-namespace".withCString { rootless in
                // Without root it can put nothing up but in a user namespace, which it enters by itself.
                let argument = geteuid() == 0 ? nil : UnsafeMutablePointer(mutating: rootless)
                let arguments: [UnsafeMutablePointer<CChar>?] = [UnsafeMutablePointer(mutating: name), argument, nil]
                let environment: [UnsafeMutablePointer<CChar>?] = [nil]
                return posix_spawn(&pid, path, &actions, &attributes, arguments, environment)
            }
        }
        guard result == 0 else { throw LinuxError("posix_spawn", path, errno: result) }
        return pid
    }
}

extension SandboxError {
    static func wardenFailed(_ why: String, path: String, isTemporary: Bool = false) -> SandboxError {
        SandboxError(
            code: "sandbox.warden-failed", message: "The warden '\(path)' is not available. \(why)",
            hint: "Install postlude-warden of the same version as postluded; see 'postlude doctor'.",
            isTemporary: isTemporary)
    }
}
