import Glibc
import PostludeCore
import PostludeLinux

/// What the submitter's own eyes found on the host: the working directory, each step's program and directory.
struct StepPaths: Hashable, Sendable {
    /// An O_PATH descriptor of the working directory; the caller's.
    var workingDescriptor: Int32?
    /// The working directory without links.
    var working: String?
}

extension StepPaths {
    /// Opens the working directory; runs with the submitter's rights.
    static func open(
        working path: String, user: UserIdentity, allowedBy rule: WorkingDirectoryRule
    ) throws(SandboxError) -> StepPaths {
        guard path.hasPrefix("/") else {
            throw .workingDirectory(path, "it is not an absolute path", hint: nil)
        }
        let directory = try directory(path, user: user)
        // The path of what was opened, and not what the path leads to now: it may have been exchanged in between.
        guard let canonical = readLink("/proc/self/fd/\(directory.rawValue)"), same(canonical, directory.rawValue)
        else {
            throw .workingDirectory(path, "it changed while it was opened", hint: "Submit the run again.")
        }
        for forbidden in ["/proc", "/sys", "/dev"] where InsideView.contains(forbidden, canonical) {
            throw .workingDirectory(path, "\(forbidden) is not a place for files", hint: nil)
        }
        if let reason = rule.objection(to: canonical) {
            throw .workingDirectory(path, reason, hint: "Submit from a directory of your own below it.")
        }
        return StepPaths(workingDescriptor: directory.release(), working: canonical)
    }

    private static func directory(_ path: String, user: UserIdentity) throws(SandboxError) -> OwnedDescriptor {
        do {
            // No magic links: /proc/<pid>/fd/<n> could lead to what the agent itself has open.
            let directory = try OwnedDescriptor.open(
                path, OwnedDescriptor.pathOnly | O_DIRECTORY, at: AT_FDCWD, resolving: [.noMagicLinks])
            _ = try OwnedDescriptor.open(".", O_RDONLY | O_DIRECTORY, at: directory.rawValue)
            return directory
        } catch {
            if SandboxError.isShortage(error.errno) { throw .outOfDescriptors(errno: error.errno) }
            let hint = "It must be a directory that '\(user.name)' can read on this host."
            throw .workingDirectory(path, errorText(error.errno), hint: hint)
        }
    }

    private static func same(_ path: String, _ descriptor: Int32) -> Bool {
        var first = stat()
        var second = stat()
        return stat(path, &first) == 0 && fstat(descriptor, &second) == 0 && first.st_dev == second.st_dev
            && first.st_ino == second.st_ino
    }
}

/// Finds a step's program and directory as they will be inside; runs with the submitter's rights.
struct ProgramLookup {
    var view: InsideView
    /// The image whose root the step has; nil for the host's.
    var image: ImageRoot?
    var user: UserIdentity
    /// The working directory as it was given and without links; steps may name paths below either.
    var given: String?
    var canonical: String?
    /// Where a step without a working directory of its own starts.
    var base: String

    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The step's working directory inside.
    func directory(of step: StepSpec) throws(SandboxError) -> String {
        guard let asked = step.workingDirectory else { return base }
        let path = translate(InsideView.normalise(asked, relativeTo: base))
        let fail = { (why: String, hint: String?) in
            SandboxError(
                code: "sandbox.working-directory",
                message: "Step '\(step.name)' cannot work in '\(asked)': \(why).", hint: hint)
        }
        switch view.region(of: path) {
        case .runtime, .kernel: return path
        case .hidden: throw fail("the sandbox profile hides it", "Use the run's artifacts directory, or /tmp.")
        case .host:
            var status = stat()
            guard stat(path, &status) == 0 else {
                throw fail(errorText(errno), "It must be a directory that '\(user.name)' can enter on this host.")
            }
            guard status.st_mode & S_IFMT == S_IFDIR else { throw fail("it is not a directory", nil) }
            return path
        case .image:
            do throws(LinuxError) {
                guard let image else { return path }
                let found = try image.resolve(path)
                guard found.status.st_mode & S_IFMT == S_IFDIR else { throw LinuxError("open", path, errno: ENOTDIR) }
                return path
            } catch {
                if SandboxError.isShortage(error.errno) { throw .outOfDescriptors(errno: error.errno) }
                throw fail(errorText(error.errno), "It must be a directory of the step's image.")
            }
        }
    }

