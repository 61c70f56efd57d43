import Foundation
import Glibc
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// Steps whose root is an image's, in real sandboxes.
@Suite(.enabled(if: SandboxFixture.isAvailable), .timeLimit(.minutes(2))) struct ImageSandboxTests {
    private func attempt(
        _ fixture: SandboxFixture, _ script: String, change: (TestImage) throws -> Void = { _ in }
    ) throws -> AttemptSpec {
        let image = try TestImage("\(fixture.directory.path)/image", id: "sandboxed")
        try change(image)
        var spec = try fixture.attempt([fixture.step(script)])
        spec.steps[0].image = "sandboxed:1"
        spec.steps[0].rootDirectory = image.root
        return spec
    }

    @Test func `what is hidden of the host is hidden in a working directory that an image's step sees`() async throws {
        let fixture = try SandboxFixture(hiddenPaths: ["agent.sock"])
        try fixture.directory.write("agent.sock", "reachable")
        // The submitter's whole home: with the state, the socket and the keys.
        var spec = try attempt(
            fixture,
            """
            cd \(fixture.directory.path)
            cat agent.sock .ssh/key; [ -c agent.sock ] && echo covered
            echo state: state/*; echo keys: .ssh/*; cat plain
            echo x > new && echo writable; true
            """)
        try fixture.directory.directory(".ssh", mode: 0o755)
        try fixture.directory.write(".ssh/key", "secret")
        try fixture.directory.write("plain", "plain\n")
        spec.user.home = fixture.directory.path
        spec.profile.hideInHome = [".ssh"]
        spec.directories.working = fixture.directory.path
        let ended = try await fixture.run(spec)
        #expect(
            ended.output["main.stdout"] == "covered\nstate: state/*\nkeys: .ssh/*\nplain\n", "\(ended.output)")
    }

    @Test func `a leased device is there in an image, and no other`() async throws {
        let fixture = try SandboxFixture()
        let device = try fixture.device()
        var spec = try attempt(
            fixture, "[ -c \(device.path) ] && exec 3< \(device.path) && echo open; echo /dev/*"
        ) { image in
            try image.make("dev")
            try image.write("dev/forged", "")
        }
        spec.profile.devices = .leased
        spec.devices = [device]
        spec.steps[0].getsDevices = true
        let ended = try await fixture.run(spec)
        #expect(ended.exit == .code(0), "\(ended.output)")
        #expect(ended.output["main.stdout"]?.hasPrefix("open\n") == true, "\(ended.output)")
        #expect(ended.output["main.stdout"]?.contains("/dev/null") == true)
        #expect(ended.output["main.stdout"]?.contains("forged") == false)
        #expect(ended.receipt(of: "main")?.deviceFilterPrograms.count == 1)
    }

    @Test func `a root that is gone, or is a link, is refused before anything runs`() async throws {
        let fixture = try SandboxFixture()
        var spec = try attempt(fixture, "true")
        let root = try #require(spec.steps[0].rootDirectory)
        try FileManager.default.moveItem(atPath: root, toPath: root + "-moved")
        try FileManager.default.createSymbolicLink(atPath: root, withDestinationPath: "/")
        for path in [root, "\(fixture.directory.path)/none"] {
            spec.steps[0].rootDirectory = path
            let error = await #expect(throws: SandboxError.self) { try await fixture.run(spec) }
            #expect(error?.code == "sandbox.image-missing", "\(path)")
        }
    }

    @Test func `a warden that was prepared for the host's root takes no step with an image`() throws {
        let fixture = try SandboxFixture()
        let spec = try attempt(fixture, "true")
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        defer { fixture.sandbox.cancel(warden) }
        let error = #expect(throws: SandboxError.self) { try fixture.sandbox.launch(spec, in: warden) }
        #expect(error?.message.contains("the host's root alone") == true)
    }

    @Test func `links of an image are followed as they are inside when a program is looked for`() async throws {
        let fixture = try SandboxFixture()
        var spec = try attempt(fixture, "true") { image in
            for (name, text) in [
                ("usr/bin/absolute", "/usr/bin/sh"), ("usr/bin/out", "../../../../../../../../usr/bin/sh"),
                ("usr/bin/dangling", "/usr/bin/id"), ("usr/bin/loop", "loop"), ("usr/bin/kernel", "/proc/self/exe"),
            ] {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(image.root)/\(name)", withDestinationPath: text)
            }
            try image.write("usr/bin/data", "no program")
            chmod("\(image.root)/usr/bin/data", 0o644)
        }
        for name in ["absolute", "out"] {
            spec.steps[0].command[0] = name
            let ended = try await fixture.run(spec)
            #expect(ended.exit == .code(0), "\(name): \(ended.output)")
            spec = try again(spec, fixture)
        }
        for (name, words) in [
            ("dangling", "is in no directory of PATH"), ("loop", "Too many levels"), ("data", "may not be executed"),
            ("/usr/bin/id", "does not exist"), ("/usr/bin", "is not a file"), ("/proc/self/exe", "is not a program"),
        ] {
            spec.steps[0].command[0] = name
            let error = await #expect(throws: SandboxError.self) { try await fixture.run(spec) }
            #expect(error?.code == "sandbox.program-not-found", "\(name)")
            #expect(error?.message.contains(words) == true, "\(name): \(error?.message ?? "")")
            #expect(error?.hint?.contains("'sandboxed:1'") == true)
        }
    }

    /// The same step in a new attempt.
    private func again(_ spec: AttemptSpec, _ fixture: SandboxFixture) throws -> AttemptSpec {
        try fixture.attempt(spec.steps)
    }
}
