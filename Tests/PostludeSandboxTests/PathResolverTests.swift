import Foundation
import Testing

@testable import PostludeSandbox

@Suite struct PathResolverTests {
    @Test func `paths are resolved as realpath does`() throws {
        let directory = try TemporaryDirectory()
        let root = directory.path
        let manager = FileManager.default
        try manager.createDirectory(atPath: "\(root)/real/inner", withIntermediateDirectories: true)
        for file in ["real/a", "real/inner/b"] { #expect(manager.createFile(atPath: "\(root)/\(file)", contents: nil)) }
        for (link, target) in [
            ("link", "real"), ("file", "real/a"), ("real/up", ".."), ("loop", "loop"), ("dangling", "nothing"),
            ("absolute", "\(root)/real/inner"),
        ] { try #require(symlink(target, "\(root)/\(link)") == 0) }
        var resolver = PathResolver()
        for path in [
            "real", "real/a", "real/inner/b", "link", "link/a", "link/inner/b", "link/inner/", "link/inner/../a",
            "file",
            "file/x", "real/a/x", "real/up", "real/up/file", "loop", "loop/x", "dangling", "dangling/x", "absolute/b",
            "missing", "missing/x", "real//a", "./real/a", ".", "..", "",
        ] {
            let whole = "\(root)/\(path)"
            let expected = canonicalPath(whole)
            // Twice: the second time its directory is known.
            for _ in 0..<2 { #expect(resolver.canonical(whole) == expected, "\(path)") }
        }
        for path in ["/", "/usr", "/usr/bin", "//usr", "/usr/..", "/bin", "/nothing", "usr", ""] {
            #expect(resolver.canonical(path) == canonicalPath(path), "\(path)")
        }
        #expect(resolver.find("\(root)/link/a")?.identity == resolver.find("\(root)/file")?.identity)
        #expect(resolver.find("\(root)/real/inner/b")?.identity != resolver.find("\(root)/real/a")?.identity)
    }
}
