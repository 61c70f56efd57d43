import Foundation
import NIOCore
import PostludeCore
import Testing

@testable import PostludeAPI

/// Streams that break off, because the client drops the connection or the agent is killed, go on where they were.
@Suite(.enabled(if: isRoot)) struct StreamResumeTests {
    private struct Dropped: Error {}

    private static let operation = """
        version: 1.1
        kind: operation
        hooks:
          - trigger: succeeded
            component:
              name: after
              run: {kind: job, container: {command: [/bin/sh, -c, "echo hooked"]}}
        component:
          run:
            kind: job
            container:
              command: [/bin/sh, -c]
              args: ["echo one; until [ -e go1 ]; do sleep 0.02; done; echo two; until [ -e go2 ]; do sleep 0.02; done; echo three"]

        """

    /// The events after the last one that was seen, as its id says, until the stream ends or enough has been seen.
    private func follow(
        _ agent: OwnAgent, _ run: RunID, _ seen: Collected<ServerSentEvent>,
        until isEnough: @Sendable @escaping ([ServerSentEvent]) -> Bool = { _ in false }
    ) async throws {
        let last = await seen.items.last?.id ?? ""
        let request = Transport.Request(
            target: RequestTarget("runs", run.description, "events"),
            headers: last.isEmpty ? [] : [("last-event-id", last)], deadline: nil)
        var parser = ServerSentEventParser()
        do {
            try await Transport(socketPath: agent.socket).send(request) { head in
                #expect(head.status == 200)
            } body: { buffer in
                for event in parser.feed(buffer.readableBytesView) {
                    await seen.add(event)
                    // Events that came with this one are lost with the connection.
                    if isEnough(await seen.items) { throw Dropped() }
                }
            }
        } catch is Dropped {
            return
        } catch let error as ClientError where error.kind == .lost || error.kind == .notRunning {
            return
        }
    }

    /// The output of main after the bytes that were seen, until it ends or enough has been seen.
    private func read(_ agent: OwnAgent, _ run: RunID, _ seen: Collected<UInt8>, until enough: Int? = nil) async throws
    {
        do {
            try await AgentClient(socketPath: agent.socket).logs(
                of: run.description, stream: .stdout, follow: true, offset: Int64(await seen.items.count)
            ) { buffer in
                for byte in buffer.readableBytesView { await seen.add(byte) }
                if let enough, await seen.items.count >= enough { throw Dropped() }
            }
        } catch is Dropped {
            return
        } catch let error as ClientError where error.kind == .lost || error.kind == .notRunning {
            return
        }
    }

    private func start(_ agent: OwnAgent) async throws -> Command {
        let daemon = try agent.daemon()
        while true {
            do {
                _ = try await AgentClient(socketPath: agent.socket).health()
                return daemon
            } catch {
                // Not yet.
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    private func has(_ subject: String, _ events: [ServerSentEvent]) -> Bool {
        events.contains { $0.name == "status" && $0.data.contains("\"subject\":\"\(subject)\"") }
    }

    @Test(arguments: [SIGTERM, SIGKILL])
    func `events and output go on by their numbers, without loss or repeat`(signal: Int32) async throws {
        try await OwnAgent.run { agent in
            let first = try await start(agent)
            let submission = Submission(
                path: "op.yaml", text: Self.operation, workingDirectory: agent.work.path, name: "resumed")
            let run = try await AgentClient(socketPath: agent.socket).submit(submission).summary.id
            let events = Collected<ServerSentEvent>()
            let output = Collected<UInt8>()

            // A dropped connection: after the second event, and after the first line.
            try await follow(agent, run, events) { $0.count == 2 }
            try await follow(agent, run, events) { $0.contains { $0.name == "step" } }
            try await read(agent, run, output, until: 4)
            #expect(String(decoding: await output.items, as: UTF8.self) == "one\n")

            // An agent that ends in the middle of both streams; the run goes on meanwhile.
            async let cutEvents: Void = follow(agent, run, events)
            async let cutOutput: Void = read(agent, run, output)
            #expect(kill(first.pid, signal) == 0)
            await agent.awaitEnd()
            try await cutEvents
            try await cutOutput
            _ = await first.result()
            try agent.write("", to: "go1")

            let second = try await start(agent)
            try await read(agent, run, output, until: 8)
            #expect(String(decoding: await output.items, as: UTF8.self) == "one\ntwo\n")
            try agent.write("", to: "go2")
            try await read(agent, run, output)
            try await follow(agent, run, events) { [self] in has("succeeded", $0) }
            try await follow(agent, run, events)

            let all = Collected<ServerSentEvent>()
            try await follow(agent, run, all)
            #expect(await events.items == all.items)
            #expect(await all.items.last?.name == StreamEvent.end)
            let numbers = await all.items.dropLast().compactMap { Int64($0.id) }
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 })
            #expect(String(decoding: await output.items, as: UTF8.self) == "one\ntwo\nthree\n")
            let detail = try await AgentClient(socketPath: agent.socket).run(run.description)
            #expect(detail.summary.status == .succeeded && detail.hooks.map(\.status) == [.succeeded], "\(detail)")
            // From the very end on, there is only the end.
            try await follow(agent, run, all)
            #expect(await all.items.suffix(2).map(\.name) == [StreamEvent.end, StreamEvent.end])
            withExtendedLifetime(second) {}
        }
    }
}
