import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// An agent whose log goes to somebody who does not read it.
@Suite(.enabled(if: isRoot, "needs root"), .serialized, .timeLimit(.minutes(2)))
struct LogFaultTests {
    enum Reader: String, CaseIterable { case pipe, socket }

    /// Both ends; what is written to the second comes out of the first.
    private func ends(_ reader: Reader) throws -> (read: FileHandle, write: FileHandle) {
        var pair: [Int32] = [0, 0]
        switch reader {
        case .pipe:
            try #require(pipe(&pair) == 0)
            for end in pair { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        case .socket:
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0)
        }
        return (FileHandle(fileDescriptor: pair[0]), FileHandle(fileDescriptor: pair[1]))
    }

    /// Fills it until it takes no more.
    private func fill(_ descriptor: Int32) throws {
        let flags = fcntl(descriptor, F_GETFL)
        try #require(fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0)
        while Glibc.write(descriptor, String(repeating: "x", count: 4096), 4096) > 0 {}
        while Glibc.write(descriptor, "x", 1) > 0 {}
        // As the agent will find it: it shares what is set here.
        try #require(fcntl(descriptor, F_SETFL, flags) == 0)
    }

    @Test(arguments: Reader.allCases, ["text", "json"])
    func `work goes on, and how many lines were lost is told to whoever reads on`(
        reader: Reader, format: String
    ) async throws {
        try await FaultyAgent.run { agent in
            let (read, write) = try ends(reader)
            try fill(write.fileDescriptor)
            let daemon = Process()
            daemon.executableURL = try LiveAgent.executable("postluded")
            daemon.arguments = [
                "--config", agent.own.directory.appendingPathComponent("postlude.yaml").path, "--log-format", format,
            ]
            daemon.standardInput = FileHandle.nullDevice
            daemon.standardOutput = FileHandle.nullDevice
            daemon.standardError = write
            try daemon.run()
            try await agent.eventually { try await agent.pid() == daemon.processIdentifier }
            var runs: [RunID] = []
            for _ in 0..<3 { runs.append(try await agent.submit(FaultyAgent.job())) }
            for run in runs { _ = try await agent.finish(run) }
            try await agent.expectPromises(runs)
            // From here on somebody reads: what is logged next is there, after a word about what is missing.
            try write.close()
            let everything = Task { await Command.blocking { read.readDataToEndOfFile() } }
            let last = try await agent.submit(FaultyAgent.job())
            _ = try await agent.finish(last)
            #expect(kill(daemon.processIdentifier, SIGTERM) == 0)
            await Command.blocking { daemon.waitUntilExit() }
            #expect(daemon.terminationStatus == 0)
            let text = String(decoding: await everything.value.drop { $0 == UInt8(ascii: "x") }, as: UTF8.self)
            let lines = text.split(separator: "\n")
            let told = try #require(lines.first { $0.contains("log lines were lost, for nobody read them") }, "\(text)")
            let count = try #require(told.firstMatch(of: /lines"?[=:]"?([0-9]+)/).flatMap { Int($0.1) })
            // Ready, submitted and changed, of three runs and six hook runs.
            #expect(count > 10, "\(told)")
            #expect(lines.contains { $0.contains("agent ended") })
            if format == "json" {
                for line in lines { _ = try Wire.decode([String: String].self, from: line.utf8) }
            }
        }
    }
}
