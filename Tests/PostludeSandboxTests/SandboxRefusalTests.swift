import Foundation
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// What is refused before anything runs.
@Suite(.enabled(if: SandboxFixture.isAvailable), .timeLimit(.minutes(1))) struct SandboxRefusalTests {
    private func refusal(
        _ fixture: SandboxFixture, _ change: (inout AttemptSpec) throws -> Void
    ) throws -> SandboxError? {
        var spec = try fixture.attempt([fixture.step("true")])
        try change(&spec)
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        defer { fixture.sandbox.cancel(warden) }
        let error = #expect(throws: SandboxError.self) { try fixture.sandbox.launch(spec, in: warden) }
        // Still there, and without a plan.
        #expect(fixture.sandbox.isAlive(warden))
        return error
    }

    @Test func `a seccomp profile that forbids set-up to say that it is ready ends the step, which never starts`()
        async throws
    {
        let profiles = try TemporaryDirectory()
        try #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_ERRNO"}]}"#
            .write(
                toFile: "\(profiles.path)/main.json", atomically: true, encoding: .utf8)
        let fixture = try SandboxFixture(seccomp: profiles.path)
        let ended = try await fixture.run("true")
        #expect(ended.receipt(of: "main") == nil)
        #expect(ended.exit(of: "main")?.isSuccess == false && ended.exit?.isSuccess == false)
    }

    @Test func `a seccomp profile that allows what it does not name lets programs run`() async throws {
        let profiles = try TemporaryDirectory()
        try #"{"defaultAction": "SCMP_ACT_ALLOW"}"#.write(
            toFile: "\(profiles.path)/main.json", atomically: true, encoding: .utf8)
        let fixture = try SandboxFixture(seccomp: profiles.path)
        let ended = try await fixture.run("echo here")
        #expect(ended.exit == .code(0) && ended.output["main.stdout"] == "here\n", "\(ended.output)")
    }

    @Test func `a program that is not there`() throws {
        let fixture = try SandboxFixture()
        for command in [
            "no-such-program", "/usr/bin/no-such-program", "/root/x", "/home/tester2/x", "/etc/passwd", "/usr",
        ] {
            let error = try refusal(fixture) { $0.steps[0].command = [command] }
            #expect(error?.code == "sandbox.program-not-found", "\(command)")
            #expect(error?.hint != nil)
        }
        #expect(try refusal(fixture) { $0.steps[0].command = [] }?.code == "sandbox.program-missing")
    }

    @Test func `a program that an init step makes is not asked for`() async throws {
        let fixture = try SandboxFixture()
        var main = fixture.step("")
        main.command = ["./made", "by", "init"]
        let make = "printf '#!/bin/sh\\necho \"$@\"\\n' > made; chmod +x made"
        let ended = try await fixture.run(try fixture.attempt([fixture.step(make, "init-0", .initialize), main]))
        #expect(ended.output["main.stdout"] == "by init\n")
    }

    @Test func `a program of the working directory, by a relative path`() async throws {
        let fixture = try SandboxFixture()
        let working = try fixture.directory.directory("work", owner: fixture.user.uid)
        try fixture.directory.write("work/tool", "#!/bin/sh\necho tool in $PWD\ntouch x 2>&1\n", mode: 0o755)
        var spec = try fixture.attempt([fixture.step("")])
        spec.steps[0].command = ["./tool"]
        spec.directories.working = working
        let ended = try await fixture.run(spec)
        #expect(ended.output["main.stdout"]?.hasPrefix("tool in \(working)\n") == true, "\(ended.output)")
        #expect(ended.output["main.stdout"]?.contains("Read-only file system") == true)
    }

    @Test func `a working directory that the submitter cannot read`() throws {
        let fixture = try SandboxFixture()
        let closed = try fixture.directory.directory("closed", mode: 0o700)
        let inside = try fixture.directory.directory("closed/open")
        chmod(closed, 0o700)
        let unreadable = try fixture.directory.directory("unreadable", mode: 0o711)
        let file = try fixture.directory.write("file", "")
        try fixture.directory.directory("state", mode: 0o755)
        for path in [
            fixture.directory.path, closed, inside, unreadable, file, "/no/such", "relative", "/proc/self/fd/0",
            "/proc", "/dev/shm",
            "/", "/tmp", "/var/run", "/home", "\(fixture.directory.path)/state",
        ] {
            let error = try refusal(fixture) { $0.directories.working = path }
            #expect(error?.code == "sandbox.working-directory", "\(path): \(String(describing: error))")
        }
    }

    @Test func `a link to the agent's own descriptors leads nowhere`() throws {
        let fixture = try SandboxFixture()
        let link = "\(fixture.directory.path)/link"
        #expect(symlink("/proc/\(getpid())/fd/5", link) == 0)
        #expect(try refusal(fixture) { $0.directories.working = link }?.code == "sandbox.working-directory")
    }

    @Test func `a step's directory that is missing or hidden`() throws {
        let fixture = try SandboxFixture()
        for path in ["/root/x", "/usr/no-such", "/etc/passwd"] {
            let error = try refusal(fixture) { $0.steps[0].workingDirectory = path }
            #expect(error?.code == "sandbox.working-directory", "\(path)")
        }
    }

    @Test func `artifacts behind a link or of somebody else`() throws {
        let fixture = try SandboxFixture()
        let link = "\(fixture.directory.path)/artifacts-link"
        #expect(symlink("/etc", link) == 0)
        #expect(try refusal(fixture) { $0.directories.artifacts = link }?.code == "sandbox.host-unreadable")
        let foreign = try fixture.directory.directory("foreign")
        #expect(try refusal(fixture) { $0.directories.artifacts = foreign }?.code == "sandbox.artifacts-owner")
    }

    @Test func `devices that changed, or that the profile does not give`() throws {
        let fixture = try SandboxFixture()
        let leased = fixture.profile { $0.devices = .leased }
        let wrong = DeviceNode(path: "/dev/full", major: 1, minor: 99)
        let error = try refusal(fixture) {
            $0.profile = leased
            $0.steps[0].getsDevices = true
            $0.devices = [wrong]
        }
        #expect(error?.code == "sandbox.device-changed")
        #expect(try refusal(fixture) { $0.devices = [wrong] }?.code == "sandbox.devices-refused")
    }

    @Test func `a profile that wants cores of its own is refused by name where the kernel gives none`() async throws {
        let fixture = try SandboxFixture()
        let profile = fixture.profile { $0.coreScheduling = true }
        if CoreScheduling.availability() == .available {
            #expect(fixture.sandbox.unmetRequirements(of: profile).isEmpty)
            let ended = try await fixture.run("echo ran", profile: profile)
            #expect(ended.receipt(of: "main")?.coreScheduling == true && ended.output["main.stdout"] == "ran\n")
        } else {
            #expect(fixture.sandbox.unmetRequirements(of: profile).map(\.name) == ["core-scheduling"])
            let error = try refusal(fixture) { $0.profile = profile }
            #expect(error?.code == "sandbox.requirement-unmet")
            #expect(error?.message.contains("core-scheduling (") == true && error?.hint?.isEmpty == false)
        }
        let plain = try await fixture.run("echo ran")
        #expect(plain.exit == .code(0) && plain.receipt(of: "main")?.coreScheduling == nil)
    }

    @Test func `an attempt that was launched before`() throws {
        let fixture = try SandboxFixture()
        let error = try refusal(fixture) { spec in
            try Data("x".utf8).write(to: URL(fileURLWithPath: spec.directories.attempt + "/journal"))
        }
        #expect(error?.code == "sandbox.attempt-exists")
    }

    @Test func `what no plan can say`() throws {
        let fixture = try SandboxFixture()
        #expect(try refusal(fixture) { $0.steps[0].environment["A=B"] = "" }?.code == "sandbox.invalid-attempt")
        #expect(try refusal(fixture) { $0.steps[0].environment["A"] = "\0" }?.code == "sandbox.invalid-attempt")
        #expect(try refusal(fixture) { $0.steps = [] }?.code == "sandbox.invalid-attempt")
        #expect(try refusal(fixture) { $0.steps[0].name = "../x" }?.code == "sandbox.invalid-plan")
        #expect(try refusal(fixture) { $0.profile.seccomp = "none-such" }?.code == "sandbox.seccomp-missing")
        let shown = fixture.profile { $0.readOnly = ["/no/such"] }
        let missing = #expect(throws: SandboxError.self) { try fixture.sandbox.reserve(for: shown) }
        #expect(missing?.code == "sandbox.profile-path-missing")
    }

    @Test func `a warden that was prepared for another profile`() throws {
        let fixture = try SandboxFixture()
        let warden = try fixture.sandbox.reserve(for: fixture.profile { $0.hide = ["/root"] })
        defer { fixture.sandbox.cancel(warden) }
        let spec = try fixture.attempt([fixture.step("true")])
        let error = #expect(throws: SandboxError.self) { try fixture.sandbox.launch(spec, in: warden) }
        #expect(error?.message.contains("another profile") == true)
    }

    @Test func `a warden that is not one`() throws {
        let fixture = try SandboxFixture()
        var configuration = fixture.configuration
        configuration.wardenPath = "/no/such"
        let missing = #expect(throws: SandboxError.self) { try Sandbox(configuration: configuration) }
        #expect(missing?.code == "sandbox.warden-missing")
        configuration.wardenPath = "/bin/true"
        let sandbox = try Sandbox(configuration: configuration)
        let silent = #expect(throws: SandboxError.self) {
            try sandbox.reserve(for: SandboxProfile(name: "test", seccomp: "main"))
        }
        #expect(silent?.code == "sandbox.warden-failed")
        #expect(try sandbox.leftovers().isEmpty)
        withExtendedLifetime(fixture) {}
    }
}
