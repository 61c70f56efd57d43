import Glibc
import PostludeCore

/// A file that holds one secret.
public enum SecretFile {
    static let maximumBytes = 65_536

    /// Its content, without a line's end at its own end.
    ///
    /// - Throws: `engine.connection-secret` when it cannot be read, or others than the agent's user can read or replace
    ///   it. No message holds anything of the content.
    static func read(_ path: String, of name: String) throws(EngineError) -> SecretText {
        let file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        if file < 0, [EMFILE, ENFILE, ENOMEM].contains(errno) {
            throw .exhausted("The secret '\(name)' cannot be read now", errno)
        }
        guard file >= 0 else { throw .secret(path, name, String(cString: strerror(errno))) }
        defer { _ = close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw .secret(path, name, String(cString: strerror(errno))) }
        if let why = objection(to: status) { throw .secret(path, name, why) }
        guard status.st_size <= maximumBytes else { throw .secret(path, name, "it is larger than 64 KiB") }
        var bytes = [UInt8](repeating: 0, count: maximumBytes + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(file, buffer.baseAddress?.advanced(by: count), buffer.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .secret(path, name, String(cString: strerror(errno))) }
            if got == 0 { break }
            count += got
        }
        guard count <= maximumBytes, let text = String(validating: bytes.prefix(count), as: UTF8.self) else {
            throw .secret(path, name, "it is not text of at most 64 KiB")
        }
        var content = text[...]
        if content.hasSuffix("\r\n") || content.hasSuffix("\n") { content = content.dropLast() }
        guard !content.isEmpty else { throw .secret(path, name, "it is empty") }
        return SecretText(String(content))
    }

    /// Why a file with this status does not keep a secret; nil when it does.
    public static func objection(to status: stat) -> String? {
        guard status.st_mode & S_IFMT == S_IFREG else { return "it is not a regular file" }
        guard status.st_uid == geteuid() || status.st_uid == 0 else {
            return "it belongs to uid \(status.st_uid), who could change it"
        }
        guard status.st_mode & 0o077 == 0 else {
            return "others can reach it (mode \(String(status.st_mode & 0o7777, radix: 8)))"
        }
        return nil
    }
}

extension EngineError {
    static func secret(_ path: String, _ name: String, _ why: String) -> EngineError {
        EngineError(
            .unavailable, "engine.connection-secret",
            "The secret '\(name)' cannot be read from '\(path)': \(why).",
            hint: "Make it a file of the agent's user, with mode 600, that holds the secret.")
    }
}
