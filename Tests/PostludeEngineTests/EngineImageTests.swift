import Foundation
import Glibc
import PostludeCore
import Testing

@testable import PostludeEngine

/// Steps in roots of images: directories of root file systems, and OCI layouts.
@Suite(.enabled(if: TestNode.isAble, "needs root and the warden"), .timeLimit(.minutes(3)))
struct EngineImageTests {
    static let hasUmoci = TestImage.hasUmoci
    private static let whatIs = "read line < /etc/os-release; echo $line"

    private func container(_ script: String, image: String?) -> ContainerSpec {
        var container = ContainerSpec.script(script)
        container.image = image.map { Template($0, at: SourcePlace(file: "test.yaml", line: 4, column: 9)) }
        return container
    }

    private func operation(
        _ script: String, image: String?, initial: [ContainerSpec] = []
    ) -> PostludeCore.Operation {
        PostludeCore.Operation(
            component: Component(
                job: JobSpec(
                    initSteps: initial.map { .container($0) }, container: container(script, image: image))))
    }

    /// A node that maps `dir:1` to a directory.
    private func node(_ change: (TestImage) throws -> Void = { _ in }) throws -> TestNode {
        var node = try TestNode()
        let image = try TestImage("\(node.directory.path)/root", id: "directory")
        try change(image)
        let reference = try #require(ImageReference("dir:1"))
        node.images = ImageMap(rules: [.init(.image(reference), .directory(image.root))])
        return node
    }

    /// A node that maps every tag of `oci` to a layout with the image `oci:1`.
    private func ociNode(
        _ layout: ImageMap.Layout? = nil, _ change: (TestImage) throws -> Void = { _ in }
    ) async throws -> (node: TestNode, layout: String) {
        var node = try TestNode()
        let image = try TestImage("\(node.directory.path)/image", id: "layout")
        try change(image)
        let path = "\(node.directory.path)/layout"
        try await image.pack(into: path, tag: "1")
        var source = layout ?? ImageMap.Layout(path: path)
        source.path = path
        node.images = ImageMap(rules: [.init(.repository("oci"), .layout(source))])
        return (node, path)
    }

