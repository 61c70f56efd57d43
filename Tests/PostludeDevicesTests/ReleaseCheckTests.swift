import Foundation
import Glibc
import PostludeCore
import Testing

@testable import PostludeDevices

/// These tests hold and release devices that the whole machine shares, so they ask about their own process.
@Suite(.serialized, .enabled(if: isRoot)) struct ReleaseCheckTests {
    private let own = getpid()

    /// Who holds the device, apart from processes that this machine protects from everybody.
    private func holders(of device: Device) throws -> [DeviceHolder] {
        let unreadable = try ReleaseCheck.baseline(of: device).unreadable
        return try ReleaseCheck.holders(of: device, excluding: HolderBaseline(unreadable: unreadable))
    }

    private func device(_ path: String, isShared: Bool = false) throws -> Device {
        var status = stat()
        try #require(stat(path, &status) == 0)
        let node = DeviceNode(
            path: path, major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev), isShared: isShared)
        return Device(id: path, deviceClass: "example.com/thing", nodes: [node])
    }

    @Test func `an open descriptor is found, by number and not by path, until it is closed`() throws {
        let directory = try TemporaryDirectory()
        let other = try directory.node("other-name", S_IFCHR, major: 10, minor: 237)
        let loop = try device("/dev/loop-control")
        let protected = Set(try ReleaseCheck.baseline(of: loop).unreadable.keys)
        let descriptor = open(other, O_RDWR)
        try #require(descriptor >= 0)
        let holder = try #require(try holders(of: loop).first { $0.pid == own })
        #expect(holder.how == .descriptor)
        #expect(holder.uid == getuid())
        #expect(holder.node == "/dev/loop-control")
        #expect(!holder.command.isEmpty)
        #expect(try ReleaseCheck.holders(of: loop, excluding: protected.union([own])).allSatisfy { $0.pid != own })
        close(descriptor)
        #expect(try holders(of: loop).allSatisfy { $0.pid != own })
    }

    @Test func `a mapping is found after its descriptor is closed`() throws {
        let directory = try TemporaryDirectory()
        let node = try directory.node("mapped", S_IFCHR, major: 1, minor: 5)
        let descriptor = open(node, O_RDWR)
        let memory = mmap(nil, 4096, PROT_READ, MAP_PRIVATE, descriptor, 0)
        try #require(memory != MAP_FAILED)
        close(descriptor)
        let zero = try device("/dev/zero")
        // Other tests of this process may have the same device open for a moment, but none maps it.
        func isMapped() throws -> Bool {
            try holders(of: zero).contains { $0.pid == own && $0.how == .mapping }
        }
        #expect(try isMapped())
        munmap(memory, 4096)
        #expect(try !isMapped())
    }

    @Test func `a descriptor that is only a path holds nothing, one without read and write access does`() throws {
        let loop = try device("/dev/loop-control")
        // O_PATH
        let path = open("/dev/loop-control", 0o10000000)
        try #require(path >= 0)
        defer { close(path) }
        #expect(try holders(of: loop).allSatisfy { $0.pid != own })
        // Access mode 3 allows neither, but lets a driver be asked.
        let control = open("/dev/loop-control", 3)
        try #require(control >= 0)
        #expect(try holders(of: loop).contains { $0.pid == own && $0.how == .descriptor })
        close(control)
    }

    @Test func `shared control nodes say nothing about one device`() throws {
        let descriptor = open("/dev/loop-control", O_RDWR)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        #expect(try ReleaseCheck.verdict(of: try device("/dev/loop-control", isShared: true)) == .free)
    }

    @Test func `a process that may not be looked into is never taken for free, unless it is older than the grant`()
        throws
    {
        let vga = try device("/dev/vga_arbiter")
        let unreadable = try ReleaseCheck.baseline(of: vga).unreadable
        guard let pid = unreadable.keys.first else { return }  // nothing is protected on this machine
        let error = #expect(throws: DeviceError.self) { try ReleaseCheck.verdict(of: vga) }
        #expect(error?.code == "devices.scan-refused")
        let holders = try ReleaseCheck.holders(of: vga, excluding: HolderBaseline(unreadable: unreadable))
        // Any other program of this machine may hold it for a moment.
        #expect(holders.allSatisfy { unreadable[$0.pid] == nil })
        var younger = unreadable
        younger[pid] = 1
        #expect(throws: DeviceError.self) {
            try ReleaseCheck.verdict(of: vga, excluding: HolderBaseline(unreadable: younger))
        }
    }

    @Test func `who held it before the grant is excused, but not another process with the same number`() throws {
        let loop = try device("/dev/loop-control")
        let descriptor = open("/dev/loop-control", O_RDWR)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let baseline = try ReleaseCheck.baseline(of: loop)
        #expect(baseline.startTimes[own] != nil)
        #expect(try ReleaseCheck.holders(of: loop, excluding: baseline).allSatisfy { $0.pid != own })
        let reused = HolderBaseline(startTimes: [own: 1], unreadable: baseline.unreadable)
        #expect(try ReleaseCheck.holders(of: loop, excluding: reused).contains { $0.pid == own })
    }

    @Test func `several devices are told apart in one pass`() throws {
        let descriptor = open("/dev/loop-control", O_RDWR)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let devices = [try device("/dev/loop-control"), try device("/dev/vga_arbiter")]
        let protected = Set(try ReleaseCheck.baseline(of: devices[0]).unreadable.keys)
        let holders = try ReleaseCheck.holders(of: devices, excluding: protected)
        #expect(holders["/dev/loop-control"]?.contains { $0.pid == own } == true)
        #expect(holders["/dev/vga_arbiter"]?.contains { $0.pid == own } == false)
    }

    @Test func `several devices are judged in one look, each by its own baseline`() async throws {
        let devices = [try device("/dev/loop-control"), try device("/dev/vga_arbiter")]
        let before = try ReleaseCheck.baselines(of: devices)
        #expect(Set(before.keys) == ["/dev/loop-control", "/dev/vga_arbiter"])
        let descriptor = open("/dev/loop-control", O_RDWR)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        func held(by baselines: [String: HolderBaseline]) async -> [String: Bool] {
            await ReleaseCheck.findings(of: devices.map { ($0, baselines[$0.id] ?? HolderBaseline()) }) { _, error in
                Issue.record(error)
            }.mapValues { found in
                guard case .held(let holders) = found.verdict else { return false }
                return holders.contains { $0.pid == own }
            }
        }
        #expect(await held(by: before) == ["/dev/loop-control": true, "/dev/vga_arbiter": false])
        let since = try ReleaseCheck.baselines(of: devices)
        #expect(await held(by: since) == ["/dev/loop-control": false, "/dev/vga_arbiter": false])
    }

    @Test func `who is excused at a release and still has the device is excused after the next grant, nobody else`()
        async throws
    {
        let loop = try device("/dev/loop-control")
        let gone = try ReleaseCheck.baseline(of: loop)
        let descriptor = open("/dev/loop-control", O_RDWR)
        try #require(descriptor >= 0)
        var isOpen = true
        defer { if isOpen { close(descriptor) } }
        func found(_ baseline: HolderBaseline) async throws -> ReleaseCheck.Finding {
            try #require(
                await ReleaseCheck.findings(of: [(loop, baseline)]) { _, error in Issue.record(error) }[loop.id])
        }
        let mine = try ReleaseCheck.baseline(of: loop)
        #expect(try await found(gone).excused.startTimes[own] == nil)
        let excused = try await found(mine).excused
        #expect(excused.startTimes[own] == mine.startTimes[own])
        #expect(excused.startTimes[own] != nil)
        close(descriptor)
        isOpen = false
        #expect(try await found(mine).excused.startTimes[own] == nil)
    }

    @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0))
    func `another process that has only mapped a node is found among many mappings`() throws {
        let directory = try TemporaryDirectory()
        let node = try directory.node("mapped-elsewhere", S_IFCHR, major: 1, minor: 5)
        // More lines than one read of maps gives, before and after it; the descriptor is closed.
        let program = """
            import ctypes, os, sys
            libc = ctypes.CDLL(None)
            libc.mmap.restype = ctypes.c_void_p
            libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
            other = os.open(sys.executable, os.O_RDONLY)
            def many():
                for page in range(300): libc.mmap(None, 4096, 1 + page % 2 * 4, 2, other, 0)
            many()
            fd = os.open(sys.argv[1], os.O_RDWR)
            libc.mmap(None, 4096, 1, 2, fd, 0)
            os.close(fd)
            many()
            print('ready', end='', flush=True)
            sys.stdin.read()
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-c", program, node]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try #require(output.fileHandleForReading.availableData == Data("ready".utf8))
        let mine = try holders(of: try device("/dev/zero")).filter { $0.pid == process.processIdentifier }
        #expect(mine.map(\.how) == [.mapping])
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    @Test func `asking for mappings finds what the text says`() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "echo up; read line"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        _ = output.fileHandleForReading.availableData
        func mappings(asks: Bool) throws -> [FileMapping] {
            let maps = open("/proc/\(process.processIdentifier)/maps", O_RDONLY)
            try #require(maps >= 0)
            defer { close(maps) }
            var files = FileMappings(asks: asks)
            var found: [FileMapping] = []
            #expect(try files.read(maps) { found.append($0) })
            return found
        }
        let asked = try mappings(asks: true)
        #expect(asked.count > 5)
        #expect(try mappings(asks: false) == asked)
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    @Test(arguments: [true, false]) func `a private mapping is found either way`(asks: Bool) throws {
        let descriptor = open("/dev/zero", O_RDWR)
        try #require(descriptor >= 0)
        let memory = mmap(nil, 4096, PROT_READ, MAP_PRIVATE, descriptor, 0)
        try #require(memory != MAP_FAILED)
        close(descriptor)
        defer { munmap(memory, 4096) }
        var scan = ProcessScan(nodes: try device("/dev/zero").nodes, asks: asks)
        let findings = try scan.run(excluding: []).findings
        #expect(findings.contains { $0.holder.pid == own && $0.holder.how == .mapping })
    }

    @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0))
    func `a process whose first thread has ended still holds what it holds`() throws {
        let program = """
            import ctypes, os, sys, threading, time
            fd = os.open('/dev/loop-control', os.O_RDWR)
            def wait():
                while open('/proc/self/stat').read().split()[2] != 'Z': pass
                print('ready', end='', flush=True)
                sys.stdin.read()
                os._exit(0)
            threading.Thread(target=wait).start()
            ctypes.CDLL(None).pthread_exit(None)
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-c", program]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try #require(output.fileHandleForReading.availableData == Data("ready".utf8))
        let holders = try holders(of: try device("/dev/loop-control"))
        #expect(holders.contains { $0.pid == process.processIdentifier && $0.how == .descriptor })
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    @Test func `processes that come and go meanwhile do no harm`() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do /bin/true; done"]
        try process.run()
        let full = try device("/dev/vga_arbiter")
        while process.isRunning { _ = try holders(of: full) }
    }

    @Test func `lines of maps are read as the kernel writes them`() throws {
        func parse(_ text: String) -> FileMapping? { Array(text.utf8).withUnsafeBytes { FileMapping($0) } }
        let line = try #require(parse("7f00f0000000-7f00f0001000 rw-s 00000000 00:05 1033    /dev/my card"))
        #expect(line.name == "7f00f0000000-7f00f0001000")
        #expect(line.device == 5)
        #expect(line.inode == 1033)
        let other = try #require(parse("00400000-00401000 r--p 00000000 fd:1f 2 /x"))
        #expect(other.name == "400000-401000")
        #expect(other.device == 0xfd << 32 | 0x1f)
        for text in ["7ffc00000000-7ffc00001000 rw-p 00000000 00:00 0 [stack]", "garbage", "", "1-2", "1-2 r 0 0:0"] {
            #expect(parse(text) == nil)
        }
    }
}
