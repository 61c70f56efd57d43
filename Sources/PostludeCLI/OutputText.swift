import PostludeReports

/// Turns a job's output into lines that are safe to show on a terminal: what a terminal would obey is shown as text.
///
/// Colour sequences (`ESC [ ... m`) stay where colour is allowed, and end with their line. A carriage return starts a
/// new line, so that no output overwrites another's.
struct OutputText: Sendable {
    /// Longer lines are broken, so that a job without line ends cannot make this process grow.
    static let longestLine = 16 << 10

    let keepsColour: Bool
    private var pending: [UInt8] = []
    private var endedWithReturn = false

    init(keepsColour: Bool) { self.keepsColour = keepsColour }

    /// The lines that these bytes complete.
    mutating func feed(_ bytes: some Sequence<UInt8>) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            let followsReturn = endedWithReturn
            endedWithReturn = byte == UInt8(ascii: "\r")
            switch byte {
            case UInt8(ascii: "\n") where followsReturn: break  // the line end was told at the carriage return
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"): lines.append(takePending())
            default:
                // Break between characters: continuation bytes go with what they continue, while they continue anything.
                let continues = byte & 0xc0 == 0x80 && pending.count < Self.longestLine + 3
                if pending.count >= Self.longestLine, !continues { lines.append(takePending()) }
                pending.append(byte)
            }
        }
        return lines
    }

    /// The last line, when it has no end.
    mutating func finish() -> [String] { pending.isEmpty ? [] : [takePending()] }

    private mutating func takePending() -> String {
        defer { pending.removeAll(keepingCapacity: true) }
        return Self.safe(String(decoding: pending, as: UTF8.self), keepsColour: keepsColour)
    }

    /// One line with everything that a terminal would obey written out.
    static func safe(_ line: String, keepsColour: Bool) -> String {
        var rest = line.unicodeScalars[...]
        guard rest.contains(where: \.isUnsafe) else { return line }
        var text = ""
        var isColoured = false
        while let scalar = rest.popFirst() {
            if scalar == "\t" {
                text.append("\t")
            } else if scalar == "\u{1b}", let sequence = colourSequence(&rest) {
                guard keepsColour else { continue }
                text += "\u{1b}[" + sequence + "m"
                isColoured = true
            } else if scalar.isUnsafe {
                text += scalar.escaped
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return isColoured ? text + "\u{1b}[0m" : text
    }

    /// The parameters of a colour sequence, and `rest` behind it; nil, and `rest` as it was, when it is something else.
    private static func colourSequence(_ rest: inout Substring.UnicodeScalarView) -> String? {
        guard rest.first == "[" else { return nil }
        let tail = rest.dropFirst()
        let parameters = tail.prefix { ("0"..."9").contains($0) || $0 == ";" || $0 == ":" }
        guard parameters.count <= 32, tail.dropFirst(parameters.count).first == "m" else { return nil }
        rest = tail.dropFirst(parameters.count + 1)
        return String(Substring(parameters))
    }
}
