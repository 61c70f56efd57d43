import Foundation
import Glibc
import PostludeCore
import Testing

@testable import PostludeDevices

/// Within a suite that is serialized: both open and close the same device in this process.
extension ReleaseCheckTests {
    /// Descriptors on their way through real sockets between real processes.
    @Suite(.enabled(if: isRoot && access("/usr/bin/python3", X_OK) == 0), .timeLimit(.minutes(1)))
    struct InFlightTests {
        /// A process that obeys lines: `send` sends an open device to its child and closes it itself, `take` lets the child
        /// receive it, `drop` lets the child close it. The child's pid is printed first.
        private static let program = """
            import os, socket, sys
            a, b = socket.socketpair()
            orders, answers = os.pipe(), os.pipe()
            child = os.fork()
            if child == 0:
                a.close(); os.close(orders[1])
                while True:
                    order = os.read(orders[0], 1)
                    if order == b't': taken = socket.recv_fds(b, 1, 8)[1]
                    elif order == b'd': [os.close(fd) for fd in taken]
                    else: os._exit(0)
                    os.write(answers[1], b'x')
            b.close()
            print(child, flush=True)
            for line in sys.stdin:
                if line == 'send\\n':
                    fd = os.open(sys.argv[1], os.O_RDWR)
                    socket.send_fds(a, [b'x'], [fd])
                    os.close(fd)
                else:
                    os.write(orders[1], line[:1].encode())
                    os.read(answers[0], 1)
                print('done', flush=True)
            os.close(orders[1])
            os.wait()
            """

        private final class Pair {
            let process = Process()
            private let input = Pipe()
            private let output = Pipe()
            private(set) var child: Int32 = 0

            init(_ path: String) throws {
                process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
                process.arguments = ["-c", InFlightTests.program, path]
                process.standardInput = input
                process.standardOutput = output
                try process.run()
                child = try #require(Int32(answer()))
            }

            func tell(_ order: String) throws {
                try input.fileHandleForWriting.write(contentsOf: Data("\(order)\n".utf8))
                let answer = answer()
                try #require(answer == "done")
            }

            private func answer() -> String {
                var bytes: [UInt8] = []
                while true {
                    var byte: UInt8 = 0
                    let count = read(output.fileHandleForReading.fileDescriptor, &byte, 1)
                    if count < 0, errno == EINTR { continue }
                    guard count == 1, byte != UInt8(ascii: "\n") else { return String(decoding: bytes, as: UTF8.self) }
                    bytes.append(byte)
                }
            }

            func end() throws {
                try input.fileHandleForWriting.close()
                process.waitUntilExit()
            }
        }

        private func device() throws -> Device {
            var status = stat()
            try #require(stat("/dev/loop-control", &status) == 0)
            let node = DeviceNode(
                path: "/dev/loop-control", major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev))
            return Device(id: "loop", deviceClass: "example.com/thing", nodes: [node])
        }

        @Test func `a descriptor in flight is held until it is received, and then by who received it`() throws {
            let loop = try device()
            let pair = try Pair("/dev/loop-control")
            let before = try ReleaseCheck.baseline(of: loop)
            func found(_ baseline: HolderBaseline) throws -> [DeviceHolder] {
                try ReleaseCheck.holders(of: loop, excluding: baseline).filter {
                    $0.pid == pair.child || $0.pid == pair.process.processIdentifier
                }
            }
            #expect(try found(before).isEmpty)
            try pair.tell("send")
            let sent = try found(before)
            #expect(sent.map(\.pid) == [pair.child])
            #expect(sent.map(\.how) == [.inFlight])
            #expect(sent.first?.node == "unknown descriptors in a socket")
            // A baseline that was taken meanwhile excuses nobody for it.
            #expect(try found(try ReleaseCheck.baseline(of: loop)).map(\.how) == [.inFlight])
            let protected = Set(before.unreadable.keys)
            let several = try ReleaseCheck.holders(of: [loop], excluding: protected)
            #expect(several["loop"]?.contains { $0.pid == pair.child && $0.how == .inFlight } == true)
            try pair.tell("take")
            #expect(try found(before).map(\.how) == [.descriptor])
            #expect(try found(before).map(\.node) == ["/dev/loop-control"])
            try pair.tell("drop")
            #expect(try found(before).isEmpty)
            try pair.end()
        }

        @Test func `a process of a run is never excused`() throws {
            let loop = try device()
            let membership = try #require(SmallFile.read("/proc/self/cgroup"))
            let own = try #require(membership.split(separator: "\n").first { $0.hasPrefix("0::") }).dropFirst(3)
            let descriptor = open("/dev/loop-control", O_RDWR)
            try #require(descriptor >= 0)
            defer { close(descriptor) }
            let error = #expect(throws: DeviceError.self) {
                try ReleaseCheck.baseline(of: loop, refusing: .cgroup(String(own)))
            }
            #expect(error?.code == "devices.still-held")
            #expect(error?.message.contains("\(getpid())") == true)
            #expect(try ReleaseCheck.baseline(of: loop, refusing: .cgroup("/no/such")).startTimes[getpid()] != nil)
        }

        @Test func `a cgroup is not the one whose name begins alike`() {
            let lines = "4:memory:/p/runs\n0::/p/runs/w1/main\n"
            #expect(RunMark.cgroup("/p/runs").covers(cgroup: lines, status: "") == true)
            #expect(RunMark.cgroup("/p/runs/w1/main").covers(cgroup: lines, status: "") == true)
            #expect(RunMark.cgroup("/").covers(cgroup: lines, status: "") == true)
            #expect(RunMark.cgroup("/p/run").covers(cgroup: lines, status: "") == false)
            #expect(RunMark.cgroup("/p/runs").covers(cgroup: "4:memory:/p/runs\n0::/\n", status: "") == false)
            #expect(RunMark.pidNamespace.covers(cgroup: "", status: "Name:\tx\nNSpid:\t17\t1\n") == true)
            #expect(RunMark.pidNamespace.covers(cgroup: "", status: "Name:\tx\nNSpid:\t17\n") == false)
            #expect(RunMark.pidNamespace.covers(cgroup: "", status: "") == nil)
        }

        @Test func `the number is read from its own line only`() {
            func count(_ text: String) -> UInt64 {
                var count = QueuedCount()
                for byte in text.utf8 { count.take(byte) }
                return count.value
            }
            #expect(count("pos:\t0\nflags:\t02\nlock:\t1: POSIX scm_fds: 5\nscm_fds: 12\n") == 12)
            #expect(count("pos:\t0\nscm_fds: 0\n") == 0)
            #expect(count("scm_fds:\t3") == 3)
            #expect(count("scm_fd: 3\nxscm_fds: 4\n") == 0)
        }
    }
}
