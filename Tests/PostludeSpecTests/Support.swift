import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// Files beside the tests and the installation's own.
enum Files {
    static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().resolvingSymlinksInPath()
    static let corpus = tests.appendingPathComponent("Corpus")
    static let fixtures = tests.appendingPathComponent("Fixtures")
    static let profiles = tests.deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
        "profiles")

    static func text(_ url: URL) throws -> String { try String(contentsOf: url, encoding: .utf8) }

    /// A directory of the test's own that is gone when the body ends.
    static func withTemporaryDirectory<T>(_ body: (URL) throws -> T) throws -> T {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("spec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        defer {
            do { try FileManager.default.removeItem(at: url) } catch {
                Issue.record("cannot remove \(url.path): \(error)")
            }
        }
        return try body(url)
    }
}

enum Reading {
    static let profiles: Set<String> = ["main", "hook", "notifier"]

    static func hub() throws -> Hub { try Hub(directory: Files.profiles.appendingPathComponent("hub").path) }

    static func submission(_ text: String, path: String = "op.yaml", references: [String: String] = [:]) -> Submission {
        Submission(path: path, text: text, references: references, workingDirectory: "/home/user/project")
    }

    static func read(
        _ text: String, references: [String: String] = [:], params: [String: Value] = [:]
    ) throws
        -> (operation: PostludeCore.Operation?, diagnostics: [Diagnostic])
    {
        var submission = submission(text, references: references)
        submission.params = params
        return OperationReader.read(submission, hub: try hub(), profiles: profiles)
    }

    /// The operation of a text that is valid; fails the test with what was found otherwise.
    static func operation(
        _ text: String, references: [String: String] = [:], params: [String: Value] = [:]
    ) throws
        -> PostludeCore.Operation
    {
        let (operation, diagnostics) = try read(text, references: references, params: params)
        let errors = diagnostics.filter { $0.severity == .error }
        return try #require(operation, "\(errors.map { DiagnosticText.line($0) }.joined(separator: "\n"))")
    }

    static func facts(main: HookResolution.MainContext? = nil) throws -> RunFacts {
        RunFacts(
            id: try #require(RunID("0123456789abcdef0123456789abcdef")), name: "train", project: "digits",
            user: UserIdentity(name: "ada", uid: 1000, gid: 1000, home: "/home/ada"),
            createdAt: Timestamp(microseconds: 1_795_343_438_810_000),
            workingDirectory: main == nil ? "/home/ada/work" : nil, main: main)
    }

    static let job = """
        kind: component
        run:
          kind: job
          container:
            command: [/bin/true]

        """
}
