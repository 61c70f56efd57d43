import Foundation
import Glibc
import PostludeCore
import Testing

@testable import PostludeEngine

@Suite struct OutputsFileTests {
    private let directory: TemporaryDirectory
    private var path: String { "\(directory.path)/outputs.json" }

    init() throws { directory = try TemporaryDirectory() }

    private func read(limit: Int = 1000, owner: UInt32 = geteuid()) -> OutputsFile.Reading {
        OutputsFile.read(artifacts: directory.path, owner: owner, limit: limit)
    }

    private func write(_ text: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }

    @Test func `an object becomes values`() throws {
        try write(#"{"accuracy": 0.5, "n": 3, "tags": ["a", null], "best": {"epoch": 2}, "t": "{{ 7*7 }}"}"#)
        #expect(
            read()
                == .values([
                    "accuracy": .double(0.5), "n": .int(3), "tags": .list([.string("a"), .null]),
                    "best": .dict(["epoch": .int(2)]), "t": .string("{{ 7*7 }}"),
                ]))
    }

    @Test func `no file is no outputs`() { #expect(read() == .absent) }

    @Test(arguments: ["", "{", "[1]", "3", #""text""#, "{} trailing", "{\"a\": }"])
    func `what is not one JSON object cannot be used`(text: String) throws {
        try write(text)
        guard case .unusable = read() else {
            Issue.record("taken: \(text)")
            return
        }
    }

    @Test func `a link, a pipe, a directory and a second name of another file are not read`() throws {
        let secret = "\(directory.path)/secret"
        try Data(#"{"a": 1}"#.utf8).write(to: URL(filePath: secret))
        symlink(secret, path)
        #expect(read() == .unusable(reason: "it is a symbolic link"))
        unlink(path)
        link(secret, path)
        #expect(read() == .unusable(reason: "it is another user's file, or has more than one name"))
        unlink(path)
        mkfifo(path, 0o600)
        #expect(read() == .unusable(reason: "it is not a regular file"))
        unlink(path)
        mkdir(path, 0o700)
        #expect(read() == .unusable(reason: "it is not a regular file"))
    }

    @Test func `a file of another user or of too many bytes is not read`() throws {
        try write(#"{"a": 1}"#)
        #expect(read(owner: geteuid() + 1) == .unusable(reason: "it is another user's file, or has more than one name"))
        #expect(read(limit: 4) == .unusable(reason: "it has 8 bytes, more than the 4 that are read"))
        #expect(read(limit: 8) == .values(["a": .int(1)]))
    }

    @Test func `an artifacts directory that is a link is not followed`() throws {
        let link = "\(directory.path)/link"
        symlink(directory.path, link)
        try write("{}")
        guard case .unusable = OutputsFile.read(artifacts: link, owner: geteuid(), limit: 100) else {
            Issue.record("followed")
            return
        }
    }
}
