import PostludePlan

/// Plans, requests and records that use every case there is.
enum Samples {
    static let mounts: [MountOperation] = [
        .bind(source: 3, target: "/usr", readOnly: true, devices: false, recursive: true),
        .tmpfs(target: "/tmp", bytes: 1 << 30, inodes: 4096, mode: 0o1777, noExec: false),
        .proc(target: "/proc"), .devpts(target: "/dev/pts"), .mqueue(target: "/dev/mqueue"),
        .directory(target: "/home/zoë", mode: 0o700, uid: 1000, gid: 1000),
        .symlink(target: "/bin", text: "usr/bin"),
        .file(target: "/plx-context/context.json", content: [0x7b, 0, 0xff, 0x7d], mode: 0o444, uid: 0, gid: 0),
        .mask(target: "/proc/kcore"), .readOnly(target: "/dev"),
    ]

    static func step(_ name: String, _ role: StepPlan.Role) -> StepPlan {
        StepPlan(
            name: name, role: role, program: "/usr/bin/python3", arguments: ["python3", "-c", "print('héllo')", ""],
            environment: ["PATH=/bin", "EMPTY="], workingDirectory: "/home/zoë",
            limits: [CgroupWrite(.cpu, "cpu.max", "max 100000", isRequired: false)], mounts: mounts, uid: 1000,
            gid: 1000, groups: [44, 1000], resourceLimits: [ResourceLimit(resource: 7, soft: 1024, hard: .max)],
            seccomp: role == .main ? 1 : nil, deviceFilter: role == .main ? 2 : nil, standardOutput: 4,
            standardError: 5,
            logBytes: 65536, usesHostNetwork: role == .initialize, landlock: 0x8000_0009,
            fileRules: [FileRule(path: "/", access: 13), FileRule(path: "/tmp", access: .max)],
            coreScheduling: role == .main)
    }

    static let plan = LaunchPlan(
        attempt: "0198c0de.1", hostname: "postlude", journal: 0,
        limits: [CgroupWrite(.memory, "memory.max", "1073741824"), CgroupWrite(.pids, "pids.max", "100")],
        network: .loopback, timeoutMilliseconds: 60_000, graceMilliseconds: 1000,
        steps: [step("init-0", .initialize), step("sidecar-a", .sidecar), step("main", .main)])

    static let request = PrepareRequest(
        cgroups: [.unified: "/sys/fs/cgroup/unified/x", .memory: "/sys/fs/cgroup/memory/x"], isHybrid: true,
        makesNetworkNamespace: true, bringsLoopbackUp: true, template: mounts)

    static let receipt = StepReceipt(
        namespaces: ["pid": 4_026_532_000, "net": 1], hostNamespaces: ["pid": 2, "net": 1], cgroupText: "0::/x/main\n",
        limits: ["memory/memory.max": "1073741824"], deviceFilterPrograms: [17, 18], seccompMode: 2, seccompFilters: 1,
        noNewPrivileges: true, capabilities: [0, 0, 0, 0, 0], uid: 1000, gid: 1000, groups: [44], mounts: 27,
        writableMounts: ["/tmp", "/with space"], landlockABI: 7, landlockRules: 63, startTime: 4711, hasCgroup: false,
        hasCoreCookie: true)

    /// As it comes from wardens that knew less.
    static let olderReceipt: StepReceipt = {
        var older = receipt
        older.landlockABI = 0
        older.landlockRules = 0
        older.startTime = 0
        older.hasCgroup = true
        older.hasCoreCookie = false
        return older
    }()

    static var counters: StepCounters {
        var counters = StepCounters()
        counters.wallNanoseconds = 5
        counters.peakMemoryBytes = .max
        counters.logBytesDropped = 0
        return counters
    }

    static let bodies: [JournalRecord.Body] = [
        .accepted(attempt: "x.1", wardenPID: 4711),
        .stepStarted(step: 2, name: "main", pid: 99, receipt: receipt),
        .stepExited(step: 0, name: "init-0", exit: .code(-1), usage: StepCounters()),
        .stepExited(step: 1, name: "sidecar-a", exit: .signal(9, coreDumped: true), usage: counters),
        .stepExited(
            step: 2, name: "main", exit: .setupFailed(stage: .seccomp, index: 7, errno: 22), usage: counters),
        .stepExited(step: 2, name: "main", exit: .unknown, usage: counters),
        .stopping(.requested), .stopping(.timeout), .stopping(.mainEnded),
        .ended(.mainExited, step: 2, exit: .code(0)), .ended(.initFailed, step: 0, exit: .code(1)),
        .ended(.setupFailed, step: nil, exit: .setupFailed(stage: .plan, index: 0, errno: 1)),
        .ended(.stopRequested, step: 2, exit: .unknown),
        .ended(.timeout, step: 2, exit: .signal(15, coreDumped: false)),
    ]

    static let journal: [JournalRecord] = bodies.enumerated().map { index, body in
        JournalRecord(
            sequence: UInt64(index), wallMicroseconds: 1_700_000_000_000_000 + Int64(index),
            bootNanoseconds: UInt64(index),
            body: body)
    }
}

/// A small generator with a seed: failures can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
