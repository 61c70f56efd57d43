import Glibc

/// What the sandbox could not do: a stable code, a sentence, and what the reader can do.
public struct SandboxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Stable and grep-able, such as `sandbox.cgroup-unavailable`.
    public var code: String
    public var message: String
    public var hint: String?
    /// Whether the same may succeed later although nobody changes the run: the host is short of something, or the warden's
    /// program is being replaced.
    public var isTemporary: Bool

    public init(code: String, message: String, hint: String? = nil, isTemporary: Bool = false) {
        self.code = code
        self.message = message
        self.hint = hint
        self.isTemporary = isTemporary
    }

    /// Whether a call failed for want of something that others have now and give back: descriptors, processes, memory.
    static func isShortage(_ errno: Int32) -> Bool {
        [EMFILE, ENFILE, EAGAIN, ENOMEM, ENOBUFS].contains(errno)
    }

    public var description: String { hint.map { "\(code): \(message)\nhint: \($0)" } ?? "\(code): \(message)" }
}

/// The system's words for an errno, such as `Permission denied`.
func errorText(_ code: Int32) -> String {
    // glibc's strerror is safe on any thread since 2.32: what it may overwrite is the calling thread's own.
    guard let text = strerror(code) else { return "error \(code)" }
    return String(cString: text)
}
