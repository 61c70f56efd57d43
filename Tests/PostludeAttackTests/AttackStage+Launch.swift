import Foundation
import PostludeCore
import PostludeLinux
import PostludePlan
import Testing

@testable import PostludeSandbox

extension AttackStage {
    /// Launches as `Sandbox.launch` does, but with the plan changed on the way: what no configuration can do, so that
    /// the suite need not ask production code for a way to weaken it.
    func launch(
        _ spec: AttemptSpec, in warden: WardenIdentity, granting: [DeviceNode]? = nil,
        change: (inout LaunchPlan, DescriptorList) throws -> Void
    ) throws {
        let process = try #require(fixture.sandbox.state.withLock { $0.wardens[warden.slot] })
        let programs = SeccompPrograms(directory: "\(SandboxFixture.root)/profiles/seccomp")
        let filters = DeviceFilters()
        let program = try programs.program(named: spec.profile.seccomp)
        let plain = try filters.filter(allowing: [])
        let given = try filters.filter(allowing: granting ?? spec.devices)
        let prepared = try #require(fixture.sandbox.state.withLock { $0.templates[warden.slot] })
        let builder = PlanBuilder(
            layout: fixture.sandbox.tree.layout, prepared: prepared, seccomp: program.memory.rawValue,
            grantingFilter: given.program.rawValue, plainFilter: plain.program.rawValue,
            hiddenPaths: fixture.configuration.hiddenPaths)
        var (plan, descriptors) = try builder.build(spec)
        try change(&plan, descriptors)
        try withExtendedLifetime((program, plain, given, descriptors)) {
            try process.send(plan, descriptors.raw, path: fixture.configuration.wardenPath)
        }
    }

    /// Runs an attempt to its end in the same way.
    func run(
        _ spec: AttemptSpec, granting: [DeviceNode]? = nil,
        change: (inout LaunchPlan, DescriptorList) throws -> Void = { _, _ in },
        template: (inout [MountOperation], DescriptorList) throws -> Void = { _, _ in }
    ) async throws -> SandboxFixture.Ended {
        let process = try fixture.sandbox.start(try fixture.sandbox.template(spec.profile), change: template)
        let warden = process.identity
        try process.awaitReady(path: fixture.configuration.wardenPath)
        do {
            try launch(spec, in: warden, granting: granting, change: change)
        } catch {
            fixture.sandbox.cancel(warden)
            throw error
        }
        let ended = try await fixture.end(of: spec, in: warden)
        try await fixture.sandbox.remove(warden)
        return ended
    }

    /// A plain attempt of one shell script, in the main profile and as the plain user.
    func attempt(script: String, change: (inout SandboxProfile) -> Void = { _ in }) throws -> AttemptSpec {
        var spec = try attempt([], in: Place(profile: "main", user: .plain))
        change(&spec.profile)
        spec.steps = [spec.steps[1]]
        spec.steps[0].command = ["/bin/sh", "-c", script]
        spec.timeoutSeconds = 120
        return spec
    }

    /// An attempt that sees a device which its filter does not grant.
    func attemptWithInjectedNode(_ ids: [String], user: Submitter) throws -> (spec: AttemptSpec, node: DeviceNode) {
        let node = try fixture.device()
        var spec = try attempt(ids, in: Place(profile: "main", user: user))
        spec.devices = [node]
        spec.steps[1].getsDevices = true
        spec.steps[1].environment["ATTACK_INJECTED"] = node.path
        spec.steps[1].environment["ATTACK_SLIPPED"] = "/slipped"
        spec.steps[1].environment["ATTACK_SLIPPED_NODE"] = "/slipped-node"
        return (spec, node)
    }

    /// Shows what no plan has, as if a mount had been forgotten or made twice: a writable directory of the host, and a node
    /// that the device filter lets through.
    func slip(into plan: inout LaunchPlan, _ descriptors: DescriptorList) throws {
        let directory = try fixture.directory.directory("slipped", mode: 0o777)
        try fixture.directory.directory("slipped/below", mode: 0o777)
        for name in ["written", "removed", "shortened"] {
            try fixture.directory.write("slipped/\(name)", "the host's", mode: 0o666)
        }
        let node = "\(fixture.directory.path)/slipped-node"
        try #require(mknod(node, S_IFCHR | 0o666, dev_t(1 << 8 | 5)) == 0 && chmod(node, 0o666) == 0)
        let sources = try [directory, node].map { (path: String) in
            try descriptors.add(try OwnedDescriptor.open(path, OwnedDescriptor.pathOnly))
        }
        for index in plan.steps.indices where plan.steps[index].role == .main {
            plan.steps[index].mounts += [
                .bind(source: sources[0], target: "/slipped", readOnly: false, devices: false, recursive: false),
                .bind(source: sources[1], target: "/slipped-node", readOnly: true, devices: true, recursive: false),
            ]
        }
    }

    /// Processes of the host whose command line has this text in it, but for this one.
    static func processes(with text: String) throws -> [Int32] {
        let all = try FileManager.default.contentsOfDirectory(atPath: "/proc")
        return all.compactMap { Int32($0) }.filter { pid in
            guard pid != getpid(), let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else {
                return false
            }
            return String(decoding: line, as: UTF8.self).contains(text)
        }
    }
}
