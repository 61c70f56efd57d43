import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// Images of a user's own agent, which has no right to make devices, to change owners or to mount for all to see.
@Suite(.enabled(if: RootlessAgent.isAble, "needs root and the programs"), .timeLimit(.minutes(5)))
struct RootlessImageTests {
    private static let script = """
        read line < /etc/os-release; echo $line
        cat /etc/passwd; echo; echo x > /new && echo writable; echo x > /usr/new && echo writable
        cat /secret; echo tmp > /tmp/a && cat /tmp/a; [ -e /etc/debian_version ] && echo host
        cat note
        true
        """

    private func image(_ agent: RootlessAgent) throws -> TestImage {
        let image = try TestImage("\(agent.directory)/image", id: "image")
        try image.write("secret", "only root may read this\n")
        chmod("\(image.root)/secret", 0o600)
        chmod("\(image.root)/usr/bin/cat", 0o4755)
        try "beside the operation\n".write(toFile: "\(agent.work)/note", atomically: false, encoding: .utf8)
        return image
    }

    private func check(_ run: RunDetail, _ result: RootlessAgent.Result, _ agent: RootlessAgent) {
        #expect(run.summary.status == .succeeded, "\(result) \(agent.log)")
        #expect(result.output.hasPrefix("ID=image\n"), "\(result) \(agent.log)")
        #expect(result.output.contains(":x:\(agent.uid):\(agent.uid):"), "\(result)")
        #expect(result.output.contains("tmp\nbeside the operation\n"), "\(result)")
        for word in ["writable", "host\n"] { #expect(!result.output.contains(word), "\(result)") }
    }

    @Test func `a directory is a step's root, and what in it is root's stays so`() async throws {
        try await RootlessAgent.run(configuration: "images: {map: [{image: \"dir:1\", directory: DIRECTORY/image}]}") {
            agent async throws in
            let image = try image(agent)
            let (run, result) = try await agent.run(RootlessAgent.job(Self.script, container: "image: dir:1"))
            check(run, result, agent)
            #expect(!result.output.contains("only root"), "\(result)")
            #expect(run.attempts[0].steps[0].receipt?.root == RootSource(.directory, image: "dir:1", path: image.root))
        }
    }

    @Test(.enabled(if: TestImage.hasUmoci, "umoci is not installed"))
    func `an OCI image is unpacked as the user's own`() async throws {
        try await RootlessAgent.run(configuration: "images: {map: [{image: \"oci:1\", layout: DIRECTORY/layout}]}") {
            agent async throws in
            try await image(agent).pack(into: "\(agent.directory)/layout", tag: "1")
            // umoci makes files that are its user's alone.
            try agent.write(RootlessAgent.job("true", container: "image: oci:1"), to: "closed.yaml")
            let closed = try await agent.postlude("run", "closed.yaml")
            #expect(closed.status != 0 && closed.error.contains("image.layout-unreadable"), "\(closed)")
            let opened = try Process.run(
                URL(filePath: "/bin/chmod"), arguments: ["-R", "a+rX", "\(agent.directory)/layout"])
            opened.waitUntilExit()
            let (run, result) = try await agent.run(RootlessAgent.job(Self.script, container: "image: oci:1"))
            check(run, result, agent)
            let root = try #require(run.attempts[0].steps[0].receipt?.root)
            #expect(root.kind == .oci && root.digest?.hasPrefix("sha256:") == true)
            let doctor = try await agent.client.doctor()
            #expect(doctor.first { $0.name == "umoci" }?.verdict == .ok)
        }
    }

    @Test func `without a mapping an image is the host's root, and both the run and its receipt say so`() async throws {
        try await RootlessAgent.run { agent async throws in
            let (run, result) = try await agent.run(RootlessAgent.job("echo ran", container: "image: python:3"))
            #expect(result.output == "ran\n", "\(result) \(agent.log)")
            #expect(run.notes.contains { $0.code == "engine.image-on-host" && $0.place != nil }, "\(run.notes)")
            #expect(run.attempts[0].steps[0].receipt?.root == RootSource(.host, image: "python:3"))
        }
    }
}
