import Foundation
import GRDB
import PostludeCore

/// JSON in a text column.
enum JSONText {
    static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch {
            throw StoreError.unreadable("\(type): \(error)")
        }
    }
}

extension Row {
    func json<Value: Decodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        try JSONText.decode(type, self[column])
    }

    func optionalJSON<Value: Decodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value? {
        guard let text = self[column] as String? else { return nil }
        return try JSONText.decode(type, text)
    }

    func time(_ column: String) -> Timestamp? {
        (self[column] as Int64?).map(Timestamp.init(microseconds:))
    }

    func requiredTime(_ column: String) -> Timestamp { Timestamp(microseconds: self[column]) }

    func word<Word: RawRepresentable>(_ column: String, as type: Word.Type = Word.self) throws -> Word
    where Word.RawValue == String {
        let text: String = self[column]
        guard let word = Word(rawValue: text) else { throw StoreError.unreadable("\(type) '\(text)'") }
        return word
    }

    func runID(_ column: String) throws -> RunID {
        let text: String = self[column]
        guard let id = RunID(text) else { throw StoreError.unreadable("run id '\(text)'") }
        return id
    }

    func optionalRunID(_ column: String) throws -> RunID? {
        guard let text = self[column] as String? else { return nil }
        guard let id = RunID(text) else { throw StoreError.unreadable("run id '\(text)'") }
        return id
    }
}

extension Database {
    /// Runs one statement, compiled once for each connection.
    func run(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws {
        try cachedStatement(sql: sql).execute(arguments: arguments)
    }

    func row(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws -> Row? {
        try Row.fetchOne(cachedStatement(sql: sql), arguments: arguments)
    }

    func rows(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws -> [Row] {
        try Row.fetchAll(cachedStatement(sql: sql), arguments: arguments)
    }
}
