/// What is known about a run besides its operation, for templates and environment.
public struct RunFacts: Hashable, Sendable, Codable {
    public var id: RunID
    public var name: String
    public var project: String
    /// Who submitted the run: name and home are shown inside.
    public var user: UserIdentity
    public var createdAt: Timestamp
    public var attempt: Int
    /// The submitter's working directory (absolute); nil for hooks of the hub, which have none.
    public var workingDirectory: String?
    /// For a hook run: what became of its main.
    public var main: HookResolution.MainContext?

    public init(
        id: RunID, name: String, project: String, user: UserIdentity, createdAt: Timestamp, attempt: Int = 1,
        workingDirectory: String? = nil, main: HookResolution.MainContext? = nil
    ) {
        self.id = id
        self.name = name
        self.project = project
        self.user = user
        self.createdAt = createdAt
        self.attempt = attempt
        self.workingDirectory = workingDirectory
        self.main = main
    }
}

/// Where things are inside a sandbox; the same on every host.
public enum InsidePaths {
    public static let context = "/plx-context"
    /// Small JSON file that every step of a run can read: what `POSTLUDE_CONTEXT` names.
    public static let contextFile = "/plx-context/context.json"
    /// Holds a directory for each run whose artifacts are visible.
    public static let artifacts = "/plx-context/artifacts"
    /// Holds a directory for each run whose logs are visible.
    public static let logs = "/plx-context/logs"
    /// Holds a directory for each connection that a step named.
    public static let connections = "/plx-context/connections"
    /// The programs that come with the hub, for its components.
    public static let hub = "/plx-context/hub"
    /// The content of a `file` init step, before it is put in place.
    public static let initFile = "/plx-context/init-file"
    /// In PATH: Postlude's own programs.
    public static let programs = "/plx-context/bin"
    /// What writes outputs.
    public static let outputCommand = "/plx-context/bin/postlude-output"
    /// In PYTHONPATH: the module `postlude_output`.
    public static let python = "/plx-context/python"

    public static func connection(_ name: String) -> String { "\(connections)/\(name)" }
    public static func artifacts(of run: RunID) -> String { "\(artifacts)/\(run)" }
    public static func outputs(of run: RunID) -> String { "\(artifacts)/\(run)/outputs" }
    public static func outputsFile(of run: RunID) -> String { "\(artifacts)/\(run)/outputs.json" }
    /// What a program says of its failure: the attempt's condition repeats it. By attempt, so that none repeats another's.
    public static func messageFile(of run: RunID, attempt: Int) -> String {
        "\(artifacts)/\(run)/\(messageFileName(attempt: attempt))"
    }
    public static func messageFileName(attempt: Int) -> String { "message-\(attempt).txt" }
    public static func logs(of run: RunID) -> String { "\(logs)/\(run)" }
}

extension RunFacts {
    /// `globals.*` of the run's own templates. Names Polyaxon has and a single node has no value for are null.
    public var globals: [String: Value] {
        var globals = Self.globals(id: id, name: name, project: project, owner: user.name, createdAt: createdAt)
        globals["status"] = .null
        globals["condition"] = .null
        if let main {
            globals["main"] = main.description
            globals["main_artifacts_path"] = .string(InsidePaths.artifacts(of: main.id))
            globals["main_outputs_path"] = .string(InsidePaths.outputs(of: main.id))
            globals["main_logs_path"] = .string(InsidePaths.logs(of: main.id))
        }
        return globals
    }

    static func globals(
        id: RunID, name: String, project: String, owner: String, createdAt: Timestamp?
    )
        -> [String: Value]
    {
        let created = createdAt.map { Value.string($0.iso8601) } ?? .null
        return [
            "owner_name": .string(owner), "username": .string(owner), "user_email": .null,
            "project_name": .string(project), "project_unique_name": .string("\(owner).\(project)"),
            "project_uuid": .null, "run_info": .string("\(owner).\(project).runs.\(id)"), "name": .string(name),
            "uuid": .string(id.description), "namespace": .null, "iteration": .null,
            "context_path": .string(InsidePaths.context),
            "store_path": .string(""), "created_at": created,
            "compiled_at": created, "schedule_at": .null, "started_at": .null, "finished_at": .null,
            "duration": .null, "cloning_kind": .null, "original_uuid": .null, "is_independent": .bool(true),
        ].merging(artifactPaths(of: id)) { _, path in path }
    }

    /// Where a run's artifacts are, as its templates and those of its hooks see it.
    static func artifactPaths(of id: RunID) -> [String: Value] {
        [
            // Of all runs' artifacts only the run's own are writable, so files that write below `artifacts_path`, as
            // most do, need it to be the run's own directory.
            "artifacts_path": .string(InsidePaths.artifacts(of: id)),
            "run_artifacts_path": .string(InsidePaths.artifacts(of: id)),
            "run_outputs_path": .string(InsidePaths.outputs(of: id)),
            "run_relative_outputs_path": .string("\(id)/outputs"),
        ]
    }
}

extension Timestamp {
    /// `2026-11-22T10:30:38.810000Z`.
    public var iso8601: String {
        let (seconds, fraction) = microseconds.flooredDivision(by: 1_000_000)
        let (days, inDay) = seconds.flooredDivision(by: 86_400)
        // Civil date from days since 1970-01-01 (proleptic Gregorian), eras of 400 years beginning in March.
        let shifted = days + 719_468
        let (era, dayOfEra) = shifted.flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let date = "\(year.padded(4))-\(month.padded(2))-\(day.padded(2))"
        let time = "\((inDay / 3_600).padded(2)):\((inDay / 60 % 60).padded(2)):\((inDay % 60).padded(2))"
        return "\(date)T\(time).\(fraction.padded(6))Z"
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    fileprivate func padded(_ width: Int) -> String {
        let digits = String(self)
        return String(repeating: "0", count: Swift.max(0, width - digits.utf8.count)) + digits
    }
}
