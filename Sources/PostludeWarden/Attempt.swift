import Glibc
import PostludeLinux
import PostludePlan

/// Walks the plan: init steps one after the other, then sidecars and main; stops, waits, counts and reports. One loop
/// waits for everything.
final class Attempt {
    private let sent: SentPlan
    private let preparation: Preparation
    private var journal: JournalWriter
    private let epoll: Epoll
    private let signals: OwnedDescriptor
    private let timeout: Timer
    private let grace: Timer
    private var starter: StepStarter?
    private var parked: [Int: ParkedStep] = [:]
    private var writtenLimits: [String: String]?

    private var running: [Int: RunningStep] = [:]
    /// Ended, but what they hold is let go only after their end was written.
    private var finished: [RunningStep] = []
    private var progress = AttemptProgress()
    private var hold: Hold

    private var plan: LaunchPlan { sent.plan }

    init(_ sent: SentPlan, _ preparation: Preparation, control: consuming OwnedDescriptor) throws(LinuxError) {
        self.sent = sent
        self.preparation = preparation
        journal = JournalWriter(file: sent[sent.plan.journal])
        epoll = try Epoll()
        signals = try ProcessControl.signalDescriptor([SIGTERM])
        timeout = try Timer()
        grace = try Timer()
        hold = sent.isHeld ? Hold(control) : Hold()
        if let channel = hold.channel { try epoll.add(channel, .readable, token: Token(.agent).raw) }
        try epoll.add(signals.rawValue, .readable, token: Token(.stop).raw)
        try epoll.add(timeout.descriptor.rawValue, .readable, token: Token(.timeout).raw)
        try epoll.add(grace.descriptor.rawValue, .readable, token: Token(.grace).raw)
    }

    /// Returns the warden's exit status.
    func run() -> Int32 {
        do {
            journal.append(.accepted(attempt: plan.attempt, wardenPID: getpid()), durable: false)
            begin()
            while progress.end == nil || hold.isOn {
                var wait: Int32 = -1
                if !hold.isOn {
                    try journal.flush()
                    finished.removeAll()
                    wait = try journal.millisecondsUntilSync()
                }
                for event in try epoll.wait(milliseconds: wait) { handle(event) }
                if hold.isBroken { return abandon() }
            }
            try journal.flush()
            try journal.syncWhenDue()
            return Warden.Status.ended
        } catch {
            // Without a journal nothing can be vouched for. The steps end with their parent; the attempt is lost, not
            // wrong.
            for step in running.values { step.kill() }
            return error.call == "fdatasync" || error.call == "write" ? Warden.Status.journalLost : Warden.Status.failed
        }
    }

    /// Nobody wants the plan that was held: ends what was set up for it, of which nothing has run. Returns when it is
    /// gone, without a record.
    private func abandon() -> Int32 {
        for step in running.values {
            step.kill()
            do { _ = try step.reap(block: true) } catch {
                // It was reaped before.
            }
        }
        for step in parked.values { step.dismiss() }
        return Warden.Status.ended
    }

    // MARK: starting

    private func begin() {
        do throws(SetupFailure) {
            parked[plan.steps.count - 1] = preparation.takeMain()
            starter = StepStarter(sent: sent, preparation: preparation, network: try network())
            try parkOthers()
            if plan.timeoutMilliseconds > 0 {
                try stage(.plan) { () throws(LinuxError) in
                    try timeout.arm(afterMilliseconds: plan.timeoutMilliseconds)
                }
            }
        } catch {
            finish(.setupFailed, step: nil, exit: error.exit)
            return
        }
        act(progress.begin(plan.steps.map(\.role)))
    }

    /// Written while the first step is set up, and before it is let go.
    private func attemptLimits() throws(SetupFailure) -> [String: String] {
        if let writtenLimits { return writtenLimits }
        let limits = try StepStarter.write(plan.limits, label: "") { preparation.directory(of: $0) }
        writtenLimits = limits
        return limits
    }

    /// All at once, so that each step but the first is set up while others run.
    private func parkOthers() throws(SetupFailure) {
        let others = plan.steps.indices.dropLast()
        guard !others.isEmpty else { return }
        let made = try preparation.park(others.map { plan.steps[$0].name })
        for index in others { parked[index] = made[plan.steps[index].name] }
        for index in others { try parked[index]?.give(plan: sent.memory, step: .index(index)) }
    }

