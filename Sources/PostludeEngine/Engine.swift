import Logging
import PostludeCore
import PostludeImages
import PostludeSandbox
import PostludeStore
import PostludeThreads
import ServiceLifecycle

/// Runs operations: stores what is submitted, performs what the lifecycle owes, and turns what happens in the sandboxes
/// into events. It holds no state that matters: what it forgets at its end it finds again in store and journals.
public final class Engine: Service {
    let configuration: EngineConfiguration
    let store: Store
    let sandbox: Sandbox
    let devices: [String: Device]
    let node: Store.Node
    let logger: Logger
    let inbox = Inbox()
    let holderLooks = HolderLooks()
    let paths: RunPaths
    let images: ImageStore

    /// The store's directory must be the configuration's state directory's own; no run is touched before `run()`.
    public init(
        configuration: EngineConfiguration, store: Store, sandbox: Sandbox, devices: [Device], logger: Logger
    ) throws {
        self.configuration = configuration
        self.store = store
        self.sandbox = sandbox
        self.devices = Dictionary(devices.map { ($0.id, $0) }) { first, _ in first }
        self.logger = logger
        node = Store.Node(
            memoryBytes: configuration.memoryBytes, milliCPU: configuration.milliCPU, devices: devices,
            rules: configuration.rules)
        paths = RunPaths(stateDirectory: configuration.stateDirectory)
        try paths.prepare()
        let (runs, reserve) = (paths.runs, configuration.disk.reserve)
        images = ImageStore(directory: "\(configuration.stateDirectory)/images") {
            DiskSpace(at: runs).flatMap(reserve.shortage)
        }
    }

    /// Takes up what a former agent left, then works until the task is cancelled or the service shut down. Running
    /// attempts go on without it.
    public func run() async throws {
        // Idle wardens go with us, busy ones stay. By then no task is left that could make another.
        defer { sandbox.shutdown() }
        sandbox.onPoolChange { [inbox] in inbox.refillPool() }
        try await cancelWhenGracefulShutdown {
            do {
                try await self.recover()
            } catch {
                // Asked to leave before the work began, which whoever asked wants told from a failure.
                if error is CancellationError || Task.isCancelled { return }
                throw error
            }
            await withDiscardingTaskGroup { group in
                for await work in self.inbox.work {
                    group.addTask { await self.perform(work) }
                }
                group.cancelAll()
            }
        }
    }

    /// What this host can enforce, and whether it has what the configuration's images need.
    public var hostChecks: [HostCheck] { sandbox.hostChecks + ImageTools.checks(for: configuration.images) }

    /// Whether nothing waits, runs or is owed.
    public var isIdle: Bool {
        get async {
            guard inbox.isEmpty else { return false }
            do {
                return try await store.isQuiet()
            } catch {
                logger.warning("cannot tell whether the agent is idle, ignoring", metadata: ["error": "\(error)"])
                return false
            }
        }
    }

    private func perform(_ work: Work) async {
        switch work {
        case .lane(let run):
            var next = inbox.first(of: run)
            while let owed = next {
                await repeatedly(owed)
                if Task.isCancelled { return }
                next = inbox.done(owed)
            }
        case .background(let owed):
            await repeatedly(owed)
            if !Task.isCancelled { inbox.done(owed) }
        case .watch(let attempt, let warden):
            await watch(attempt, warden)
            inbox.stopWatching(warden)
        case .watchDisk:
            await watchDisk()
        case .refillPool:
            await refillPool()
        case .recheckQuarantined:
            await recheckWhileQuarantined()
        case .prepareImage(let layout, let image): await prepareAhead(layout, image)
        case .place(let time):
            await place(at: time)
        case .removeLeftovers(let slots):
            for slot in slots { await removeLeftover(slot) }
        case .followSchedules: await followSchedules()
        }
    }

    /// An effect is owed until it is done: what fails for want of disk or memory is tried again.
    private func repeatedly(_ owed: OwedEffect) async {
        // Behind a launch there may be a stop, which needs no more than that the launch is looked at once again.
        let longest = Duration.seconds(owed.effect.kind == .launch ? 2 : 10)
        var pause = Duration.milliseconds(100)
        var told: String?
        while !Task.isCancelled {
            do {
                try await perform(owed)
                return
            } catch is CancellationError {
                return
            } catch let error as StoreError where makesRoom(for: error) {
                continue
            } catch {
                // The same again is no news.
                let isNews = told != "\(error)"
                logger.log(
                    level: isNews ? .error : .debug, "an effect failed and is tried again",
                    metadata: [
                        "run": "\(owed.run)", "attempt": "\(owed.effect.attempt)",
                        "effect": "\(owed.effect.kind.rawValue)",
                        "error": "\(error)",
                    ])
                if owed.effect.kind == .launch, isNews { await tellDelay(of: owed, error) }
                told = "\(error)"
            }
            do { try await PostludeThreads.pause(for: pause) } catch { return }
            pause = min(pause * 2, longest)
        }
    }

    private func perform(_ owed: OwedEffect) async throws {
        let attempt = AttemptID(run: owed.run, number: owed.effect.attempt)
        switch owed.effect.kind {
        case .launch: try await launch(attempt, owed)
        case .requestStop: try await requestStop(attempt, owed)
        case .evict: try await evict(attempt, owed)
        case .handBack: try await handBack(attempt, owed)
        case .resolveHooks: try await resolveHooks(of: owed.run, owed)
        case .advance: try await advance(owed.run, owed)
        case .cleanUp: try await cleanUp(attempt, owed)
        }
    }

    /// Applies an event and takes what it owes.
    @discardableResult
    func apply(_ event: Run.Event, to run: RunID, completing owed: OwedEffect? = nil) async throws -> Run.Decision {
        let applied = try await store.apply(event, to: run, at: .now, completing: owed)
        take(applied, of: run)
        return applied.result
    }

    /// Takes what a decision about a run owes, and logs the change.
    func take(_ applied: Applied<Run.Decision>, of run: RunID) {
        inbox.take(applied.owed)
        tell(applied.result, of: run)
    }

    func tell(_ decision: Run.Decision, of run: RunID) {
        switch decision {
        case .accept(let transition):
            let level: Logger.Level = transition.conditions.isEmpty ? .debug : .notice
            logger.log(
                level: level, "run changed",
                metadata: [
                    "run": "\(run)", "status": "\(transition.state.status.rawValue)",
                    "reason": "\(transition.conditions.last?.reason ?? "")",
                ])
        case .ignore(let reason):
            logger.debug("event ignored", metadata: ["run": "\(run)", "why": "\(reason.rawValue)"])
        case .refuse: break
        }
    }
}
