import CLinux
import Foundation
import Testing

/// A connection on which a test sends bytes as they are, opened by whatever user it likes.
final class RawConnection: Sendable {
    struct Answer: Sendable, CustomStringConvertible {
        var status: Int
        /// By lower-case name.
        var fields: [String: String]
        var body: [UInt8]

        var description: String { "\(status) \(fields) \(String(decoding: body.prefix(600), as: UTF8.self))" }
    }

    private let descriptor: Int32

    /// Connects on a thread of its own, which alone changes its user: SO_PEERCRED tells who connected.
    init(_ path: String, as uid: UInt32 = 0) async throws {
        descriptor = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(returning: Self.connect(path, as: uid))
            }
        }
        try #require(descriptor >= 0, "cannot connect to \(path): errno \(-descriptor)")
        // A test fails rather than waits for ever.
        var patience = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { _ = close(descriptor) }

    private static func connect(_ path: String, as uid: UInt32) -> Int32 {
        // The calls themselves and not the library's, which would change all threads.
        if uid != 0 {
            guard linux_setgroups(0, nil) == 0, linux_setresgid(uid, uid, uid) == 0, linux_setresuid(uid, uid, uid) == 0
            else { return -errno }
        }
        let (descriptor, code) = unixSocket(path, Glibc.connect)
        guard code != 0 else { return descriptor }
        let error = errno
        _ = close(descriptor)
        return -error
    }

    /// Sends all of it, or as much as the agent takes before it closes.
    func send(_ bytes: [UInt8]) async {
        let descriptor = descriptor
        await Command.blocking {
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return }
                sent += count
            }
        }
    }

    func send(_ text: String) async { await send(Array(text.utf8)) }

    /// Nothing more comes from this side.
    func finish() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Waits until the agent has closed the connection, without reading what it sent before.
    func awaitClose() async -> Bool {
        let descriptor = descriptor
        return await Command.blocking {
            // No events asked for: only the other end's closing is told.
            var wait = pollfd(fd: descriptor, events: 0, revents: 0)
            return poll(&wait, 1, 120_000) == 1
        }
    }

    /// All answers until the agent closes the connection.
    ///
    /// - Parameter isHead: the request was HEAD: the answer's body is what should not be there.
    func answers(isHead: Bool = false) async -> [Answer] {
        let descriptor = descriptor
        return Self.parsed(await Command.blocking { Self.received(descriptor) { _ in false } }, isHead: isHead)
    }

    /// The answers up to the given number of them, or to where the agent closes.
    func answers(_ count: Int) async -> [Answer] {
        let descriptor = descriptor
        return Self.parsed(
            await Command.blocking { Self.received(descriptor) { Self.parsed($0).count >= count } })
    }

    /// What has come when it has the text in it, or when the agent closes.
    func reads(_ text: String) async -> String {
        let descriptor = descriptor
        return await Command.blocking {
            String(
                decoding: Self.received(descriptor) { String(decoding: $0, as: UTF8.self).contains(text) },
                as: UTF8.self)
        }
    }

    private static func received(_ descriptor: Int32, until isEnough: ([UInt8]) -> Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while !isEnough(bytes) {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { break }
            bytes += chunk.prefix(count)
        }
        return bytes
    }

    /// The answers that are whole; a body without a length goes to the end.
    private static func parsed(_ bytes: [UInt8], isHead: Bool = false) -> [Answer] {
        var answers: [Answer] = []
        var rest = bytes[...]
        while let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) {
            let lines = String(decoding: rest[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
            var answer = Answer(status: 0, fields: [:], body: [])
            answer.status = lines.first.map { Int($0.split(separator: " ").dropFirst().first ?? "") ?? 0 } ?? 0
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
                if parts.count == 2 { answer.fields[parts[0].lowercased()] = parts[1] }
            }
            rest = rest[end.upperBound...]
            if isHead {
                answer.body = Array(rest)
                return [answer]
            }
            if let length = answer.fields["content-length"].flatMap(Int.init) {
                guard rest.count >= length else { break }
                answer.body = Array(rest.prefix(length))
                rest = rest.dropFirst(length)
            } else if let closing = rest.firstRange(of: Array("0\r\n\r\n".utf8)) {
                answer.body = Array(rest[..<closing.upperBound])
                rest = rest[closing.upperBound...]
            } else {
                break
            }
            answers.append(answer)
        }
        return answers
    }
}

/// A unix socket that was connected or bound to a path, and what the call gave.
func unixSocket(
    _ path: String, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
) -> (descriptor: Int32, code: Int32) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    let code = withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    return (descriptor, code)
}

extension LiveAgent {
    /// One request on a connection of its own.
    func raw(
        _ method: String, _ target: String, body: [UInt8]? = nil, as uid: UInt32 = 0
    ) async throws -> RawConnection.Answer {
        let connection = try await RawConnection(socket, as: uid)
        var head = "\(method) \(target) HTTP/1.1\r\nHost: postlude\r\nConnection: close\r\n"
        if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n" }
        await connection.send(Array("\(head)\r\n".utf8) + (body ?? []))
        let answers = await connection.answers(isHead: method == "HEAD")
        return try #require(answers.first, "no answer to \(method) \(target)")
    }
}
