import PostludeCore
import Testing

@testable import PostludeStore

@Suite struct StoreAccountingTests {
    private func placed(_ directory: TemporaryDirectory) async throws -> (Store, AttemptID) {
        let store = try Store(directory: directory.path)
        _ = try await store.register(Sample.node, at: Sample.time(0))
        let new = Sample.run(devices: 1)
        _ = try await store.submit(new, then: .compiled, at: Sample.time(0))
        return (store, AttemptID(run: new.id, number: 1))
    }

    @Test func `an attempt that never had a step still accounts for its device`() async throws {
        let directory = try TemporaryDirectory()
        let (store, attempt) = try await placed(directory)
        _ = try await store.apply(
            .launchFailed(attempt: 1, code: "sandbox.program-not-found", message: "no program"), to: attempt.run,
            at: Sample.time(3))
        _ = try await store.free(attempt.run)
        let rows = try await store.usage(uid: nil, since: nil)
        #expect(rows.map(\.step) == ["main"])
        let row = try #require(rows.first)
        #expect(row.deviceSeconds == 3)
        #expect(row.devices == ["fuse"])
        #expect(row.usage == nil)
        #expect(row.exit == nil)
    }

    @Test func `a receipt has the kernel's facts and the agent's names`() async throws {
        let directory = try TemporaryDirectory()
        let (store, attempt) = try await placed(directory)
        let names = Receipt(seccompProfile: "main", profile: "main", devices: ["/dev/fuse"])
        _ = try await store.bind(
            attempt, warden: "w", steps: [("main", .main)], names: ["main": names], baselines: [:])
        let before = try #require(try await store.detail(attempt.run)?.attempts.first?.steps.first)
        #expect(before.receipt == nil)
        let kernel = Receipt(seccompMode: 2, noNewPrivileges: true, uid: 1000, mounts: 7)
        _ = try await store.record(
            [
                (0, .accepted(at: Sample.time(1))),
                (1, .stepStarted(step: "main", pid: 7, receipt: kernel, at: Sample.time(2))),
            ], of: attempt, at: Sample.time(2))
        let receipt = try #require(try await store.detail(attempt.run)?.attempts.first?.steps.first?.receipt)
        var expected = kernel
        expected.profile = "main"
        expected.seccompProfile = "main"
        expected.devices = ["/dev/fuse"]
        #expect(receipt == expected)
    }
}
