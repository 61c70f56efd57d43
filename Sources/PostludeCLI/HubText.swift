import PostludeCore
import PostludeReports
import PostludeSpec

/// What the hub has, for people.
enum HubText {
    static func lines(_ components: [HubComponent]) -> [String] {
        guard !components.isEmpty else { return ["The hub is empty."] }
        var table = TextTable([.init("COMPONENT"), .init("VERSIONS"), .init("CONNECTION"), .init("WHAT IT DOES")])
        table.rows = components.map { component in
            [
                component.name, component.versions.joined(separator: ", "),
                component.connectionKinds?.joined(separator: " or ") ?? "any", component.summary,
            ]
        }
        return table.lines
    }

    /// - Parameter reference: what was asked for, with its version if it had one.
    static func lines(_ component: HubComponent, reference: String) -> [String] {
        var lines = [reference, ""]
        lines += component.description.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }
        while lines.last?.allSatisfy({ $0 == " " }) == true { lines.removeLast() }
        lines += ["", "versions    \(component.versions.joined(separator: ", "))"]
        if let kinds = component.connectionKinds {
            lines.append("connection  of kind \(kinds.joined(separator: " or "))")
        }
        if let profile = component.profile { lines.append("profile     \(profile)") }
        lines.append("file        \(component.path)")
        for (title, items) in [("INPUT", component.inputs), ("OUTPUT", component.outputs)] where !items.isEmpty {
            var table = TextTable([.init(title), .init("TYPE"), .init("DEFAULT"), .init("WHAT IT IS")])
            table.rows = items.map { item in
                [item.name, item.type ?? "any", title == "INPUT" ? standing(item) : "", item.description ?? ""]
            }
            lines += [""] + table.lines
        }
        return lines.map { line in
            // Trailing blanks are in nobody's way, but nobody's wish either.
            String(line.reversed().drop { $0 == " " }.reversed())
        }
    }

    private static func standing(_ item: HubComponent.Item) -> String {
        guard let value = item.value, value != .null else { return item.isOptional ? "none" : "required" }
        do { return try value.json() } catch { return value.typeName }
    }
}
