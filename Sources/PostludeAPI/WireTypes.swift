import PostludeCore

/// The paths and limits of version 1 of the API.
public enum API {
    public static let version = "v1"
    public static let prefix = "/api/v1"
    /// The largest request body the agent reads, in bytes.
    public static let maximumRequestBytes = 4 << 20
    /// The header by which a repeated submit is known, for clients that do not put the key into the submission.
    public static let idempotencyHeader = "Idempotency-Key"
    /// The longest idempotency key, in bytes.
    public static let maximumKeyBytes = 255
    /// The largest head of a request, in bytes: the request line, or all header fields together.
    public static let maximumHeadBytes = 64 << 10
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
    /// `before` of the request that gets the next page; nil when there is none.
    public var next: RunID?

    public init(runs: [RunSummary], next: RunID? = nil) {
        self.runs = runs
        self.next = next
    }
}

public struct DeviceList: Hashable, Sendable, Codable {
    public var devices: [DeviceStatus]

    public init(devices: [DeviceStatus]) { self.devices = devices }
}

public struct ImageList: Hashable, Sendable, Codable {
    public var images: [ImageRecord]

    public init(images: [ImageRecord]) { self.images = images }
}

/// Times in which nothing is started but hook runs, the earliest first.
public struct MaintenanceList: Hashable, Sendable, Codable {
    public var windows: [MaintenanceWindow]

    public init(windows: [MaintenanceWindow]) { self.windows = windows }
}

/// Where a copy of the database was written, on the agent's host.
public struct BackupAnswer: Hashable, Sendable, Codable {
    public var path: String

    public init(path: String) { self.path = path }
}

/// Why a run waits; empty for one that does not.
public struct WaitAnswer: Hashable, Sendable, Codable {
    public var wait: WaitReport?

    public init(wait: WaitReport?) { self.wait = wait }
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
