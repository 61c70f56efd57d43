import Foundation
import PostludeCore
import Testing

@testable import PostludeImages

/// Layouts of the tests' own, with real images.
@Suite(.timeLimit(.minutes(2))) struct ImageStoreTests {
    private final class Place: Sendable {
        let path = FileManager.default.temporaryDirectory.appending(path: "postlude-images-\(UUID().uuidString)").path
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit {
            do { try FileManager.default.removeItem(atPath: path) } catch { print("\(path) stays behind: \(error)") }
        }
        var images: String { "\(path)/images" }
        var stored: [String] { ImageStore.names(in: images) }
    }

    private let reference: ImageReference
    init() throws { reference = try #require(ImageReference("a:1")) }

    private func layout(_ place: Place) async throws -> ImageMap.Layout {
        try await TestImage("\(place.path)/root", id: "a").pack(into: "\(place.path)/layout", tag: "1")
        return ImageMap.Layout(path: "\(place.path)/layout")
    }

    @Test(.enabled(if: TestImage.hasUmoci, "umoci is not installed"))
    func `all who want an image at once wait for one unpacking`() async throws {
        let place = try Place()
        let layout = try await layout(place)
        let store = ImageStore(directory: place.images)
        let image = reference
        let found = try await withThrowingTaskGroup(of: ImageStore.Unpacked.self) { group in
            for _ in 0..<12 { group.addTask { try await store.prepare(layout, for: image) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(found.count == 12 && Set(found).count == 1)
        #expect(place.stored == [ImageStore.name(of: found[0].digest)])
        #expect(try String(contentsOfFile: "\(found[0].root)/etc/os-release", encoding: .utf8) == "ID=a\n")
    }

    @Test(.enabled(if: TestImage.hasUmoci, "umoci is not installed"))
    func `nothing is unpacked where the disk's reserve is gone`() async throws {
        let place = try Place()
        let layout = try await layout(place)
        let store = ImageStore(directory: place.images) { .bytes(1, reserve: 2) }
        let error = await #expect(throws: ImageError.self) { try await store.prepare(layout, for: self.reference) }
        #expect(error?.code == "image.disk-pressure" && error?.isTemporary == true)
        #expect(place.stored.isEmpty)
        // What failed once is tried again.
        _ = try await ImageStore(directory: place.images).prepare(layout, for: reference)
        #expect(place.stored.count == 1)
    }

    @Test(.enabled(if: TestImage.hasUmoci, "umoci is not installed"))
    func `of several platforms this machine's is taken, and another's alone is refused`() async throws {
        let place = try Place()
        let layout = try await layout(place)
        let index = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: "\(layout.path)/index.json")))
                as? [String: Any])
        var manifest = try #require((index["manifests"] as? [[String: Any]])?.first)
        let digest = try #require(manifest["digest"] as? String)
        manifest["annotations"] = nil
        func pack(_ architectures: [String]) throws {
            let all = architectures.map { architecture in
                var one = manifest
                one["platform"] = ["os": "linux", "architecture": architecture]
                if architecture == "mips" { one["digest"] = "sha256:" + String(repeating: "0", count: 64) }
                return one
            }
            let inner = try JSONSerialization.data(withJSONObject: ["schemaVersion": 2, "manifests": all])
            // Its name is not its digest, for nobody compares an index's: what counts is the manifest's.
            let name = "sha256:" + String(repeating: "b", count: 64)
            try inner.write(to: URL(filePath: "\(layout.path)/\(ImageLayout.place(of: name))"))
            let outer: [String: Any] = [
                "schemaVersion": 2,
                "manifests": [
                    [
                        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": name, "size": inner.count,
                        "annotations": ["org.opencontainers.image.ref.name": "1"],
                    ]
                ],
            ]
            try JSONSerialization.data(withJSONObject: outer).write(to: URL(filePath: "\(layout.path)/index.json"))
        }
        try pack(["mips", Descriptor.architecture])
        let unpacked = try await ImageStore(directory: place.images).prepare(layout, for: reference)
        #expect(unpacked.digest == digest)
        try pack(["mips"])
        let error = #expect(throws: ImageError.self) { try ImageLayout(layout.path).image(named: nil, of: reference) }
        #expect(error?.code == "image.layout-broken" && error?.message.contains("no image for linux/") == true)
    }

    @Test func `what is no layout is refused with its place`() throws {
        let place = try Place()
        func look() -> ImageError? {
            #expect(throws: ImageError.self) { try ImageLayout(place.path).image(named: nil, of: reference) }
        }
        #expect(look()?.message.contains("/oci-layout' cannot be read") == true)
        func write(_ name: String, _ text: String) throws {
            try Data(text.utf8).write(to: URL(filePath: "\(place.path)/\(name)"))
        }
        try write("oci-layout", #"{"imageLayoutVersion": "2.0"}"#)
        #expect(look()?.message.contains("version 2.0") == true)
        try write("oci-layout", #"{"imageLayoutVersion": "1.0.0"}"#)
        for (index, words) in [
            ("[]", "is no JSON object"), ("{}", "has no list `manifests`"), ("{", "is not JSON"),
            (#"{"manifests": [{"digest": "sha256:../../etc", "size": 1}]}"#, "no descriptor as manifests[0]"),
        ] {
            try write("index.json", index)
            let error = look()
            #expect(error?.code == "image.layout-broken" && error?.message.contains(words) == true, "\(index)")
        }
        try write("index.json", #"{"manifests": []}"#)
        #expect(look()?.code == "image.not-in-layout")
    }

    @Test func `a program is ended when it takes too long, or when nobody waits any more`() async throws {
        // On a thread of its own: agents of other tests run on those of tests.
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread { continuation.resume(with: Result { try Self.runPrograms() }) }
        }
    }

    private static func runPrograms() throws {
        let stop = try StopSignal()
        let began = ContinuousClock.now
        func run(_ program: String, _ arguments: [String], seconds: Int = 60) -> ImageError? {
            #expect(throws: ImageError.self) {
                try ChildProcess(program: program, arguments: arguments, environment: [], seconds: seconds)
                    .run(until: stop)
            }
        }
        #expect(run("sleep", ["60"], seconds: 1)?.message == "sleep had not ended after 1 s and was killed.")
        let failed = run("sh", ["-c", "echo first; echo the last words >&2; exit 3"])
        #expect(failed?.message == "sh ended with code 3: first | the last words.")
        #expect(run("sh", ["-c", "exec > /dev/null 2>&1; sleep 0.1; exit 4"])?.message == "sh ended with code 4.")
        #expect(run("sh", ["-c", "kill -9 $$"])?.message == "sh was ended by signal 9.")
        #expect(run("postlude-no-such-program", [])?.code == "image.tool-missing")
        try ChildProcess(program: "true", arguments: [], environment: [], seconds: 5).run(until: stop)
        stop.raise()
        #expect(run("sleep", ["60"])?.code == "image.cancelled")
        #expect(ContinuousClock.now - began < .seconds(30))
    }

    @Test func `only what the configuration needs is asked of the host`() {
        #expect(ImageTools.checks(for: ImageMap()).isEmpty)
        let layout = ImageMap(rules: [.init(.repository("a"), .layout(.init(path: "/l")))])
        #expect(ImageTools.checks(for: layout).map(\.name) == ["umoci"])
        let fetched = ImageMap(rules: [.init(.repository("a"), .layout(.init(path: "/l", fetch: "oci:/m:1")))])
        #expect(ImageTools.checks(for: fetched).map(\.name) == ["umoci", "skopeo"])
    }
}
