import PostludeCore

/// The paths and limits of version 1 of the API.
public enum API {
    public static let version = "v1"
    public static let prefix = "/api/v1"
    /// The largest request body the agent reads, in bytes.
    public static let maximumRequestBytes = 4 << 20
    /// The header by which a repeated submit is known, for clients that do not put the key into the submission.
    public static let idempotencyHeader = "Idempotency-Key"
}

/// What the agent answers when it does not do what was asked; the body of every response with a status of 400 or more.
public struct ErrorEnvelope: Hashable, Sendable, Codable {
    /// Stable and grep-able, such as `spec.unknown-key`.
    public var code: String
    public var message: String
    /// What the reader can do about it.
    public var hint: String?
    /// Each finding with its place in the file, when it is the file that is refused.
    public var details: [Diagnostic]

    public init(code: String, message: String, hint: String? = nil, details: [Diagnostic] = []) {
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details
    }
}

public struct RunList: Hashable, Sendable, Codable {
    /// Newest first.
    public var runs: [RunSummary]

    public init(runs: [RunSummary]) { self.runs = runs }
}

public struct DeviceList: Hashable, Sendable, Codable {
    public var devices: [DeviceStatus]

    public init(devices: [DeviceStatus]) { self.devices = devices }
}

public struct UsageList: Hashable, Sendable, Codable {
    public var records: [UsageRecord]

    public init(records: [UsageRecord]) { self.records = records }
}

/// What `doctor` shows: what this host can enforce and what it cannot.
public struct DoctorReport: Hashable, Sendable, Codable {
    public var checks: [HostCheck]

    public init(checks: [HostCheck]) { self.checks = checks }
}

/// Which agent answers.
public struct AgentInfo: Hashable, Sendable, Codable {
    /// Postlude's version.
    public var version: String
    /// The newest version of the API it speaks.
    public var api: String
    public var pid: Int32
    public var uid: UInt32
    public var stateDirectory: String

    public init(version: String, api: String = API.version, pid: Int32, uid: UInt32, stateDirectory: String) {
        self.version = version
        self.api = api
        self.pid = pid
        self.uid = uid
        self.stateDirectory = stateDirectory
    }
}

public struct Health: Hashable, Sendable, Codable {
    public var status: String

    public init(status: String = "ok") { self.status = status }
}
