import PostludeCore
import PostludeReports

/// What `postlude run` ends with: the outcome, what every step used, and where to look further.
struct SummaryText {
    var style: Style

    func lines(_ main: RunDetail, hooks: [RunDetail]) -> [String] {
        let records = ([main] + hooks).flatMap(UsageRecord.records)
        let run = main.summary
        var lines = [""] + UsageReport.table(records).enumerated().map { $0 == 0 ? style.bold($1) : $1 } + [""]
        for (name, value) in main.outputs.sorted(by: { $0.key < $1.key }) {
            lines.append("output   \(name.visible) = \(value.shown)")
        }
        let idle = main.hooks.filter { $0.outcome != .fired }
        for hook in idle {
            let outcome = hook.outcome.map { $0.words(style) } ?? "not decided"
            lines.append(
                "hook     \(hook.name.visible): \(outcome)" + (hook.detail.isEmpty ? "" : "  \(hook.detail.visible)"))
        }
        let why = run.status == .succeeded ? "" : ": " + (run.message.isEmpty ? run.reason : run.message).visible
        lines.append("\(style.bold(run.name.visible)) \(run.id.short) \(run.status.coloured(style))\(why)")
        lines.append(
            style.dim("postlude inspect \(run.id.short) shows its receipts; artifacts are in \(main.artifacts.visible)")
        )
        return lines
    }
}
