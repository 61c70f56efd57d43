import Glibc

extension FileMapping {
    /// From a line of /proc/<pid>/maps; nil for a line of another form and for anonymous memory. Read byte by byte:
    /// there are thousands of lines.
    init?(_ line: UnsafeRawBufferPointer) {
        // start-end perms offset major:minor inode [path]
        var position = 0
        func number(radix: UInt64, until stop: UInt8) -> UInt64? {
            var value: UInt64 = 0
            let first = position
            while position < line.count, line[position] != stop {
                let digit: UInt64
                switch line[position] {
                case let byte where byte >= 0x30 && byte <= 0x39: digit = UInt64(byte - 0x30)
                case let byte where byte >= 0x61 && byte <= 0x66: digit = UInt64(byte - 0x61 + 10)
                case _: return nil
                }
                guard digit < radix else { return nil }
                value = value &* radix &+ digit
                position += 1
            }
            guard position > first else { return nil }
            position += 1
            return value
        }
        func skip() -> Bool {
            while position < line.count, line[position] != 0x20 { position += 1 }
            position += 1
            return position < line.count
        }
        guard let start = number(radix: 16, until: UInt8(ascii: "-")),
            let end = number(radix: 16, until: UInt8(ascii: " ")), skip(), skip(),
            let major = number(radix: 16, until: UInt8(ascii: ":")),
            let minor = number(radix: 16, until: UInt8(ascii: " ")),
            let inode = number(radix: 10, until: UInt8(ascii: " ")), inode != 0
        else { return nil }
        self.start = start
        self.end = end
        device = major << 32 | minor
        self.inode = inode
    }
}

/// Lines out of a text that comes in pieces, without copying any but the one that a piece cuts in two.
struct LineBuffer: ~Copyable {
    private let bytes: UnsafeMutableRawBufferPointer
    private var rest = 0

    init(capacity: Int) { bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16) }

    deinit { bytes.deallocate() }

    /// Reads the file to its end and calls `body` with each line; returns whether there was anything, or the errno of a
    /// failure.
    mutating func read(
        _ file: Int32, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(ProcessDirectory.Failure) -> Bool {
        rest = 0
        var sawSomething = false
        while true {
            let count = Glibc.read(file, bytes.baseAddress.map { $0 + rest }, bytes.count - rest)
            if count < 0 {
                if errno == EINTR { continue }
                throw ProcessDirectory.Failure(errno: errno)
            }
            guard count > 0 else { return sawSomething }
            sawSomething = true
            let end = rest + count
            var start = 0
            while start < end, let base = bytes.baseAddress,
                let newline = memchr(base + start, Int32(UInt8(ascii: "\n")), end - start)
            {
                let length = base.distance(to: newline) - start
                body(UnsafeRawBufferPointer(start: base + start, count: length))
                start += length + 1
            }
            // What is left is the beginning of a line; a line longer than the buffer cannot be (paths end at 4 KiB).
            rest = end - start
            if start > 0, rest > 0, let base = bytes.baseAddress { memmove(base, base + start, rest) }
        }
    }
}
