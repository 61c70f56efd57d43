/// Layout: `PLPR`, u16 version, u16 zero, list of (u8 controller, text path), three flags, list of mount
/// operations.
extension PrepareRequest {
    static let magic: UInt32 = 0x5250_4C50  // "PLPR"

    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.integer(Self.magic)
        writer.integer(LaunchPlan.version)
        writer.integer(UInt16(0))
        writer.list(cgroups.sorted { $0.key.rawValue < $1.key.rawValue }) {
            $0.integer($1.key.rawValue)
            $0.text($1.value)
        }
        writer.flag(isHybrid)
        writer.flag(makesNetworkNamespace)
        writer.flag(bringsLoopbackUp)
        writer.list(template) { $1.encode(to: &$0) }
        return writer.bytes
    }

    /// Reads and checks a request; `descriptors` is how many came with it.
    public init(
        decoding bytes: ArraySlice<UInt8>, descriptors: Int = LaunchPlan.maximumDescriptors
    ) throws(PlanError) {
        var reader = ByteReader(bytes)
        guard try reader.integer() == Self.magic else { throw PlanError(.notAPlan) }
        let version: UInt16 = try reader.integer()
        guard LaunchPlan.readableVersions.contains(version), try reader.integer(UInt16.self) == 0 else {
            throw reader.failure(.unsupportedVersion(version))
        }
        var cgroups: [CgroupWrite.Controller: String] = [:]
        let entries = try reader.list("cgroups", limit: 16) { (reader) throws(PlanError) in
            (try reader.value(CgroupWrite.Controller.self), try reader.text(limit: 4096))
        }
        for (controller, path) in entries {
            guard path.hasPrefix("/"), cgroups.updateValue(path, forKey: controller) == nil else {
                throw reader.failure(.invalid("The cgroup '\(path)' is not absolute, or named twice."))
            }
        }
        self.init(
            cgroups: cgroups, isHybrid: try reader.flag("flag"), makesNetworkNamespace: try reader.flag("flag"),
            bringsLoopbackUp: try reader.flag("flag"),
            template: try reader.list("mounts", limit: 4096) { (reader) throws(PlanError) in
                try MountOperation(from: &reader)
            })
        try reader.finish()
        for mount in template { try mount.validate(descriptors: descriptors) }
        guard cgroups.isEmpty || cgroups[.unified] != nil else {
            throw PlanError(.invalid("There is no unified cgroup."))
        }
    }
}

/// The first byte of each message on the control channel.
public enum ControlMessage: UInt8, Hashable, Sendable {
    /// Agent: an encoded `PrepareRequest` follows.
    case prepare = 1
    /// Warden: prepared.
    case ready = 2
    /// Warden: u8 stage and i32 errno follow; it exits.
    case failed = 3
    /// Agent: the plan and its descriptors come as SCM_RIGHTS.
    case launch = 4
    /// Agent: as `launch`, but no program starts and nothing is written to the journal before `start` comes. When the
    /// channel ends instead, nothing of the plan has been.
    case launchHeld = 5
    /// Agent: the programs of a held plan may start.
    case start = 6

    /// The whole message of `failed`.
    public static func failure(_ stage: SetupStage, errno: Int32) -> [UInt8] {
        var writer = ByteWriter(capacity: 8)
        writer.integer(failed.rawValue)
        writer.integer(stage.rawValue)
        writer.integer(errno)
        return writer.bytes
    }

    /// Reads the warden's answer: nil for `ready`.
    /// - Throws: when it is neither `ready` nor `failed`.
    public static func failure(in answer: [UInt8]) throws(PlanError) -> (stage: SetupStage, errno: Int32)? {
        var reader = ByteReader(answer[...])
        switch try reader.value(ControlMessage.self) {
        case .ready: return nil
        case .failed: return (try reader.value(SetupStage.self), try reader.integer())
        case .prepare, .launch, .launchHeld, .start: throw PlanError(.invalid("The warden sent an agent's message."))
        }
    }
}
