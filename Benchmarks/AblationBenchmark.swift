import Foundation
import Glibc
import PostludeCore
import PostludeSandbox
import PostludeSpec

/// What each layer of the isolation costs: the launch of `/bin/true` without it, beside the launch with all of them. What
/// a layer costs ahead, while a warden is prepared, is a column of its own.
struct AblationBenchmark {
    var places: Places
    var rounds: Int

    /// What a launch goes without.
    private struct Variant {
        var name: String
        /// Left out by the warden that only tests and benchmarks build.
        var layer: String?
        var change: (inout SandboxProfile) -> Void = { _ in }

        static var all: [Variant] {
            [
                Variant(name: "everything in force"),
                Variant(name: "without the seccomp program") { $0.seccomp = "allow-all" },
                Variant(name: "without the network namespace") { $0.network = .host },
                Variant(name: "without hidden directories") {
                    $0.hide = []
                    $0.hideInHome = []
                },
                Variant(name: "without Landlock", layer: "landlock"),
                Variant(name: "without the pid namespace", layer: "pid-namespace"),
                Variant(name: "without the ipc namespace", layer: "ipc-namespace"),
                Variant(name: "without the uts namespace", layer: "uts-namespace"),
                Variant(name: "without the cgroup namespace", layer: "cgroup-namespace"),
                Variant(name: "without dropping capabilities", layer: "capabilities"),
                Variant(name: "without resource limits", layer: "resource-limits"),
                Variant(name: "without closing descriptors", layer: "descriptors"),
                Variant(name: "without a keyring of its own", layer: "keyring"),
                Variant(name: "without nosuid", layer: "nosuid"),
            ]
        }

        init(name: String, layer: String? = nil, change: @escaping (inout SandboxProfile) -> Void = { _ in }) {
            self.name = name
            self.layer = layer
            self.change = change
        }
    }

    private struct Row {
        var variant: Variant
        var sandbox: Sandbox
        var profile: SandboxProfile
        var launches = Samples()
        var preparations = Samples()
    }

    func run() async throws {
        let scratch = try Scratch()
        let seccomp = try programs(scratch)
        guard let main = try ProfileCatalog.load(directory: "\(places.profiles)/sandbox")["main"] else {
            throw BenchmarkError("there is no profile 'main' in \(places.profiles)/sandbox")
        }
        var rows: [Row] = []
        for (index, variant) in Variant.all.enumerated() {
            var profile = main
            variant.change(&profile)
            let sandbox = try Sandbox(
                configuration: SandboxConfiguration(
                    wardenPath: try warden(without: variant.layer, scratch), seccompDirectory: seccomp, poolSize: 1,
                    cgroupName: "postlude-bench-\(getpid())-\(index)"))
            rows.append(Row(variant: variant, sandbox: sandbox, profile: profile))
        }
        defer { for row in rows { row.sandbox.shutdown() } }

        let launcher = LaunchBenchmark(places: places, rounds: rounds)
        for round in -3..<rounds {
            for index in rows.indices.shuffled() {
                let row = rows[index]
                let start = now()
                try row.sandbox.fillPool(for: [row.profile])
                let prepared = now() - start
                // So that what a preparation or a removal leaves to the kernel is not paid by the launch.
                try await Task.sleep(for: .milliseconds(30))
                let launched = try await launcher.launch(
                    row.sandbox, row.profile, scratch, (round + 3) * rows.count + index, refills: false)
                guard round >= 0 else { continue }
                rows[index].launches.add(launched)
                rows[index].preparations.add(prepared)
            }
        }
        print(rows)
    }

    private func print(_ rows: [Row]) {
        let (launch, preparation) = (rows[0].launches.median, rows[0].preparations.median)
        Swift.print(
            "What each layer costs: /bin/true, \(rounds) rounds, interleaved in random order; ahead is what is done before there "
                + "is anything to launch.\n")
        Swift.print(
            table(
                ["", "launch p50 ms", "x everything", "ahead p50 ms", "x everything"],
                rows.map { row in
                    [
                        row.variant.name, milliseconds(row.launches.median), ratio(row.launches.median, to: launch),
                        milliseconds(row.preparations.median), ratio(row.preparations.median, to: preparation),
                    ]
                }))
        Swift.print()
    }

    /// The profiles, and one that allows everything.
    private func programs(_ scratch: borrowing Scratch) throws -> String {
        let directory = try scratch.directory("seccomp")
        for name in try FileManager.default.contentsOfDirectory(atPath: "\(places.profiles)/seccomp") {
            try FileManager.default.copyItem(
                atPath: "\(places.profiles)/seccomp/\(name)", toPath: "\(directory)/\(name)")
        }
        try #"{"defaultAction": "SCMP_ACT_ALLOW"}"#.write(
            toFile: "\(directory)/allow-all.json", atomically: true, encoding: .utf8)
        return directory
    }

    private func warden(without layer: String?, _ scratch: borrowing Scratch) throws -> String {
        guard let layer else { return places.warden }
        let path = "\(try scratch.directory("wardens"))/warden-without-\(layer)"
        try FileManager.default.copyItem(atPath: "\(places.programs)/postlude-knockout", toPath: path)
        return path
    }
}
