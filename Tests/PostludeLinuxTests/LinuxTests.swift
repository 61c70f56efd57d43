import Glibc
import PostludeLinux
import Synchronization
import Testing

let isRoot = getuid() == 0

func spawn(_ words: [String]) throws -> Int32 {
    var pid: pid_t = 0
    let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    let failure = posix_spawn(&pid, words[0], nil, nil, arguments, [nil])
    guard failure == 0 else { throw LinuxError("posix_spawn", words[0], errno: failure) }
    return pid
}

struct DescriptorTests {
    private func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

    @Test func `a descriptor is closed by its owner, or given up`() throws {
        let file = try OwnedDescriptor.open("/dev/null", O_RDONLY)
        let raw = file.rawValue
        #expect(fcntl(raw, F_GETFD) == FD_CLOEXEC)
        let given = file.release()
        #expect(given == raw && isOpen(raw))
        _ = OwnedDescriptor(adopting: raw)
    }

    @Test func `a failed call says what, on what and why`() {
        #expect { _ = try OwnedDescriptor.open("/no/such", O_RDONLY) } throws: { error in
            let error = error as? LinuxError
            return error == LinuxError("open", "/no/such", errno: ENOENT) && error?.code == "linux.open"
                && error?.message == "open failed for '/no/such': No such file or directory."
        }
    }

    @Test func `packets carry descriptors`() throws {
        let pair = try PacketSocket.pair()
        let files = try (0..<PacketSocket.maximumDescriptors).map { _ in try MemoryFile.sealed("x", [42]).release() }
        defer { for file in files { close(file) } }
        try PacketSocket.send([1, 2, 3], descriptors: files, to: pair.reader.rawValue)
        let received = try #require(try PacketSocket.receive(from: pair.writer.rawValue))
        defer { for file in received.descriptors { close(file) } }
        #expect(received.bytes == [1, 2, 3])
        #expect(received.descriptors.count == files.count)
        #expect(try MemoryFile.content(of: received.descriptors[200]) == [42])
        #expect(fcntl(received.descriptors[0], F_GETFD) == FD_CLOEXEC)
    }

    @Test func `a packet that was cut is an error, and a closed socket is nil`() throws {
        let pair = try PacketSocket.pair()
        try PacketSocket.send([UInt8](repeating: 1, count: 100), to: pair.reader.rawValue)
        #expect(throws: LinuxError("recvmsg", errno: EMSGSIZE)) {
            try PacketSocket.receive(from: pair.writer.rawValue, limit: 10)
        }
        shutdown(pair.reader.rawValue, Int32(SHUT_RDWR))
        #expect(try PacketSocket.receive(from: pair.writer.rawValue) == nil)
        #expect(throws: LinuxError("sendmsg", errno: E2BIG)) {
            try PacketSocket.send([1], descriptors: [Int32](repeating: 0, count: 252), to: pair.reader.rawValue)
        }
    }

    @Test func `a sealed memory file cannot change`() throws {
        let file = try MemoryFile.sealed("plan", Array("content".utf8))
        #expect(MemoryFile.isSealed(file.rawValue))
        #expect(throws: LinuxError.self) { try file.write([1]) }
        #expect(try MemoryFile.content(of: file.rawValue) == Array("content".utf8))
        #expect(throws: LinuxError("memfd", errno: EFBIG)) { try MemoryFile.content(of: file.rawValue, limit: 3) }
        let open = try MemoryFile.create("x")
        #expect(!MemoryFile.isSealed(open.rawValue))
    }

    @Test func `files larger than one read are read whole`() throws {
        let file = try MemoryFile.create("large")
        let content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
        try file.write(content)
        lseek(file.rawValue, 0, SEEK_SET)
        #expect(try file.readAll() == content)
        lseek(file.rawValue, 0, SEEK_SET)
        #expect(try file.readAll(limit: 5000) == Array(content.prefix(5000)))
    }

    @Test func `splice tells an empty pipe from an ended one`() throws {
        let file = try MemoryFile.create("log")
        let ends = try OwnedDescriptor.pipe(readerNonBlocking: true)
        let reader = ends.reader.rawValue
        #expect(Splice.move(from: reader, to: file.rawValue, count: 100) == .empty)
        try ends.writer.write([1, 2, 3])
        #expect(Splice.move(from: reader, to: file.rawValue, count: 2) == .moved(2))
        let writer = ends.writer.rawValue
        #expect(dup2(file.rawValue, writer) == writer)
        #expect(Splice.move(from: reader, to: file.rawValue, count: 100) == .moved(1))
        #expect(Splice.move(from: reader, to: file.rawValue, count: 100) == .end)
    }

    @Test func `untrusted paths stay below their directory`() throws {
        let etc = try OwnedDescriptor.open("/etc", O_RDONLY | O_DIRECTORY)
        #expect(throws: LinuxError.self) {
            _ = try OwnedDescriptor.open("../usr", O_RDONLY, at: etc.rawValue, resolving: [.beneath])
        }
        #expect(throws: LinuxError.self) {
            _ = try OwnedDescriptor.open("/proc/self/fd/0", O_RDONLY, at: AT_FDCWD, resolving: [.noMagicLinks])
        }
        let inside = try OwnedDescriptor.open("/../../passwd", O_RDONLY, at: etc.rawValue, resolving: [.inRoot])
        #expect(inside.rawValue >= 0)
    }
}

