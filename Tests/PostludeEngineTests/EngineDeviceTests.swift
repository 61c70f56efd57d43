import Foundation
import Glibc
import PostludeCore
import PostludeSpec
import Testing

@testable import PostludeEngine

/// One after the other: agents of other tests know nothing of each other's leases on the same device.
@Suite(
    .serialized, .enabled(if: TestNode.isAble && DeclaredNode.isAble, "needs root, the warden and a device"),
    .timeLimit(.minutes(2)))
struct EngineDeviceTests {
    private let declared: DeclaredNode
    private var device: Device { declared.device }
    private var path: String { device.nodes[0].path }

    init() throws { declared = try DeclaredNode() }

    /// As with a display server: nobody has written down that it had the device before, for the launch came to nothing.
    @Test func `a device that was leased and never granted is free again, whoever had it before`() async throws {
        let node = try TestNode(devices: [device])
        var operation = PostludeCore.Operation.script("true", devices: [device.deviceClass: 1])
        operation.component.job.container.connections = [ConnectionReference("gone")]
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let (detail, statuses) = try await node.running { [operation] engine in
            let detail = try await engine.finish(try await node.submit(operation, to: engine))
            return (detail, try await engine.deviceStatuses())
        }
        #expect(detail.summary.status == .failed && detail.summary.reason == "LaunchFailed")
        #expect(detail.attempts.first?.leases.first?.releasedAt != nil)
        #expect(statuses.map(\.state) == [.idle])
    }

    /// P1: the hook starts after main's cgroup is empty and its device is free, although main left a child that had
    /// forked twice, had a session of its own and held the device open.
    @Test func `a hook starts when nobody of main is left and the device is free`() async throws {
        let node = try TestNode(devices: [device])
        let path = path
        let operation = PostludeCore.Operation.script(
            """
            [ "$TEST_DEVICE" = \(path) ] || exit 9
            (setsid sh -c 'exec 3<>\(path) || exit 1; echo held > "$POSTLUDE_ARTIFACTS/held"; exec sleep 600' \
                </dev/null >/dev/null 2>&1 &)
            for _ in $(seq 500); do [ -e "$POSTLUDE_ARTIFACTS/held" ] && exit 0; sleep 0.01; done; exit 8
            """,
            hooks: [
                .script(
                    "check",
                    """
                    [ ! -e \(path) ] || exit 11
                    (exec 3<>\(path)) 2>/dev/null && exit 12
                    [ "$(ls /proc | grep -c '^[0-9]')" -lt 8 ] || exit 13
                    [ -z "$TEST_DEVICE" ] || exit 14
                    [ -e "$POSTLUDE_MAIN_ARTIFACTS/held" ] || exit 15
                    touch "$POSTLUDE_MAIN_ARTIFACTS/x" 2>/dev/null && exit 16
                    [ -e "$POSTLUDE_MAIN_LOGS/main.stdout.log" ] || exit 17
                    exit 0
                    """)
            ], devices: [device.deviceClass: 1])
        let (device, isEmptyAtHook) = try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            let hooked = try await engine.wait(for: id) { $0.hooks.first?.run != nil }
            // From here on the hook may run: main's cgroup has to be empty already.
            let attempt = try #require(try await engine.store.attempt(AttemptID(run: id, number: 1)))
            let warden = try #require(try engine.identity(attempt))
            let isEmpty = try engine.sandbox.isEmpty(warden, stepsOnly: true)
            let status = try await engine.deviceStatuses()
            #expect(hooked.attempts.first?.leases.first?.releasedAt != nil)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
            let hook = try #require(detail.hooks.first)
            let run = try await engine.detail(try #require(hook.run), for: Engine.root)
            #expect(run.step("main")?.exit == .code(0))
            let released = try #require(detail.attempts.first?.leases.first?.releasedAt)
            let started = try #require(run.step("main")?.startedAt)
            #expect(released <= started)
            return (status, isEmpty)
        }
        #expect(isEmptyAtHook)
        #expect(device.map(\.state) == [.idle])
    }

