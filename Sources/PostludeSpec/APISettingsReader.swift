import PostludeCore

/// Reads what the configuration says of the agent's API: `api`.
struct APISettingsReader {
    func read(_ reader: inout MappingReader) -> APISettings {
        var settings = APISettings()
        guard var api = reader.mapping("api") else { return settings }
        if let count = api.count("connections", least: 8) { settings.connections = Int(clamping: count) }
        settings.idleSeconds = Self.seconds(&api, "idleSeconds") ?? settings.idleSeconds
        settings.bodySeconds = Self.seconds(&api, "bodySeconds") ?? settings.bodySeconds
        settings.answerSeconds = Self.seconds(&api, "answerSeconds") ?? settings.answerSeconds
        if var limits = api.mapping("perUser") {
            func number(_ key: String, _ standard: Int) -> Int {
                limits.count(key, least: 1).map { Int(clamping: $0) } ?? standard
            }
            let standard = settings.perUser
            settings.perUser.connections = number("connections", standard.connections)
            settings.perUser.requests = number("requests", standard.requests)
            settings.perUser.requestsPerSecond = number("requestsPerSecond", standard.requestsPerSecond)
            settings.perUser.burst = number("burst", standard.burst)
            limits.finish()
        }
        api.finish()
        return settings
    }

    /// At most a day: what is longer is none.
    private static func seconds(_ reader: inout MappingReader, _ key: String) -> Int64? {
        reader.count(key, least: 1).map { min($0, 86_400) }
    }
}
