import CSeccomp
import Glibc
import PostludeLinux

/// A classic BPF program as seccomp(2) takes it.
struct SeccompProgram: Hashable, Sendable {
    /// struct sock_filter.
    struct Instruction: Hashable, Sendable {
        var code: UInt16
        var ifTrue: UInt8
        var ifFalse: UInt8
        var operand: UInt32

        init(_ code: UInt16, _ operand: UInt32, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0) {
            self.code = code
            self.ifTrue = ifTrue
            self.ifFalse = ifFalse
            self.operand = operand
        }
    }

    var instructions: [Instruction]
    /// Names that the profile allows and nobody here knows; they stay denied.
    var unknownNames: [String]

    /// The array of struct sock_filter in memory order.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(instructions.count * 8)
        for instruction in instructions {
            withUnsafeBytes(of: instruction.code) { bytes.append(contentsOf: $0) }
            bytes.append(instruction.ifTrue)
            bytes.append(instruction.ifFalse)
            withUnsafeBytes(of: instruction.operand) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }
}

/// Makes programs of profiles with libseccomp: this architecture only, every other kills the process.
///
/// libseccomp cannot hold an allowed call with denied arguments. Of rules for one call that overlap and differ in their
/// action, or have several conditions, 2.5.4 may forget one altogether. So there is a program for each action, the most
/// severe first, and for further rules with several conditions; what one does not name goes on to the next.
struct SeccompCompiler {
    static var libraryVersion: String {
        guard let version = seccomp_version() else { return "unknown" }
        return "\(version.pointee.major).\(version.pointee.minor).\(version.pointee.micro)"
    }

    var file: String
    var host: SeccompHost

    /// A profile's program as libseccomp makes it, and the shorter one with the same answers that is loaded in its place.
    struct Forms {
        var whole: [SeccompProgram.Instruction]
        /// nil where the search tree would need longer jumps than there are.
        var short: [SeccompProgram.Instruction]?
        var unknownNames: [String]
    }

    func compile(_ profile: SeccompProfile) throws(SandboxError) -> SeccompProgram {
        let forms = try forms(of: profile)
        let instructions = forms.short ?? forms.whole
        guard instructions.count <= 4096 else {
            throw .seccompInvalid(file, at: "", "the program is longer than the kernel takes")
        }
        return SeccompProgram(instructions: instructions, unknownNames: forms.unknownNames)
    }

    func forms(of profile: SeccompProfile) throws(SandboxError) -> Forms {
        guard profile.architectures.isEmpty || profile.architectures.contains(host.architecture) else {
            throw .seccompInvalid(
                file, at: "architectures", "\(host.architecture), this host's, is not among them")
        }
        var unknown: [String] = []
        let resolved = try resolve(profile, unknown: &unknown)
        let others = profile.passedOver.map(SyscallTable.look(up:)).compactMap { lookup -> Int32? in
            if case .number(let number) = lookup { number } else { nil }
        }
        // A profile that allows what it does not name has reviewed nothing: there only what no kernel knows is unknown.
        let reviewed = profile.defaultAction.isPermissive ? Self.beyondAllNumbers : 0
        let highest = max(reviewed, (resolved.map(\.number) + others).max() ?? 0)
        let whole = try program(resolved, profile, highest)
        return Forms(
            whole: whole, short: try shortened(whole, resolved, profile, highest), unknownNames: unknown)
    }

    private func program(
        _ rules: [ResolvedRule], _ profile: SeccompProfile, _ highest: Int32
    ) throws(SandboxError) -> [SeccompProgram.Instruction] {
        var stages = Self.stages(rules, profile.defaultAction)
        var instructions: [SeccompProgram.Instruction] = []
        // From the last to the first: what a stage does not name goes on to the next one.
        var isLast = true
        while isLast || !stages.isEmpty {
            let fallback = isLast ? Self.code(profile.defaultAction) : Self.onward
            var stage = try export(stages.popLast() ?? [], defaultAction: fallback)
            if !isLast { Self.chain(&stage, to: instructions) }
            instructions = stage
            isLast = false
        }
        return Self.unknownNumbers(above: UInt32(highest), auditArchitecture: auditArchitecture) + instructions
    }

