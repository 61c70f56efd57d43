import Foundation

/// A system call policy in the OCI runtime's form (Docker's `archMap`, `includes` and `excludes` are understood too).
///
/// Where rules for one call disagree, the most severe wins, in whatever order they stand, as between several filters:
/// killing the process, killing the thread, a trap, an error (the first in the file of several), logging, allowing. What
/// no rule names takes the default action, and numbers above the highest that the profile names give ENOSYS; where
/// the default allows, those above every kernel's do.
struct SeccompProfile: Hashable, Sendable {
    enum Action: Hashable, Sendable {
        case allow
        case log
        case errno(UInt16)
        case trap
        case killThread
        case killProcess

        var isPermissive: Bool {
            switch self {
            case .allow, .log: true
            case .errno, .trap, .killThread, .killProcess: false
            }
        }

        /// The lower, the more severe (seccomp(2)).
        var rank: Int {
            switch self {
            case .killProcess: 0
            case .killThread: 1
            case .trap: 2
            case .errno: 3
            case .log: 4
            case .allow: 5
            }
        }
    }

    /// One condition on the low 32 bits of an argument: `value & mask == expected`.
    struct Comparison: Hashable, Sendable {
        var argument: UInt32
        var mask: UInt32
        var expected: UInt32
    }

    struct Rule: Hashable, Sendable {
        var names: [String]
        var action: Action
        /// All must hold; empty for always.
        var conditions: [Comparison]
        /// Where it stands in the file, such as `syscalls[3]`.
        var place: String
    }

    var defaultAction: Action
    /// `SCMP_ARCH_*`; empty when the file does not restrict them.
    var architectures: [String]
    var rules: [Rule]
    /// Calls that only rules for other hosts name: known to the profile, so not newer than it.
    var passedOver: [String] = []
}

/// What this host is, for the parts of a profile that apply only to some.
struct SeccompHost: Hashable, Sendable {
    /// `SCMP_ARCH_X86_64`, and Docker's name for it, `amd64`.
    var architecture: String
    var dockerArchitecture: String
    var kernel: KernelVersion

    static func current() -> SeccompHost {
        #if arch(x86_64)
        SeccompHost(
            architecture: "SCMP_ARCH_X86_64", dockerArchitecture: "amd64", kernel: KernelVersion.running())
        #elseif arch(arm64)
        SeccompHost(
            architecture: "SCMP_ARCH_AARCH64", dockerArchitecture: "arm64", kernel: KernelVersion.running())
        #else
        #error("the seccomp compiler does not know this architecture")
        #endif
    }
}

/// Major and minor version of a kernel.
struct KernelVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    var major: Int
    var minor: Int

    static func < (a: KernelVersion, b: KernelVersion) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

    /// `6.18.44-fc` is 6.18; nil for text that does not start with two numbers.
    init?(_ release: String) {
        let parts = release.split(separator: ".").prefix(2).map { $0.prefix { $0.isNumber } }
        guard parts.count == 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
        self.init(major: major, minor: minor)
    }

    init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    static func running() -> KernelVersion {
        KernelVersion(HostFacts.kernelRelease) ?? KernelVersion(major: 0, minor: 0)
    }

    var description: String { "\(major).\(minor)" }
}

extension SeccompProfile {
    /// Reads a profile; `file` is for messages only.
    ///
    /// - Throws: `sandbox.seccomp-invalid` that names the place by its JSON path.
    static func read(_ content: [UInt8], file: String, host: SeccompHost) throws(SandboxError) -> SeccompProfile {
        let raw: RawProfile
        do {
            raw = try JSONDecoder().decode(RawProfile.self, from: Data(content))
        } catch let error as DecodingError {
            throw .seccompInvalid(file, at: place(of: error), reason(of: error))
        } catch {
            throw .seccompInvalid(file, at: "", "\(error)")
        }
        let reader = Reader(file: file, host: host)
        let defaultAction = try reader.action(
            raw.defaultAction, errno: raw.defaultErrnoRet, at: "defaultAction")
        var architectures = raw.architectures ?? []
        for entry in raw.archMap ?? [] { architectures.append(entry.architecture) }
        var profile = SeccompProfile(defaultAction: defaultAction, architectures: architectures, rules: [])
        for (index, entry) in (raw.syscalls ?? []).enumerated() {
            let rules = try reader.rules(entry, at: "syscalls[\(index)]")
            profile.rules += rules
            if rules.isEmpty { profile.passedOver += entry.names ?? [] }
        }
        return profile
    }

