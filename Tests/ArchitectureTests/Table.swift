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
        Row("PostludeSpec", ours: ["PostludeCore"], others: ["Foundation", "Yams"]),
        // Linked into the static warden, so no Foundation.
        Row("PostludePlan"),
        Row("PostludeLinux", ours: ["CLinux"], others: ["Glibc", "Synchronization"]),
        Row("PostludeWarden", ours: ["PostludePlan", "PostludeLinux"], others: ["Glibc"]),
        Row(
            "PostludeSandbox", ours: ["PostludeCore", "PostludePlan", "PostludeLinux", "CSeccomp"],
            others: ["Foundation", "Glibc", "Synchronization"]),
        Row(
            "PostludeDevices", ours: ["PostludeCore", "PostludeLinux"],
            others: ["Foundation", "Glibc", "Synchronization"]),
        Row("PostludeStore", ours: ["PostludeCore"], others: ["Foundation", "GRDB", "Synchronization"]),
        Row(
            "PostludeEngine",
            ours: ["PostludeCore", "PostludeSpec", "PostludeSandbox", "PostludeDevices", "PostludeStore"],
            others: ["Foundation", "Glibc", "Logging", "ServiceLifecycle", "Synchronization"]),
        Row("PostludeReports", ours: ["PostludeCore"]),
        // The client speaks HTTP over a unix socket.
        Row(
            "PostludeAPI", ours: ["PostludeCore"],
            others: ["AsyncHTTPClient", "Foundation", "NIOCore", "NIOFoundationCompat", "NIOHTTP1", "NIOPosix"]),
        Row(
            "PostludeServer", ours: ["PostludeCore", "PostludeEngine", "PostludeAPI", "PostludeReports"],
            others: [
                "Foundation", "Glibc", "HTTPTypes", "Hummingbird", "Logging", "NIOCore", "NIOPosix", "ServiceLifecycle",
                "Synchronization",
            ]),
        Row(
            "PostludeCLI", ours: ["PostludeCore", "PostludeAPI", "PostludeSpec", "PostludeReports"],
            others: ["ArgumentParser", "Foundation", "Glibc", "Synchronization"]),
        Row("postlude", ours: ["PostludeCLI"], others: ["ArgumentParser"]),
        // The only place that wires concrete types.
        Row(
            "postluded",
            ours: [
                "PostludeCore", "PostludeSpec", "PostludeSandbox", "PostludeDevices", "PostludeStore",
                "PostludeEngine", "PostludeServer",
            ],
            others: ["ArgumentParser", "Foundation", "Glibc", "Logging", "ServiceLifecycle", "Synchronization"]),
    ]
}