    /// The program's absolute path inside.
    func program(of step: StepSpec, in directory: String) throws(SandboxError) -> String {
        guard let name = step.command.first, !name.isEmpty else {
            throw SandboxError(
                code: "sandbox.program-missing", message: "Step '\(step.name)' has an empty command.",
                hint: "Name a program under 'command'.")
        }
        if name.contains("/") {
            let path = translate(InsideView.normalise(name, relativeTo: directory))
            switch look(at: path) {
            case .found: return path
            case .failed(let why): throw missing(name, step, why)
            }
        }
        return try search(name, for: step, in: directory)
    }

    private func search(_ name: String, for step: StepSpec, in directory: String) throws(SandboxError) -> String {
        let path = step.environment["PATH"] ?? Self.defaultPath
        var unreadable: String?
        var later: String?
        for entry in path.split(separator: ":", omittingEmptySubsequences: false) {
            let candidate = translate(
                InsideView.normalise((entry.isEmpty ? "." : String(entry)) + "/" + name, relativeTo: directory))
            if view.region(of: candidate) == .runtime {
                later = later ?? candidate
                continue
            }
            switch look(at: candidate) {
            case .found: return candidate
            case .failed(let why): if why != Self.missing { unreadable = unreadable ?? "\(candidate) \(why)" }
            }
        }
        // A directory of PATH that an earlier step fills may still have it.
        if let later { return later }
        throw missing(name, step, unreadable ?? "is in no directory of PATH (\(path))")
    }

    private func missing(_ name: String, _ step: StepSpec, _ why: String) -> SandboxError {
        .programNotFound(name, step: step.name, why, image: image == nil ? nil : step.image ?? "")
    }

    private enum Look {
        case found
        case failed(String)
    }

    private static let missing = "does not exist"

    private func look(at path: String) -> Look {
        switch view.region(of: path) {
        case .runtime: return .found
        case .hidden: return .failed("is hidden by the sandbox profile")
        case .kernel: return .failed("is not a program")
        case .image: return lookInImage(path)
        case .host: break
        }
        guard let target = canonicalPath(path) else {
            return .failed(
                errno == ENOENT || errno == ENOTDIR ? Self.missing : "cannot be reached: \(errorText(errno))")
        }
        switch view.region(of: target) {
        case .runtime: return .found
        case .hidden: return .failed("is a link to '\(target)', which the sandbox profile hides")
        case .kernel: return .failed("is not a program")
        // A link from the working directory to a file of the host, which may be another one in the image.
        case .image: return .found
        case .host: break
        }
        var status = stat()
        guard stat(target, &status) == 0 else { return .failed("cannot be reached: \(errorText(errno))") }
        guard status.st_mode & S_IFMT == S_IFREG else { return .failed("is not a file") }
        guard faccessat(AT_FDCWD, target, X_OK, AT_EACCESS) == 0 else {
            return .failed("cannot be executed by '\(user.name)': \(errorText(errno))")
        }
        return .found
    }

    private func lookInImage(_ path: String) -> Look {
        guard let image else { return .failed(Self.missing) }
        do throws(LinuxError) {
            let found = try image.resolve(path)
            switch view.region(of: found.path) {
            case .runtime, .host: return .found
            case .hidden: return .failed("is a link to '\(found.path)', which the sandbox profile hides")
            case .kernel: return .failed("is not a program")
            case .image: break
            }
            guard found.status.st_mode & S_IFMT == S_IFREG else { return .failed("is not a file") }
            return found.mayExecute ? .found : .failed("may not be executed by '\(user.name)'")
        } catch {
            if error.errno == ENOENT || error.errno == ENOTDIR { return .failed(Self.missing) }
            return .failed("cannot be reached: \(errorText(error.errno))")
        }
    }

    /// Inside, the working directory is at its path without links.
    private func translate(_ path: String) -> String {
        guard let given, let canonical, given != canonical, InsideView.contains(given, path) else { return path }
        return canonical + path.dropFirst(given.count)
    }
}

extension SandboxError {
    static func workingDirectory(_ path: String, _ why: String, hint: String?) -> SandboxError {
        SandboxError(
            code: "sandbox.working-directory", message: "The working directory '\(path)' cannot be used: \(why).",
            hint: hint)
    }

    /// `image` is the name of the step's image, when it has one.
    static func programNotFound(
        _ name: String, step: String, _ why: String, image: String? = nil
    ) -> SandboxError {
        SandboxError(
            code: "sandbox.program-not-found", message: "Step '\(step)' cannot start '\(name)': it \(why).",
            hint: image.map { "Name a program of the image '\($0)', or one in the working directory or the artifacts." }
                ?? "Name a program of the host or the working directory, or one that an init step makes in the artifacts."
        )
    }
}
