import Foundation
import Testing

/// Calls of the C library that fail, or are slow, in an agent: Tests/Faults stands between the two. The agent is the one
/// that is shipped, and its wardens are left alone.
struct AgentFaults: Sendable {
    /// As in faults.h.
    enum Kind: Int, Sendable { case sync, write, mkdir, spawn, open, pidfd }

    struct Fault: Sendable, CustomTestStringConvertible {
        var kind: Kind
        /// The errno with which calls fail; 0 for none.
        var code: Int32 = 0
        /// Microseconds for which each call waits.
        var delay: Int32 = 0
        /// Only each so-manieth call fails.
        var every: Int32 = 1

        var testDescription: String { "\(kind): errno \(code), delay \(delay), every \(every)" }
    }

    let path: String

    init(in directory: URL) throws {
        path = directory.appendingPathComponent("faults").path
        try Data(count: 4096).write(to: URL(fileURLWithPath: path))
    }

    /// Has an agent that is started with it look into the file.
    func environment() throws -> [String: String] {
        ["POSTLUDE_FAULTS": path, "LD_PRELOAD": try LiveAgent.executable("libPostludeFaults.so").path]
    }

    func begin(_ fault: Fault) throws { try write([fault.code, fault.delay, fault.every, 0], of: fault.kind) }

    func end(_ kind: Kind) throws { try write([0, 0, 0], of: kind) }

    /// Runs the body under the fault.
    func during<Value>(_ fault: Fault, _ body: () async throws -> Value) async throws -> Value {
        try begin(fault)
        let outcome: Swift.Result<Value, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        try end(fault.kind)
        return try outcome.get()
    }

    private func write(_ fields: [Int32], of kind: Kind) throws {
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try file.seek(toOffset: UInt64(kind.rawValue * 16))
        try file.write(contentsOf: fields.withUnsafeBytes { Data($0) })
        try file.close()
    }
}
