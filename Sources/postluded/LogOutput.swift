import Glibc
import Synchronization

/// Where log lines go, which never waits: behind a pipe there may be somebody who does not read it, and an agent that
/// waited for that would stand still with all its runs. A line that is not taken at once is lost, and how many were is
/// told as soon as there is room again.
final class LogOutput: Sendable {
    static let standardError = LogOutput(STDERR_FILENO)

    private enum Kind {
        /// Takes what it is given, or fails: a full disk must not stop the agent either.
        case file
        /// An open file of our own to the same pipe: that ours does not block is nobody else's matter.
        case pipe(Int32)
        case socket
        /// Asked for room first: a terminal that was told to wait, or a pipe that cannot be opened again.
        case other
    }

    private struct State {
        var lost = 0
        /// Whether the last line that was begun has no end.
        var isCut = false
    }

    private let descriptor: Int32
    private let kind: Kind
    private let state = Mutex(State())

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var status = stat()
        switch fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0 {
        case S_IFREG: kind = .file
        case S_IFSOCK: kind = .socket
        case S_IFIFO:
            let own = open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            kind = own < 0 ? .other : .pipe(own)
        case _: kind = .other
        }
    }

    /// Writes the line as a whole, so that lines of several threads do not mix, or not at all.
    ///
    /// - Parameter notice: the line that says how many were lost before.
    func write(_ line: [UInt8], notice: (Int) -> [UInt8]) {
        if case .file = kind {
            _ = Glibc.write(descriptor, line, line.count)
            return
        }
        state.withLock { state in
            if state.lost > 0 || state.isCut {
                guard put((state.isCut ? [UInt8(ascii: "\n")] : []) + notice(state.lost), &state) else {
                    return state.lost += 1
                }
                state = State()
            }
            if !put(line, &state) { state.lost += 1 }
        }
    }

    /// Whether all of it was taken.
    private func put(_ bytes: [UInt8], _ state: inout State) -> Bool {
        let count: Int
        switch kind {
        case .file: count = Glibc.write(descriptor, bytes, bytes.count)
        case .pipe(let own): count = Glibc.write(own, bytes, bytes.count)
        case .socket: count = send(descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        case .other:
            var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&room, 1, 0) == 1 else { return false }
            count = Glibc.write(descriptor, bytes, bytes.count)
        }
        // Nobody is there to read any more: then it is as lost as it would have been before.
        if count < 0 { return false }
        if count < bytes.count { state.isCut = true }
        return count == bytes.count
    }
}
