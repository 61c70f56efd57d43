import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// Output and events of real runs.
@Suite(.enabled(if: isRoot)) struct StreamTests {
    @Test func `events come in order, each once, and end when the run and its hooks are final`() async throws {
        let hooks = """
            hooks:
              - trigger: succeeded
                component:
                  name: after
                  run: {kind: job, container: {command: [/bin/true]}}
              - trigger: failed
                component:
                  name: never
                  run: {kind: job, container: {command: [/bin/true]}}
            """
        try await LiveAgent.run { agent in
            let run = try await agent.client.submit(agent.submission("true", hooks: hooks)).summary.id
            let events = try await agent.settled(run)
            #expect(zip(events, events.dropFirst()).allSatisfy { $0.sequence < $1.sequence })
            let detail = try await agent.client.run(run.description)
            #expect(detail.hooks.map(\.outcome) == [.fired, .triggerMismatch])
            let hook = try #require(detail.hooks[0].run)
            #expect(detail.hooks[0].status == .succeeded)
            #expect(Set(events.map(\.run)) == [run, hook])
            #expect(events.last { $0.run == hook }?.subject == "succeeded")
            let mainEnd = try #require(events.firstIndex { $0.run == run && $0.subject == "succeeded" })
            let hookStart = try #require(
                events.firstIndex { $0.run == hook && $0.kind == .step && $0.what == "started" })
            #expect(mainEnd < hookStart)

            // From the middle on: the same events, from there.
            let middle = events[events.count / 2]
            let rest = Collected<RunEvent>()
            try await agent.client.events(of: run.description, after: middle.sequence) { await rest.add($0) }
            #expect(await rest.items == events.filter { $0.sequence > middle.sequence })
        }
    }

    @Test func `output is followed while the step writes, and ends with it`() async throws {
        try await LiveAgent.run { agent in
            // The script goes on only when the follower has seen the first line: it is no later read of a finished file.
            let gate = agent.directory.appendingPathComponent("gate")
            try FileManager.default.createDirectory(at: gate, withIntermediateDirectories: true)
            var submission = agent.submission(
                "echo one; until [ -e go ]; do sleep 0.01; done; printf 'two\\nend'; echo bad >&2")
            submission.workingDirectory = gate.path
            let run = try await agent.client.submit(submission).summary.id
            let seen = Collected<UInt8>()
            try await agent.client.logs(of: run.description, stream: .stdout, follow: true) { buffer in
                for byte in buffer.readableBytesView { await seen.add(byte) }
                if await seen.items.count == 4 { try Data().write(to: gate.appendingPathComponent("go")) }
            }
            #expect(String(decoding: await seen.items, as: UTF8.self) == "one\ntwo\nend")
            _ = try await agent.settled(run)
            #expect(try await agent.log(run) == "one\ntwo\nend")
            #expect(try await agent.log(run, offset: 4) == "two\nend")
            #expect(try await agent.log(run, offset: 1_000_000) == "")
            #expect(try await agent.log(run, .stderr, follow: true) == "bad\n")
        }
    }

    @Test func `large output comes through whole`() async throws {
        try await LiveAgent.run { agent in
            let run = try await agent.client.submit(
                agent.submission(
                    "i=0; while [ $i -lt 20000 ]; do echo line-$i-xxxxxxxxxxxxxxxxxxxxxxxx; i=$((i+1)); done")
            ).summary.id
            let lines = try await agent.log(run, follow: true).split(separator: "\n")
            #expect(lines.count == 20_000 && lines.last == "line-19999-xxxxxxxxxxxxxxxxxxxxxxxx")
        }
    }

    @Test func `a step that never was and never will be is refused, also when followed`() async throws {
        try await LiveAgent.run { agent in
            let run = try await agent.client.submit(agent.submission("true")).summary.id
            _ = try await agent.settled(run)
            for follow in [false, true] {
                let error = await #expect(throws: ClientError.self) {
                    try await agent.log(run, step: "../main", follow: follow)
                }
                #expect(error?.kind == .refused(status: 404) && error?.code == "engine.unknown-step")
            }
        }
    }

    @Test func `a stop ends the run and its streams`() async throws {
        try await LiveAgent.run { agent in
            let run = try await agent.client.submit(agent.submission("echo up; exec sleep 1000")).summary.id
            let seen = Collected<UInt8>()
            try await agent.client.logs(of: run.description, stream: .stdout, follow: true) { buffer in
                await seen.add(0)
                _ = try await agent.client.stop(run.short)
            }
            #expect(await seen.items.count == 1)
            _ = try await agent.settled(run)
            #expect(try await agent.client.run(run.description).summary.status == .stopped)
        }
    }

    @Test func `an agent that ends cuts its streams, and clients can tell`() async throws {
        let cut = await #expect(throws: ClientError.self) {
            try await LiveAgent.run { agent in
                let run = try await agent.client.submit(agent.submission("exec sleep 1000")).summary.id
                // The stream outlives the test's body: it ends when the agent does.
                let (started, start) = AsyncStream<Void>.makeStream()
                async let events: Void = agent.client.events(of: run.description) { _ in start.finish() }
                for await _ in started {}
                _ = try await agent.client.stop(run.description)
                try await events
                throw ClientError(.lost, "test.done", "The stream ended as it should.")
            }
        }
        #expect(cut?.code == "test.done")
    }
}
