import Foundation
import Glibc
import PostludeCore
import Testing

@testable import PostludeEngine

/// Runs that write more than they may, to a real disk and to one that is nearly full.
@Suite(.enabled(if: TestNode.isAble, "needs root and the warden"), .timeLimit(.minutes(3)))
struct EngineDiskTests {
    private static let often = DiskWatch.Settings(pauses: 0.05...0.1, trustSeconds: 1)
    private static let limit: Int64 = 50 << 20

    /// Goes on until it is ended, with a hook that says what main's end was.
    private static func job(_ script: String, storage: Int64? = limit, grace: Double = 5) -> PostludeCore.Operation {
        .script(
            script + "\nexec sleep 600",
            hooks: [.script("alert", #"cat "$POSTLUDE_CONTEXT""#, trigger: .failed)], storage: storage,
            termination: Termination(maxRetries: 3, graceSeconds: grace))
    }

    /// Ends for what it wrote, once, and its hook knows.
    private func expectDiskLimit(_ detail: RunDetail, _ engine: Engine) async throws {
        #expect(detail.summary.status == .failed && detail.summary.reason == "DiskLimit", "\(detail.conditions)")
        #expect(detail.summary.message.hasSuffix(" bytes on disk, more than their limit of \(Self.limit)."))
        #expect(detail.statuses.suffix(2) == [.stopping, .failed] && detail.attempts.count == 1)
        #expect(detail.step("main")?.exit == .signal(9, coreDumped: false))
        #expect(detail.step("main")?.usage?.wallSeconds != nil)
        #expect(detail.hooks.first?.status == .succeeded, "\(detail.hooks)")
        let hook = try #require(detail.hooks.first?.run)
        #expect(try await engine.output(hook).contains("DiskLimit"))
    }

    @Test func `a job above its limit of storage ends at once, and its hook runs`() async throws {
        let node = try TestNode(disk: Self.often)
        try await node.running { engine in
            // It is deaf to the polite signal, and has ten minutes of grace.
            let id = try await node.submit(
                Self.job(
                    #"""
                    trap '' TERM
                    dd if=/dev/zero of="$POSTLUDE_ARTIFACTS/x" bs=1M count=200 status=none
                    """#, grace: 600), to: engine)
            let detail = try await engine.finish(id)
            try await self.expectDiskLimit(detail, engine)
            let size = try #require(detail.attempts.last?.artifactsBytes)
            #expect(size > Self.limit && size <= 210 << 20)
            let usage = try await engine.usage(for: Engine.root)
            #expect(usage.first { $0.hookName == nil && $0.step == "main" }?.artifactsBytes == size)
        }
    }

    @Test func `an init step and a sidecar are held to it as well`() async throws {
        let node = try TestNode(disk: Self.often)
        let fill = #"head -c 80M /dev/zero > "$POSTLUDE_ARTIFACTS/x"; exec sleep 600"#
        try await node.running { engine in
            for (initial, sidecars) in [([fill], []), ([], [fill])] as [([String], [String])] {
                let operation = PostludeCore.Operation.script(
                    "exec sleep 600", initial: initial, sidecars: sidecars, storage: Self.limit)
                let detail = try await engine.finish(try await node.submit(operation, to: engine))
                #expect(detail.summary.reason == "DiskLimit", "\(detail.conditions)")
            }
        }
    }

    @Test func `a sparse file counts as what is written of it`() async throws {
        let node = try TestNode(disk: Self.often)
        try await node.running { engine in
            let sparse = try await engine.finish(
                try await node.submit(
                    .script(#"truncate -s 10G "$POSTLUDE_ARTIFACTS/x""#, storage: Self.limit), to: engine))
            #expect(sparse.summary.status == .succeeded)
            #expect(try #require(sparse.attempts.last?.artifactsBytes) < 1 << 20)
            let id = try await node.submit(
                Self.job(
                    #"truncate -s 10G "$POSTLUDE_ARTIFACTS/x"; head -c 60M /dev/zero > "$POSTLUDE_ARTIFACTS/y""#),
                to: engine)
            let detail = try await engine.finish(id)
            try await self.expectDiskLimit(detail, engine)
            let told = try #require(detail.summary.message.split(separator: " ").compactMap { Int64($0) }.first)
            #expect(told < 100 << 20, "\(detail.summary.message)")
        }
    }

    @Test func `many small files count by the blocks that they take`() async throws {
        let node = try TestNode(disk: Self.often)
        try await node.running { engine in
            let id = try await node.submit(
                Self.job(
                    #"""
                    i=0
                    while [ $i -lt 16000 ]; do
                        [ $((i % 1000)) = 0 ] && mkdir "$POSTLUDE_ARTIFACTS/$((i / 1000))"
                        echo x > "$POSTLUDE_ARTIFACTS/$((i / 1000))/$i"
                        i=$((i + 1))
                    done
                    """#), to: engine)
            try await self.expectDiskLimit(try await engine.finish(id), engine)
        }
    }

    @Test func `directories that lie too deep in each other hide nothing`() async throws {
        let node = try TestNode(disk: Self.often)
        try await node.running { engine in
            let id = try await node.submit(
                Self.job(
                    #"""
                    cd "$POSTLUDE_ARTIFACTS"
                    i=0; while [ $i -lt 200 ]; do mkdir d && cd d; i=$((i + 1)); done
                    """#), to: engine)
            let detail = try await engine.finish(id)
            #expect(detail.summary.reason == "DiskLimit" && detail.summary.message.contains("too deep"))
            // What was not looked at is not known.
            #expect(detail.attempts.last?.artifactsBytes == nil)
        }
    }

    @Test func `the next agent holds a run to its limit too`() async throws {
        let node = try TestNode(disk: Self.often)
        let id = try await node.running { engine in
            let id = try await node.submit(
                Self.job(
                    #"""
                    until [ -e "$POSTLUDE_ARTIFACTS/go" ]; do sleep 0.02; done
                    head -c 80M /dev/zero > "$POSTLUDE_ARTIFACTS/x"
                    """#), to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            return id
        }
        try await node.running { engine in
            let running = try await engine.detail(id, for: Engine.root)
            #expect(running.summary.status == .running && running.attempts.last?.artifactsBytes == nil)
            try Data().write(to: URL(filePath: "\(running.artifacts)/go"))
            try await self.expectDiskLimit(try await engine.finish(id), engine)
        }
    }

    @Test func `a run that was evicted when the agent died is killed by the next`() async throws {
        let node = try TestNode()
        let id = try await node.running { engine in
            let id = try await node.submit(Self.job("trap '' TERM", grace: 600), to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            return id
        }
        do {
            // Stored, and nobody there to do it.
            let dying = try node.engine()
            let eviction = Eviction(.diskLimit, "It takes 2 bytes on disk, more than their limit of \(Self.limit).")
            let applied = try await dying.store.apply(.evicted(attempt: 1, eviction), to: id, at: .now)
            #expect(applied.owed.map(\.effect.kind) == [.evict])
            try dying.leave()
        }
        try await node.running { engine in
            try await self.expectDiskLimit(try await engine.finish(id), engine)
        }
    }

    @Test func `a run that fills the disk in the grace period of its stop is killed, and stays stopped`() async throws {
        let node = try TestNode(disk: Self.often)
        let operation = PostludeCore.Operation.script(
            #"""
            trap 'head -c 80M /dev/zero > "$POSTLUDE_ARTIFACTS/x"; exec sleep 600' TERM
            echo up
            while :; do sleep 0.02; done
            """#, storage: Self.limit, termination: Termination(graceSeconds: 600))
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            while try await engine.output(id).isEmpty { await Task.yield() }
            try await engine.stop(id, for: Engine.root)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .stopped, "\(detail.conditions)")
            #expect(detail.summary.message.contains("killed at once"), "\(detail.summary.message)")
        }
    }

    // MARK: the reserve

    private static let reserve = DiskWatch.Settings(
        reserve: DiskReserve(configuredBytes: 24 << 20), pauses: 0.01...0.05, trustSeconds: 0.2)
    private static let neighbour = UserIdentity(name: "uid-4321", uid: 4321, gid: 4321, home: "/nonexistent")

    /// Writes three megabytes, then waits.
    private static let patient = #"""
        head -c 3M /dev/zero > "$POSTLUDE_ARTIFACTS/x"
        until [ -e "$POSTLUDE_ARTIFACTS/go" ]; do sleep 0.02; done
        """#

    @Test func `who fills the disk down to the reserve ends, another user's run goes on, and nothing new is taken`()
        async throws
    {
        let node = try TestNode(disk: Self.reserve, stateDisk: "size=96m,mode=755")
        try await node.running { engine in
            let beside = try await node.submit(.script(Self.patient), to: engine, as: Self.neighbour)
            _ = try await engine.wait(for: beside) { $0.summary.status == .running }
            // 96 MiB, a little at a time, as a log grows that nobody looks at.
            let id = try await node.submit(
                Self.job(
                    #"""
                    i=0
                    while [ $i -lt 400 ]; do
                        head -c 256k /dev/zero >> "$POSTLUDE_ARTIFACTS/x"; i=$((i + 1)); sleep 0.01
                    done
                    """#, storage: nil), to: engine)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .failed && detail.summary.reason == "DiskPressure", "\(detail.conditions)")
            #expect(detail.summary.message.contains("less than the reserve of \(24 << 20)"))
            #expect(detail.hooks.first?.status == .succeeded, "\(detail.hooks)")
            // Its artifacts are there still, and so is the shortage.
            #expect(try #require(detail.attempts.last?.artifactsBytes) > 40 << 20)
            do {
                _ = try await node.submit(.script("true"), to: engine)
                Issue.record("taken")
            } catch let error as EngineError {
                #expect(error.code == "engine.disk-pressure" && error.kind == .unavailable)
                #expect(error.message.contains("less than the reserve") && error.hint?.isEmpty == false)
            }
            let untouched = try await engine.detail(beside, for: Engine.root)
            #expect(untouched.summary.status == .running)
            try FileManager.default.removeItem(atPath: "\(detail.artifacts)/x")
            let next = try await engine.finish(try await node.submit(.script("true"), to: engine))
            #expect(next.summary.status == .succeeded)
            try Data().write(to: URL(filePath: "\(untouched.artifacts)/go"))
            #expect(try await engine.finish(beside).summary.status == .succeeded)
        }
    }

    @Test func `the end of a run that has filled the disk to the last byte is stored, and its hook's as well`()
        async throws
    {
        let settings = DiskWatch.Settings(reserve: DiskReserve(configuredBytes: 0), pauses: 60...60)
        let node = try TestNode(disk: settings, stateDisk: "size=96m,mode=755")
        try await node.running { engine in
            let ballast = "\(node.directory.path)/state/store/ballast"
            #expect(access(ballast, F_OK) == 0)
            let id = try await node.submit(
                .script(
                    #"head -c 200M /dev/zero > "$POSTLUDE_ARTIFACTS/x"; sleep 0.3; exit 3"#,
                    hooks: [.script("after", "true")]), to: engine)
            // The disk is full for as long as it takes: nobody makes room.
            let detail = try await engine.wait(for: id) { $0.summary.status.isFinal }
            #expect(detail.summary.status == .failed && detail.step("main")?.exit == .code(3), "\(detail.conditions)")
            #expect(detail.hooks.first?.outcome == .fired)
            #expect(access(ballast, F_OK) != 0)
            try FileManager.default.removeItem(atPath: "\(detail.artifacts)/x")
            _ = try await engine.finish(id)
            let next = try await engine.finish(try await node.submit(.script("true"), to: engine))
            #expect(next.summary.status == .succeeded)
            #expect(access(ballast, F_OK) == 0)
        }
    }

    @Test func `files that have no name any more are seen by the reserve, and given back`() async throws {
        let node = try TestNode(disk: Self.reserve, stateDisk: "size=96m,mode=755")
        try await node.running { engine in
            let id = try await node.submit(
                Self.job(
                    #"""
                    exec 3> "$POSTLUDE_ARTIFACTS/x"; rm "$POSTLUDE_ARTIFACTS/x"
                    i=0
                    while [ $i -lt 400 ]; do head -c 256k /dev/zero >&3; i=$((i + 1)); sleep 0.01; done
                    """#), to: engine)
            let detail = try await engine.finish(id)
            #expect(detail.summary.reason == "DiskPressure", "\(detail.conditions)")
            let next = try await engine.finish(try await node.submit(.script("true"), to: engine))
            #expect(next.summary.status == .succeeded)
        }
    }

    @Test func `a flood of empty files ends before there are none left`() async throws {
        let node = try TestNode(disk: Self.reserve, stateDisk: "size=96m,mode=755,nr_inodes=10000")
        try await node.running { engine in
            let beside = try await node.submit(.script(Self.patient), to: engine, as: Self.neighbour)
            _ = try await engine.wait(for: beside) { $0.summary.status == .running }
            let id = try await node.submit(
                Self.job(
                    #"""
                    exec python3 -c '
                    import os, itertools, time
                    for i in itertools.count():
                        try: os.close(os.open(os.environ["POSTLUDE_ARTIFACTS"] + "/%d" % i, os.O_CREAT))
                        except OSError: pass
                        if i % 100 == 0: time.sleep(0.01)
                    '
                    """#), to: engine)
            let detail = try await engine.finish(id)
            #expect(detail.summary.reason == "DiskPressure", "\(detail.conditions)")
            #expect(detail.summary.message.contains(" files available"), "\(detail.summary.message)")
            try FileManager.default.removeItem(atPath: detail.artifacts)
            let untouched = try await engine.detail(beside, for: Engine.root)
            #expect(untouched.summary.status == .running)
            try Data().write(to: URL(filePath: "\(untouched.artifacts)/go"))
            #expect(try await engine.finish(beside).summary.status == .succeeded)
        }
    }

    @Test func `nobody looks at the disk while nothing runs`() async throws {
        let node = try TestNode(disk: Self.often)
        try await node.running { engine in
            let id = try await node.submit(.script("until [ -e go ]; do sleep 0.02; done"), to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            #expect(engine.inbox.isWatchingDisk)
            try Data().write(to: URL(filePath: "\(node.work)/go"))
            _ = try await engine.finish(id)
            // It ends with the attempt's watch, a moment after the run.
            while engine.inbox.isWatchingDisk { await Task.yield() }
            let again = try await engine.finish(try await node.submit(.script("true"), to: engine))
            #expect(again.summary.status == .succeeded)
        }
    }
}