    @Test func `two runs that want one device have it one after the other`() async throws {
        let node = try TestNode(devices: [device])
        let path = path
        let operation = PostludeCore.Operation.script("exec 3<>\(path) && sleep 0.2", devices: [device.deviceClass: 1])
        try await node.running { engine in
            let ids = [
                try await node.submit(operation, to: engine), try await node.submit(operation, to: engine),
                try await node.submit(operation, to: engine),
            ]
            var leases: [LeaseRecord] = []
            for id in ids {
                let detail = try await engine.finish(id)
                #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
                leases += detail.attempts.flatMap(\.leases)
            }
            for (earlier, later) in zip(leases, leases.dropFirst()) {
                #expect(try #require(earlier.releasedAt) <= later.leasedAt)
            }
            let intervals = try await engine.store.intervals(of: device.id)
            for (earlier, later) in zip(intervals, intervals.dropFirst()) { #expect(earlier.ended == later.began) }
        }
    }

    /// With the profiles that are shipped, on one core and less memory than two hooks may take.
    @Test func `the next run has the device while hooks still run, on a small machine too`() async throws {
        var node = try TestNode(devices: [device], milliCPU: 1000)
        node.memoryBytes = 3 << 30
        node.profiles = try ProfileCatalog.load(directory: "\(TestNode.repository)/profiles/sandbox")
        let word = "\(node.work)/go"
        let first = PostludeCore.Operation.script(
            "true",
            hooks: [.script("slow", "for _ in $(seq 3000); do [ -e '\(word)' ] && exit 0; sleep 0.02; done; exit 1")],
            devices: [device.deviceClass: 1], memory: 64 << 20)
        let second = PostludeCore.Operation.script("true", devices: [device.deviceClass: 1], memory: 64 << 20)
        try await node.running { [node] engine in
            let one = try await node.submit(first, to: engine)
            let next = try await node.submit(second, to: engine)
            let ended = try await engine.wait(for: next) { $0.summary.status.isFinal }
            #expect(ended.summary.status == .succeeded, "\(ended.summary.message)")
            let hook = try #require(try await engine.detail(one, for: Engine.root).hooks.first)
            #expect(hook.outcome == .fired && hook.status?.isFinal == false, "\(hook)")
            try #require(FileManager.default.createFile(atPath: word, contents: nil))
            #expect(try await engine.finish(one).hooks.first?.status == .succeeded)
        }
    }

    @Test func `a run that did not ask for the device cannot open it`() async throws {
        let node = try TestNode(devices: [device])
        let path = path
        try await node.running { engine in
            let detail = try await engine.finish(
                try await node.submit(.script("[ ! -e \(path) ]"), to: engine))
            #expect(detail.summary.status == .succeeded)
        }
    }

    @Test func `a device that somebody else has open is quarantined, and comes back when it is let go`() async throws {
        let node = try TestNode(devices: [device], releaseSeconds: 0.3)
        let path = path
        let operation = PostludeCore.Operation.script(
            #"touch "$POSTLUDE_ARTIFACTS/up"; exec sleep 600"#, hooks: [.script("after", "true")],
            devices: [device.deviceClass: 1])
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            // A process outside every sandbox that was not there before the grant.
            let outsider = Process()
            outsider.executableURL = URL(filePath: "/bin/sh")
            outsider.arguments = ["-c", "exec 3<>\(path); echo open; exec sleep 600"]
            let output = Pipe()
            outsider.standardOutput = output
            try outsider.run()
            _ = output.fileHandleForReading.availableData
            try await engine.stop(id, for: Engine.root)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .stopped)
            #expect(detail.hooks.first?.status == .succeeded)
            let status = try #require(try await engine.deviceStatuses().first)
            #expect(status.state == .quarantined)
            // Agents of other tests hand descriptors to their wardens at any time, and those may be of any device.
            #expect(status.evidence.filter { $0.how != .inFlight }.map(\.pid) == [outsider.processIdentifier])
            kill(outsider.processIdentifier, SIGKILL)
            outsider.waitUntilExit()
            let lease = try await engine.wait(for: id) {
                $0.attempts.first?.leases.first?.releasedAt != nil
            }
            #expect(lease.attempts.first?.leases.first?.quarantinedAt != nil)
            #expect(try await engine.deviceStatuses().first?.state == .idle)
        }
    }
}
