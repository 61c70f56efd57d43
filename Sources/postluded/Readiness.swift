import Glibc
import Logging
import PostludeAPI
import Synchronization

/// Tells the command that started this agent, once, how it went.
final class ReadinessChannel: Sendable {
    private let descriptor: Mutex<Int32?>

    init(descriptor: Int32?) {
        // The warden and its steps must not hold it open. A number that is no descriptor now may be the database's later.
        let isOpen = descriptor.map { fcntl($0, F_SETFD, FD_CLOEXEC) == 0 } ?? false
        self.descriptor = Mutex(isOpen ? descriptor : nil)
    }

    func tell(_ message: Readiness) {
        descriptor.withLock { descriptor in
            guard let open = descriptor else { return }
            descriptor = nil
            do {
                let line = try Wire.encode(message) + [UInt8(ascii: "\n")]
                // Who asked may be gone by now; the agent is there all the same.
                _ = send(open, line, line.count, Int32(MSG_NOSIGNAL))
            } catch {
                // An envelope of plain texts always encodes; if not, the closed channel tells enough.
            }
            _ = close(open)
        }
    }
}

/// systemd's notification protocol (sd_notify(3)), which needs no library.
enum ServiceManager {
    static func tell(_ state: String, _ logger: Logger) {
        guard let value = getenv("NOTIFY_SOCKET") else { return }
        let path = String(cString: value)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < capacity, path.hasPrefix("/") || path.hasPrefix("@") else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            bytes.copyBytes(from: path.utf8)
            // An abstract address starts with a NUL, which the variable writes as @.
            if path.hasPrefix("@") { bytes[0] = 0 }
        }
        let length = MemoryLayout<sockaddr_un>.offset(of: \.sun_path).map { $0 + path.utf8.count } ?? 0
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { _ = close(descriptor) }
        let sent = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, state, state.utf8.count, Int32(MSG_NOSIGNAL), $0, socklen_t(length))
            }
        }
        if sent < 0 {
            logger.warning(
                "cannot notify the service manager, ignoring",
                metadata: ["error": "\(String(cString: strerror(errno)))"])
        }
    }
}