    private func network() throws(SetupFailure) -> Int32 {
        if plan.network == .host { return -1 }
        return try stage(.network) { () throws(LinuxError) in
            try preparation.makeNetwork(withLoopback: plan.network == .loopback)
        }
    }

    private func start(_ index: Int) {
        guard let starter else { return }
        let parked = parked.removeValue(forKey: index)
        do throws(SetupFailure) {
            guard let parked else { throw SetupFailure(stage: .clone, errno: ECHILD) }
            let step = try starter.start(index, parked: parked, attemptLimits: attemptLimits)
            running[index] = step
            try stage(.descriptors) { () throws(LinuxError) in
                try epoll.add(step.control, .readable, token: Token(.control, index).raw)
                try epoll.add(step.descriptor, .readable, token: Token(.process, index).raw)
                try epoll.add(step.logs[0].descriptor, .readable, token: Token(.output, index).raw)
                try epoll.add(step.logs[1].descriptor, .readable, token: Token(.error, index).raw)
            }
        } catch {
            if let step = running[index] {
                // It lives, but cannot be watched: it ends before it began.
                step.exit = error.exit
                step.kill()
                do { step.reaped = try step.reap(block: true) } catch {
                    // Then its exit stays what it is: the failure above.
                }
                complete(step)
            } else {
                parked?.dismiss()
                journal.append(
                    .stepExited(
                        step: UInt16(index), name: plan.steps[index].name, exit: error.exit, usage: StepCounters()))
                act(progress.ended(index, error.exit))
            }
        }
    }

    // MARK: events

    private func handle(_ event: Epoll.Event) {
        let token = Token(raw: event.token)
        switch token.kind {
        case .agent: endHold()
        case .stop:
            var info = [UInt8](repeating: 0, count: 128)
            _ = read(signals.rawValue, &info, info.count)
            act(progress.stop(.requested))
        case .timeout:
            timeout.drain()
            act(progress.stop(.timeout))
        case .grace:
            grace.drain()
            for step in running.values { step.kill() }
        case .control: if let step = running[token.step] { listen(to: step) }
        case .output: if let step = running[token.step] { pump(step.logs[0]) }
        case .error: if let step = running[token.step] { pump(step.logs[1]) }
        case .process: if let step = running[token.step] { reap(step) }
        case .cgroup: if let step = running[token.step] { completeIfEmpty(step) }
        }
    }

    private func pump(_ log: LogPump) {
        log.pump()
        if log.hasEnded { unwatch(log.descriptor) }
    }

    private func unwatch(_ descriptor: Int32) {
        do { try epoll.remove(descriptor) } catch {
            // It is closed soon, which removes it too.
        }
    }

    private func listen(to step: RunningStep) {
        guard let message = StepMessage.receive(from: step.control) else {
            unwatch(step.control)
            return
        }
        do throws(SetupFailure) {
            switch message.kind {
            case .mounted:
                do throws(LinuxError) {
                    let mounts = try OwnedDescriptor.open("/proc/\(step.pid)/ns/mnt", O_RDONLY)
                    step.mounts = consume mounts
                    try step.receipt.readPlace()
                } catch {
                    // It may have failed and ended since; what it says next tells.
                    step.receiptFailure = SetupFailure(stage: .receipt, errno: error.errno)
                }
            case .ready:
                if let failure = step.receiptFailure { throw failure }
                try stage(.receipt) { () throws(LinuxError) in try step.receipt.readRights() }
                if step.plan.coreScheduling {
                    try stage(.receipt) { () throws(LinuxError) in try step.receipt.readCores() }
                }
                step.receipt.note(landlock: message.index, abi: message.value)
                let receipt = try step.receipt.verified(against: step.plan, hasOwnNetwork: step.hasOwnNetwork)
                if hold.isOn { return hold.waiting[step.index] = receipt }
                letGo(step, receipt)
            case .failed:
                step.exit = SetupFailure(stage: message.stage, index: Int(message.index), errno: message.value).exit
            case .exited:
                step.exit = .code(message.value)
                step.counters.maxRSSBytes = message.maxRSSBytes
            case .signalled:
                step.exit = .signal(message.value, coreDumped: message.index == 1)
                step.counters.maxRSSBytes = message.maxRSSBytes
            case .launched, .parked:
                break
            }
        } catch {
            step.exit = error.exit
            step.kill()
        }
    }

