import Glibc
import Logging
import PostludeAPI
import PostludeCore

/// One line on standard error for each message, as text or as JSON.
struct LineLogHandler: LogHandler {
    var label: String
    var format: AgentCommand.LogFormat
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(label: String, format: AgentCommand.LogFormat, level: Logger.Level) {
        self.label = label
        self.format = format
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, given in given }
        let bytes = line(event.level, event.message, all)
        LogOutput.standardError.write(bytes) { lost in
            line(.warning, "log lines were lost, for nobody read them", ["lines": "\(lost)"])
        }
    }

    private func line(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) -> [UInt8] {
        switch format {
        case .text: Array(text(level, message, metadata).utf8)
        case .json: json(level, message, metadata)
        }
    }

    private func text(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) -> String {
        let pairs = metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\(Self.quoted("\($0.value)"))" }.joined()
        return "\(LogClock.now) \(level.rawValue) \(Self.oneLine("\(message)"))\(pairs)\n"
    }

    private func json(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) -> [UInt8] {
        var fields = metadata.mapValues { "\($0)" }
        fields["time"] = LogClock.now
        fields["level"] = level.rawValue
        fields["logger"] = label
        fields["message"] = "\(message)"
        do {
            return try Wire.encode(fields) + [UInt8(ascii: "\n")]
        } catch {
            return Array(text(level, message, metadata).utf8)
        }
    }

    private static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") }
        return isPlain
            ? text
            : "\"" + oneLine(text).split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
                + "\""
    }

    /// What a job or a user named must not make lines of its own in the log.
    private static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) else { return text }
        return text.unicodeScalars.map {
            $0.value < 0x20 || $0.value == 0x7f ? "\\u{\(String($0.value, radix: 16))}" : String($0)
        }.joined()
    }
}

private enum LogClock {
    /// UTC with milliseconds.
    static var now: String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        gmtime_r(&time.tv_sec, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        let length = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
        let digits = String(time.tv_nsec / 1_000_000)
        let milliseconds = String(repeating: "0", count: 3 - digits.count) + digits
        return String(decoding: buffer.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self) + ".\(milliseconds)Z"
    }
}
