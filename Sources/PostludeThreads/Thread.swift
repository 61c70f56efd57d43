import CLinux
import Glibc

/// Why a thread could not be had: the call that failed, and its errno.
public struct ThreadError: Error, Hashable, Sendable, CustomStringConvertible {
    public var call: String
    public var errno: Int32

    public var description: String { "\(call): \(String(cString: strerror(errno)))" }
}

/// Starts a thread that runs `body` and then ends. Nobody waits for it. The kernel keeps 15 bytes of the name.
func startThread(named name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
    let start = Unmanaged.passRetained(Start(name: String(name.prefix(15)), body: body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
            _ = linux_set_name(start.name)
            start.body()
            return nil
        }, start.toOpaque())
    guard code == 0 else {
        start.release()
        throw ThreadError(call: "pthread_create", errno: code)
    }
    pthread_detach(thread)
}

private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}