    /// Rules by action, the most severe first, without what would only repeat the default action.
    private static func stages(
        _ rules: [ResolvedRule], _ defaultAction: SeccompProfile.Action
    ) -> [[ResolvedRule]] {
        var order: [SeccompProfile.Action] = []
        for rule in rules where !order.contains(rule.action) { order.append(rule.action) }
        // The position keeps the order of the file among errors.
        let sorted = order.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
        var stages: [[ResolvedRule]] = []
        var later: Set<Int32> = []
        for action in sorted.map(\.element).reversed() {
            // What the default says anyway is worth saying only before a stage that would say something else.
            let stage = rules.filter {
                $0.action == action && (action != defaultAction || later.contains($0.number))
            }
            later.formUnion(stage.map(\.number))
            if !stage.isEmpty { stages += layers(stage) }
        }
        return stages.reversed()
    }

    /// Rules of one action in parts that libseccomp gets right: in a part, a call has either rules with at most one
    /// condition, or a single rule.
    private static func layers(_ stage: [ResolvedRule]) -> [[ResolvedRule]] {
        var layers: [[ResolvedRule]] = [[]]
        var depths: [Int32: Int] = [:]
        for rule in stage {
            guard rule.conditions.count > 1 else {
                layers[0].append(rule)
                continue
            }
            let depth = depths[rule.number, default: 0] + 1
            depths[rule.number] = depth
            if depth == layers.count { layers.append([]) }
            layers[depth].append(rule)
        }
        return layers.filter { !$0.isEmpty }
    }

    /// A search tree for the numbers whose answer is fixed, and libseccomp's program for the others alone.
    private func shortened(
        _ whole: [SeccompProgram.Instruction], _ rules: [ResolvedRule], _ profile: SeccompProfile, _ highest: Int32
    ) throws(SandboxError) -> [SeccompProgram.Instruction]? {
        let architecture = auditArchitecture
        guard let tree = SeccompRangeTree(of: whole, highest: UInt32(highest), architecture: architecture) else {
            return nil
        }
        let conditional = Set(rules.filter { !$0.conditions.isEmpty }.map(\.number))
        let rest = try program(rules.filter { conditional.contains($0.number) }, profile, highest)
        return tree.instructions(architecture: architecture, before: rest)
    }

    /// The kernel takes 4096 instructions, and a rule with conditions needs three at least.
    private static let maximumRules = 2048

    private struct ResolvedRule: Hashable {
        var number: Int32
        var action: SeccompProfile.Action
        var conditions: [SeccompProfile.Comparison]
    }

    private func resolve(
        _ profile: SeccompProfile, unknown: inout [String]
    ) throws(SandboxError) -> [ResolvedRule] {
        var resolved: [ResolvedRule] = []
        var seen: Set<ResolvedRule> = []
        for rule in profile.rules {
            for (index, name) in rule.names.enumerated() {
                switch SyscallTable.look(up: name) {
                case .number(let number):
                    let entry = ResolvedRule(number: number, action: rule.action, conditions: rule.conditions)
                    if seen.insert(entry).inserted { resolved.append(entry) }
                    guard resolved.count <= Self.maximumRules else {
                        throw .seccompInvalid(file, at: rule.place, "the rules are more than \(Self.maximumRules)")
                    }
                case .elsewhere: continue
                case .unknown:
                    // Not allowing what is unknown is safe; not denying it is so only where the default denies.
                    guard rule.action.isPermissive || !profile.defaultAction.isPermissive else {
                        throw .seccompInvalid(
                            file, at: "\(rule.place).names[\(index)]", "'\(name)' is not a system call known here")
                    }
                    unknown.append(name)
                }
            }
        }
        return resolved
    }

