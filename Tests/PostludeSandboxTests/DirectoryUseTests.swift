import Foundation
import Glibc
import PostludeCore
import Testing

@testable import PostludeSandbox

@Suite struct DirectoryUseTests {
    private let directory: TemporaryDirectory
    private var path: String { "\(directory.path)/tree" }

    init() throws {
        directory = try TemporaryDirectory()
        guard mkdir(path, 0o755) == 0 else { throw POSIXError(.EIO) }
    }

    private func write(_ bytes: Int, to name: String) throws {
        try Data(count: bytes).write(to: URL(filePath: "\(path)/\(name)"))
    }

    private func blocks(_ name: String) -> Int64 {
        var status = stat()
        return lstat("\(path)/\(name)", &status) == 0 ? Int64(status.st_blocks) * 512 : -1
    }

    private func measured() throws -> DiskUse { try #require(DirectoryUse(of: path).measured()) }

    @Test func `blocks and inodes of everything are added up`() throws {
        try write(100_000, to: "a")
        for name in ["d", "d/e"] { #expect(mkdir("\(path)/\(name)", 0o700) == 0) }
        try write(5, to: "d/e/b")
        let use = try measured()
        #expect(use == DiskUse(bytes: ["", "a", "d", "d/e", "d/e/b"].map(blocks).reduce(0, +), files: 5))
        #expect(use.bytes >= 100_000)
    }

    @Test func `a file with holes counts as what is written of it`() throws {
        try write(10, to: "a")
        #expect(truncate("\(path)/a", 1 << 40) == 0)
        #expect(try measured().bytes < 1 << 20)
    }

    @Test func `a file with several names counts once`() throws {
        try write(1 << 20, to: "a")
        let before = try measured()
        #expect(mkdir("\(path)/d", 0o700) == 0)
        for name in ["b", "c", "d/e"] { #expect(link("\(path)/a", "\(path)/\(name)") == 0) }
        #expect(try measured().bytes == before.bytes + blocks("d"))
    }

    @Test func `links lead nowhere, and nothing but directories is opened`() throws {
        #expect(symlink("/", "\(path)/root") == 0 && symlink(".", "\(path)/loop") == 0)
        // Opening one would wait for a writer.
        #expect(mkfifo("\(path)/fifo", 0o600) == 0)
        let use = try measured()
        #expect(use.files == 4 && use.isComplete && use.bytes < 1 << 20)
    }

    @Test func `a link in the directory's own place is not followed, and what is not there is not known`() {
        #expect(symlink("/usr", "\(directory.path)/link") == 0)
        #expect(DirectoryUse(of: "\(directory.path)/link").measured() == nil)
        #expect(DirectoryUse(of: "\(directory.path)/none").measured() == nil)
    }

    @Test(.enabled(if: geteuid() == 0, "needs root to mount"))
    func `what is mounted below is another disk's`() throws {
        #expect(mkdir("\(path)/m", 0o755) == 0)
        try #require(mount("tmpfs", "\(path)/m", "tmpfs", 0, nil) == 0)
        defer { umount2("\(path)/m", Int32(MNT_DETACH)) }
        try write(8 << 20, to: "m/a")
        #expect(try measured().bytes < 1 << 20)
    }

    @Test func `directories too deep in each other are told, and take no descriptors`() throws {
        var deep = path
        for _ in 0..<(DirectoryUse.maximumDepth + 20) {
            deep += "/d"
            #expect(mkdir(deep, 0o700) == 0)
        }
        let use = try measured()
        #expect(use.isTooDeep && !use.isComplete)
        #expect(use.files == Int64(DirectoryUse.maximumDepth) + 1)
        #expect(FileManager.default.fileExists(atPath: path))
        let flat = try #require(DirectoryUse(of: "\(path)" + String(repeating: "/d", count: 30)).measured())
        #expect(flat.isComplete && !flat.isTooDeep)
    }

    @Test func `a walk that is cut short says so`() throws {
        for number in 0..<3000 { try write(0, to: "\(number)") }
        let few = try #require(DirectoryUse(of: path).measured(entries: 10))
        #expect(!few.isComplete && few.files == 11)
        let stop = DirectoryUse.Stop()
        stop.ask()
        #expect(DirectoryUse(of: path).measured(stop: stop)?.files == 1)
        let asked = try #require(DirectoryUse(of: path).measured(mayGoOn: { false }))
        #expect(!asked.isComplete && asked.files < 3000)
        #expect(try measured() == DiskUse(bytes: blocks(""), files: 3001))
    }

    @Test func `what a disk has is what statvfs says`() throws {
        let space = try #require(DiskSpace(at: path))
        #expect(space.totalBytes >= space.availableBytes && space.availableBytes > 0)
        #expect(DiskSpace(at: "\(path)/none") == nil)
    }
}
