import Glibc
import PostludeLinux

/// One stream of a step: from its pipe to its log file, up to a number of bytes; what comes after is read and dropped,
/// so that the program never blocks on a full pipe.
final class LogPump {
    private let pipe: OwnedDescriptor
    private let log: Int32
    private let null: Int32
    private let limit: UInt64
    private var room: UInt64
    private(set) var droppedBytes: UInt64 = 0
    /// Set when the file cannot take more (a full disk): the rest is dropped, and counted.
    private var isBroken = false
    private var copies = false
    private(set) var hasEnded = false

    var descriptor: Int32 { pipe.rawValue }

    init(pipe: consuming OwnedDescriptor, log: Int32, null: Int32, limit: UInt64) {
        self.pipe = pipe
        self.log = log
        self.null = null
        self.limit = limit
        room = limit
    }

    /// Moves what is in the pipe now, at most about a megabyte unless `everything`: other streams want their turn.
    func pump(everything: Bool = false) {
        var budget = everything ? Int.max : 1 << 20
        while budget > 0, !hasEnded {
            let outcome = room > 0 && !isBroken ? keep() : drop()
            switch outcome {
            case .moved(let count): budget -= count
            case .empty: return
            case .end: hasEnded = true
            case .failed: hasEnded = true
            }
        }
    }

    private func keep() -> Splice.Outcome {
        let count = Int(min(room, 1 << 20))
        let outcome = copies ? copy(count) : Splice.move(from: pipe.rawValue, to: log, count: count)
        switch outcome {
        case .moved(let moved):
            room -= UInt64(moved)
            return outcome
        case .empty, .end:
            return outcome
        case .failed(EINVAL) where !copies:
            // A file opened for appending, or a file system that cannot splice.
            copies = true
            return .moved(0)
        case .failed:
            isBroken = true
            return .moved(0)
        }
    }

    private func copy(_ count: Int) -> Splice.Outcome {
        var buffer = [UInt8](repeating: 0, count: min(count, 65536))
        let got = read(pipe.rawValue, &buffer, buffer.count)
        if got == 0 { return .end }
        if got < 0 { return errno == EAGAIN || errno == EINTR ? .empty : .failed(errno) }
        do {
            try writeAll(Array(buffer.prefix(got)), to: log)
        } catch {
            isBroken = true
            droppedBytes += UInt64(got)
        }
        return .moved(got)
    }

    private func drop() -> Splice.Outcome {
        let outcome = Splice.move(from: pipe.rawValue, to: null, count: 1 << 20)
        if case .moved(let count) = outcome {
            if droppedBytes == 0, !isBroken { mark() }
            droppedBytes += UInt64(count)
        }
        return outcome
    }

    private func mark() {
        let line = "\n[postlude: the output is longer than \(limit) bytes; the rest is not kept]\n"
        do {
            try writeAll(Array(line.utf8), to: log)
        } catch {
            isBroken = true
        }
    }
}
