/// The end of what a step wrote, bounded, as its hooks see it. It is data, whatever it contains (P5).
public struct LogTail: Hashable, Sendable, Codable {
    /// `main`, or the init step that the run did not get beyond.
    public var step: String
    /// nil when there is no such log.
    public var standardOutput: String?
    public var standardError: String?

    public init(step: String, standardOutput: String? = nil, standardError: String? = nil) {
        self.step = step
        self.standardOutput = standardOutput
        self.standardError = standardError
    }

    public static let maximumLines = 20
    public static let maximumBytes = 8192

    /// The last lines of a log, of at most `maximumBytes` bytes, without the last line's end.
    ///
    /// - Parameters:
    ///   - bytes: the end of the log.
    ///   - isCut: whether more comes before them; a line that is there in part is left out if there are others.
    public static func lines(of bytes: some Collection<UInt8>, isCut: Bool) -> String {
        var tail = Array(bytes.suffix(maximumBytes))
        let isCut = isCut || tail.count < bytes.count
        if tail.last == UInt8(ascii: "\n") { tail.removeLast() }
        var lines = tail.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if isCut, lines.count > 1 {
            lines.removeFirst()
        } else if isCut, let first = lines.first {
            // The rest of a character whose beginning is not there.
            lines[0] = first.drop { $0 & 0xc0 == 0x80 }
        }
        return lines.suffix(maximumLines).map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
    }

    var value: Value {
        .dict([
            "step": .string(step), "stdout": standardOutput.map(Value.string) ?? .null,
            "stderr": standardError.map(Value.string) ?? .null,
        ])
    }
}
