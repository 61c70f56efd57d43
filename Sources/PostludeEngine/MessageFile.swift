import Glibc

/// What a program said of its failure, for the run's condition. The file is the user's: nothing about it is taken on
/// trust, and what it holds is shown as one short line of text.
enum MessageFile {
    /// Bytes that are read; kubelet's bound for the same thing.
    static let maximumBytes = 4_096
    /// Characters that are shown.
    static let maximumCharacters = 1_000

    /// nil when there is none, or none that may be read: that a program says nothing is no error.
    static func read(artifacts: String, name: String) -> String? {
        let directory = open(artifacts, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard directory >= 0 else { return nil }
        defer { _ = close(directory) }
        var owner = stat()
        guard fstat(directory, &owner) == 0 else { return nil }
        let file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { _ = close(file) }
        var status = stat()
        // Another name of a file of somebody else's would have the agent read it out.
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == owner.st_uid,
            status.st_nlink == 1
        else { return nil }
        var bytes = [UInt8](repeating: 0, count: maximumBytes)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(file, buffer.baseAddress?.advanced(by: count), buffer.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { break }
            count += got
        }
        return line(of: bytes.prefix(count))
    }

    /// One line without control characters, as terminals and logs can take it; nil when nothing is left.
    static func line(of bytes: some Sequence<UInt8>) -> String? {
        let text = String(decoding: Array(bytes), as: UTF8.self)
        var words = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse: words.append(" ")
            default: words.append(scalar)
            }
        }
        let line = String(words).split(separator: " ").joined(separator: " ")
        guard !line.isEmpty else { return nil }
        return line.count > maximumCharacters ? String(line.prefix(maximumCharacters)) + "..." : line
    }
}
