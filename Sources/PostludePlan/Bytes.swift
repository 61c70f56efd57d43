/// Appends little-endian values.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 512) { bytes.reserveCapacity(capacity) }

    mutating func integer<Number: FixedWidthInteger>(_ value: Number) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func flag(_ value: Bool) { bytes.append(value ? 1 : 0) }

    mutating func data(_ value: [UInt8]) {
        integer(UInt32(clamping: value.count))
        bytes.append(contentsOf: value)
    }

    mutating func text(_ value: String) {
        integer(UInt32(clamping: value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    mutating func list<Element>(_ values: [Element], _ write: (inout ByteWriter, Element) -> Void) {
        integer(UInt32(clamping: values.count))
        for value in values { write(&self, value) }
    }

    mutating func optional<Value>(_ value: Value?, _ write: (inout ByteWriter, Value) -> Void) {
        flag(value != nil)
        if let value { write(&self, value) }
    }

    /// Puts a number over four bytes that were written before.
    mutating func patch(_ value: UInt32, at offset: Int) {
        withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<(offset + 4), with: $0) }
    }
}

/// Takes little-endian values from untrusted bytes; every length is held against what is left before it is used.
struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private(set) var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    var remaining: Int { bytes.endIndex - position }
    var offset: Int { position - bytes.startIndex }

    func failure(_ reason: PlanError.Reason) -> PlanError { PlanError(reason, at: offset) }

    mutating func integer<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(PlanError) -> Number {
        let size = MemoryLayout<Number>.size
        guard remaining >= size else { throw failure(.truncated) }
        var value: Number = 0
        for index in 0..<size { value |= Number(truncatingIfNeeded: bytes[position + index]) << Number(index * 8) }
        position += size
        return value
    }

    mutating func flag(_ name: String) throws(PlanError) -> Bool {
        let value: UInt8 = try integer()
        guard value <= 1 else { throw failure(.unknownValue(name, UInt64(value))) }
        return value == 1
    }

    mutating func data(limit: Int = 1 << 20) throws(PlanError) -> [UInt8] {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw failure(.tooMany("bytes")) }
        guard count <= remaining else { throw failure(.truncated) }
        defer { position += count }
        return Array(bytes[position..<(position + count)])
    }

    /// UTF-8 without NUL: it becomes a C string.
    mutating func text(limit: Int = 1 << 20) throws(PlanError) -> String {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw failure(.tooMany("bytes of text")) }
        guard count <= remaining else { throw failure(.truncated) }
        let range = position..<(position + count)
        guard !bytes[range].contains(0), let text = String(validating: bytes[range], as: UTF8.self) else {
            throw failure(.notText)
        }
        position += count
        return text
    }

    mutating func list<Element>(
        _ name: String, limit: Int, _ read: (inout ByteReader) throws(PlanError) -> Element
    ) throws(PlanError) -> [Element] {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw failure(.tooMany(name)) }
        // Each element takes a byte at least, so a count that cannot be true reserves nothing.
        guard count <= remaining else { throw failure(.truncated) }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try read(&self)) }
        return elements
    }

    mutating func optional<Value>(
        _ name: String, _ read: (inout ByteReader) throws(PlanError) -> Value
    ) throws(PlanError) -> Value? {
        guard try flag(name) else { return nil }
        return try read(&self)
    }

    mutating func value<Case: RawRepresentable>(_ type: Case.Type) throws(PlanError) -> Case
    where Case.RawValue == UInt8 {
        let raw: UInt8 = try integer()
        guard let value = Case(rawValue: raw) else { throw failure(.unknownValue("\(Case.self)", UInt64(raw))) }
        return value
    }

    func finish() throws(PlanError) {
        guard remaining == 0 else { throw failure(.trailingBytes) }
    }
}

/// CRC-32C (Castagnoli), as in iSCSI and ext4.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1 }
    }

    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        let table = table
        var value = ~UInt32(0)
        for byte in bytes { value = (value >> 8) ^ table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] }
        return ~value
    }
}
