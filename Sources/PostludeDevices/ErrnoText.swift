import Glibc

/// The system's words for an errno, such as `Permission denied`.
func errorText(_ code: Int32) -> String {
    // glibc's strerror is safe on any thread since 2.32: what it may overwrite is the calling thread's own.
    guard let text = strerror(code) else { return "error \(code)" }
    return String(cString: text)
}
