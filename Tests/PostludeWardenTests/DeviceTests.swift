import Glibc
import PostludeLinux
import PostludePlan
import Testing

/// /dev/fuse stands for a leased accelerator, /dev/loop-control for one that was not.
@Suite(.enabled(if: WardenHarness.isRoot && access("/dev/fuse", F_OK) == 0 && access("/dev/loop-control", F_OK) == 0))
struct DeviceTests {
    private static let fuse = DeviceRule(major: 10, minor: 229)

    /// As uid 0, which may open both by their permissions; with both nodes in its /dev.
    private func step(
        _ harness: WardenHarness, _ name: String, _ script: String, devices: [DeviceRule]
    ) throws -> StepPlan {
        var step = try harness.builder.step(name, .main, script: script, devices: devices)
        step.uid = 0
        step.gid = 0
        for path in ["/dev/fuse", "/dev/loop-control"] {
            let operation = MountOperation.bind(
                source: try harness.builder.source(path), target: path, readOnly: false, devices: true, recursive: true)
            step.mounts.insert(operation, at: step.mounts.firstIndex(of: .readOnly(target: "/dev")) ?? 0)
        }
        return step
    }

    @Test func `the filter lets the granted node through and no other`() throws {
        let harness = try WardenHarness()
        let script = """
            (exec 3<>/dev/fuse) && echo fuse
            (exec 3<>/dev/loop-control) 2>&1 && echo loop
            (exec 3</dev/null) && echo null
            mknod /tmp/fuse c 10 229 2>&1
            true
            """
        try harness.launch(
            try harness.builder.plan(steps: [step(harness, "main", script, devices: [Self.fuse])]))
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.lines.contains("fuse"))
        #expect(outcome.lines.contains("null"))
        #expect(!outcome.lines.contains("loop"))
        #expect(outcome.output.contains("/dev/loop-control: Operation not permitted"))
        #expect(outcome.output.contains("mknod: /tmp/fuse: Operation not permitted"))
    }

    @Test func `without a grant the node cannot be opened although it is there`() throws {
        let harness = try WardenHarness()
        try harness.launch(
            try harness.builder.plan(steps: [
                step(harness, "main", "[ -c /dev/fuse ] && echo there; (exec 3<>/dev/fuse) 2>&1; true", devices: [])
            ]))
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.lines.first == "there")
        #expect(outcome.output.contains("Operation not permitted"))
    }

    @Test func `replacing the filter takes effect at once for every later open`() throws {
        let harness = try WardenHarness()
        let gate = harness.directory + "/gate"
        #expect(mkfifo(gate, 0o666) == 0)
        var main = try step(
            harness, "main",
            """
            exec 4<>/dev/fuse && echo opened
            read line < /gate
            (exec 5<>/dev/fuse) 2>&1
            [ -e /proc/self/fd/4 ] && echo 'still open'
            true
            """,
            devices: [Self.fuse])
        main.mounts.append(
            .bind(
                source: try harness.builder.source(gate), target: "/gate", readOnly: false, devices: false,
                recursive: true))
        try harness.launch(try harness.builder.plan(steps: [main]))
        // Opening for writing waits until the step opened it for reading, which is after it opened the device.
        let writer = try OwnedDescriptor.open(gate, O_WRONLY)
        let cgroup = try Cgroup(opening: harness.unifiedPath + "/main")
        let before = try DeviceFilter.programs(on: cgroup)
        try DeviceFilter.denyAll(cgroup)
        let after = try DeviceFilter.programs(on: cgroup)
        #expect(before.count == 1 && after.count == 1 && before != after)
        try writer.write(Array("go\n".utf8))
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.lines.first == "opened")
        #expect(outcome.output.contains("Operation not permitted"))
        #expect(outcome.lines.contains("still open"))
    }
}
