/// Layout: `PLPN`, u16 version, u16 zero, then the fields in the order of their declaration. Numbers are little-endian;
/// text, bytes and lists have a u32 count before them; an optional has a flag byte.
/// Version 3 appended rules for files and core scheduling to each step.
extension LaunchPlan {
    static let magic: UInt32 = 0x4E50_4C50  // "PLPN"
    /// What one message can carry besides the plan itself.
    public static let maximumDescriptors = 250

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 16384)
        writer.integer(Self.magic)
        writer.integer(Self.version)
        writer.integer(UInt16(0))
        writer.text(attempt)
        writer.text(hostname)
        writer.integer(journal)
        writer.list(limits) { $1.encode(to: &$0) }
        writer.integer(network.rawValue)
        writer.integer(timeoutMilliseconds)
        writer.integer(graceMilliseconds)
        writer.list(steps) { $1.encode(to: &$0) }
        return writer.bytes
    }

    /// Reads and checks a plan; `descriptors` is how many came with it.
    public init(decoding bytes: [UInt8], descriptors: Int = Self.maximumDescriptors) throws(PlanError) {
        var reader = ByteReader(bytes[...])
        guard try reader.integer() == Self.magic else { throw PlanError(.notAPlan) }
        let version: UInt16 = try reader.integer()
        guard Self.readableVersions.contains(version), try reader.integer(UInt16.self) == 0 else {
            throw reader.failure(.unsupportedVersion(version))
        }
        self.init(
            attempt: try reader.text(limit: 256), hostname: try reader.text(limit: 64),
            journal: try reader.integer(),
            limits: try reader.list("limits", limit: 64) { (reader) throws(PlanError) in try CgroupWrite(from: &reader)
            },
            network: try reader.value(Network.self), timeoutMilliseconds: try reader.integer(),
            graceMilliseconds: try reader.integer(),
            steps: try reader.list("steps", limit: 128) { (reader) throws(PlanError) in
                try StepPlan(from: &reader, version: version)
            })
        try reader.finish()
        try validate(descriptors: descriptors)
    }
}

extension CgroupWrite {
    func encode(to writer: inout ByteWriter) {
        writer.integer(controller.rawValue)
        writer.text(file)
        writer.text(value)
        writer.flag(isRequired)
    }

    init(from reader: inout ByteReader) throws(PlanError) {
        self.init(
            try reader.value(Controller.self), try reader.text(limit: 128), try reader.text(limit: 256),
            isRequired: try reader.flag("flag"))
    }
}

extension StepPlan {
    func encode(to writer: inout ByteWriter) {
        writer.text(name)
        writer.integer(role.rawValue)
        writer.text(program)
        writer.list(arguments) { $0.text($1) }
        writer.list(environment) { $0.text($1) }
        writer.text(workingDirectory)
        writer.list(limits) { $1.encode(to: &$0) }
        writer.list(mounts) { $1.encode(to: &$0) }
        writer.integer(uid)
        writer.integer(gid)
        writer.list(groups) { $0.integer($1) }
        writer.list(resourceLimits) {
            $0.integer($1.resource)
            $0.integer($1.soft)
            $0.integer($1.hard)
        }
        writer.optional(seccomp) { $0.integer($1) }
        writer.optional(deviceFilter) { $0.integer($1) }
        writer.integer(standardOutput)
        writer.integer(standardError)
        writer.integer(logBytes)
        writer.flag(usesHostNetwork)
        writer.integer(landlock)
        writer.list(fileRules) {
            $0.text($1.path)
            $0.integer($1.access)
        }
        writer.flag(coreScheduling)
    }

