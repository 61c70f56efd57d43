import Foundation
import Testing

/// Texts that people see, kept as files beside the tests. With POSTLUDE_RECORD set they are written anew.
enum Snapshot {
    static func check(
        _ name: String, _ lines: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Snapshots/\(name).txt")
        let text = lines.map { $0 + "\n" }.joined()
        if ProcessInfo.processInfo.environment["POSTLUDE_RECORD"] != nil {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            return
        }
        let known = try String(contentsOf: file, encoding: .utf8)
        #expect(text == known, "POSTLUDE_RECORD=1 swift test writes \(name).txt anew", sourceLocation: sourceLocation)
    }
}
