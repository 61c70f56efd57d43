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
    /// Whether the host's root is shown instead of a new one.
    var isHostRoot = false
    /// Whether an init step leaves traps behind; not where they would stay on the host.
    var hasTraps: Bool { !isHostRoot && warden != "ipc-namespace" }
    /// What would take the ground from under the attacks after it.
    var excluded: Set<String> { name == "seccomp+capabilities" ? ["FS01", "FS02", "FS03", "A04"] : [] }

    var testDescription: String { name }

    static let program: String? = {
        let path = "\(SandboxFixture.root)/.build/debug/postlude-knockout"
        return access(path, X_OK) == 0 ? path : nil
    }()

    static let all: [Knockout] = [
        Knockout(name: "none"),
        Knockout(name: "seccomp") { plan, _ in plan.eachStep { $0.seccomp = nil } },
        Knockout(name: "device-filter") { plan, _ in plan.eachStep { $0.deviceFilter = nil } },
        Knockout(name: "network-namespace") { plan, _ in plan.network = .host },
        Knockout(name: "masks") { plan, _ in
            plan.eachStep { step in
                step.mounts.removeAll { if case .mask = $0 { true } else { false } }
            }
        },
        Knockout(name: "read-only") { plan, _ in
            plan.eachBind { source, target, _, devices in
                .bind(source: source, target: target, readOnly: false, devices: devices)
            }
        },
        Knockout(name: "nodev") { plan, _ in
            plan.eachBind { source, target, readOnly, _ in
                .bind(source: source, target: target, readOnly: readOnly, devices: true)
            }
        },
        Knockout(name: "new-root", isHostRoot: true, change: showHostRoot),
        Knockout(name: "capabilities", warden: "capabilities"),
        Knockout(name: "seccomp+capabilities", warden: "capabilities") { plan, _ in
            plan.eachStep { $0.seccomp = nil }
        },
        // Without no_new_privs the kernel takes no filter from a process without rights, so both go.
        Knockout(name: "seccomp+no-new-privileges", warden: "no-new-privileges") { plan, _ in
            plan.eachStep { $0.seccomp = nil }
        },
        Knockout(name: "seccomp+no-new-privileges+nosuid", warden: "no-new-privileges+nosuid") { plan, _ in
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
        change: @escaping @Sendable (inout LaunchPlan, DescriptorList) throws -> Void = { _, _ in }
    ) {
        self.name = name
        self.warden = warden
        self.change = change
        self.isHostRoot = isHostRoot
    }

    /// The host's root with a fresh /proc: what a step sees whose mounts were forgotten. Read-only, for as root the
    /// attacks would change the host in earnest.
    private static let showHostRoot: @Sendable (inout LaunchPlan, DescriptorList) throws -> Void = {
        plan, descriptors in
        let root = try descriptors.add(try OwnedDescriptor.open("/", OwnedDescriptor.pathOnly | O_DIRECTORY))
        plan.eachStep { step in
            step.mounts = [
                .bind(source: root, target: "/", readOnly: true, devices: true), .proc(target: "/proc"),
            ]
        }
    }
}

extension LaunchPlan {
    fileprivate mutating func eachStep(_ change: (inout StepPlan) -> Void) {
        for index in steps.indices { change(&steps[index]) }
    }

    fileprivate mutating func eachBind(
        _ change: (DescriptorIndex, String, Bool, Bool) -> MountOperation
    ) {
        eachStep { step in
            step.mounts = step.mounts.map { mount in
                guard case .bind(let source, let target, let readOnly, let devices) = mount else { return mount }
                return change(source, target, readOnly, devices)
            }
        }
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
