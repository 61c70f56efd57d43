import NIOCore
import PostludeCore

/// The agent as its clients see it; every method throws `ClientError`.
public struct AgentClient: Sendable {
    public let socketPath: String
    private let transport: Transport

    /// Connects to nothing yet: each call makes a connection of its own.
    public init(socketPath: String) {
        self.socketPath = socketPath
        transport = Transport(socketPath: socketPath)
    }

    public func health() async throws -> Health { try await get("health") }

    public func info() async throws -> AgentInfo { try await get("version") }

    /// Hands in an operation; the same idempotency key gives the same run.
    public func submit(_ submission: Submission) async throws -> RunDetail {
        try await call(
            Transport.Request(
                method: .POST, target: RequestTarget("runs"), headers: [("content-type", "application/json")],
                body: try encoded(submission)))
    }

    /// Runs newest first: the caller's own, or everybody's for an administrator. `next` of the answer is the filter's
    /// `before` for the page that follows.
    public func list(_ filter: RunFilter = RunFilter(), limit: Int? = nil) async throws -> RunList {
        let statuses = filter.statuses.map { $0.map(\.rawValue).sorted().joined(separator: ",") }
        return try await call(
            Transport.Request(
                target: RequestTarget(
                    "runs",
                    query: [
                        ("hooks", filter.includesHooks ? nil : "false"), ("limit", limit.map(String.init)),
                        ("user", filter.user), ("project", filter.project), ("queue", filter.queue),
                        ("status", statuses), ("before", filter.before?.description),
                    ])))
    }

    /// As `list`, one page of it.
    public func runs(_ filter: RunFilter = RunFilter(), limit: Int? = nil) async throws -> [RunSummary] {
        try await list(filter, limit: limit).runs
    }

    /// Has a copy of the database written while work goes on, and gives its path; for administrators.
    public func backUp() async throws -> String {
        let answer: BackupAnswer = try await call(Transport.Request(method: .POST, target: RequestTarget("backup")))
        return answer.path
    }

    /// The run whose id starts so; `prefix` is a whole id or any unambiguous start of one.
    public func run(_ prefix: String) async throws -> RunDetail {
        try await call(Transport.Request(target: RequestTarget("runs", prefix)))
    }

    /// Lets a run that is held go on, and gives it as it is then.
    public func approve(_ prefix: String) async throws -> RunDetail {
        try await call(Transport.Request(method: .POST, target: RequestTarget("runs", prefix, "approve")))
    }

    /// Asks for the run to be stopped, and gives it as it is then.
    public func stop(_ prefix: String) async throws -> RunDetail {
        try await call(Transport.Request(method: .POST, target: RequestTarget("runs", prefix, "stop")))
    }

    /// Keeps a run that waits from being started until `release`, and gives it as it is then.
    public func hold(_ prefix: String) async throws -> RunDetail {
        try await call(Transport.Request(method: .POST, target: RequestTarget("runs", prefix, "hold")))
    }

    public func release(_ prefix: String) async throws -> RunDetail {
        try await call(Transport.Request(method: .POST, target: RequestTarget("runs", prefix, "release")))
    }

    /// Where a run stands that waits, and who has what it needs; nil when it does not wait.
    public func wait(of prefix: String) async throws -> WaitReport? {
        let answer: WaitAnswer = try await call(Transport.Request(target: RequestTarget("runs", prefix, "wait")))
        return answer.wait
    }

    /// Maintenance windows that are not over.
    public func maintenance() async throws -> [MaintenanceWindow] {
        let list: MaintenanceList = try await get("maintenance")
        return list.windows
    }

    /// Has nothing started but hook runs in that time; for administrators.
    public func drain(from: Timestamp?, until: Timestamp?, reason: String) async throws -> [MaintenanceWindow] {
        let query = [
            ("from", from.map { String($0.microseconds) }), ("until", until.map { String($0.microseconds) }),
            ("reason", reason.isEmpty ? nil : reason),
        ]
        let list: MaintenanceList = try await call(
            Transport.Request(method: .POST, target: RequestTarget("maintenance", query: query)))
        return list.windows
    }

    /// Ends one maintenance window, or all; gives those that it ended.
    public func endMaintenance(_ id: Int64?) async throws -> [MaintenanceWindow] {
        let list: MaintenanceList = try await call(
            Transport.Request(
                method: .DELETE, target: RequestTarget("maintenance", query: [("id", id.map(String.init))])))
        return list.windows
    }

    /// Runs one hook of a finished run again, and gives the new hook run.
    public func rerun(_ prefix: String, hook: String) async throws -> RunDetail {
        try await call(
            Transport.Request(method: .POST, target: RequestTarget("runs", prefix, "rerun", query: [("hook", hook)])))
    }

    public func devices() async throws -> [DeviceStatus] {
        let list: DeviceList = try await get("devices")
        return list.devices
    }

    /// Has quarantined devices looked at now, and gives all devices as they are then; for administrators.
    public func recheckDevices() async throws -> [DeviceStatus] {
        let list: DeviceList = try await call(
            Transport.Request(method: .POST, target: RequestTarget("devices", "recheck")))
        return list.devices
    }

    /// The images that the agent has unpacked.
    public func images() async throws -> [ImageRecord] {
        let list: ImageList = try await get("images")
        return list.images
    }

