import Testing

@testable import PostludeCore

@Suite struct ImageMapTests {
    private func image(_ text: String) throws -> ImageReference { try #require(ImageReference(text)) }
    private let digest = "sha256:" + String(repeating: "0a", count: 32)

    @Test func `names of images have a repository, a tag and a digest`() throws {
        let plain = try image("python")
        #expect(plain.repository == "python" && plain.tag == nil && plain.effectiveTag == "latest")
        let full = try image("registry.example.org:5000/lab/train:1.0@\(digest)")
        #expect(full.repository == "registry.example.org:5000/lab/train")
        #expect(full.tag == "1.0" && full.digest == digest)
        let pinned = try image("python@\(digest)")
        #expect(pinned.effectiveTag == nil && pinned.description == "python@\(digest)")
        for same in ["docker.io/library/python", "library/python", "index.docker.io/library/python"] {
            #expect(try image(same).repository == "python")
        }
        #expect(try image("docker.io/polyaxon/polyaxon-cli").repository == "polyaxon/polyaxon-cli")
        #expect(try image("localhost:5000/a").tag == nil)
    }

    @Test(arguments: [
        "", " ", "python:", ":1", "python:-1", "a b", "/python", "python/", "a//b", "python@", "python@sha256:12",
        "python@sha256:" + String(repeating: "G", count: 64), "../etc", "a/../b", "a\nb", "a:b:c", "{{ image }}",
        "a/b:" + String(repeating: "t", count: 129),
    ])
    func `other texts are no names of images`(text: String) {
        #expect(ImageReference(text) == nil)
    }

    private static let map = ImageMap(
        rules: ["lab/vision/net:2"].compactMap(ImageReference.init).map { .init(.image($0), .directory("/exact")) } + [
            .init(.prefix("lab/"), .directory("/prefix")),
            .init(.prefix("lab/vision/"), .directory("/longer")),
            .init(.repository("lab/vision/net"), .directory("/repository")),
            .init(.repository("python"), .host),
        ])

    @Test(arguments: [
        ("lab/sound:1", "/prefix"), ("lab/vision/other", "/longer"), ("lab/vision/net", "/repository"),
        ("lab/vision/net:1", "/repository"), ("lab/vision/net:2", "/exact"), ("docker.io/lab/vision/net:2", "/exact"),
    ])
    func `the rule that fits best wins, in whatever order they are`(text: String, path: String) throws {
        for rules in [Self.map.rules, Self.map.rules.reversed()] {
            #expect(ImageMap(rules: rules).decision(on: try image(text)) == .mapped(.directory(path)))
        }
    }

    @Test func `a digest wins over a tag, and a tag that is another one does not match`() throws {
        let map = ImageMap(rules: [
            .init(.image(try image("a:1")), .directory("/tag")),
            .init(.image(try image("a@\(digest)")), .directory("/digest")),
        ])
        #expect(map.decision(on: try image("a:1@\(digest)")) == .mapped(.directory("/digest")))
        #expect(map.decision(on: try image("a:2@\(digest)")) == .mapped(.directory("/digest")))
        #expect(map.decision(on: try image("a:1")) == .mapped(.directory("/tag")))
        #expect(map.decision(on: try image("a:2")) == .refused)
        // Without a tag the latest is meant.
        #expect(map.decision(on: try image("a")) == .refused)
    }

    @Test func `what no rule matches is refused, or the host's where the configuration says so`() throws {
        #expect(Self.map.decision(on: try image("python:3")) == .mapped(.host))
        #expect(Self.map.decision(on: try image("laboratory/x")) == .refused)
        #expect(ImageMap(unmapped: .host).decision(on: try image("x")) == .unmappedHost)
        #expect(AgentConfiguration.defaults(uid: 0, environment: [:], home: "/root").images.unmapped == .refuse)
        #expect(AgentConfiguration.defaults(uid: 1000, environment: [:], home: "/h").images.unmapped == .host)
    }
}
