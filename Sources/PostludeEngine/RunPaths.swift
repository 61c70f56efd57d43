import Glibc
import PostludeCore

/// Where runs lie on the host. Directories above a run's artifacts belong to the agent, so that no user can put a
/// symbolic link in their place.
struct RunPaths: Sendable {
    let stateDirectory: String

    private var runs: String { "\(stateDirectory)/runs" }

    func run(_ id: RunID) -> String { "\(runs)/\(id)" }
    func artifacts(_ id: RunID) -> String { "\(run(id))/artifacts" }
    func attempts(_ id: RunID) -> String { "\(run(id))/attempts" }
    func attempt(_ id: AttemptID) -> String { "\(attempts(id.run))/\(id.number)" }

    func log(_ id: AttemptID, step: String, _ stream: LogStream) -> String {
        "\(attempt(id))/\(step).\(stream.rawValue).log"
    }

    /// Makes what all runs share.
    func prepare() throws {
        try Self.make(stateDirectory, mode: 0o755)
        try Self.make(runs, mode: 0o711)
    }

    /// Makes an attempt's directories; whoever submitted the run owns its artifacts.
    func prepare(_ id: AttemptID, for user: UserIdentity) throws {
        try Self.make(run(id.run), mode: 0o711)
        let artifacts = artifacts(id.run)
        try Self.make(artifacts, mode: 0o700, owner: user)
        try Self.make("\(artifacts)/outputs", mode: 0o700, owner: user)
        // The logs of an attempt are shown to its hooks by a mount of the attempt's directory, which others must then
        // be able to read; on the host the directory above lets nobody in.
        try Self.make(attempts(id.run), mode: 0o700)
        try Self.make(attempt(id), mode: 0o755)
    }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// One component at a time below directories of the agent; the last may be the user's own.
    private static func make(_ path: String, mode: mode_t, owner: UserIdentity? = nil) throws {
        if mkdir(path, mode) != 0 {
            guard errno == EEXIST else { throw EngineError.cannotMake(path, errno) }
            return
        }
        // mkdir(2) applies the umask.
        guard chmod(path, mode) == 0 else { throw EngineError.cannotMake(path, errno) }
        if let owner, geteuid() == 0, lchown(path, owner.uid, owner.gid) != 0 {
            throw EngineError.cannotMake(path, errno)
        }
    }
}

extension EngineError {
    static func cannotMake(_ path: String, _ code: Int32) -> EngineError {
        EngineError(
            .unavailable, code == ENOSPC ? "engine.disk-full" : "engine.cannot-make-directory",
            "The directory '\(path)' cannot be made: \(String(cString: strerror(code))).",
            hint: code == ENOSPC ? "Free some space." : "Give the agent a state directory that it may write.")
    }
}
