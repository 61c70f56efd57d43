import Foundation
import PostludeAPI
import PostludeCore

/// A request that no honest client sends, or that asks for what is not the caller's; and the answer it has to get.
struct HostileRequest: Sendable {
    /// What the requests are about.
    struct Scene: Sendable {
        /// A run of the one who sends them, and of somebody else's.
        var own: String
        var foreign: String
        /// A valid submission of the sender's.
        var submission: [UInt8]
    }

    var name: String
    var bytes: @Sendable (Scene) -> [UInt8]
    /// Status and error code of each answer, in order; a code of nil is an answer without the envelope.
    var answers: [(status: Int, code: String?)]
    /// Whether the sender says that nothing more comes.
    var finishes = false
    /// Method and path that the first answer is described for.
    var endpoint: @Sendable (Scene) -> (String, String)
    /// Header fields that the last answer must have.
    var fields: [String: String] = [:]

    /// Bytes as they are.
    static func raw(
        _ name: String, _ text: String, _ answers: (status: Int, code: String?)..., finishes: Bool = false
    ) -> Self {
        Self(
            name: name, bytes: { _ in Array(text.utf8) }, answers: answers, finishes: finishes,
            endpoint: { _ in text.hasPrefix("POST") ? ("POST", "/api/v1/runs") : ("GET", "/api/v1/health") })
    }

    /// A well-formed request; `{own}` and `{foreign}` in the target are the scene's runs.
    static func request(
        _ name: String, _ method: String, _ target: String, _ status: Int, _ code: String?, header: String = "",
        type: String? = nil, body: String? = nil, fields: [String: String] = [:]
    ) -> Self {
        Self(
            name: name,
            bytes: { scene in
                head(method, filled(target, scene), header: header, type: type, length: body?.utf8.count)
                    + Array((body ?? "").utf8)
            },
            answers: [(status, code)],
            endpoint: { scene in
                let path = filled(target, scene).prefix { $0 != "?" }
                return (method, path.replacingOccurrences(of: "http://example.com", with: ""))
            }, fields: fields)
    }

    /// A submission that is changed before it is sent.
    static func submission(
        _ name: String, _ status: Int, _ code: String?, header: String = "",
        _ change: @escaping @Sendable (inout [String: Value]) -> Void = { _ in }
    ) -> Self {
        Self(
            name: name,
            bytes: { scene in
                do {
                    var entries = try Wire.decode([String: Value].self, from: scene.submission)
                    change(&entries)
                    let body = try Wire.encode(entries)
                    return head(
                        "POST", "/api/v1/runs", header: header, type: "application/json", length: body.count) + body
                } catch {
                    preconditionFailure("a submission always encodes: \(error)")
                }
            },
            answers: [(status, code)], endpoint: { _ in ("POST", "/api/v1/runs") })
    }

    private static func filled(_ target: String, _ scene: Scene) -> String {
        target.replacingOccurrences(of: "{own}", with: scene.own)
            .replacingOccurrences(of: "{foreign}", with: scene.foreign)
    }

    static func head(
        _ method: String, _ target: String, header: String = "", type: String? = nil, length: Int? = nil
    ) -> [UInt8] {
        let head =
            "\(method) \(target) HTTP/1.1\r\nHost: postlude\r\nConnection: close\r\n\(header)"
            + (type.map { "Content-Type: \($0)\r\n" } ?? "") + (length.map { "Content-Length: \($0)\r\n" } ?? "")
        return Array("\(head)\r\n".utf8)
    }
}
