import PostludeCore

/// What of an image's configuration its steps get: the variables. Their user, directory and program are the operation's.
struct ImageConfiguration: Hashable, Sendable {
    var environment: [String: String] = [:]

    init(_ bytes: [UInt8], _ place: String) throws(ImageError) {
        let document: Value
        do throws(JSONProblem) {
            document = try Value.parse(json: bytes)
        } catch {
            throw .broken(place, "has a configuration that cannot be read: \(error)")
        }
        guard let entries = document.asDictionary else {
            throw .broken(place, "has a configuration that is no object")
        }
        for item in entries["config"]?.asDictionary?["Env"]?.asList ?? [] {
            guard let text = item.asText, let equals = text.firstIndex(of: "="), equals > text.startIndex,
                !text.utf8.contains(0)
            else { continue }
            environment[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
    }
}
