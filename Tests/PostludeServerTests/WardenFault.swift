import Foundation
import Testing

/// System calls of a warden that fail, or are slow, for as long as this is there. It is static and has one thread, so
/// strace(1) stands between it and the kernel: the program is the one that is shipped, and is told what a failing kernel
/// tells.
final class WardenFault: Sendable {
    static let program = "/usr/bin/strace"

    private let strace: Process

    /// - Parameters:
    ///   - faults: calls and what becomes of them, such as `fsync,fdatasync:error=EIO`.
    ///   - pid: the warden; its steps are left alone.
    ///   - path: only calls on this file.
    init(_ faults: [String], in pid: Int32, path: String? = nil) async throws {
        let (strace, handle) = try Self.attach(faults, pid, path)
        self.strace = strace
        // Where it says so, every thread is held by it.
        let said = await Command.blocking {
            var said = ""
            while !said.contains(" attached") {
                let data = handle.availableData
                if data.isEmpty { break }
                said += String(decoding: data, as: UTF8.self)
            }
            return said
        }
        guard said.contains(" attached") else { throw Unavailable(words: said) }
    }

    private static func attach(
        _ faults: [String], _ pid: Int32, _ path: String?
    ) throws -> (Process, FileHandle) {
        let strace = Process()
        strace.executableURL = URL(fileURLWithPath: program)
        let calls = faults.compactMap { $0.split(separator: ":").first }.joined(separator: ",")
        strace.arguments =
            ["-o", "/dev/null", "-p", "\(pid)", "-e", "trace=\(calls)"]
            + faults.flatMap { ["-e", "inject=\($0)"] } + (path.map { ["-P", $0] } ?? [])
        let messages = Pipe()
        strace.standardInput = FileHandle.nullDevice
        strace.standardOutput = FileHandle.nullDevice
        strace.standardError = messages
        // It ends at SIGINT, which the threads of tasks block, and what they start would too.
        var (none, mask) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &mask)
        defer { pthread_sigmask(SIG_SETMASK, &mask, nil) }
        try strace.run()
        return (strace, messages.fileHandleForReading)
    }

    struct Unavailable: Error { var words: String }

    /// Returns when the process runs by itself again.
    func end() async {
        strace.interrupt()
        let strace = strace
        await Command.blocking { strace.waitUntilExit() }
    }

    /// Runs the body under the faults.
    static func during<Value>(
        _ faults: [String], in pid: Int32, path: String? = nil,
        _ body: () async throws -> Value
    ) async throws -> Value {
        let fault = try await WardenFault(faults, in: pid, path: path)
        let outcome: Swift.Result<Value, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        await fault.end()
        return try outcome.get()
    }

    /// Whether this machine lets one process trace another.
    static let isPossible: Bool = {
        guard geteuid() == 0, access(program, X_OK) == 0 else { return false }
        let strace = Process()
        strace.executableURL = URL(fileURLWithPath: program)
        strace.arguments = ["-qq", "-o", "/dev/null", "-e", "inject=chdir:error=EIO", "/bin/sh", "-c", "! cd /"]
        strace.standardError = FileHandle.nullDevice
        do { try strace.run() } catch { return false }
        strace.waitUntilExit()
        return strace.terminationStatus == 0
    }()
}
