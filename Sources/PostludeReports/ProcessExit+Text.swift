import PostludeCore

extension ProcessExit {
    /// A few words for a table: `0`, `exit 3`, `SIGKILL`, `SIGSEGV (core)`, `setup failed: mount`, `unknown`.
    public var text: String {
        switch self {
        case .code(0): "0"
        case .code(let code): "exit \(code)"
        case .signal(let number, let coreDumped): Signals.name(number) + (coreDumped ? " (core)" : "")
        case .setupFailed(let stage, _, _): "setup failed: \(stage)"
        case .unknown: "unknown"
        }
    }

    /// The same with what else is known: `setup failed: mount: No such file or directory (errno 2)`.
    public var longText: String {
        switch self {
        case .code(let code): "exit \(code)"
        case .signal, .unknown: text
        case .setupFailed(_, let errno, let detail): text + (detail.isEmpty ? "" : ": \(detail)") + " (errno \(errno))"
        }
    }
}

/// Signal names as Linux numbers them on every architecture that Swift runs on.
public enum Signals {
    private static let names = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ]

    public static func name(_ number: Int32) -> String {
        let index = Int(number) - 1
        return names.indices.contains(index) ? "SIG" + names[index] : "signal \(number)"
    }
}
