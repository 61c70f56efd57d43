import Foundation
import PostludeCore
import Testing

/// A receiver on loopback that is a program of its own, and what came in there.
final class Receiver {
    enum Mode: String, CaseIterable, Sendable { case accept, refuse, hang, absent }

    let port: Int
    private let process = Process()
    private let output = Pipe()
    /// The receiver ends when this is closed: the test's process may block signals, and then its children do.
    private let input = Pipe()
    private var hasEnded = false

    init(_ program: String, _ mode: Mode, _ arguments: String...) throws {
        let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Receivers")
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments =
            ["-I", "-B", directory.appendingPathComponent("\(program).py").path, mode.rawValue] + arguments
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), byte != Data([0x0a]) { line += byte }
        port = try #require(Int(String(decoding: line, as: UTF8.self)), "the receiver \(program) did not start")
    }

    deinit { end() }

    private func end() {
        guard !hasEnded else { return }
        hasEnded = true
        do { try input.fileHandleForWriting.close() } catch { Issue.record("\(error)") }
    }

    /// What came in, in order; ends the receiver.
    func received() throws -> [[String: Value]] {
        end()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return try data.split(separator: 0x0a).map { try JSONDecoder().decode([String: Value].self, from: Data($0)) }
    }
}

extension [String: Value] {
    /// A text at a path of keys; empty when it is not there.
    func text(_ path: String...) -> String {
        var value: Value? = .dict(self)
        for name in path {
            guard case .dict(let entries)? = value else { return "" }
            value = entries[name]
        }
        if case .string(let text)? = value { return text }
        return ""
    }

    /// The bytes of the body that came in.
    var body: Data { Data(base64Encoded: text("body")) ?? Data() }

    /// The body, which is a JSON object.
    func json() throws -> [String: Value] { try JSONDecoder().decode([String: Value].self, from: body) }
}
