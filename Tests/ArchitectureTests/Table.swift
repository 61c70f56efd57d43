/// One row of the table of targets in the design: who may import whom.
struct Row: Sendable {
    var target: String
    /// Targets of ours.
    var ours: Set<String>
    /// Modules of packages and of the system.
    var others: Set<String>

    init(_ target: String, ours: Set<String> = [], others: Set<String> = []) {
        self.target = target
        self.ours = ours
        self.others = others
    }
}

/// The table of the design's section 7, with what each target may take from outside. A module that is missing here is
/// refused: whoever adds an import adds it to this table, in the same change, with a reason.
enum Table {
    static let rows: [Row] = [
        Row("CLinux"),
        Row("CSeccomp"),
        // Pure: no input, no output, no clock, so no Foundation and no Glibc.
        Row("PostludeCore"),
        // CYaml is libyaml as Yams brings it along, see YAMLEvents.
        Row("PostludeSpec", ours: ["PostludeCore"], others: ["CYaml", "Foundation"]),
        // Linked into the static warden, as are the next two: no Foundation.
        Row("PostludePlan"),
        Row("PostludeLinux", ours: ["CLinux"], others: ["Glibc"]),
        Row("PostludeWarden", ours: ["PostludePlan", "PostludeLinux"], others: ["Glibc"]),
        // Static as well: it runs inside sandboxes.
        Row("PostludeOutput", ours: ["PostludeCore"], others: ["Glibc"]),
        // Below whatever commits or has effects: the places at which a test can have the agent die.
        Row("PostludeFailpoints", others: ["Glibc", "Synchronization"]),
        // CLinux for structures that the kernel fills in and PostludeLinux has no use for.
        Row(
            "PostludeSandbox",
            ours: ["PostludeCore", "PostludeFailpoints", "PostludePlan", "PostludeLinux", "CLinux", "CSeccomp"],
            others: ["Foundation", "Glibc", "Synchronization"]),
        // CLinux for pidfd_getfd, which tells an agent without root what a run's process has open.
        Row("PostludeDevices", ours: ["PostludeCore", "CLinux"], others: ["Glibc"]),
        // Its own executor, since libdispatch's wakes up each second; below whatever waits or blocks.
        Row("PostludeThreads", ours: ["CLinux"], others: ["Glibc", "Synchronization"]),
        Row(
            "PostludeStore", ours: ["PostludeCore", "PostludeFailpoints", "PostludeThreads"],
            others: ["Foundation", "GRDB", "Glibc", "Synchronization"]),
        // OCI layouts, unpacked by umoci; blocks for as long as that takes, away from the engine's threads.
        Row(
            "PostludeImages", ours: ["PostludeCore", "PostludeLinux", "PostludeThreads"],
            others: ["Glibc", "Synchronization"]),
        Row(
            "PostludeEngine",
            ours: [
                "PostludeCore", "PostludeFailpoints", "PostludeSpec", "PostludeSandbox", "PostludeImages",
                "PostludeDevices", "PostludeStore", "PostludeThreads",
            ],
            others: ["Foundation", "Glibc", "Logging", "ServiceLifecycle", "Synchronization"]),
        Row("PostludeReports", ours: ["PostludeCore"]),
        // The client speaks HTTP over a unix socket. FoundationEssentials starts faster than all of Foundation.
        Row(
            "PostludeAPI", ours: ["PostludeCore"],
            others: ["FoundationEssentials", "Glibc", "NIOCore", "NIOHTTP1", "NIOPosix"]),
        Row(
            "PostludeServer",
            ours: ["PostludeCore", "PostludeEngine", "PostludeAPI", "PostludeReports", "PostludeThreads"],
            others: [
                "Dispatch", "Glibc", "HTTPTypes", "Hummingbird", "HummingbirdCore", "Logging", "NIOCore", "NIOHTTP1",
                "NIOPosix", "ServiceLifecycle", "Synchronization",
            ]),
        Row(
            "PostludeCLI", ours: ["PostludeCore", "PostludeAPI", "PostludeSpec", "PostludeReports"],
            others: ["ArgumentParser", "Dispatch", "FoundationEssentials", "Glibc", "NIOCore", "Synchronization"]),
        Row("postlude", ours: ["PostludeCLI"]),
        // The only place that wires concrete types.
        Row(
            "postluded",
            ours: [
                "PostludeCore", "PostludeSpec", "PostludeSandbox", "PostludeDevices", "PostludeStore",
                "PostludeEngine", "PostludeAPI", "PostludeServer", "PostludeThreads", "PostludeFailpoints",
            ],
            others: [
                "ArgumentParser", "FoundationEssentials", "Glibc", "Logging", "ServiceLifecycle", "Synchronization",
            ]),
    ]
}