    private func run(
        _ operation: PostludeCore.Operation, on node: TestNode, as user: UserIdentity? = nil
    ) async throws
        -> (detail: RunDetail, output: String)
    {
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine, as: user)
            let detail = try await engine.finish(id)
            let isThere = detail.step("main")?.startedAt != nil
            let said = isThere ? try await engine.output(id) + engine.output(id, .stderr) : ""
            return (detail, said)
        }
    }

    private func expectRefused(
        _ operation: PostludeCore.Operation, on node: TestNode, _ code: String
    ) async throws -> Diagnostic? {
        try await node.running { engine in
            let error = await #expect(throws: EngineError.self) { try await node.submit(operation, to: engine) }
            #expect(error?.code == "engine.invalid-operation")
            #expect(error?.diagnostics.map(\.code) == [code], "\(String(describing: error))")
            return error?.diagnostics.first
        }
    }

    @Test func `each step has the root of its own image, and its receipt says which`() async throws {
        let node = try node()
        let host = try String(contentsOfFile: "/etc/os-release", encoding: .utf8)
        let operation = operation(
            Self.whatIs + "; echo here; [ -e /etc/debian_version ] || echo not the host",
            image: "dir:1",
            initial: [container("cat /etc/os-release > $POSTLUDE_ARTIFACTS/host", image: nil)])
        let (detail, output) = try await run(operation, on: node)
        #expect(detail.summary.status == .succeeded, "\(detail.summary.message) \(output)")
        #expect(output == "ID=directory\nhere\nnot the host\n")
        #expect(try String(contentsOfFile: "\(detail.artifacts)/host", encoding: .utf8) == host)
        #expect(
            detail.step("main")?.receipt?.root
                == RootSource(.directory, image: "dir:1", path: "\(node.directory.path)/root"))
        #expect(detail.step("init-0")?.receipt?.root == RootSource(.host))
    }

    @Test func `an image is read-only, what is private stays writable, and the submitter is known in it`() async throws
    {
        let node = try node { try $0.write("etc/passwd", "other:x:1234:1234::/:/bin/sh\n") }
        let script = """
            echo x > /usr/new && echo usr is writable
            echo x > /new && echo the root is writable
            echo x > /etc/passwd && echo passwd is writable
            echo tmp > /tmp/a && cat /tmp/a; echo vartmp > /var/tmp/a && cat /var/tmp/a
            echo shm > /dev/shm/a && cat /dev/shm/a
            cat /etc/passwd; read first < /etc/group; echo $first
            [ -s /etc/hosts ] && echo hosts
            postlude-output answer=42 || echo no postlude-output
            cat $PWD/note; echo $PWD
            cat $POSTLUDE_OUTPUTS
            """
        try Data("from the working directory\n".utf8).write(to: URL(filePath: "\(node.work)/note"))
        let (detail, output) = try await run(operation(script + "\n", image: "dir:1"), on: node)
        #expect(detail.summary.status == .succeeded, "\(detail.summary.message) \(output)")
        for line in ["tmp", "vartmp", "shm", "hosts", "from the working directory", node.work, "nobody:x:65534:"] {
            #expect(output.contains("\(line)\n"), "\(line) is missing: \(output)")
        }
        #expect(output.contains("nobody:x:65534:65534::/nonexistent:/bin/sh\nother:x:1234:1234::/:/bin/sh\n"))
        #expect(!output.contains("is writable") && !output.contains("no postlude-output"), "\(output)")
        #expect(output.contains("\"answer\""), "\(output)")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: "\(node.directory.path)/root/usr").sorted() == [
                "bin", "lib", "lib64",
            ])
        let plain = try await run(operation("true", image: nil), on: try TestNode())
        let writable = { (detail: RunDetail) in
            Set(detail.step("main")?.receipt?.writableMounts.filter { !$0.contains("artifacts") } ?? [])
        }
        #expect(writable(detail) == writable(plain.detail))
    }

    @Test func `a setuid program of an image gains nothing`() async throws {
        let node = try node { image in
            try image.write("secret", "only root may read this\n")
            chmod("\(image.root)/secret", 0o600)
            chmod("\(image.root)/usr/bin/cat", 0o4755)
        }
        let (detail, output) = try await run(
            operation(
                "cat /proc/self/status | while read k v; do [ $k = Uid: ] && echo uid $v; done; cat /secret",
                image: "dir:1"),
            on: node)
        #expect(detail.step("main")?.exit == .code(1))
        #expect(output.contains("uid 65534 65534 65534 65534\n"), "\(output)")
        #expect(!output.contains("only root"), "\(output)")
    }

    @Test func `links in the place of directories that the sandbox supplies lead nowhere`() async throws {
        let node = try node { image in
            for (name, text) in [
                ("proc", "/"), ("tmp", "/etc"), ("dev", "usr"), ("sys", "/etc"), ("run", "/usr"), ("root", "/etc"),
                ("plx-context", "/proc/1/root"), ("var/link", "../../../../../../etc"),
            ] {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(image.root)/\(name)", withDestinationPath: text)
            }
        }
        let user = UserIdentity(name: "ada", uid: 23_456, gid: 23_456, home: "/root/ada")
        let script = """
            \(Self.whatIs)
            echo mine > /tmp/os-release && cat /tmp/os-release && cat /etc/os-release
            echo mine > $HOME/file && cat $HOME/file
            [ -e /proc/self/status ] && echo proc; [ -c /dev/null ] && echo dev; [ -d /sys/kernel ] && echo sys
            cat /var/link/os-release; echo x > $POSTLUDE_ARTIFACTS/x && echo artifacts
            [ -e /proc/1/root/etc/debian_version ] && echo escaped
            while read -r line; do case $line in *" / /"*ext4*|*" / /"*overlay*) echo host mount: $line;; esac; done < /proc/self/mountinfo
            true
            """
        let (detail, output) = try await run(operation(script, image: "dir:1"), on: node, as: user)
        #expect(detail.summary.status == .succeeded, "\(detail.summary.message) \(output)")
        #expect(
            output == "ID=directory\nmine\nID=directory\nmine\nproc\ndev\nsys\nID=directory\nartifacts\n", "\(output)")
        // The image's own /etc was nobody's to write to either.
        #expect(
            try String(contentsOfFile: "\(node.directory.path)/root/etc/os-release", encoding: .utf8)
                == "ID=directory\n")
    }

    @Test func `a working directory that the image has no place for is shown all the same`() async throws {
        var node = try node { image in
            try image.make("opt/tool")
            try image.write("opt/tool/data", "the image's\n")
            try FileManager.default.createSymbolicLink(
                atPath: "\(image.root)/opt/alias", withDestinationPath: "tool/data")
        }
        // Below a directory that both have: of the image everything stays, and nothing is made in it.
        let place = "/opt/postlude-test-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { Result { try FileManager.default.removeItem(atPath: place) }.discard() }
        try Data("the host's\n".utf8).write(to: URL(filePath: "\(place)/note"))
        node.workingDirectory = place
        let (detail, output) = try await run(
            operation("cat note /opt/tool/data /opt/alias; echo x > /opt/new && echo writable; true", image: "dir:1"),
            on: node)
        #expect(detail.summary.status == .succeeded, "\(detail.summary.message) \(output)")
        #expect(
            output.hasPrefix("the host's\nthe image's\nthe image's\n") && !output.contains("writable\n"), "\(output)")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: "\(node.directory.path)/root/opt").sorted() == [
                "alias", "tool",
            ])
    }

    @Test func `a program that the image lacks is told of before anything runs`() async throws {
        let node = try node()
        var operation = operation("", image: "dir:1")
        operation.component.job.container.command = ["/usr/bin/env"]
        let (detail, _) = try await run(operation, on: node)
        #expect(detail.summary.status == .failed)
        #expect(detail.summary.message.contains("cannot start '/usr/bin/env'"), "\(detail.summary.message)")
    }

    @Test func `an image that is not mapped is refused with the lines to add`() async throws {
        let finding = try await expectRefused(
            operation("true", image: "ghost:2"), on: try node(), "engine.image-unmapped")
        #expect(finding?.place == SourcePlace(file: "test.yaml", line: 4, column: 9))
        #expect(finding?.hint?.contains(#"- {image: "ghost:2", layout: /srv/images/ghost}"#) == true)
        // Of a hook as well, before its main has run.
        var hooked = operation("true", image: "dir:1")
        hooked.hooks = [
            Hook(
                name: "alert", origin: "inline",
                component: Component(job: JobSpec(container: container("true", image: "ghost:3"))), trigger: .done)
        ]
        let ofHook = try await expectRefused(hooked, on: try node(), "engine.image-unmapped")
        #expect(ofHook?.message.contains("ghost:3") == true)
    }

    @Test func `an image is the host's root where the configuration says so, and the run has a note of it`()
        async throws
    {
        var node = try TestNode()
        node.images = ImageMap(unmapped: .host)
        let (detail, output) = try await run(operation(Self.whatIs, image: "python:3"), on: node)
        #expect(detail.summary.status == .succeeded, "\(output)")
        #expect(detail.notes.map(\.code) == ["engine.image-on-host"])
        #expect(detail.step("main")?.receipt?.root == RootSource(.host, image: "python:3"))
    }

    @Test func `a directory that is not there is refused`() async throws {
        var node = try TestNode()
        let reference = try #require(ImageReference("dir:1"))
        node.images = ImageMap(rules: [.init(.image(reference), .directory("\(node.directory.path)/none"))])
        _ = try await expectRefused(operation("true", image: "dir:1"), on: node, "image.no-directory")
    }

    // MARK: OCI layouts

    @Test(.enabled(if: hasUmoci, "umoci is not installed"))
    func `an OCI image is unpacked once, has its layers and variables, and is named by its digest`() async throws {
        let (node, layout) = try await ociNode { image in
            try image.make("gone")
            try image.write("gone/file", "of the first layer\n")
        }
        try await TestImage.umoci("insert", "--image", "\(layout):1", "--whiteout", "/gone/file")
        try await TestImage.umoci(
            "config", "--image", "\(layout):1", "--config.env", "COLOUR=green", "--config.env",
            "PATH=/usr/bin:/opt/bin",
            "--config.env", "HOME=/elsewhere")
        let script = Self.whatIs + "; echo $COLOUR $PATH $HOME; [ -d /gone ] && [ ! -e /gone/file ] && echo whited out"
        let digests = try await node.running { engine in
            async let first = node.submit(self.operation(script, image: "oci:1"), to: engine)
            async let second = node.submit(self.operation(script, image: "docker.io/library/oci:1"), to: engine)
            var digests: Set<String> = []
            for id in [try await first, try await second] {
                let detail = try await engine.finish(id)
                #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
                #expect(
                    try await engine.output(id)
                        == "ID=layout\ngreen /usr/bin:/opt/bin:/plx-context/bin /nonexistent\nwhited out\n")
                let root = try #require(detail.step("main")?.receipt?.root)
                #expect(root.kind == .oci && root.path == layout)
                digests.insert(root.digest ?? "")
            }
            return digests
        }
        let index = try String(contentsOfFile: "\(layout)/index.json", encoding: .utf8)
        #expect(digests.count == 1 && index.contains(digests.first ?? "-"), "\(digests)")
        let stored = try FileManager.default.contentsOfDirectory(atPath: "\(node.directory.path)/state/images")
        #expect(stored == digests.map { $0.replacingOccurrences(of: ":", with: "-") })
        var status = stat()
        #expect(stat("\(node.directory.path)/state/images", &status) == 0 && status.st_mode & 0o777 == 0o700)
    }

    @Test(.enabled(if: hasUmoci, "umoci is not installed"))
    func `another image under the same tag is another digest, and a pinned one is refused`() async throws {
        var (node, layout) = try await ociNode()
        let first = try await run(operation(Self.whatIs, image: "oci:1"), on: node)
        let before = try #require(first.detail.step("main")?.receipt?.root?.digest)
        let other = try TestImage("\(node.directory.path)/other", id: "other")
        try FileManager.default.removeItem(atPath: layout)
        try await other.pack(into: layout, tag: "1")
        let second = try await run(operation(Self.whatIs, image: "oci:1"), on: node)
        #expect(first.output == "ID=layout\n" && second.output == "ID=other\n")
        #expect(second.detail.step("main")?.receipt?.root?.digest != before)
        let pinned = try await expectRefused(
            operation("true", image: "oci:1@\(before)"), on: node, "image.digest-changed")
        #expect(pinned?.message.contains(before) == true)
        node.images = ImageMap(rules: [.init(.repository("oci"), .layout(.init(path: layout, digest: before)))])
        _ = try await expectRefused(operation("true", image: "oci:1"), on: node, "image.digest-changed")
    }

    @Test(.enabled(if: hasUmoci && TestImage.hasSkopeo, "umoci or skopeo is not installed"))
    func `an image that the layout lacks is fetched, where the configuration says from where`() async throws {
        var (node, layout) = try await ociNode()
        let mirror = ImageMap.Layout(path: "\(node.directory.path)/mirror", tag: "copy", fetch: "oci:\(layout):1")
        node.images = ImageMap(rules: [.init(.repository("oci"), .layout(mirror))])
        let (detail, output) = try await run(operation(Self.whatIs, image: "oci:7"), on: node)
        #expect(output == "ID=layout\n", "\(detail.summary.message)")
        #expect(detail.step("main")?.receipt?.root?.path == mirror.path)
        let broken = ImageMap.Layout(path: "\(node.directory.path)/none", fetch: "oci:\(layout):2")
        node.images = ImageMap(rules: [.init(.repository("oci"), .layout(broken))])
        let failed = try await run(operation(Self.whatIs, image: "oci:7"), on: node)
        #expect(failed.detail.summary.status == .failed)
        #expect(failed.detail.summary.message.contains("skopeo ended with code"), "\(failed.detail.summary.message)")
    }

    @Test(.enabled(if: hasUmoci, "umoci is not installed"))
    func `a layout that is broken is refused with the file that is`() async throws {
        let (node, layout) = try await ociNode()
        let missing = try await expectRefused(operation("true", image: "oci:2"), on: node, "image.not-in-layout")
        #expect(missing?.hint?.contains("It has 1") == true, "\(String(describing: missing))")
        let blobs = "\(layout)/blobs/sha256"
        let sizes = try FileManager.default.contentsOfDirectory(atPath: blobs).map {
            ($0, try Data(contentsOf: URL(filePath: "\(blobs)/\($0)")).count)
        }
        let layer = try #require(sizes.max { $0.1 < $1.1 })
        // As long as before, and something else: umoci alone can tell.
        let file = URL(filePath: "\(blobs)/\(layer.0)")
        let good = try Data(contentsOf: file)
        try (good.prefix(good.count - 64) + Data(repeating: 7, count: 64)).write(to: file)
        let (detail, _) = try await run(operation("true", image: "oci:1"), on: node)
        #expect(detail.summary.status == .failed)
        #expect(detail.summary.message.contains("umoci ended with code"), "\(detail.summary.message)")
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(node.directory.path)/state/images")
        #expect(left.isEmpty, "\(left)")
        try good.dropLast(10).write(to: file)
        let short = try await expectRefused(operation("true", image: "oci:1"), on: node, "image.layout-broken")
        #expect(short?.message.contains(layer.0) == true)
        try Data("{".utf8).write(to: URL(filePath: "\(layout)/index.json"))
        let index = try await expectRefused(operation("true", image: "oci:1"), on: node, "image.layout-broken")
        #expect(index?.message.contains("index.json' is not JSON") == true, "\(index?.message ?? "")")
    }

    @Test(.enabled(if: hasUmoci, "umoci is not installed"))
    func `a run that waits for its image can be stopped, and nothing is left of the unpacking`() async throws {
        let (node, _) = try await ociNode { image in
            // Large enough to be caught at it.
            let random = try FileHandle(forReadingFrom: URL(filePath: "/dev/urandom"))
            let noise = try #require(try random.read(upToCount: 48 << 20))
            try noise.write(to: URL(filePath: "\(image.root)/noise"))
        }
        try await node.running { engine in
            let id = try await node.submit(self.operation(Self.whatIs, image: "oci:1"), to: engine)
            let child = try await Self.unpacker(of: "\(node.directory.path)/state/images")
            #expect(kill(child, SIGSTOP) == 0)
            try await engine.stop(id, for: Engine.root)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .stopped && detail.step("main")?.startedAt == nil, "\(detail.summary)")
            #expect(kill(child, SIGCONT) == 0 || errno == ESRCH)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(node.directory.path)/state/images")
        #expect(!left.contains { $0.hasPrefix("new-") }, "\(left)")
    }

    /// The process that unpacks into this directory.
    private static func unpacker(of directory: String) async throws -> pid_t {
        while true {
            for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
                guard let pid = pid_t(name), let words = FileManager.default.contents(atPath: "/proc/\(name)/cmdline"),
                    String(decoding: words, as: UTF8.self).hasPrefix("/usr/bin/umoci\0raw\0unpack\0"),
                    String(decoding: words, as: UTF8.self).contains(directory)
                else { continue }
                return pid
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test(.enabled(if: hasUmoci, "umoci is not installed"))
    func `images that no run uses can be removed, those of living runs cannot`() async throws {
        let (node, _) = try await ociNode()
        let operation = operation("while :; do :; done", image: "oci:1")
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            let running = try await engine.wait(for: id) { $0.step("main")?.startedAt != nil }
            let digest = try #require(running.step("main")?.receipt?.root?.digest)
            try await engine.pruneImages(idle: -10)
            let used = try await engine.storedImages()
            #expect(used.map(\.digest) == [digest] && used[0].isInUse && used[0].bytes ?? 0 > 1 << 20, "\(used)")
            try await engine.stop(id, for: Engine.root)
            _ = try await engine.finish(id)
            // Not yet: it was wanted a moment ago.
            try await engine.pruneImages()
            #expect(try await engine.storedImages().map(\.isInUse) == [false])
            try await engine.pruneImages(idle: -10)
            #expect(try await engine.storedImages().isEmpty)
            // And it is there again when it is wanted.
            let again = try await node.submit(self.operation(Self.whatIs, image: "oci:1"), to: engine)
            _ = try await engine.finish(again)
            #expect(try await engine.output(again) == "ID=layout\n")
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(node.directory.path)/state/images")
        #expect(left.count == 1 && !left[0].hasPrefix("new-"), "\(left)")
    }

    @Test(.enabled(if: hasUmoci, "umoci is not installed"))
    func `what an agent left half-done is removed, and an image of a former agent is used again`() async throws {
        let (node, _) = try await ociNode()
        let half = "\(node.directory.path)/state/images/new-1234/rootfs/etc"
        try FileManager.default.createDirectory(atPath: half, withIntermediateDirectories: true)
        let first = try await run(operation(Self.whatIs, image: "oci:1"), on: node)
        #expect(access(half, F_OK) != 0)
        let digest = try #require(first.detail.step("main")?.receipt?.root?.digest)
        let root = "\(node.directory.path)/state/images/\(digest.replacingOccurrences(of: ":", with: "-"))/rootfs"
        try Data("ID=known again\n".utf8).write(to: URL(filePath: "\(root)/etc/os-release"))
        let second = try await run(operation(Self.whatIs, image: "oci:1"), on: node)
        #expect(second.output == "ID=known again\n")
    }
}

extension Result {
    /// For what may fail without harm.
    fileprivate func discard() {}
}
