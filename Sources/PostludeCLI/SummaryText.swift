import PostludeCore
import PostludeReports

/// What `postlude run` ends with: the outcome, what every step used, and where to look further.
struct SummaryText {
    var style: Style
    /// Of a parent's children that did not succeed.
    static let childrenShown = 10

    func lines(_ main: RunDetail, hooks: [RunDetail]) -> [String] {
        let records = ([main] + hooks).flatMap(UsageRecord.records)
        let run = main.summary
        var lines = [""]
        // A parent has no steps of its own, and may have no hooks.
        if !records.isEmpty {
            lines += UsageReport.table(records).enumerated().map { $0 == 0 ? style.bold($1) : $1 } + [""]
        }
        for child in (main.children ?? []).filter({ $0.status != .succeeded }).prefix(Self.childrenShown) {
            lines.append("run      \(RunTable.line(child, style))")
        }
        for (name, value) in main.outputs.sorted(by: { $0.key < $1.key }) {
            lines.append("output   \(name.visible) = \(value.shown)")
        }
        let idle = main.hooks.filter { $0.outcome != .fired }
        for hook in idle {
            let outcome = hook.outcome.map { $0.words(style) } ?? "not decided"
            lines.append(
                "hook     \(hook.name.visible): \(outcome)" + (hook.detail.isEmpty ? "" : "  \(hook.detail.visible)"))
        }
        let isParent = main.children != nil
        let why =
            run.status == .succeeded && !isParent ? "" : ": " + (run.message.isEmpty ? run.reason : run.message).visible
        lines.append("\(style.bold(run.name.visible)) \(run.id.short) \(run.status.coloured(style))\(why)")
        lines.append(
            style.dim(
                isParent
                    ? "postlude inspect \(run.id.short) lists its runs"
                    : "postlude inspect \(run.id.short) shows its receipts; artifacts are in \(main.artifacts.visible)")
        )
        return lines
    }
}
