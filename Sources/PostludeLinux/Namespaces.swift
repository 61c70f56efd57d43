import CLinux
import Glibc

/// The kinds of namespaces, by their name in /proc/<pid>/ns.
public enum Namespace: String, Hashable, Sendable, CaseIterable {
    case cgroup, ipc, mnt, net, pid, user, uts

    /// CLONE_NEW*.
    public var flag: UInt64 {
        switch self {
        case .cgroup: LINUX_CLONE_NEWCGROUP
        case .ipc: LINUX_CLONE_NEWIPC
        case .mnt: LINUX_CLONE_NEWNS
        case .net: LINUX_CLONE_NEWNET
        case .pid: LINUX_CLONE_NEWPID
        case .user: LINUX_CLONE_NEWUSER
        case .uts: LINUX_CLONE_NEWUTS
        }
    }

    /// Inode by kind; kinds that cannot be read are left out. `process` is `self` or a pid.
    public static func inodes(of process: String) -> [String: UInt64] {
        var inodes: [String: UInt64] = [:]
        for kind in allCases {
            var status = stat()
            if stat("/proc/\(process)/ns/\(kind.rawValue)", &status) == 0 {
                inodes[kind.rawValue] = UInt64(status.st_ino)
            }
        }
        return inodes
    }

    /// The caller's own, as a descriptor that keeps it alive.
    public func current() throws(LinuxError) -> OwnedDescriptor {
        try OwnedDescriptor.open("/proc/self/ns/\(rawValue)", O_RDONLY)
    }

    public func enter(_ descriptor: Int32) throws(LinuxError) {
        _ = try retrying("setns", rawValue) { linux_setns(descriptor, flag) }
    }

    public func unshare() throws(LinuxError) {
        _ = try retrying("unshare", rawValue) { linux_unshare(flag) }
    }
}

/// A network namespace of its own with loopback down, made without leaving the caller's for longer than the call.
public struct NetworkNamespace: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor
    /// A socket that lives in it, for configuring its interfaces from outside.
    private let configuration: OwnedDescriptor

    /// For processes of one thread only: the caller is inside for a moment.
    public init() throws(LinuxError) {
        let home = try Namespace.net.current()
        try Namespace.net.unshare()
        let inside: Pipe
        do {
            inside = try Self.descriptorsInside()
        } catch {
            try Namespace.net.enter(home.rawValue)
            throw error
        }
        try Namespace.net.enter(home.rawValue)
        descriptor = inside.reader
        configuration = inside.writer
    }

    private static func descriptorsInside() throws(LinuxError) -> Pipe {
        let namespace = try Namespace.net.current()
        let type = Int32(SOCK_DGRAM.rawValue) | LINUX_SOCK_CLOEXEC
        let configuration = OwnedDescriptor(adopting: try retrying("socket") { socket(AF_INET, type, 0) })
        return Pipe(reader: namespace, writer: configuration)
    }

    /// Made by a child that ends at once, for a caller that may not come back into its own: without capabilities over the
    /// host's network namespace nobody may enter that again.
    public static func madeAside() throws(LinuxError) -> NetworkNamespace {
        // As numbers across the clone: in the shared table an owner would close its descriptor for both.
        let pair = try OwnedDescriptor.pipe()
        let (ours, theirs) = (pair.reader.release(), pair.writer.release())
        let child: (pid: Int32, descriptor: Int32)?
        do throws(LinuxError) {
            child = try CloneRequest(namespaces: [.net], sharesDescriptors: true).perform()
        } catch {
            _ = close(ours)
            _ = close(theirs)
            throw error
        }
        guard let child else { tellDescriptors(theirs) }
        let reader = OwnedDescriptor(adopting: ours)
        defer { _ = close(theirs) }
        let process = ProcessDescriptor(adopting: OwnedDescriptor(adopting: child.descriptor))
        // Only after its end is the pipe's content all there will be; its writing end was this process's too.
        _ = try process.reap(block: true)
        try reader.setNonBlocking()
        var numbers: (Int32, Int32, Int32) = (-1, -1, 0)
        let raw = reader.rawValue
        let count = withUnsafeMutableBytes(of: &numbers) { read(raw, $0.baseAddress, $0.count) }
        guard count == MemoryLayout.size(ofValue: numbers) else { throw LinuxError("read", "network", errno: ECHILD) }
        guard numbers.2 == 0 else { throw LinuxError("network", errno: numbers.2) }
        return NetworkNamespace(
            descriptor: OwnedDescriptor(adopting: numbers.0), configuration: OwnedDescriptor(adopting: numbers.1))
    }

    private init(descriptor: consuming OwnedDescriptor, configuration: consuming OwnedDescriptor) {
        self.descriptor = descriptor
        self.configuration = configuration
    }

    /// In the child: both descriptors, or why there are none.
    private static func tellDescriptors(_ pipe: Int32) -> Never {
        var numbers: (Int32, Int32, Int32) = (-1, -1, 0)
        do throws(LinuxError) {
            let inside = try descriptorsInside()
            numbers = (inside.reader.release(), inside.writer.release(), 0)
        } catch {
            numbers.2 = error.errno
        }
        _ = withUnsafeBytes(of: &numbers) { write(pipe, $0.baseAddress, $0.count) }
        _exit(0)
    }

    /// Brings loopback up or down; the former takes the kernel a tenth of a millisecond and more.
    public borrowing func setLoopback(up: Bool) throws(LinuxError) {
        let raw = configuration.rawValue
        // IFF_UP | IFF_RUNNING
        _ = try retrying("ioctl", "lo") { linux_set_interface_flags(raw, "lo", up ? 0x41 : 0) }
    }
}

/// The host name of the caller's UTS namespace.
public enum HostName {
    public static func set(_ name: String) throws(LinuxError) {
        var name = name
        _ = try retrying("sethostname") {
            name.withUTF8 { text in
                text.withMemoryRebound(to: CChar.self) { linux_sethostname($0.baseAddress, $0.count) }
            }
        }
    }
}
