/// Bytes that are not a valid plan, request or record, and why. Hostile input ends here, never in a crash.
public struct PlanError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Reason: Hashable, Sendable {
        /// The bytes end before the value does, or a length points past the end.
        case truncated
        case notAPlan
        case unsupportedVersion(UInt16)
        /// A number that no case of the named type has.
        case unknownValue(String, UInt64)
        case notText
        /// More than the named limit.
        case tooMany(String)
        case trailingBytes
        /// Well-formed, but not what a plan may say.
        case invalid(String)
    }

    public var reason: Reason
    /// The offset in bytes at which reading stopped.
    public var offset: Int

    public init(_ reason: Reason, at offset: Int = 0) {
        self.reason = reason
        self.offset = offset
    }

    /// Stable, such as `plan.truncated`.
    public var code: String {
        switch reason {
        case .truncated: "plan.truncated"
        case .notAPlan: "plan.not-a-plan"
        case .unsupportedVersion: "plan.unsupported-version"
        case .unknownValue: "plan.unknown-value"
        case .notText: "plan.not-text"
        case .tooMany: "plan.too-many"
        case .trailingBytes: "plan.trailing-bytes"
        case .invalid: "plan.invalid"
        }
    }

    public var message: String {
        switch reason {
        case .truncated: "The bytes end at offset \(offset) before the value does."
        case .notAPlan: "The bytes are not what they should be: the first four are wrong."
        case .unsupportedVersion(let version): "Version \(version) is not known here (this is \(LaunchPlan.version))."
        case .unknownValue(let type, let value): "\(value) at offset \(offset) is not a \(type)."
        case .notText: "The text at offset \(offset) is not UTF-8, or holds a NUL."
        case .tooMany(let what): "More \(what) than a plan may have, at offset \(offset)."
        case .trailingBytes: "Bytes are left over after offset \(offset)."
        case .invalid(let why): why
        }
    }

    public var hint: String? {
        switch reason {
        case .unsupportedVersion: "Install postluded and postlude-warden of the same version."
        case .truncated, .notAPlan, .unknownValue, .notText, .tooMany, .trailingBytes, .invalid: nil
        }
    }

    public var description: String { "\(code): \(message)" }
}
