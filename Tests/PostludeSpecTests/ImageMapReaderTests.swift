import PostludeCore
import Testing

@testable import PostludeSpec

/// Images in the agent's configuration.
@Suite struct ImageMapReaderTests {
    static let defaults = AgentConfiguration(
        stateDirectory: "/s", socket: "/s/agent.sock", images: ImageMap(unmapped: .host))
    static let digest = "sha256:" + String(repeating: "0a", count: 32)

    private func map(_ text: String) throws -> ImageMap {
        try AgentConfigurationReader.read(text, path: "p.yaml", defaults: Self.defaults).images
    }

    @Test func `each kind of rule and of source is read`() throws {
        let map = try map(
            """
            images:
              unmapped: refuse
              fetch: true
              map:
              - {image: "docker.io/library/python:3.11", host: true}
              - {repository: lab/train, directory: "/srv/roots/train one"}
              - {prefix: registry.example.org:5000/lab/, layout: /srv/images/lab}
              - image: a@\(Self.digest)
                layout: /srv/images/a
                tag: stable
                digest: \(Self.digest)
                fetch: docker://docker.io/library/a:stable
            """)
        #expect(map.unmapped == .refuse)
        let image = try #require(ImageReference("python:3.11"))
        let pinned = try #require(ImageReference("a@\(Self.digest)"))
        #expect(
            map.rules == [
                .init(.image(image), .host), .init(.repository("lab/train"), .directory("/srv/roots/train one")),
                .init(.prefix("registry.example.org:5000/lab/"), .layout(.init(path: "/srv/images/lab"))),
                .init(
                    .image(pinned),
                    .layout(
                        .init(
                            path: "/srv/images/a", tag: "stable", digest: Self.digest,
                            fetch: "docker://docker.io/library/a:stable"))),
            ])
    }

    @Test func `without the key the defaults hold`() throws {
        #expect(try map("memory: 1Gi") == ImageMap(unmapped: .host))
        #expect(try map("images: {map: []}") == ImageMap(unmapped: .host))
    }

    /// `rule` stands below `map`, at line 3, from column 5 on.
    @Test(arguments: [
        ("{host: true}", "spec.missing-key", 5), ("{image: a:1}", "spec.missing-key", 5),
        ("{image: a:1, repository: a, host: true}", "config.ambiguous-image", 5),
        ("{image: a:1, host: true, layout: /l}", "config.ambiguous-image", 5),
        ("{image: a, host: true}", "spec.invalid-value", 13),
        ("{image: \"a b:1\", host: true}", "spec.invalid-value", 13),
        ("{repository: a:1, host: true}", "spec.invalid-value", 18),
        ("{prefix: lab, host: true}", "spec.invalid-value", 14),
        ("{image: a:1, host: false}", "spec.invalid-value", 24),
        ("{image: a:1, directory: srv}", "spec.invalid-value", 29),
        ("{image: a:1, directory: /}", "spec.invalid-value", 29),
        ("{image: a:1, layout: /a/../b}", "spec.invalid-value", 26),
        ("{image: a:1, layout: /l, digest: sha256:1}", "spec.invalid-value", 38),
        ("{image: a:1, host: true, tag: x}", "config.no-layout", 30),
        ("{image: a:1, layout: /l, fetch: \"docker://a:1\"}", "config.fetch-not-allowed", 30),
        ("{image: a:1, layout: /l, fetch: a:1}", "spec.invalid-value", 37),
        ("{image: a:1, host: true, pull: always}", "spec.unknown-key", 30),
        ("{image: a:1, host: yes please}", "spec.wrong-type", 24),
    ])
    func `what is wrong is told with its place`(rule: String, code: String, column: Int) {
        let text = "images:\n  map:\n  - \(rule)\n"
        do {
            _ = try map(text)
            Issue.record("\(rule) was taken")
        } catch let error as SpecError {
            let found = error.diagnostics.map { "\($0.code) \($0.place?.line ?? 0):\($0.place?.column ?? 0)" }
            #expect(found.contains("\(code) 3:\(column)"), "\(found)")
            #expect(error.diagnostics.allSatisfy { $0.hint != nil })
        } catch {
            Issue.record(error)
        }
    }

    @Test func `two rules for the same images are refused`() {
        let text = "images:\n  map:\n  - {image: a:1, host: true}\n  - {image: docker.io/library/a:1, directory: /d}\n"
        let error = #expect(throws: SpecError.self) { try map(text) }
        #expect(error?.diagnostics.first?.code == "config.duplicate-image")
        #expect(error?.diagnostics.first?.place?.line == 4)
    }
}
