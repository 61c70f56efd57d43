import Glibc
import PostludeLinux

/// Runs a program of the host's to its end, with no environment but what it is given, and keeps the end of what it says.
struct ChildProcess {
    /// Looked for in the directories of the host's own programs.
    var program: String
    var arguments: [String]
    var environment: [String]
    /// The program is killed then.
    var seconds: Int
    /// Looked at each second; the program is killed when it gives a reason.
    var objection: () -> ImageError? = { nil }

    static let directories = ["/usr/local/bin", "/usr/bin", "/bin"]

    /// Where a program is; nil when it is not installed.
    static func find(_ program: String) -> String? {
        directories.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    /// - Throws: `image.tool-missing`, `image.tool-failed` with what the program said, `image.cancelled`, or the
    ///   objection.
    func run(until stop: StopSignal) throws(ImageError) {
        guard let path = Self.find(program) else { throw .toolMissing(program) }
        do {
            let pipe = try OwnedDescriptor.pipe(readerNonBlocking: true)
            let pid = try spawn(path, output: pipe.writer.rawValue)
            let child = try ProcessDescriptor(pid: pid)
            let reader = try OwnedDescriptor(duplicating: pipe.reader.rawValue)
            // Only the child's own copy is left then, and its end shows.
            try wait(for: child, reading: reader, until: stop)
        } catch let error as ImageError {
            throw error
        } catch let error as LinuxError {
            throw ImageError("image.tool-failed", "\(program) cannot be run: \(error.message)", hint: error.hint)
        } catch {
            throw ImageError("image.tool-failed", "\(program) cannot be run: \(error)")
        }
    }

    private func wait(
        for child: borrowing ProcessDescriptor, reading output: borrowing OwnedDescriptor, until stop: StopSignal
    ) throws {
        var said: [UInt8] = []
        var reason: ImageError?
        let end = ContinuousClock.now.advanced(by: .seconds(seconds))
        var next = ContinuousClock.now.advanced(by: .seconds(1))
        // A negative one is not looked at: one that has ended, or has been heeded.
        var events = [child.descriptor.rawValue, output.rawValue, stop.descriptor].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        while events[0].revents == 0 {
            guard poll(&events, 3, 1000) >= 0 || errno == EINTR else { throw LinuxError(last: "poll") }
            Self.read(output.rawValue, into: &said)
            if events[1].revents & Int16(POLLHUP) != 0 { events[1].fd = -1 }
            guard events[0].revents == 0, reason == nil else { continue }
            if events[2].revents != 0 {
                reason = ImageError(ImageError.cancelledCode, "\(program) was stopped.", isTemporary: true)
                events[2].fd = -1
            } else if ContinuousClock.now >= end {
                reason = .tooSlow(program, seconds)
            } else if ContinuousClock.now >= next {
                reason = objection()
                next = ContinuousClock.now.advanced(by: .seconds(1))
            }
            if reason != nil { try child.signal(SIGKILL) }
        }
        let reaped = try child.reap(block: true)
        Self.read(output.rawValue, into: &said)
        if let reason { throw reason }
        guard reaped?.end == .code(0) else {
            throw ImageError.failed(program, reaped?.end, String(decoding: said, as: UTF8.self))
        }
    }

    /// Keeps the last few thousand bytes.
    private static func read(_ descriptor: Int32, into said: inout [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return }
            said += buffer[..<count]
            if said.count > 8192 { said.removeFirst(said.count - 8192) }
        }
    }

    /// It dies with this thread, which waits for it: nothing goes on writing when the agent is gone.
    private func spawn(_ path: String, output: Int32) throws(LinuxError) -> pid_t {
        var words = [path] + arguments
        if let guardian = Self.find("setpriv") { words = [guardian, "--pdeathsig", "KILL", "--"] + words }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var all = sigset_t()
        sigfillset(&all)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for word in argv + envp { free(word) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, words[0], &actions, &attributes, &argv, &envp)
        guard code == 0 else { throw LinuxError("posix_spawn", words[0], errno: code) }
        return pid
    }
}

/// Tells a blocking call that nobody waits for it any more.
final class StopSignal: Sendable {
    private let reader: OwnedDescriptor
    private let writer: OwnedDescriptor

    init() throws(ImageError) {
        do {
            let pipe = try OwnedDescriptor.pipe()
            reader = try OwnedDescriptor(duplicating: pipe.reader.rawValue)
            writer = try OwnedDescriptor(duplicating: pipe.writer.rawValue)
        } catch {
            throw .system("make", "a pipe", error.errno)
        }
    }

    var descriptor: Int32 { reader.rawValue }

    func raise() {
        var byte: UInt8 = 1
        _ = write(writer.rawValue, &byte, 1)
    }
}

extension ImageError {
    static func toolMissing(_ program: String) -> ImageError {
        ImageError(
            "image.tool-missing", "\(program) is not installed, and without it no OCI image can be had.",
            hint: "apt-get install \(program), or map the image to a `directory`.")
    }

    static func tooSlow(_ program: String, _ seconds: Int) -> ImageError {
        ImageError("image.tool-failed", "\(program) had not ended after \(seconds) s and was killed.")
    }

    static func failed(_ program: String, _ end: ProcessEnd?, _ said: String) -> ImageError {
        let lines = said.split(whereSeparator: \.isNewline).map { $0.trimmingBlanks() }.filter { !$0.isEmpty }
        let how =
            switch end {
            case .code(let code)?: "ended with code \(code)"
            case .signal(let signal, _)?: "was ended by signal \(signal)"
            case nil: "ended"
            }
        let words = lines.suffix(3).joined(separator: " | ")
        return ImageError(
            "image.tool-failed", "\(program) \(how)\(words.isEmpty ? "" : ": \(String(words.suffix(1000)))").",
            hint: "Look at the image with umoci and skopeo, or get it again.")
    }
}

extension Substring {
    fileprivate func trimmingBlanks() -> String {
        var rest = self
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