    private func export(
        _ rules: [ResolvedRule], defaultAction: UInt32
    ) throws(SandboxError) -> [SeccompProgram.Instruction] {
        guard let context = seccomp_init(defaultAction) else { throw failed("seccomp_init", -ENOMEM) }
        defer { seccomp_release(context) }
        try check("seccomp_attr_set", seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, 0x8000_0000))
        // A binary tree: the kernel also walks the program for every number when it is installed.
        try check("seccomp_attr_set", seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2))
        for rule in rules {
            let comparisons = rule.conditions.map { condition in
                scmp_arg_cmp(
                    arg: condition.argument, op: SCMP_CMP_MASKED_EQ, datum_a: UInt64(condition.mask),
                    datum_b: UInt64(condition.expected))
            }
            let result = seccomp_rule_add_array(
                context, Self.code(rule.action), rule.number, UInt32(comparisons.count), comparisons)
            // The same call twice, once with and once without conditions, is nothing new.
            if result != -EEXIST { try check("seccomp_rule_add_array", result) }
        }
        do {
            let file = try MemoryFile.create("postlude-seccomp")
            try check("seccomp_export_bpf", seccomp_export_bpf(context, file.rawValue))
            return Self.instructions(try MemoryFile.content(of: file.rawValue))
        } catch let error as LinuxError {
            throw SandboxError(
                code: "sandbox.seccomp-failed", message: error.message, hint: error.hint,
                isTemporary: SandboxError.isShortage(error.errno))
        } catch let error as SandboxError {
            throw error
        } catch {
            throw SandboxError(code: "sandbox.seccomp-failed", message: "\(error)")
        }
    }

    private func check(_ call: String, _ result: Int32) throws(SandboxError) {
        if result < 0 { throw failed(call, result) }
    }

    private func failed(_ call: String, _ result: Int32) -> SandboxError {
        SandboxError(
            code: "sandbox.seccomp-failed",
            message: "\(call) of libseccomp \(Self.libraryVersion) failed for '\(file)': \(errorText(-result)).",
            hint: "Update libseccomp, or look for contradicting rules in the profile.")
    }

    static func instructions(_ bytes: [UInt8]) -> [SeccompProgram.Instruction] {
        bytes.withUnsafeBytes { raw in
            stride(from: 0, to: raw.count - 7, by: 8).map { offset in
                SeccompProgram.Instruction(
                    raw.loadUnaligned(fromByteOffset: offset, as: UInt16.self),
                    raw.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self), ifTrue: raw[offset + 2],
                    ifFalse: raw[offset + 3])
            }
        }
    }

    /// What stands for "see the next program": SCMP_ACT_TRACE, which no profile can say.
    private static let onward: UInt32 = 0x7ff0_0000

    /// Turns each `onward` of the first program into a jump to the second.
    private static func chain(
        _ first: inout [SeccompProgram.Instruction], to second: [SeccompProgram.Instruction]
    ) {
        let end = first.count
        for index in first.indices where first[index].code == BPF.returnConstant && first[index].operand == onward {
            first[index] = SeccompProgram.Instruction(BPF.jump, UInt32(end - index - 1))
        }
        first += second
    }

    /// Above the numbers of every kernel so far, which are below 500.
    static let beyondAllNumbers: Int32 = 1023

    /// ENOSYS for every number above the last that was reviewed, so that programs fall back as on an older kernel.
    /// Other architectures and x32 numbers are left to what follows, which kills.
    static func unknownNumbers(
        above highest: UInt32, auditArchitecture: UInt32
    ) -> [SeccompProgram.Instruction] {
        [
            .init(BPF.loadWord, 4),  // arch
            .init(BPF.jumpIfEqual, auditArchitecture, ifTrue: 0, ifFalse: 4),
            .init(BPF.loadWord, 0),  // nr
            .init(BPF.jumpIfGreaterOrEqual, 0x4000_0000, ifTrue: 2, ifFalse: 0),
            .init(BPF.jumpIfGreater, highest, ifTrue: 0, ifFalse: 1),
            .init(BPF.returnConstant, code(.errno(UInt16(ENOSYS)))),
        ]
    }

    private var auditArchitecture: UInt32 {
        #if arch(x86_64)
        0xc000_003e
        #elseif arch(arm64)
        0xc000_00b7
        #else
        #error("the seccomp compiler does not know this architecture")
        #endif
    }

    /// SCMP_ACT_* and SECCOMP_RET_* have the same values.
    static func code(_ action: SeccompProfile.Action) -> UInt32 {
        switch action {
        case .allow: 0x7fff_0000
        case .log: 0x7ffc_0000
        case .errno(let number): 0x0005_0000 | UInt32(number)
        case .trap: 0x0003_0000
        case .killThread: 0
        case .killProcess: 0x8000_0000
        }
    }
}

/// The operations of classic BPF that filters here consist of (linux/bpf_common.h).
enum BPF {
    static let loadWord: UInt16 = 0x20
    static let and: UInt16 = 0x54
    static let jump: UInt16 = 0x05
    static let jumpIfEqual: UInt16 = 0x15
    static let jumpIfGreater: UInt16 = 0x25
    static let jumpIfGreaterOrEqual: UInt16 = 0x35
    static let jumpIfSet: UInt16 = 0x45
    static let returnConstant: UInt16 = 0x06
}
