import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// Agents and wardens that somebody stopped (SIGSTOP), and readers that do not read.
@Suite(.enabled(if: isRoot, "needs root"), .serialized, .timeLimit(.minutes(2)))
struct StoppedProcessTests {
    @Test func `what a stopped agent was asked is done once, and its runs go on without it`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let running = try await agent.submitWaiting()
            let pid = try await agent.pid()
            #expect(kill(pid, SIGSTOP) == 0)
            try agent.go()
            let journal = "\(agent.own.state)/runs/\(running)/attempts/1/journal"
            let before = try Data(contentsOf: URL(fileURLWithPath: journal)).count
            try await agent.eventually { try Data(contentsOf: URL(fileURLWithPath: journal)).count > before }
            async let asked = agent.submit(FaultyAgent.job(), key: "one")
            // A client that gives up; the agent must not care.
            let (descriptor, code) = unixSocket(agent.own.socket, connect)
            #expect(code == 0)
            _ = Glibc.write(descriptor, "GET /api/v1/runs HTTP/1.1\r\n", 27)
            close(descriptor)
            #expect(kill(pid, SIGCONT) == 0)
            let run = try await asked
            #expect(try await agent.submit(FaultyAgent.job(), key: "one") == run)
            for run in [running, run] { _ = try await agent.finish(run) }
            try await agent.expectPromises([running, run])
        }
    }

    @Test func `a client says that a stopped agent does not answer`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let pid = try await agent.pid()
            #expect(kill(pid, SIGSTOP) == 0)
            let result = try await agent.own.postlude("ps", "--socket", agent.own.socket)
            #expect(kill(pid, SIGCONT) == 0)
            #expect(result.status != 0 && result.error.contains("api.no-answer"), "\(result)")
            #expect(result.error.contains("has not answered within 30 seconds"), "\(result)")
        }
    }

    @Test func `a stopped warden is let go on: the time limit of its run holds`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submitWaiting(termination: "timeout: 1, gracePeriodSeconds: 1")
            #expect(kill(try agent.warden(of: run), SIGSTOP) == 0)
            let detail = try await agent.finish(run)
            #expect(detail.summary.reason == "Timeout", "\(detail.conditions)")
            #expect(agent.log.contains("a warden was stopped by somebody"))
            try await agent.expectPromises([run], succeeded: false)
        }
    }

    @Test func `a stop reaches a warden that is stopped`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submitWaiting(termination: "gracePeriodSeconds: 1")
            #expect(kill(try agent.warden(of: run), SIGSTOP) == 0)
            _ = try await agent.client.stop(run.description)
            let detail = try await agent.finish(run)
            #expect(detail.summary.status == .stopped, "\(detail.conditions)")
            try await agent.expectPromises([run], succeeded: false)
        }
    }

    @Test func `output that a stopped warden does not take waits in the pipe, and none is lost`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submit(
                FaultyAgent.job(FaultyAgent.waiting + "; seq 200000; echo last"))
            try await agent.eventually { agent.starts(of: run) == 1 }
            #expect(kill(try agent.warden(of: run), SIGSTOP) == 0)
            try agent.go()
            let detail = try await agent.finish(run)
            let log = "\(agent.own.state)/runs/\(run)/attempts/1"
            var text = ""
            try await agent.client.logs(of: run.description, stream: .stdout) {
                text += String(decoding: $0.readableBytesView, as: UTF8.self)
            }
            #expect(
                text.hasPrefix("1\n2\n") && text.hasSuffix("\n200000\nlast\n"), "\(text.count) of \(log), \(detail)")
            #expect(text.count { $0 == "\n" } == 200_001)
            try await agent.expectPromises([run])
        }
    }

    /// 64 MiB of output, and followers of log and events that do not read a byte of theirs.
    @Test func `clients that do not read cost the agent no memory, and nobody waits for them`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submit(
                FaultyAgent.job(FaultyAgent.waiting + "; head -c 64M /dev/zero | tr \"\\\\0\" x"))
            try await agent.eventually { agent.starts(of: run) == 1 }
            var deaf: [Int32] = []
            defer { for descriptor in deaf { close(descriptor) } }
            for path in ["logs?follow=true&stream=stdout&step=main", "events"] {
                for _ in 0..<4 {
                    let (descriptor, code) = unixSocket(agent.own.socket, connect)
                    #expect(code == 0)
                    deaf.append(descriptor)
                    let request = "GET /api/v1/runs/\(run)/\(path) HTTP/1.1\r\nHost: postlude\r\n\r\n"
                    #expect(Glibc.write(descriptor, request, request.utf8.count) == request.utf8.count)
                    // The answer has begun.
                    var byte: UInt8 = 0
                    #expect(recv(descriptor, &byte, 1, 0) == 1)
                }
            }
            let pid = try await agent.pid()
            let before = try memory(of: pid)
            try agent.go()
            _ = try await agent.finish(run)
            // Of eight readers of 64 MiB, had it kept what they do not read.
            #expect(try memory(of: pid) - before < 64 << 20)
            try await agent.expectPromises([run])
        }
    }

    private func memory(of pid: Int32) throws -> Int {
        let pages = try String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8).split(separator: " ")[1]
        return try #require(Int(pages)) * 4096
    }
}
