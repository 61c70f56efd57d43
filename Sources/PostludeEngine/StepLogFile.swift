import Glibc
import PostludeCore

/// A step's log in its attempt's directory, where nobody writes but the warden.
enum StepLogFile {
    /// Its last lines; nil when it is not there or cannot be read.
    static func tail(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { _ = close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        // One byte more than is shown, so that a line that begins with the first is known to be whole.
        let wanted = LogTail.maximumBytes + 1
        let start = max(0, Int(status.st_size) - wanted)
        var bytes = [UInt8](repeating: 0, count: wanted)
        var count = 0
        while count < wanted {
            let got = bytes.withUnsafeMutableBytes { buffer in
                pread(file, buffer.baseAddress?.advanced(by: count), wanted - count, off_t(start + count))
            }
            if got < 0 {
                if errno == EINTR { continue }
                return nil
            }
            if got == 0 { break }
            count += got
        }
        return LogTail.lines(of: bytes.prefix(count), isCut: start > 0)
    }
}
