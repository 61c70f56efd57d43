import Foundation
import Testing

@testable import PostludeSandbox

/// In a mount namespace of their own, where nobody else mounts.
@Suite struct MountTableTests {
    @Test func `only what stays mounted or unmounted makes another table`() throws {
        let namespace = try Namespace()
        defer { namespace.end() }
        let table = try MountTable(path: "/proc/\(namespace.pid)/mountinfo")
        let (changes, generation) = (table.changes, table.generation)

        try namespace.run("mount -t tmpfs none /mnt && umount /mnt")
        #expect(table.changes > changes, "the kernel told of no change")
        #expect(table.generation == generation)

        try namespace.run("mount -t tmpfs none /mnt")
        let mounted = table.generation
        #expect(mounted != generation)
        #expect(table.generation == mounted)

        // Another file system at the same place is another table.
        try namespace.run("umount /mnt && mount -t tmpfs -o ro none /mnt")
        let other = table.generation
        #expect(other != mounted)

        try namespace.run("umount /mnt")
        #expect(table.generation != other)
    }
}

/// A process that waits in a mount namespace of its own.
private struct Namespace {
    private let process = Process()
    private let input = Pipe()
    var pid: Int32 { process.processIdentifier }

    init() throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        // It says when it is there: until then its table is this process's.
        process.arguments = ["--mount", "--propagation", "private", "sh", "-c", "echo; exec cat"]
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try #require(output.fileHandleForReading.availableData == Data("\n".utf8))
    }

    func run(_ script: String) throws {
        let command = Process()
        command.executableURL = URL(fileURLWithPath: "/usr/bin/nsenter")
        command.arguments = ["--mount=/proc/\(pid)/ns/mnt", "sh", "-c", script]
        try command.run()
        command.waitUntilExit()
        try #require(command.terminationStatus == 0, "\(script)")
    }

    /// It ends with its input.
    func end() {
        do { try input.fileHandleForWriting.close() } catch {
            // It ends with this process at the latest.
        }
        process.waitUntilExit()
    }
}
