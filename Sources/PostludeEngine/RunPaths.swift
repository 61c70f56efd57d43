import Glibc
import PostludeCore

/// Where runs lie on the host. Directories above a run's artifacts belong to the agent, so that no user can put a
/// symbolic link in their place.
struct RunPaths: Sendable {
    let stateDirectory: String

    /// The runs may lie on another disk than the database.
    var disks: [String] { [runs, "\(stateDirectory)/store"] }

    var runs: String { "\(stateDirectory)/runs" }

    func run(_ id: RunID) -> String { "\(runs)/\(id)" }
    func artifacts(_ id: RunID) -> String { "\(run(id))/artifacts" }
    func attempts(_ id: RunID) -> String { "\(run(id))/attempts" }
    func attempt(_ id: AttemptID) -> String { "\(attempts(id.run))/\(id.number)" }

    func log(_ id: AttemptID, step: String, _ stream: LogStream) -> String {
        "\(attempt(id))/\(step).\(stream.rawValue).log"
    }

    /// Whether an attempt's directory was never made.
    func lacks(_ id: AttemptID) -> Bool { access(attempt(id), F_OK) != 0 && errno == ENOENT }

    /// Makes what all runs share.
    func prepare() throws {
        for (path, mode) in [(stateDirectory, mode_t(0o755)), (runs, 0o711)] {
            if mkdir(path, mode) == 0 {
                try HeldDirectory(opening: path).set(mode)
            } else if errno != EEXIST {
                throw EngineError.cannotMake(path, errno)
            }
        }
    }

    /// Makes an attempt's directories; whoever submitted the run owns its artifacts.
    ///
    /// What a user owns, or may rename in, is only ever made, and never touched again: by the second attempt it may be a
    /// link to anywhere.
    func prepare(_ id: AttemptID, for user: UserIdentity) throws {
        let run = try HeldDirectory(opening: runs, followsLinks: true).own("\(id.run)", mode: 0o711)
        try makeArtifacts(in: run, for: user)
        // The logs of an attempt are shown to its hooks by a mount of the attempt's directory, which others must then
        // be able to read; on the host the directory above lets nobody in.
        let attempts = try run.own("attempts", mode: 0o700)
        _ = try attempts.own("\(id.number)", mode: 0o755)
    }

    /// Builds the artifacts' directories under another name, so that under their own they are always complete.
    private func makeArtifacts(in run: borrowing HeldDirectory, for user: UserIdentity) throws {
        let owner = geteuid() == 0 ? user.uid : geteuid()
        if let found = try run.owner(of: "artifacts") {
            guard found == owner else { throw EngineError.cannotMake("\(run.path)/artifacts", EPERM) }
            return
        }
        let artifacts = try run.made("artifacts.new")
        // An agent that died before the last step below left it to the user already.
        if try artifacts.status().st_uid == geteuid() {
            let outputs = try artifacts.made("outputs")
            if try outputs.status().st_uid == geteuid() { try outputs.set(0o700, owner: user) }
            try artifacts.set(0o700, owner: user)
        }
        guard renameat(run.descriptor, "artifacts.new", run.descriptor, "artifacts") == 0 else {
            throw EngineError.cannotMake("\(run.path)/artifacts", errno)
        }
    }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

/// An open directory; what is done to it is done to this very directory, whatever its name means by then.
private struct HeldDirectory: ~Copyable {
    let descriptor: Int32
    /// For messages only.
    let path: String

    init(opening path: String, in parent: Int32 = AT_FDCWD, name: String? = nil, followsLinks: Bool = false) throws {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (followsLinks ? 0 : O_NOFOLLOW)
        descriptor = openat(parent, name ?? path, flags)
        self.path = path
        guard descriptor >= 0 else { throw EngineError.cannotMake(path, errno) }
    }

    deinit { close(descriptor) }

    func status() throws -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw EngineError.cannotMake(path, errno) }
        return status
    }

    /// Who owns the directory of this name; nil when there is nothing of this name.
    func owner(of name: String) throws -> uid_t? {
        var status = stat()
        guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return nil }
            throw EngineError.cannotMake("\(path)/\(name)", errno)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw EngineError.cannotMake("\(path)/\(name)", ENOTDIR) }
        return status.st_uid
    }

    /// The directory of this name, made if need be for nobody but the agent.
    func made(_ name: String) throws -> HeldDirectory {
        let path = "\(path)/\(name)"
        guard mkdirat(descriptor, name, 0o700) == 0 || errno == EEXIST else {
            throw EngineError.cannotMake(path, errno)
        }
        return try HeldDirectory(opening: path, in: descriptor, name: name)
    }

    /// The agent's own directory of this name, made if need be.
    func own(_ name: String, mode: mode_t) throws -> HeldDirectory {
        let child = try made(name)
        let status = try child.status()
        guard status.st_uid == geteuid() else { throw EngineError.cannotMake(child.path, EPERM) }
        if status.st_mode & 0o7777 != mode { try child.set(mode) }
        return child
    }

    /// The umask has no say in this.
    func set(_ mode: mode_t, owner: UserIdentity? = nil) throws {
        guard fchmod(descriptor, mode) == 0 else { throw EngineError.cannotMake(path, errno) }
        if let owner, geteuid() == 0, fchown(descriptor, owner.uid, owner.gid) != 0 {
            throw EngineError.cannotMake(path, errno)
        }
    }
}

extension EngineError {
    static let shortageCode = "engine.host-exhausted"

    /// The agent is short of descriptors or memory, which passes.
    static func exhausted(_ what: String, _ code: Int32) -> EngineError {
        EngineError(
            .unavailable, shortageCode, "\(what): \(String(cString: strerror(code))).",
            hint: "Raise the limit of open files (LimitNOFILE) of postluded.")
    }

    static func cannotMake(_ path: String, _ code: Int32) -> EngineError {
        if [EMFILE, ENFILE, ENOMEM].contains(code) {
            return .exhausted("The directory '\(path)' cannot be made now", code)
        }
        return EngineError(
            .unavailable, code == ENOSPC ? "engine.disk-full" : "engine.cannot-make-directory",
            "The directory '\(path)' cannot be made: \(String(cString: strerror(code))).",
            hint: code == ENOSPC ? "Free some space." : "Give the agent a state directory that it may write.")
    }
}
