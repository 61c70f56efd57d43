import Glibc

/// What the sandbox could not do: a stable code, a sentence, and what the reader can do.
public struct SandboxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Stable and grep-able, such as `sandbox.cgroup-unavailable`.
    public var code: String
    public var message: String
    public var hint: String?

    public init(code: String, message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    public var description: String { hint.map { "\(code): \(message)\nhint: \($0)" } ?? "\(code): \(message)" }
}

/// The system's words for an errno, such as `Permission denied`.
func errorText(_ code: Int32) -> String {
    // glibc's strerror is safe on any thread since 2.32: what it may overwrite is the calling thread's own.
    guard let text = strerror(code) else { return "error \(code)" }
    return String(cString: text)
}
