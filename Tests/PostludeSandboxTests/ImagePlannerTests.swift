import PostludePlan
import Testing

@testable import PostludeSandbox

/// What an image shows, laid out without an image.
@Suite struct ImagePlannerTests {
    /// Paths of an image; one that ends with a slash is a directory, one with an arrow a link.
    private struct Image {
        var paths: [String]

        func kind(_ path: String) -> HostRoot.Kind? {
            if path == "/" || paths.contains(path + "/") { return .directory }
            if paths.contains(path) { return .file }
            return paths.first { $0.hasPrefix("\(path) -> ") }.map { .link(String($0.dropFirst(path.count + 4))) }
        }

        func entries(_ directory: String) -> [HostRoot.Entry] {
            let prefix = directory == "/" ? "/" : directory + "/"
            let names = paths.compactMap { path -> String? in
                let plain = path.split(separator: " ")[0]
                guard plain.hasPrefix(prefix), plain != prefix else { return nil }
                return plain.dropFirst(prefix.count).split(separator: "/").first.map(String.init)
            }
            return Set(names).sorted().compactMap { name in
                kind(prefix + name).map { HostRoot.Entry(name: name, kind: $0) }
            }
        }
    }

    private static let paths = [
        "/usr/", "/usr/bin/", "/bin -> usr/bin", "/etc/", "/etc/passwd", "/etc/hosts", "/home/", "/home/build/",
        "/var/", "/var/tmp/", "/proc -> /", "/tmp -> /etc", "/plx-context -> /proc/1/root", "/start.sh",
    ]

    private func plan(
        _ more: [String] = [], without: [String] = [], places: [String] = [], files: [String] = []
    ) throws -> [PlannedMount] {
        let image = Image(paths: Self.paths.filter { !without.contains($0) } + more)
        return try ImagePlanner(
            image: "/i", kind: image.kind, entries: image.entries, places: places,
            files: files.map { ImageFile(source: "/given" + $0, target: $0) }
        ).mounts(tmpBytes: 4096, tmpInodes: 16)
    }

    private func covers(_ mounts: [PlannedMount]) -> [String] {
        mounts.compactMap { mount in
            if case .operation(let operation) = mount, mount == .cover(operation.target) {
                operation.target
            } else {
                nil
            }
        }
    }

    @Test func `directories and files are bound, links are links, and what is the sandbox's own is left out`() throws {
        let mounts = try plan()
        for path in ["/usr", "/etc", "/home", "/var", "/start.sh"] {
            #expect(mounts.contains(.image("/i", path: path)), "\(path)")
        }
        #expect(mounts.contains(.operation(.symlink(target: "/bin", text: "usr/bin"))))
        let targets = mounts.compactMap { if case .operation(let operation) = $0 { operation.target } else { nil } }
        #expect(targets.sorted() == ["/bin", "/var/tmp"] && mounts.count == 7, "\(mounts)")
    }

    @Test func `a directory that lacks a mount point is made anew with all that it had`() throws {
        let mounts = try plan(places: ["/home/ada", "/home/ada/project", "/data/sets"])
        #expect(covers(mounts) == ["/home"])
        let cover = try #require(mounts.firstIndex(of: .cover("/home")))
        let whole = try #require(mounts.firstIndex(of: .image("/i", path: "/home")))
        let build = try #require(mounts.firstIndex(of: .image("/i", path: "/home/build")))
        #expect(whole < cover && cover < build)
        // What is missing in the root itself is made there.
        #expect(try covers(plan(places: ["/data/sets"])).isEmpty)
        // What is there is only covered by the mount.
        #expect(try plan(places: ["/home/build"]) == plan())
    }

    @Test func `a link on the way to a mount point gives way to a directory`() throws {
        let inRoot = try plan(["/home -> /etc"], without: ["/home/", "/home/build/"], places: ["/home/ada"])
        #expect(!inRoot.contains(.operation(.symlink(target: "/home", text: "/etc"))))
        #expect(covers(inRoot).isEmpty)
        let below = try plan(["/usr/src -> ../etc"], places: ["/usr/src/project"])
        #expect(covers(below) == ["/usr"])
        #expect(!below.contains(.operation(.symlink(target: "/usr/src", text: "../etc"))))
        #expect(below.contains(.image("/i", path: "/usr/bin")))
    }

    @Test func `files are put over the image's own, and beside them where there are none`() throws {
        let there = try plan(files: ["/etc/passwd"])
        #expect(there.last == .host("/given/etc/passwd", target: "/etc/passwd") && covers(there).isEmpty)
        let missing = try plan(files: ["/etc/passwd", "/etc/resolv.conf"])
        #expect(covers(missing) == ["/etc"])
        #expect(
            missing.contains(.image("/i", path: "/etc/hosts")) && missing.contains(.image("/i", path: "/etc/passwd")))
        let link = try plan(["/etc/resolv.conf -> /run/x"], files: ["/etc/resolv.conf"])
        #expect(!link.contains(.operation(.symlink(target: "/etc/resolv.conf", text: "/run/x"))))
        #expect(link.last == .host("/given/etc/resolv.conf", target: "/etc/resolv.conf"))
        // Not through a link to who knows where.
        let elsewhere = try plan(
            ["/etc -> usr/etc", "/usr/etc/"], without: ["/etc/", "/etc/passwd", "/etc/hosts"], files: ["/etc/passwd"])
        #expect(!elsewhere.contains(.host("/given/etc/passwd", target: "/etc/passwd")))
    }

    @Test func `a directory with too much in it is not made anew`() throws {
        let many = (0...ImagePlanner.maximumEntries).map { "/etc/file\($0)" } + (0...200).map { "/opt/tool\($0)/" }
        let mounts = try plan(many + ["/opt/"], files: ["/etc/passwd", "/etc/resolv.conf"])
        #expect(mounts.last == .host("/given/etc/passwd", target: "/etc/passwd") && covers(mounts).isEmpty)
        let error = #expect(throws: SandboxError.self) { try plan(many + ["/opt/"], places: ["/opt/project"]) }
        #expect(error?.code == "sandbox.image-mount-point" && error?.message.contains("'/opt'") == true)
    }

    @Test func `accounts name the submitter first, and groups that the image does not know`() {
        let accounts = ImageAccounts(
            user: .init(name: "a:da\nroot", uid: 1000, gid: 1000, groups: [1000, 44, 2000], home: "/home/ada"))
        #expect(accounts.passwd("x:x:1000:1::/:\n") == "a_da_root:x:1000:1000::/home/ada:/bin/sh\nx:x:1000:1::/:\n")
        #expect(accounts.group("video:x:44:\n") == "a_da_root:x:1000:\ngroup2000:x:2000:\nvideo:x:44:\n")
        #expect(accounts.passwd(nil) == "a_da_root:x:1000:1000::/home/ada:/bin/sh\n")
    }
}
