import Glibc

/// What the two output streams are, and what may be written to them.
struct Terminal: Hashable, Sendable {
    /// Whether standard output is a terminal.
    var output: Bool
    var error: Bool
    /// Colour is used on terminals only, and nowhere when NO_COLOR is set to anything (no-color.org) or TERM is dumb.
    var allowsColour: Bool

    init(output: Bool, error: Bool, environment: [String: String]) {
        self.output = output
        self.error = error
        allowsColour = (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }

    static func current(_ environment: [String: String]) -> Terminal {
        Terminal(output: isatty(STDOUT_FILENO) == 1, error: isatty(STDERR_FILENO) == 1, environment: environment)
    }

    var outputStyle: Style { Style(colour: output && allowsColour) }
    var errorStyle: Style { Style(colour: error && allowsColour) }
}

/// Marks text for people; without colour it gives the text as it is.
struct Style: Hashable, Sendable {
    var colour: Bool

    static let plain = Style(colour: false)

    func bold(_ text: String) -> String { mark("1", text) }
    func dim(_ text: String) -> String { mark("2", text) }
    func red(_ text: String) -> String { mark("31", text) }
    func green(_ text: String) -> String { mark("32", text) }
    func yellow(_ text: String) -> String { mark("33", text) }
    func cyan(_ text: String) -> String { mark("36", text) }

    private func mark(_ code: String, _ text: String) -> String {
        colour && !text.isEmpty ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
    }
}

/// Writes to the process's own streams, whole texts at a time.
struct Streams: Sendable {
    var terminal: Terminal

    /// Lines to standard output.
    func print(_ lines: [String]) throws { try write(lines.map { $0 + "\n" }.joined(), to: STDOUT_FILENO) }

    func print(_ line: String) throws { try print([line]) }

    /// Lines to standard error.
    func note(_ lines: [String]) throws { try write(lines.map { $0 + "\n" }.joined(), to: STDERR_FILENO) }

    func note(_ line: String) throws { try note([line]) }

    func write(_ text: String, to descriptor: Int32) throws { try write(Array(text.utf8), to: descriptor) }

    /// Everything, or an error: nobody reads any more, or the file is on a full disk.
    func write(_ bytes: [UInt8], to descriptor: Int32) throws {
        try bytes.withUnsafeBytes { raw in
            var rest = raw[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EAGAIN {
                    // Somebody made the terminal non-blocking; wait until it takes more.
                    var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&ready, 1, -1)
                } else if errno == EPIPE {
                    throw CommandFailure(.brokenPipe, "cli.broken-pipe", "Nobody reads the output any more.")
                } else if errno != EINTR {
                    throw CommandFailure(
                        .refused, "cli.cannot-write", "Cannot write the output: \(String(cString: strerror(errno))).",
                        hint: "Check the disk or the program that reads it.")
                }
            }
        }
    }
}