struct ReadinessTests {
    @Test func `epoll tells which descriptor is ready`() throws {
        let epoll = try Epoll()
        let counter = try EventCounter()
        let timer = try Timer()
        try epoll.add(counter.descriptor.rawValue, .readable, token: 7)
        try epoll.add(timer.descriptor.rawValue, .readable, token: 8)
        #expect(try epoll.wait(milliseconds: 0).isEmpty)
        counter.signal()
        counter.signal()
        #expect(try epoll.wait(milliseconds: 1000).map(\.token) == [7])
        #expect(counter.drain() == 2)
        try timer.arm(afterMilliseconds: 1)
        let event = try #require(try epoll.wait(milliseconds: 5000).first)
        #expect(event.token == 8 && event.has(.readable) && !event.has(.hangUp))
        timer.drain()
        try epoll.remove(counter.descriptor.rawValue)
        counter.signal()
        #expect(try epoll.wait(milliseconds: 0).isEmpty)
    }

    @Test func `a file watch tells of changes`() throws {
        var template = Array("/tmp/postlude-linux-XXXXXX".utf8CString)
        _ = try #require(mkdtemp(&template))
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(directory) }
        let watch = try FileWatch()
        let number = try watch.add(directory, mask: UInt32(IN_CREATE) | UInt32(IN_DELETE))
        #expect(try watch.changes().isEmpty)
        _ = try OwnedDescriptor.open(directory + "/a file", O_CREAT | O_WRONLY, mode: 0o600)
        unlink(directory + "/a file")
        let changes = try watch.changes()
        #expect(changes.map(\.name) == ["a file", "a file"])
        #expect(changes.map(\.mask) == [UInt32(IN_CREATE), UInt32(IN_DELETE)])
        #expect(changes.allSatisfy { $0.watch == number })
    }
}

struct ProcessTests {
    @Test func `the end of a child is told exactly`() throws {
        let first = try ProcessDescriptor(pid: try spawn(["/bin/sh", "-c", "exit 3"]))
        let end = try #require(try first.reap(block: true))
        #expect(end.end == .code(3))
        #expect(end.usage.maxRSSBytes > 100_000)
        let second = try ProcessDescriptor(pid: try spawn(["/bin/sleep", "1000"]))
        #expect(try !second.hasEnded())
        #expect(try second.reap(block: false) == nil)
        try second.signal(SIGKILL)
        try #require(try waitReadable(second.descriptor.rawValue, milliseconds: 5000))
        #expect(try second.reap(block: true)?.end == .signal(SIGKILL, coreDumped: false))
        #expect(throws: LinuxError.self) { try second.signal(SIGTERM) }
    }

    @Test func `a process is known by its start time`() throws {
        let own = try #require(try ProcessIdentity.startTime(of: getpid()))
        #expect(own > 0)
        #expect(try ProcessIdentity.startTime(of: getpid()) == own)
        #expect(try ProcessIdentity.stat(of: getpid())?.parent == getppid())
        #expect(try ProcessIdentity.startTime(of: 0x3fff_ffff) == nil)
        #expect(try ProcessIdentity.bootID().count == 36)
    }

    /// Timeouts and grace periods of attempts: setting the wall clock must neither end a run nor keep it.
    @Test func `a timer is on a clock that nobody can set`() throws {
        let timer = try Timer()
        let info = try readText("/proc/self/fdinfo/\(timer.descriptor.rawValue)")
        let line = try #require(info.split(separator: "\n").first { $0.hasPrefix("clockid:") })
        #expect(line.split(whereSeparator: \.isWhitespace).last == "\(CLOCK_MONOTONIC)")
    }

