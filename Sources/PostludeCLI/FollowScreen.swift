import FoundationEssentials
import Glibc
import PostludeAPI
import PostludeCore
import PostludeReports

/// Where a followed run is shown.
///
/// For people, main's standard output goes to standard output as it is, and everything else (events, other steps'
/// output, standard error) to standard error; on a terminal each goes line by line, so that they do not mix. With JSON,
/// each event and each piece of output is one line on standard output.
actor FollowScreen {
    private let streams: Streams
    private let json: Bool
    private let run: RunID
    private var events: EventText
    private var texts: [Key: OutputText] = [:]
    /// Bytes of a piece that ended inside a character, for JSON, whose texts are whole characters.
    private var halves: [Key: [UInt8]] = [:]

    private struct Key: Hashable {
        var step: FollowedStep
        var stream: LogStream
    }

    init(_ summary: RunSummary, streams: Streams, json: Bool) {
        self.streams = streams
        self.json = json
        run = summary.id
        events = EventText(style: streams.terminal.errorStyle, start: summary.createdAt, run: summary.id)
    }

    func show(_ event: RunEvent) throws {
        guard !json else { return try document(FollowLine.event(event)) }
        let lines = events.lines(event)
        if !lines.isEmpty { try streams.note(lines) }
    }

    func warn(_ message: String) throws {
        guard !json else { return try document(FollowLine.warning(message)) }
        try streams.note(streams.terminal.errorStyle.yellow("warning: ") + message.visible)
    }

    func note(_ message: String) throws {
        guard !json else { return }
        try streams.note(message)
    }

    func show(_ bytes: some Sequence<UInt8> & Sendable, of step: FollowedStep, _ stream: LogStream) throws {
        let key = Key(step: step, stream: stream)
        guard !json else {
            let (text, rest) = WholeCharacters.split((halves[key] ?? []) + bytes)
            halves[key] = rest
            return try text.isEmpty ? () : document(.output(step, stream, text))
        }
        if isPlain(key), !streams.terminal.output { return try streams.write(Array(bytes), to: STDOUT_FILENO) }
        var text =
            texts[key]
            ?? OutputText(
                keepsColour: isPlain(key) ? streams.terminal.outputStyle.colour : streams.terminal.errorStyle.colour)
        let lines = text.feed(bytes)
        texts[key] = text
        try write(lines, of: key)
    }

    func end(of step: FollowedStep, _ stream: LogStream) throws {
        let key = Key(step: step, stream: stream)
        if json, let rest = halves.removeValue(forKey: key), !rest.isEmpty {
            try document(.output(step, stream, String(decoding: rest, as: UTF8.self)))
        }
        guard var text = texts.removeValue(forKey: key) else { return }
        try write(text.finish(), of: key)
    }

    func finish(_ detail: RunDetail, hooks: [RunDetail]) throws {
        guard !json else { return try document(.finished(detail, hooks: hooks)) }
        try streams.note(SummaryText(style: streams.terminal.errorStyle).lines(detail, hooks: hooks))
    }

    func begin(_ detail: RunDetail) throws {
        guard !json else { return try document(.submitted(detail)) }
        let style = streams.terminal.errorStyle
        try streams.note("run \(style.bold(detail.summary.name.visible)) \(detail.summary.id.short)")
        for note in detail.notes {
            let place = note.place.map { "\($0): " } ?? ""
            try streams.note(place.visible + "\(note.severity.rawValue): \(note.message.visible) [\(note.code)]")
        }
    }

    /// The stream that a program reading `postlude run` wants: main's standard output.
    private func isPlain(_ key: Key) -> Bool {
        key.step.run == run && key.step.name == "main" && key.stream == .stdout
    }

    private func write(_ lines: [String], of key: Key) throws {
        guard !lines.isEmpty else { return }
        guard !isPlain(key) else { return try streams.print(lines) }
        let style = streams.terminal.errorStyle
        let hook = key.step.run == run ? nil : events.hooks[key.step.run] ?? key.step.run.short
        let isMain = key.step.name == "main"
        let who = [hook, isMain ? nil : key.step.name].compactMap { $0 }.joined(separator: "/")
        let prefix = who.isEmpty ? "" : style.dim("\(who.visible) | ")
        try streams.note(lines.map { prefix + $0 })
    }

    private func document(_ line: FollowLine) throws {
        try streams.write(try Wire.encode(line) + [UInt8(ascii: "\n")], to: STDOUT_FILENO)
    }
}

/// One line of `postlude run --json`.
enum FollowLine: Encodable, Sendable {
    case submitted(RunDetail)
    case event(RunEvent)
    case output(FollowedStep, LogStream, String)
    case warning(String)
    case finished(RunDetail, hooks: [RunDetail])

    private enum Keys: String, CodingKey { case type, run, event, step, stream, text, message, hooks }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        switch self {
        case .submitted(let detail):
            try container.encode("submitted", forKey: .type)
            try container.encode(detail, forKey: .run)
        case .event(let event):
            try container.encode("event", forKey: .type)
            try container.encode(event, forKey: .event)
        case .output(let step, let stream, let text):
            try container.encode("output", forKey: .type)
            try container.encode(step.run, forKey: .run)
            try container.encode(step.name, forKey: .step)
            try container.encode(stream, forKey: .stream)
            try container.encode(text, forKey: .text)
        case .warning(let message):
            try container.encode("warning", forKey: .type)
            try container.encode(message, forKey: .message)
        case .finished(let detail, let hooks):
            try container.encode("finished", forKey: .type)
            try container.encode(detail, forKey: .run)
            try container.encode(hooks, forKey: .hooks)
        }
    }
}

/// Cuts bytes at the last end of a character, so that pieces of a stream decode as the whole would.
enum WholeCharacters {
    static func split(_ bytes: [UInt8]) -> (text: String, rest: [UInt8]) {
        // At most three bytes at the end can be the start of a character.
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            guard lead >= 0x80 else { break }
            guard lead >= 0xc0 else { continue }
            guard lead <= 0xf4 else { break }
            let needed = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
            guard needed > length else { break }
            return (String(decoding: bytes.dropLast(length), as: UTF8.self), Array(bytes.suffix(length)))
        }
        return (String(decoding: bytes, as: UTF8.self), [])
    }
}