    private static func place(of error: DecodingError) -> String {
        switch error {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            path(context.codingPath)
        case .keyNotFound(let key, let context): path(context.codingPath + [key])
        @unknown default: ""
        }
    }

    private static func reason(of error: DecodingError) -> String {
        switch error {
        case .keyNotFound: "the key is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context): context.debugDescription
        case .dataCorrupted(let context):
            // The parser's own words (with line and column) are in the underlying error.
            context.underlyingError.map { "\(($0 as NSError).userInfo["NSDebugDescription"] ?? $0)" }
                ?? context.debugDescription
        @unknown default: "\(error)"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.reduce(into: "") { text, key in
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += text.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
    }
}

/// The file's own form.
private struct RawProfile: Decodable {
    struct ArchitectureMap: Decodable { var architecture: String }

    struct Filter: Decodable {
        var caps: [String]?
        var arches: [String]?
        var minKernel: String?
    }

    struct Argument: Decodable {
        var index: UInt32
        var value: UInt64
        var valueTwo: UInt64?
        var op: String
    }

    struct Syscall: Decodable {
        var name: String?
        var names: [String]?
        var action: String
        var errnoRet: UInt16?
        var args: [Argument]?
        var includes: Filter?
        var excludes: Filter?
    }

    var defaultAction: String
    var defaultErrnoRet: UInt16?
    var architectures: [String]?
    var archMap: [ArchitectureMap]?
    var syscalls: [Syscall]?
}

private struct Reader {
    var file: String
    var host: SeccompHost

    func action(_ name: String, errno: UInt16?, at place: String) throws(SandboxError) -> SeccompProfile.Action {
        switch name {
        case "SCMP_ACT_ALLOW": return .allow
        case "SCMP_ACT_LOG": return .log
        case "SCMP_ACT_ERRNO":
            // The kernel caps the number at 4095; EPERM is the runtime specification's default.
            let code = errno ?? 1
            guard (1...4095).contains(code) else {
                throw .seccompInvalid(file, at: place, "errno \(code) is not between 1 and 4095")
            }
            return .errno(code)
        case "SCMP_ACT_TRAP": return .trap
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return .killThread
        case "SCMP_ACT_KILL_PROCESS": return .killProcess
        case "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY":
            throw .seccompInvalid(file, at: place, "\(name) needs a tracer or listener, which no step has")
        case _: throw .seccompInvalid(file, at: place, "'\(name)' is not an action")
        }
    }

    func rules(_ entry: RawProfile.Syscall, at place: String) throws(SandboxError) -> [SeccompProfile.Rule] {
        let names = (entry.names ?? []) + [entry.name].compactMap { $0 }
        guard !names.isEmpty else { throw .seccompInvalid(file, at: "\(place).names", "no system call is named") }
        let action = try action(entry.action, errno: entry.errnoRet, at: "\(place).action")
        guard try applies(entry, at: place) else { return [] }
        var alternatives: [[[SeccompProfile.Comparison]]] = []
        for (index, argument) in (entry.args ?? []).enumerated() {
            alternatives.append(try comparisons(argument, at: "\(place).args[\(index)]"))
        }
        let rule = { (conditions: [SeccompProfile.Comparison]) in
            SeccompProfile.Rule(names: names, action: action, conditions: conditions, place: place)
        }
        guard !alternatives.isEmpty else { return [rule([])] }
        // As runc does it: conditions on different arguments must all hold, several on one argument are alternatives.
        if Set((entry.args ?? []).map(\.index)).count < alternatives.count {
            let each = alternatives.flatMap { $0 }
            guard each.count <= 256 else {
                throw .seccompInvalid(file, at: "\(place).args", "the comparisons need more than 256 rules")
            }
            return each.map(rule)
        }
        // Before they are made: six unequal arguments would be 32 to the sixth.
        guard alternatives.reduce(1, { min($0 * $1.count, 257) }) <= 256 else {
            throw .seccompInvalid(file, at: "\(place).args", "the comparisons need more than 256 rules")
        }
        let products = alternatives.reduce([[]]) { found, next in
            found.flatMap { first in next.map { first + $0 } }
        }
        return products.map(rule)
    }

    /// Each element is one alternative; its comparisons must all hold.
    private func comparisons(
        _ argument: RawProfile.Argument, at place: String
    ) throws(SandboxError) -> [[SeccompProfile.Comparison]] {
        guard argument.index < 6 else { throw .seccompInvalid(file, at: "\(place).index", "arguments are 0 to 5") }
        let narrow = { (value: UInt64, key: String) throws(SandboxError) -> UInt32 in
            guard let value = UInt32(exactly: value) else {
                throw .seccompInvalid(file, at: "\(place).\(key)", "only 32 bits of an argument are compared")
            }
            return value
        }
        // The calls worth comparing take 32-bit arguments: the kernel ignores the upper half, so the filter must too,
        // else setting bit 32 slips past it.
        switch argument.op {
        case "SCMP_CMP_EQ":
            let value = try narrow(argument.value, "value")
            return [[.init(argument: argument.index, mask: .max, expected: value)]]
        case "SCMP_CMP_MASKED_EQ":
            let mask = try narrow(argument.value, "value")
            let expected = try narrow(argument.valueTwo ?? 0, "valueTwo")
            return [[.init(argument: argument.index, mask: mask, expected: expected & mask)]]
        case "SCMP_CMP_NE":
            // Unequal is: some bit differs.
            let value = try narrow(argument.value, "value")
            return (0..<32).map { bit in
                [.init(argument: argument.index, mask: 1 << bit, expected: ~value & (1 << bit))]
            }
        case "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GE", "SCMP_CMP_GT":
            throw .seccompInvalid(
                file, at: "\(place).op",
                "\(argument.op) compares 64 bits, which the upper half of a 32-bit argument fools")
        case _: throw .seccompInvalid(file, at: "\(place).op", "'\(argument.op)' is not a comparison")
        }
    }

    /// Docker's conditions. Steps have no capabilities: what is included for one never applies, what is excluded for
    /// one always does.
    private func applies(_ entry: RawProfile.Syscall, at place: String) throws(SandboxError) -> Bool {
        if let includes = entry.includes {
            if let caps = includes.caps, !caps.isEmpty { return false }
            if let arches = includes.arches, !arches.isEmpty, !arches.contains(host.dockerArchitecture) { return false }
            if let text = includes.minKernel, host.kernel < (try kernel(text, at: "\(place).includes")) { return false }
        }
        if let excludes = entry.excludes {
            if let arches = excludes.arches, arches.contains(host.dockerArchitecture) { return false }
            if let text = excludes.minKernel, host.kernel >= (try kernel(text, at: "\(place).excludes")) {
                return false
            }
        }
        return true
    }

    private func kernel(_ text: String, at place: String) throws(SandboxError) -> KernelVersion {
        guard let version = KernelVersion(text) else {
            throw .seccompInvalid(file, at: "\(place).minKernel", "'\(text)' is not a kernel version")
        }
        return version
    }
}

extension SandboxError {
    static func seccompInvalid(_ file: String, at place: String, _ reason: String) -> SandboxError {
        SandboxError(
            code: "sandbox.seccomp-invalid",
            message: "The seccomp profile '\(file)' cannot be used: \(place.isEmpty ? "" : "\(place): ")\(reason).",
            hint: "Correct the file; the OCI runtime specification describes its form.")
    }
}