    /// Has images removed that no run uses, and gives those that are left; for administrators.
    public func pruneImages() async throws -> [ImageRecord] {
        let list: ImageList = try await call(
            Transport.Request(method: .POST, target: RequestTarget("images", "prune")))
        return list.images
    }

    public func doctor() async throws -> [HostCheck] {
        let report: DoctorReport = try await get("doctor")
        return report.checks
    }

    /// Accounting records of runs that ended after `since`, and of those that have not ended.
    public func usage(since: Timestamp? = nil) async throws -> [UsageRecord] {
        let list: UsageList = try await call(
            Transport.Request(
                target: RequestTarget("usage", query: [("since", since.map { String($0.microseconds) })])))
        return list.records
    }

    /// A step's output from `offset` bytes on, piece by piece as it is; with `follow`, until the step has ended.
    public func logs(
        of run: String, step: String = "main", stream: LogStream, follow: Bool = false, offset: Int64 = 0,
        attempt: Int? = nil, to receive: (ByteBuffer) async throws -> Void
    ) async throws {
        let target = RequestTarget(
            "runs", run, "logs",
            query: [
                ("step", step), ("stream", stream.rawValue), ("follow", follow ? "true" : nil),
                ("offset", offset > 0 ? String(offset) : nil), ("attempt", attempt.map(String.init)),
            ])
        try await self.stream(target, to: receive)
    }

    /// The run's events after `sequence`, and those of its hook runs, until all of them are final.
    public func events(
        of run: String, after sequence: Int64 = 0, to receive: (RunEvent) async throws -> Void
    ) async throws {
        var parser = ServerSentEventParser()
        var ended = false
        let headers = [("accept", "text/event-stream"), ("last-event-id", String(sequence))]
        try await stream(RequestTarget("runs", run, "events"), headers: headers) { buffer in
            for event in parser.feed(buffer.readableBytesView) {
                guard event.name != StreamEvent.end else {
                    ended = true
                    continue
                }
                try await receive(try decoded(RunEvent.self, from: event.data.utf8))
            }
        }
        guard ended else {
            throw ClientError(
                .lost, "api.stream-ended", "The agent ended the stream before the run had ended.",
                hint: "It may be restarting; the run goes on. Follow it again with `postlude logs -f`.")
        }
    }

    // MARK: - Requests

    private func get<Answer: Decodable>(_ path: String) async throws -> Answer {
        try await call(Transport.Request(target: RequestTarget(path)))
    }

    private func call<Answer: Decodable>(_ request: Transport.Request) async throws -> Answer {
        var body = ByteBuffer()
        try await send(request) { body.writeImmutableBuffer($0) }
        return try decoded(Answer.self, from: body.readableBytesView)
    }

    private func stream(
        _ target: RequestTarget, headers: [(String, String)] = [], to receive: (ByteBuffer) async throws -> Void
    ) async throws {
        try await send(Transport.Request(target: target, headers: headers, deadline: nil), to: receive)
    }

    /// Gives the answer's body to `receive`. What is refused because too much comes at once was not begun, so it is asked
    /// again when the agent says, for half a minute in all.
    private func send(
        _ request: Transport.Request, to receive: (ByteBuffer) async throws -> Void
    ) async throws {
        var patience = 30
        while true {
            var status = 0
            var retryAfter: Int?
            var refused = ByteBuffer()
            try await transport.send(request) {
                status = $0.status
                retryAfter = $0.headers.first(name: "retry-after").flatMap(Int.init)
            } body: { buffer in
                if status < 400 { try await receive(buffer) } else { refused.writeImmutableBuffer(buffer) }
            }
            guard status >= 400 else { return }
            guard let seconds = retryAfter.map({ max(1, $0) }), seconds <= patience else {
                throw refusal(status, refused)
            }
            patience -= seconds
            try await Task.sleep(for: .seconds(seconds))
        }
    }

    private func refusal(_ status: Int, _ body: ByteBuffer) -> ClientError {
        do {
            return ClientError(try Wire.decode(ErrorEnvelope.self, from: body.readableBytesView), status: status)
        } catch {
            return ClientError(
                .refused(status: status), "api.refused", "The agent answered with HTTP status \(status).",
                hint: "See the agent's log.")
        }
    }

    private func decoded<Answer: Decodable>(_ type: Answer.Type, from bytes: some Sequence<UInt8>) throws -> Answer {
        do {
            return try Wire.decode(type, from: bytes)
        } catch {
            throw ClientError(
                .unintelligible, "api.unintelligible",
                "The agent's answer is not what this version understands: \(Wire.explain(error)).",
                hint: "`postlude version` shows both versions; restart the agent after an upgrade.")
        }
    }

    private func encoded(_ value: some Encodable) throws -> [UInt8] {
        let body = try Wire.encode(value)
        guard body.count <= API.maximumRequestBytes else {
            throw ClientError(
                .refused(status: 413), "api.too-large",
                "The operation and the files it refers to take \(body.count) bytes; the agent reads 4 MiB.",
                hint: "Keep data out of the operation file; name its path in a param instead.")
        }
        return body
    }
}

/// Names of events in the stream that are not run events.
public enum StreamEvent {
    /// The last event: nothing more will come.
    public static let end = "end"
}
