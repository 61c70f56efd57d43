import Glibc

/// Whose processes a scan is about: all there are, or, without root, those of the agent's own user.
///
/// Without root no other user's process may be looked into. A run of such an agent can have none: its user namespace
/// holds this one id, and nothing in it gets another. So a scan of this user's processes finds whatever the run has left;
/// whether other users hold the device it cannot say, and nobody may say it for it.
enum ScanScope {
    static let isOwnUser = geteuid() != 0

    /// Whether the process belongs to what is scanned; what is gone does not.
    static func includes(_ pid: Int32, in proc: borrowing ProcessDirectory) -> Bool {
        guard isOwnUser else { return true }
        var status = stat()
        guard fstatat(proc.descriptor, "\(pid)", &status, 0) == 0 else { return false }
        if status.st_uid == geteuid() { return true }
        // A process that may not be looked into seems to be root's, whoever it belongs to (proc(5)).
        guard status.st_uid == 0 else { return false }
        let text = SmallFile.read("/proc/\(pid)/status") ?? ""
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Uid:") }) else { return false }
        return line.dropFirst(4).split(whereSeparator: { $0 == "\t" || $0 == " " }).contains { UInt32($0) == geteuid() }
    }
}
