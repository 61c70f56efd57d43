import CLinux
import Glibc

/// One character device a filter allows.
public struct DeviceRule: Hashable, Sendable {
    public var major: UInt32
    /// nil for every minor of the major.
    public var minor: UInt32?

    public init(major: UInt32, minor: UInt32?) {
        self.major = major
        self.minor = minor
    }

    /// null, zero, full, random, urandom, tty, ptmx and the pseudo-terminals: no hardware, and programs expect them.
    public static let always: [DeviceRule] = [
        DeviceRule(major: 1, minor: 3), DeviceRule(major: 1, minor: 5), DeviceRule(major: 1, minor: 7),
        DeviceRule(major: 1, minor: 8), DeviceRule(major: 1, minor: 9), DeviceRule(major: 5, minor: 0),
        DeviceRule(major: 5, minor: 2), DeviceRule(major: 136, minor: nil),
    ]
}

/// A program for BPF_CGROUP_DEVICE: opening for reading and writing is allowed for the rules' character devices; mknod,
/// block devices and everything else are denied.
public struct DeviceFilterProgram: Hashable, Sendable {
    /// Instructions as the kernel takes them, 8 bytes each.
    public let instructions: [UInt64]

    /// Allows `devices` besides `DeviceRule.always`.
    public init(allowing devices: [DeviceRule]) {
        self.init(rules: DeviceRule.always + devices)
    }

    /// Denies every device; what replaces a filter when a lease ends.
    public static let denyAll = DeviceFilterProgram(rules: [])

    init(rules: [DeviceRule]) {
        var code: [UInt64] = []
        let ordered = Set(rules).sorted {
            ($0.major, $0.minor.map { Int64($0) } ?? -1) < ($1.major, $1.minor.map { Int64($0) } ?? -1)
        }
        // r2 = access << 16 | type; r4 = major; r5 = minor.
        code.append(Self.instruction(0x61, destination: 2, source: 1, offset: 0))
        code.append(Self.instruction(0x61, destination: 4, source: 1, offset: 4))
        code.append(Self.instruction(0x61, destination: 5, source: 1, offset: 8))
        code.append(Self.instruction(0xbc, destination: 3, source: 2))
        code.append(Self.instruction(0x54, destination: 3, immediate: 0xffff))
        code.append(Self.instruction(0x74, destination: 2, immediate: 16))
        // Not a character device (2), or any access besides read (2) and write (4), mknod (1) above all: deny.
        code.append(Self.instruction(0x16, destination: 3, offset: 2, immediate: 2))
        code.append(Self.instruction(0xb4, destination: 0, immediate: 0))
        code.append(Self.instruction(0x95))
        code.append(Self.instruction(0x54, destination: 2, immediate: ~6))
        code.append(Self.instruction(0x16, destination: 2, offset: 2, immediate: 0))
        code.append(Self.instruction(0xb4, destination: 0, immediate: 0))
        code.append(Self.instruction(0x95))
        for rule in ordered {
            let major = Int32(bitPattern: rule.major)
            if let minor = rule.minor {
                code.append(Self.instruction(0x56, destination: 4, offset: 3, immediate: major))
                code.append(Self.instruction(0x56, destination: 5, offset: 2, immediate: Int32(bitPattern: minor)))
            } else {
                code.append(Self.instruction(0x56, destination: 4, offset: 2, immediate: major))
            }
            code.append(Self.instruction(0xb4, destination: 0, immediate: 1))
            code.append(Self.instruction(0x95))
        }
        code.append(Self.instruction(0xb4, destination: 0, immediate: 0))
        code.append(Self.instruction(0x95))
        instructions = code
    }

    private static func instruction(
        _ code: UInt8, destination: UInt8 = 0, source: UInt8 = 0, offset: Int16 = 0, immediate: Int32 = 0
    ) -> UInt64 {
        UInt64(code) | UInt64(source << 4 | destination) << 8 | UInt64(UInt16(bitPattern: offset)) << 16
            | UInt64(UInt32(bitPattern: immediate)) << 32
    }