    private func letGo(_ step: RunningStep, _ receipt: StepReceipt) {
        // After SIGTERM went out nothing new starts.
        if progress.isStopping(step.plan.role) { return step.kill() }
        // Written first: when this warden is killed now, what its journal says is all that anybody knows of programs that
        // may have run, and an attempt of which nothing is said is launched again. Without cgroups it also tells which
        // processes to look for.
        journal.append(
            .stepStarted(step: UInt16(step.index), name: step.plan.name, pid: step.pid, receipt: receipt))
        do throws(SetupFailure) {
            try stage(.log, index: 2) { () throws(LinuxError) in try journal.flush() }
            step.go()
        } catch {
            step.exit = error.exit
            step.kill()
        }
    }

    private func endHold() {
        if let channel = hold.channel { unwatch(channel) }
        for (index, receipt) in hold.end().sorted(by: { $0.key < $1.key }) {
            // One that has ended meanwhile is not started.
            if let step = running[index], step.exit == nil { letGo(step, receipt) }
        }
    }

    // MARK: ending

    private func reap(_ step: RunningStep) {
        do {
            guard let reaped = try step.reap(block: false) else { return }
            step.reaped = reaped
        } catch {
            // Reaped by nobody else: it cannot have been. What is not known stays unknown.
        }
        unwatch(step.descriptor)
        // What pid 1 said last may not have been read yet.
        while step.exit == nil, let message = lastWord(step) {
            if message.kind == .exited { step.exit = .code(message.value) }
            if message.kind == .signalled { step.exit = .signal(message.value, coreDumped: message.index == 1) }
            if message.kind == .failed {
                step.exit = SetupFailure(stage: message.stage, index: Int(message.index), errno: message.value).exit
            }
            step.counters.maxRSSBytes = message.maxRSSBytes
        }
        completeIfEmpty(step)
    }

    private func lastWord(_ step: RunningStep) -> StepMessage? {
        do {
            guard try waitReadable(step.control, milliseconds: 0) else { return nil }
        } catch {
            return nil
        }
        return StepMessage.receive(from: step.control)
    }

    /// A step ends when its cgroup is empty: what has joined it from elsewhere is killed too.
    ///
    /// Without a cgroup it ends with its pid 1. That is no less certain: before the pid 1 of a pid namespace counts as
    /// ended, the kernel has killed and reaped every process in it and below it (zap_pid_ns_processes), and none can get
    /// in from elsewhere without a capability over it.
    private func completeIfEmpty(_ step: RunningStep) {
        guard let cgroup = step.cgroup else { return complete(step) }
        do {
            if step.events == nil {
                guard try cgroup.cgroup.isPopulated() else { return complete(step) }
                let events = try cgroup.cgroup.events()
                try epoll.add(events.file.rawValue, [.priority, .error], token: Token(.cgroup, step.index).raw)
                step.events = consume events
                step.kill()
            }
            let isPopulated = try step.events?.isPopulated() ?? false
            if !isPopulated { complete(step) }
        } catch {
            // A cgroup that cannot be read is gone, and was empty when it went.
            complete(step)
        }
    }

    private func complete(_ step: RunningStep) {
        // Survivors elsewhere may hold the other ends: what is in the pipes now is all there is.
        for log in step.logs { log.pump(everything: true) }
        let exit = step.finalExit
        journal.append(
            .stepExited(
                step: UInt16(step.index), name: step.plan.name, exit: exit, usage: step.finalCounters()))
        running[step.index] = nil
        finished.append(step)
        act(progress.ended(step.index, exit))
    }

    private func act(_ actions: [AttemptProgress.Action]) {
        for action in actions {
            switch action {
            case .start(let index):
                start(index)
            case .terminate(let reason):
                journal.append(.stopping(reason))
                for step in running.values { step.terminate() }
                do { try grace.arm(afterMilliseconds: max(1, plan.graceMilliseconds)) } catch {
                    // Without a timer there is no grace.
                    for step in running.values { step.kill() }
                }
            case .finish(let reason, let index, let exit):
                finish(reason, step: index, exit: exit)
            }
        }
    }

    private func finish(_ reason: JournalRecord.EndReason, step: Int?, exit: JournalRecord.StepExit) {
        // Steps that never got their turn.
        for step in parked.values { step.dismiss() }
        parked = [:]
        progress.end = reason
        journal.append(.ended(reason, step: step.map { UInt16($0) }, exit: exit))
    }
}