    @Test func `clocks go forward`() {
        let first = (Clocks.bootNanoseconds(), Clocks.monotonicNanoseconds())
        #expect(Clocks.bootNanoseconds() >= first.0 && Clocks.monotonicNanoseconds() >= first.1)
        #expect(Clocks.wallMicroseconds() > 1_600_000_000_000_000)
    }

    @Test func `namespaces have inodes`() {
        #expect(Set(Namespace.inodes(of: "self").keys) == Set(Namespace.allCases.map(\.rawValue)))
        #expect(Namespace.inodes(of: "nobody").isEmpty)
    }

    @Test func `device numbers are put together and taken apart`() {
        let device = DeviceNumber.make(195, 255)
        #expect(DeviceNumber.major(device) == 195 && DeviceNumber.minor(device) == 255)
        #expect(DeviceNumber.minor(DeviceNumber.make(511, 1_000_000)) == 1_000_000)
    }
}

@Suite(.enabled(if: isRoot, "cgroups and device filters need root"))
struct CgroupTests {
    private static let counter = Mutex(0)

    /// A fresh v2 cgroup below our own, removed afterwards.
    private func withCgroup(_ body: (borrowing Cgroup) throws -> Void) throws {
        let number = Self.counter.withLock { value in
            value += 1
            return value
        }
        let path = try CgroupLayout.discover().unified + "/postlude-linux-\(getpid())-\(number)"
        let cgroup = try Cgroup(creating: path)
        defer {
            do { try Cgroup.remove(path) } catch { print("could not remove \(path): \(error), ignoring") }
        }
        try body(cgroup)
    }

    @Test func `a cgroup is entered, frozen, killed and seen to be empty`() throws {
        try withCgroup { cgroup in
            #expect(try !cgroup.isPopulated())
            let pid = try spawn(["/bin/sleep", "1000"])
            let process = try ProcessDescriptor(pid: pid)
            try cgroup.enter(pid)
            #expect(try cgroup.processes() == [pid])
            let events = try cgroup.events()
            #expect(try events.isPopulated())
            #expect(try !events.waitUntilEmpty(milliseconds: 5))
            try cgroup.freeze(true)
            while try !cgroup.isFrozen() { _ = try waitPriority(events.file.rawValue, milliseconds: 1000) }
            try cgroup.kill()
            #expect(try process.reap(block: true)?.end == .signal(SIGKILL, coreDumped: false))
            #expect(try events.waitUntilEmpty(milliseconds: 5000))
            #expect(try cgroup.inode() > 0)
            #expect(CgroupCounters.read(unified: cgroup.path, legacy: [:]).userMicroseconds != nil)
        }
    }

    @Test func `what is not there is nil or an error that names it`() throws {
        try withCgroup { cgroup in
            #expect(cgroup.number("no.such") == nil)
            #expect(cgroup.number("cgroup.events", key: "populated") == 0)
            #expect(cgroup.number("cgroup.events", key: "nothing") == nil)
            let path = cgroup.path
            #expect { try cgroup.write("no.such", "1") } throws: {
                ($0 as? LinuxError)?.subject == path + "/no.such"
            }
            #expect(CgroupCounters.read(unified: "/no/such", legacy: [.memory: "/no/such"]) == CgroupCounters())
        }
    }

    @Test func `a device filter is attached, found, and replaced by deny-all`() throws {
        try withCgroup { cgroup in
            #expect(try DeviceFilter.programs(on: cgroup).isEmpty)
            let program = try DeviceFilterProgram(allowing: [
                DeviceRule(major: 195, minor: 0), DeviceRule(major: 195, minor: nil),
            ])
            .load()
            try DeviceFilter.attach(program.rawValue, to: cgroup)
            let before = try DeviceFilter.programs(on: cgroup)
            #expect(before.count == 1)
            try DeviceFilter.denyAll(cgroup)
            let after = try DeviceFilter.programs(on: cgroup)
            #expect(after.count == 1 && after != before)
        }
    }

    @Test func `deny-all also holds where no filter was`() throws {
        try withCgroup { cgroup in
            try DeviceFilter.denyAll(cgroup)
            #expect(try DeviceFilter.programs(on: cgroup).count == 1)
        }
    }
}
