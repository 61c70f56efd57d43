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

    /// Runs newest first: the caller's own, or everybody's for an administrator.
    public func runs(includeHooks: Bool = true, limit: Int? = nil, user: String? = nil) async throws -> [RunSummary] {
        let list: RunList = try await call(
            Transport.Request(
                target: RequestTarget(
                    "runs",
                    query: [("hooks", includeHooks ? nil : "false"), ("limit", limit.map(String.init)), ("user", user)])
            ))
        return list.runs
    }

    /// The run whose id starts so; `prefix` is a whole id or any unambiguous start of one.
    public func run(_ prefix: String) async throws -> RunDetail {
        try await call(Transport.Request(target: RequestTarget("runs", prefix)))
    }

    /// Asks for the run to be stopped, and gives it as it is then.
    public func stop(_ prefix: String) async throws -> RunDetail {
        try await call(Transport.Request(method: .POST, target: RequestTarget("runs", prefix, "stop")))
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
        var status = 0
        var body = ByteBuffer()
        try await transport.send(request) {
            status = $0.status
        } body: {
            body.writeImmutableBuffer($0)
        }
        guard status < 400 else { throw refusal(status, body) }
        return try decoded(Answer.self, from: body.readableBytesView)
    }

    private func stream(
        _ target: RequestTarget, headers: [(String, String)] = [], to receive: (ByteBuffer) async throws -> Void
    ) async throws {
        var status = 0
        var refused = ByteBuffer()
        try await transport.send(Transport.Request(target: target, headers: headers, deadline: nil)) {
            status = $0.status
        } body: { buffer in
            if status < 400 { try await receive(buffer) } else { refused.writeImmutableBuffer(buffer) }
        }
        guard status < 400 else { throw refusal(status, refused) }
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
