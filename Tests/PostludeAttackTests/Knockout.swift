import Foundation
import PostludeCore
import PostludeLinux
import PostludePlan
import Testing

@testable import PostludeSandbox

/// One layer (or two that stand in for each other) of the isolation, and how a test launches without it. What the plan
/// says is taken out of the plan; what the warden does unasked is left out by a program that only tests build.
struct Knockout: Sendable, CustomTestStringConvertible {
    var name: String
    /// What `warden-without-<this>` leaves out; nil takes the warden that is installed.
    var warden: String?
    var change: @Sendable (inout LaunchPlan, DescriptorList) throws -> Void = { _, _ in }
    /// What is different in the mounts, those of the template and those of the plan.
    var mounts: @Sendable ([MountOperation]) -> [MountOperation] = { $0 }
    /// Whether the host's root is shown instead of a new one.
    var isHostRoot = false
    /// Whether an init step leaves traps behind; not where they would stay on the host.
    var hasTraps: Bool { !isHostRoot && warden != "ipc-namespace" }
    /// What would take the ground from under the attacks after it.
    var excluded: Set<String> { name.hasPrefix("seccomp+capabilities") ? ["FS01", "FS02", "FS03", "A04"] : [] }

    var testDescription: String { name }

    static let program: String? = {
        let path = "\(SandboxFixture.root)/.build/debug/postlude-knockout"
        return access(path, X_OK) == 0 ? path : nil
    }()

