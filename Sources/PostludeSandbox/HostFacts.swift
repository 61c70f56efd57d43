import Glibc

/// Facts about the host that never change while it runs.
enum HostFacts {
    /// Such as `6.12.3-amd64`.
    static let kernelRelease: String = {
        var name = utsname()
        guard uname(&name) == 0 else { return "" }
        return withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }()
}
