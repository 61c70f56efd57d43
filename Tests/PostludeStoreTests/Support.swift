import Foundation
import Glibc
import PostludeCore

@testable import PostludeStore

/// A directory of the test's own, removed with it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "postlude-store-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            print("\(path) stays behind: \(error)")
        }
    }
}

/// A small file system of the test's own, so that it can be filled up.
final class SmallDisk: Sendable {
    let path: String

    init(kibibytes: Int) throws {
        path = FileManager.default.temporaryDirectory.appending(path: "postlude-disk-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard mount("postlude-test", path, "tmpfs", 0, "size=\(kibibytes)k") == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
    }

    deinit {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }

    /// Takes all space that is left, but for so many pages.
    func fill(leaving pages: Int = 0) throws {
        let file = open("\(path)/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        let page = [UInt8](repeating: 1, count: 4096)
        while write(file, page, page.count) > 0 {}
        var status = stat()
        if pages > 0, fstat(file, &status) == 0 { ftruncate(file, max(0, status.st_size - off_t(pages * 4096))) }
    }

    func free() { unlink("\(path)/filler") }
}

enum Sample {
    static let user = UserIdentity(name: "ada", uid: 1000, gid: 1000, home: "/home/ada")
    static let device = Device(
        id: "fuse", deviceClass: "example.com/fuse", nodes: [DeviceNode(path: "/dev/fuse", major: 10, minor: 229)])
    static let node = Store.Node(memoryBytes: 1 << 34, milliCPU: 16_000, devices: [device])

    static func time(_ seconds: Int64) -> Timestamp {
        Timestamp(microseconds: 1_700_000_000_000_000 + seconds * 1_000_000)
    }

    static func run(
        hooks: Int = 0, devices: Int = 0, retries: Int = 0, user: UserIdentity = user, key: NewRun.Key? = nil
    ) -> NewRun {
        let component = Component(
            termination: Termination(maxRetries: retries),
            job: JobSpec(container: ContainerSpec(command: ["/bin/true"])))
        let hook = Hook(name: "notify", origin: "inline", component: component)
        let id = RunID.random()
        return NewRun(
            id: id, name: "digits", project: "default", user: user,
            operation: Operation(component: component, hooks: Array(repeating: hook, count: hooks)), inputs: [:],
            artifacts: "/state/\(id)",
            needs: Scheduler.Needs(
                devices: devices > 0 ? ["example.com/fuse": devices] : [:], memoryBytes: 1 << 20, milliCPU: 100),
            key: key)
    }

    static func steps(_ exit: ProcessExit, oomKills: Int64? = nil) -> [(sequence: UInt64, report: AttemptReport)] {
        var usage = StepUsage()
        usage.wallSeconds = 2
        usage.oomKills = oomKills
        return [
            (0, .accepted(at: time(1))),
            (1, .stepStarted(step: "main", pid: 7, receipt: Receipt(), at: time(2))),
            (2, .stepExited(step: "main", exit: exit, usage: usage, at: time(4))),
            (3, .ended(exit: exit, reason: .mainExited, at: time(4))),
        ]
    }
}

extension Store {
    /// Takes a run through an attempt that ends so.
    func play(_ id: RunID, _ exit: ProcessExit = .code(0), attempt: Int = 1) async throws {
        let attemptID = AttemptID(run: id, number: attempt)
        _ = try await bind(attemptID, warden: "w", steps: [("main", .main)], baselines: [:])
        _ = try await record(Sample.steps(exit), of: attemptID, at: Sample.time(5))
    }

    func free(_ id: RunID, attempt: Int = 1, seconds: Int64 = 6) async throws -> Applied<Store.HandedBack> {
        try await handBack(
            AttemptID(run: id, number: attempt), [Run.DeviceVerdict("fuse", .free)], Leavings(),
            at: Sample.time(seconds))
    }
}