    /// Loads it into the kernel.
    public func load() throws(LinuxError) -> OwnedDescriptor {
        // EAGAIN: the verifier was interrupted by a signal; the kernel asks to try again.
        for attempt in 0..<8 {
            let result = instructions.withUnsafeBufferPointer { code in
                "Apache-2.0".withCString { license -> Int32 in
                    var load = linux_bpf_load()
                    load.type = LINUX_BPF_PROG_TYPE_CGROUP_DEVICE
                    load.count = UInt32(code.count)
                    load.instructions = UInt64(UInt(bitPattern: code.baseAddress))
                    load.license = UInt64(UInt(bitPattern: license))
                    return linux_bpf(LINUX_BPF_PROG_LOAD, &load, UInt32(MemoryLayout<linux_bpf_load>.size))
                }
            }
            if result >= 0 { return OwnedDescriptor(adopting: result) }
            if errno != EAGAIN || attempt == 7 { break }
        }
        throw LinuxError(last: "bpf", "BPF_PROG_LOAD")
    }
}

/// The device filters attached to a v2 cgroup.
public enum DeviceFilter {
    /// Attaches a loaded program; others of the cgroup and of its parents stay in force: all must allow.
    public static func attach(_ program: Int32, to cgroup: borrowing Cgroup) throws(LinuxError) {
        try change(LINUX_BPF_F_ALLOW_MULTI, program, replacing: nil, cgroup)
    }

    /// Puts `program` in the place of `old`, atomically: at no moment is there no filter.
    public static func replace(_ old: Int32, with program: Int32, on cgroup: borrowing Cgroup) throws(LinuxError) {
        try change(LINUX_BPF_F_ALLOW_MULTI | LINUX_BPF_F_REPLACE, program, replacing: old, cgroup)
    }

    /// Puts deny-all in the place of an attached program (one is enough: all must allow); attaches it when there is
    /// none. Descriptors that are open keep working.
    public static func denyAll(_ cgroup: borrowing Cgroup) throws(LinuxError) {
        let program = try DeviceFilterProgram.denyAll.load()
        let old = try programs(on: cgroup)
        guard let first = old.first else { return try attach(program.rawValue, to: cgroup) }
        let descriptor = try open(program: first)
        try replace(descriptor.rawValue, with: program.rawValue, on: cgroup)
    }

    /// Kernel ids of the programs attached to this cgroup itself.
    public static func programs(on cgroup: borrowing Cgroup) throws(LinuxError) -> [UInt32] {
        let target = cgroup.directory.rawValue
        var ids = [UInt32](repeating: 0, count: 64)
        var query = linux_bpf_query()
        query.target_fd = UInt32(bitPattern: target)
        query.type = LINUX_BPF_CGROUP_DEVICE
        query.count = UInt32(ids.count)
        let result = ids.withUnsafeMutableBufferPointer { buffer -> Int32 in
            query.ids = UInt64(UInt(bitPattern: buffer.baseAddress))
            return linux_bpf(LINUX_BPF_PROG_QUERY, &query, UInt32(MemoryLayout<linux_bpf_query>.size))
        }
        guard result == 0 else { throw LinuxError(last: "bpf", "BPF_PROG_QUERY") }
        return Array(ids.prefix(Int(min(query.count, 64))))
    }

    /// A descriptor of a loaded program.
    public static func open(program id: UInt32) throws(LinuxError) -> OwnedDescriptor {
        var request = linux_bpf_get_fd()
        request.id = id
        let result = linux_bpf(LINUX_BPF_PROG_GET_FD_BY_ID, &request, UInt32(MemoryLayout<linux_bpf_get_fd>.size))
        guard result >= 0 else { throw LinuxError(last: "bpf", "BPF_PROG_GET_FD_BY_ID") }
        return OwnedDescriptor(adopting: result)
    }

    private static func change(
        _ flags: UInt32, _ program: Int32, replacing old: Int32?, _ cgroup: borrowing Cgroup
    ) throws(LinuxError) {
        var attach = linux_bpf_attach()
        attach.target_fd = UInt32(bitPattern: cgroup.directory.rawValue)
        attach.program_fd = UInt32(bitPattern: program)
        attach.type = LINUX_BPF_CGROUP_DEVICE
        attach.flags = flags
        if let old { attach.replace_fd = UInt32(bitPattern: old) }
        let result = linux_bpf(LINUX_BPF_PROG_ATTACH, &attach, UInt32(MemoryLayout<linux_bpf_attach>.size))
        guard result == 0 else { throw LinuxError(last: "bpf", "BPF_PROG_ATTACH") }
    }
}
