import Foundation
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// Receipts say what is, not what was planned: without a layer that the agent believes in, the receipt is another one, or
/// the launch is refused.
@Suite(
    .serialized,
    .enabled(if: AttackStage.isAvailable && Knockout.program != nil, "needs root, the warden and the attacker"))
struct ReceiptTests {
    /// What a receipt shows when a layer is gone, by the knock-out's name.
    private static let signs: [String: @Sendable (_ whole: Receipt, _ broken: Receipt) -> Bool] = [
        "seccomp": { $0.seccompMode == 2 && $1.seccompMode == 0 && $1.seccompFilters == 0 },
        "device-filter": { !$0.deviceFilterPrograms.isEmpty && $1.deviceFilterPrograms.isEmpty },
        "network-namespace": { !$0.sharedNamespaces.contains("net") && $1.sharedNamespaces.contains("net") },
        "network-namespace+landlock": { $0.landlock != $1.landlock && $1.sharedNamespaces.contains("net") },
        "landlock": {
            ($0.landlock == nil) == (Landlock.abi() == 0) && ($0.landlock == nil || $0.landlock != $1.landlock)
        },
        "device-filter+landlock": { $0.landlock != $1.landlock && $1.deviceFilterPrograms.isEmpty },
        "seccomp+landlock": { $0.landlock != $1.landlock && $1.seccompMode == 0 },
        "read-only+landlock": { $0.landlock != $1.landlock && $1.writableMounts.contains("/usr") },
        "seccomp+capabilities+landlock": {
            !$1.capabilities.values.allSatisfy { $0 == 0 } && $1.seccompMode == 0 && $0.landlock != $1.landlock
        },
        "masks": { $1.mounts < $0.mounts },
        "read-only": { !$0.writableMounts.contains("/usr") && $1.writableMounts.contains("/usr") },
        "new-root": { $0.mounts != $1.mounts },
        "capabilities": {
            $0.capabilities.values.allSatisfy { $0 == 0 } && !$1.capabilities.values.allSatisfy { $0 == 0 }
        },
        "seccomp+capabilities": { !$1.capabilities.values.allSatisfy { $0 == 0 } && $0.seccompMode != $1.seccompMode },
        "seccomp+landlock+no-new-privileges": { $0.noNewPrivileges && !$1.noNewPrivileges },
        "seccomp+landlock+no-new-privileges+nosuid": { $0.noNewPrivileges && !$1.noNewPrivileges },
        "pid-namespace": { !$0.sharedNamespaces.contains("pid") && $1.sharedNamespaces.contains("pid") },
        "ipc-namespace": { !$0.sharedNamespaces.contains("ipc") && $1.sharedNamespaces.contains("ipc") },
        "uts-namespace": { !$0.sharedNamespaces.contains("uts") && $1.sharedNamespaces.contains("uts") },
        "cgroup-namespace": { !$0.sharedNamespaces.contains("cgroup") && $1.sharedNamespaces.contains("cgroup") },
    ]

    /// What a receipt says nothing about, and what stands instead.
    private static let silent: [String: String] = [
        "nodev": "the device filter refuses what a node would open, and it is in the receipt",
        "nosuid": "no_new_privs refuses what a set-uid program would gain, and it is in the receipt",
        "resource-limits": "the attack suite looks at them from inside",
        "descriptors": "the attack suite looks at them from inside",
        "dumpable": "execve(2) sets it anew; it protects the moment before, when a receipt is not written yet",
        "keyring": "the kernel shows a process's session keyring to nobody else",
    ]

    @Test(arguments: Knockout.all.filter { $0.name != "none" })
    func `without a layer the receipt is another one`(knockout: Knockout) async throws {
        guard let sign = Self.signs[knockout.name] else {
            #expect(Self.silent[knockout.name] != nil, "nothing says what the receipt shows")
            return
        }
        let whole = try await receipt(nil, warden: nil)
        let broken = try await receipt(knockout, warden: try knockout.warden.map(Knockout.program))
        #expect(sign(whole, broken), "\(whole)\n\(broken)")
    }

    /// Where the kernel has no Landlock, none can be left out.
    private static let indispensable: [String] =
        ["capabilities", "no-new-privileges", "pid-namespace", "ipc-namespace", "uts-namespace", "cgroup-namespace"]
        + (Landlock.Rules.known(in: Landlock.abi()).isEmpty ? [] : ["landlock"])

    @Test(arguments: indispensable)
    func `a launch without what the plan cannot leave out is refused`(layer: String) async throws {
        let stage = try AttackStage(wardenPath: try Knockout.program(without: "\(layer)+verified"))
        let ended = try await stage.run(try stage.attempt(script: "echo ran"))
        guard case .setupFailed(let where_, _, _)? = ended.exit(of: "main") ?? ended.exit else {
            Issue.record("it ran: \(ended.reports)")
            return
        }
        // Without no_new_privs the kernel refuses seccomp and Landlock, before anybody reads a receipt.
        #expect(where_ == "receipt" || (layer == "no-new-privileges" && ["landlock", "seccomp"].contains(where_)))
        #expect(ended.output["main.stdout"] == "")
        #expect(ended.receipt(of: "main") == nil)
    }

    private func receipt(_ knockout: Knockout?, warden: String?) async throws -> Receipt {
        let stage = try AttackStage(wardenPath: warden)
        let spec = try stage.attempt(script: "exit 0")
        let ended = try await stage.run(
            spec, change: { try knockout?.plan(&$0, $1) }, template: { try knockout?.template(&$0, $1) })
        return try #require(ended.receipt(of: "main"), "\(ended.reports)")
    }
}