    init(from reader: inout ByteReader, version: UInt16) throws(PlanError) {
        self.init(
            name: try reader.text(limit: 128), role: try reader.value(Role.self),
            program: try reader.text(limit: 4096),
            arguments: try reader.list("arguments", limit: 1 << 16) { (reader) throws(PlanError) in try reader.text() },
            environment: try reader.list("variables", limit: 1 << 16) { (reader) throws(PlanError) in try reader.text()
            },
            workingDirectory: try reader.text(limit: 4096),
            limits: try reader.list("limits", limit: 64) { (reader) throws(PlanError) in try CgroupWrite(from: &reader)
            },
            mounts: try reader.list("mounts", limit: 4096) { (reader) throws(PlanError) in
                try MountOperation(from: &reader)
            },
            uid: try reader.integer(), gid: try reader.integer(),
            groups: try reader.list("groups", limit: 65536) { (reader) throws(PlanError) in try reader.integer() },
            resourceLimits: try reader.list("resource limits", limit: 64) { (reader) throws(PlanError) in
                ResourceLimit(
                    resource: try reader.integer(), soft: try reader.integer(), hard: try reader.integer())
            },
            seccomp: try reader.optional("flag") { (reader) throws(PlanError) in try reader.integer() },
            deviceFilter: try reader.optional("flag") { (reader) throws(PlanError) in try reader.integer() },
            standardOutput: try reader.integer(), standardError: try reader.integer(),
            logBytes: try reader.integer(), usesHostNetwork: try reader.flag("flag"),
            landlock: try reader.integer())
        guard version >= 3 else { return }
        fileRules = try reader.list("file rules", limit: 4096) { (reader) throws(PlanError) in
            FileRule(path: try reader.text(limit: 4096), access: try reader.integer())
        }
        coreScheduling = try reader.flag("flag")
    }
}

extension MountOperation {
    private enum Kind: UInt8 {
        case bind = 0, tmpfs = 1, proc = 2, devpts = 3, mqueue = 4, directory = 5, symlink = 6, file = 7, mask = 8,
            readOnly = 9
    }

    func encode(to writer: inout ByteWriter) {
        switch self {
        case .bind(let source, let target, let readOnly, let devices, let recursive):
            writer.integer(Kind.bind.rawValue)
            writer.integer(source)
            writer.text(target)
            writer.flag(readOnly)
            writer.flag(devices)
            writer.flag(recursive)
        case .tmpfs(let target, let bytes, let inodes, let mode, let noExec):
            writer.integer(Kind.tmpfs.rawValue)
            writer.text(target)
            writer.integer(bytes)
            writer.integer(inodes)
            writer.integer(mode)
            writer.flag(noExec)
        case .proc(let target): writer.plain(Kind.proc.rawValue, target)
        case .devpts(let target): writer.plain(Kind.devpts.rawValue, target)
        case .mqueue(let target): writer.plain(Kind.mqueue.rawValue, target)
        case .directory(let target, let mode, let uid, let gid):
            writer.plain(Kind.directory.rawValue, target)
            writer.integer(mode)
            writer.integer(uid)
            writer.integer(gid)
        case .symlink(let target, let text):
            writer.plain(Kind.symlink.rawValue, target)
            writer.text(text)
        case .file(let target, let content, let mode, let uid, let gid):
            writer.plain(Kind.file.rawValue, target)
            writer.data(content)
            writer.integer(mode)
            writer.integer(uid)
            writer.integer(gid)
        case .mask(let target): writer.plain(Kind.mask.rawValue, target)
        case .readOnly(let target): writer.plain(Kind.readOnly.rawValue, target)
        }
    }

    init(from reader: inout ByteReader) throws(PlanError) {
        switch try reader.value(Kind.self) {
        case .bind:
            self = .bind(
                source: try reader.integer(), target: try reader.text(limit: 4096),
                readOnly: try reader.flag("flag"), devices: try reader.flag("flag"),
                recursive: try reader.flag("flag"))
        case .tmpfs:
            self = .tmpfs(
                target: try reader.text(limit: 4096), bytes: try reader.integer(), inodes: try reader.integer(),
                mode: try reader.integer(), noExec: try reader.flag("flag"))
        case .proc: self = .proc(target: try reader.text(limit: 4096))
        case .devpts: self = .devpts(target: try reader.text(limit: 4096))
        case .mqueue: self = .mqueue(target: try reader.text(limit: 4096))
        case .directory:
            self = .directory(
                target: try reader.text(limit: 4096), mode: try reader.integer(), uid: try reader.integer(),
                gid: try reader.integer())
        case .symlink: self = .symlink(target: try reader.text(limit: 4096), text: try reader.text(limit: 4096))
        case .file:
            self = .file(
                target: try reader.text(limit: 4096), content: try reader.data(), mode: try reader.integer(),
                uid: try reader.integer(), gid: try reader.integer())
        case .mask: self = .mask(target: try reader.text(limit: 4096))
        case .readOnly: self = .readOnly(target: try reader.text(limit: 4096))
        }
    }
}

extension ByteWriter {
    fileprivate mutating func plain(_ kind: UInt8, _ target: String) {
        integer(kind)
        text(target)
    }
}