    /// A warden that leaves layers out, known to it by its own file's name.
    static func program(without layers: String) throws -> String {
        let directory = FileManager.default.temporaryDirectory.appending(path: "postlude-knockout-\(getpid())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let path = directory.appending(path: "warden-without-\(layers)").path
        if access(path, X_OK) != 0 { try FileManager.default.copyItem(atPath: try #require(program), toPath: path) }
        return path
    }

    static let all: [Knockout] = [
        Knockout(name: "none"),
        Knockout(name: "seccomp") { plan, _ in plan.eachStep { $0.seccomp = nil } },
        Knockout(name: "device-filter") { plan, _ in plan.eachStep { $0.deviceFilter = nil } },
        Knockout(name: "network-namespace") { plan, _ in plan.network = .host },
        Knockout(name: "network-namespace+landlock") { plan, _ in
            plan.network = .host
            plan.eachStep { $0.landlock = 0 }
        },
        Knockout(name: "device-filter+landlock") { plan, _ in
            plan.eachStep {
                $0.deviceFilter = nil
                $0.landlock = 0
            }
        },
        Knockout(name: "seccomp+landlock") { plan, _ in
            plan.eachStep {
                $0.seccomp = nil
                $0.landlock = 0
            }
        },
        Knockout(name: "landlock", warden: "landlock"),
        Knockout(
            name: "masks",
            mounts: { mounts in
                mounts.filter { if case .mask = $0 { false } else { true } }
            }),
        Knockout(name: "read-only", mounts: eachBind(writable)),
        Knockout(
            name: "read-only+landlock", change: { plan, _ in plan.eachStep { $0.landlock = 0 } },
            mounts: eachBind(writable)),
        Knockout(
            name: "nodev",
            mounts: eachBind { source, target, readOnly, _, recursive in
                .bind(source: source, target: target, readOnly: readOnly, devices: true, recursive: recursive)
            }),
        Knockout(name: "new-root", isHostRoot: true),
        Knockout(name: "capabilities", warden: "capabilities"),
        Knockout(name: "seccomp+capabilities", warden: "capabilities") { plan, _ in
            plan.eachStep { $0.seccomp = nil }
        },
        Knockout(name: "seccomp+capabilities+landlock", warden: "capabilities") { plan, _ in
            plan.eachStep {
                $0.seccomp = nil
                $0.landlock = 0
            }
        },
        // Without no_new_privs the kernel takes neither from a process without rights, so all go.
        Knockout(name: "seccomp+landlock+no-new-privileges", warden: "landlock+no-new-privileges") { plan, _ in
            plan.eachStep { $0.seccomp = nil }
        },
        Knockout(
            name: "seccomp+landlock+no-new-privileges+nosuid", warden: "landlock+no-new-privileges+nosuid"
        ) { plan, _ in
            plan.eachStep { $0.seccomp = nil }
        },
        Knockout(name: "nosuid", warden: "nosuid"),
        Knockout(name: "pid-namespace", warden: "pid-namespace"),
        Knockout(name: "ipc-namespace", warden: "ipc-namespace"),
        Knockout(name: "uts-namespace", warden: "uts-namespace"),
        Knockout(name: "cgroup-namespace", warden: "cgroup-namespace"),
        Knockout(name: "resource-limits", warden: "resource-limits"),
        Knockout(name: "descriptors", warden: "descriptors"),
        Knockout(name: "dumpable", warden: "dumpable"),
        Knockout(name: "keyring", warden: "keyring"),
    ]

    init(
        name: String, warden: String? = nil, isHostRoot: Bool = false,
        change: @escaping @Sendable (inout LaunchPlan, DescriptorList) throws -> Void = { _, _ in },
        mounts: @escaping @Sendable ([MountOperation]) -> [MountOperation] = { $0 }
    ) {
        self.name = name
        self.warden = warden
        self.change = change
        self.mounts = mounts
        self.isHostRoot = isHostRoot
    }

    /// The template as this leaves it. Without a new root that is the host's, all of it, with a fresh /proc: what a step
    /// sees whose mounts were forgotten. Read-only, for as root the attacks would change the host in earnest.
    func template(_ template: inout [MountOperation], _ descriptors: DescriptorList) throws {
        guard isHostRoot else { return template = mounts(template) }
        template = [.proc(target: "/proc")]
        for entry in try HostRoot.read().entries where entry.name != "proc" {
            let path = "/" + entry.name
            if case .link(let text) = entry.kind {
                template.append(.symlink(target: path, text: text))
            } else {
                let source = try descriptors.add(try OwnedDescriptor.open(path, OwnedDescriptor.pathOnly))
                template.append(.bind(source: source, target: path, readOnly: true, devices: true, recursive: true))
            }
        }
    }

    /// The plan likewise.
    func plan(_ plan: inout LaunchPlan, _ descriptors: DescriptorList) throws {
        try change(&plan, descriptors)
        plan.eachStep { step in
            step.mounts = isHostRoot ? [] : mounts(step.mounts)
            // Inside is outside: the run's own places are not there.
            if isHostRoot { step.fileRules.removeAll { access($0.path, F_OK) != 0 } }
        }
    }

    private static let writable: @Sendable (DescriptorIndex, String, Bool, Bool, Bool) -> MountOperation = {
        .bind(source: $0, target: $1, readOnly: false, devices: $3, recursive: $4)
    }

    private static func eachBind(
        _ change: @escaping @Sendable (DescriptorIndex, String, Bool, Bool, Bool) -> MountOperation
    ) -> @Sendable ([MountOperation]) -> [MountOperation] {
        { mounts in
            mounts.map { mount in
                guard case .bind(let source, let target, let readOnly, let devices, let recursive) = mount else {
                    return mount
                }
                return change(source, target, readOnly, devices, recursive)
            }
        }
    }
}

extension LaunchPlan {
    fileprivate mutating func eachStep(_ change: (inout StepPlan) -> Void) {
        for index in steps.indices { change(&steps[index]) }
    }
}

/// The expected table (`knockout.tsv`): which attacks open up without a layer.
struct KnockoutTable {
    struct Row {
        var opened: Set<String>
        var why: String
    }

    private var rows: [String: Row] = [:]

    static func load() throws -> KnockoutTable {
        guard let path = Bundle.module.path(forResource: "knockout", ofType: "tsv") else {
            throw AttackTable.Failure(description: "knockout.tsv is missing")
        }
        var table = KnockoutTable()
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 4 else { throw AttackTable.Failure(description: "knockout.tsv: \(line)") }
            let opened = Set(fields[2].split(separator: " ").map(String.init).filter { $0 != "-" })
            table.rows["\(fields[0]).\(fields[1])"] = Row(opened: opened, why: fields[3])
        }
        return table
    }

    subscript(layer: String, user: Submitter) -> Row? { rows["\(layer).\(user)"] }
}
