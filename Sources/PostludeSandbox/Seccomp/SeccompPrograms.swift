import Glibc
import PostludeLinux
import Synchronization

/// Compiled seccomp programs by the content of their profiles, kept as sealed memfds as long as the agent runs.
/// Library, kernel and architecture are the same for one process; after an upgrade there is a new one.
final class SeccompPrograms: Sendable {
    private let directory: String
    private let host: SeccompHost
    private let state = Mutex(State())

    init(directory: String, host: SeccompHost = .current()) {
        self.directory = directory
        self.host = host
    }

    /// A compiled profile, open for whoever holds it.
    final class Entry: Sendable {
        let program: SeccompProgram
        let memory: OwnedDescriptor

        init(_ program: SeccompProgram) throws(SandboxError) {
            self.program = program
            do {
                memory = try MemoryFile.sealed("postlude-seccomp", program.bytes)
            } catch {
                throw SandboxError(
                    code: "sandbox.seccomp-failed", message: error.message, hint: error.hint,
                    isTemporary: SandboxError.isShortage(error.errno))
            }
        }
    }

    private struct State {
        var byContent: [[UInt8]: Entry] = [:]
        var byName: [String: (version: FileVersion, entry: Entry)] = [:]
    }

    /// What changes when a file does.
    private struct FileVersion: Hashable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var modified: Int64
        var changed: Int64

        init(_ status: stat) {
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
            changed = Int64(status.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_ctim.tv_nsec)
        }
    }

    /// The program of `<directory>/<name>.json`, compiled when the file is new or changed.
    func program(named name: String) throws(SandboxError) -> Entry {
        guard !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else {
            throw SandboxError(
                code: "sandbox.seccomp-missing", message: "'\(name)' cannot name a seccomp profile.",
                hint: "Name a file of '\(directory)' without '.json'.")
        }
        let path = "\(directory)/\(name).json"
        let known = state.withLock { $0.byName[name] }
        guard let file = try read(path, unless: known?.version) else {
            if let known { return known.entry }
            return try missing(path, ENOENT)
        }
        let entry = try compile(file.content, file: path)
        state.withLock { state in
            state.byContent[file.content] = entry
            state.byName[name] = (file.version, entry)
        }
        return entry
    }

    /// The file, or nil when it is the one that is known.
    private func read(
        _ path: String, unless known: FileVersion?
    ) throws(SandboxError) -> (version: FileVersion, content: [UInt8])? {
        do {
            let file = try OwnedDescriptor.open(path, O_RDONLY)
            let version = FileVersion(try file.status())
            return version == known ? nil : (version, try file.readAll(limit: 1 << 20))
        } catch {
            return try missing(path, error.errno)
        }
    }

    private func missing<Value>(_ path: String, _ errno: Int32) throws(SandboxError) -> Value {
        throw SandboxError(
            code: "sandbox.seccomp-missing",
            message: "The seccomp profile '\(path)' cannot be read: \(errorText(errno)).",
            hint: "Install Postlude's profiles, or correct 'seccomp' in the sandbox profile.",
            isTemporary: SandboxError.isShortage(errno))
    }

    private func compile(_ content: [UInt8], file: String) throws(SandboxError) -> Entry {
        if let known = state.withLock({ $0.byContent[content] }) { return known }
        let profile = try SeccompProfile.read(content, file: file, host: host)
        return try Entry(SeccompCompiler(file: file, host: host).compile(profile))
    }
}
