import PostludeCore
import PostludeReports

/// Why things are as they are, for people.
struct ExplainText {
    var style: Style

    func lines(_ explanation: RunExplanation) -> [String] {
        var lines = head(explanation)
        if let waits = explanation.waits { lines += self.waits(waits) }
        lines += (explanation.joins ?? []).map { "join: \($0.words)" }
        if let children = explanation.children { lines += self.children(children) }
        for hook in explanation.hooks { lines += [""] + self.hook(hook) }
        if explanation.hooks.isEmpty { lines.append("It has no hooks.") }
        return lines
    }

    private func head(_ run: RunExplanation) -> [String] {
        var line = "\(style.bold(run.name.visible)) \(run.run.short): \(run.status.coloured(style))"
        if !run.reason.isEmpty { line += " (\(run.reason.visible))" }
        if !run.message.isEmpty { line += ", \(run.message.visible)" }
        guard let exit = run.exit else { return [line] }
        let attempts = run.attempts > 1 ? " in attempt \(run.attempts)" : ""
        return [line, "main ended with \(exit.longText.visible)\(attempts)"]
    }

    private func waits(_ waits: RunExplanation.Waits) -> [String] {
        ["waits: \(waits.reason.visible)"] + (waits.line.map(line) ?? [])
            + waits.devices.map { status in
                let holder = status.run.map { " for \($0.short)" } ?? ""
                return "  device \(status.device.id.visible) (\(status.device.deviceClass.visible)):"
                    + " \(status.state.rawValue)\(holder)"
            }
    }

    private func line(_ line: WaitReport) -> [String] {
        let place = line.place.map { "place \($0) of \(line.waiting)" } ?? "held back, \(line.waiting) wait"
        let devices = line.needs.devices.filter { $0.value > 0 }.sorted { $0.key < $1.key }
        let needs =
            devices.map { "\($0.value) \($0.key.visible)" }
            + [
                Scheduler.Shortage("memory", needed: line.needs.memoryBytes, available: 0).neededWords,
                Scheduler.Shortage("cpu", needed: line.needs.milliCPU, available: 0).neededWords,
            ]
        var lines = ["  queue \(line.queue.visible), \(place)", "  needs \(needs.joined(separator: ", "))"]
        if line.place != nil {
            lines.append(
                "  earliest start: "
                    + (line.earliestStart.map(Units.timestamp) ?? "not known"))
        }
        return lines
            + line.holders.map { holder in
                let who = holder.run.map { "\($0.short) of \(holder.user?.visible ?? "")" } ?? "somebody's run"
                let limit = holder.until.map { ", until \(Units.timestamp($0)) at most" } ?? ""
                let held = Scheduler.Shortage("memory", needed: holder.memoryBytes, available: 0).neededWords
                let devices = holder.devices.map(\.visible) + [held]
                return "  \(who) has \(devices.joined(separator: ", ")) since \(Units.timestamp(holder.since))\(limit)"
            }
    }

    private func children(_ children: RunExplanation.Children) -> [String] {
        let counts = children.counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        return ["runs: \(counts.isEmpty ? "none yet" : counts.joined(separator: ", "))"]
            + children.notable.map { "  \(RunTable.line($0, style))" }
    }

    private func hook(_ hook: HookRecord) -> [String] {
        var rows: [(String, [String])] = []
        if let explanation = hook.explanation {
            let verdict = explanation.triggerMatches ? "due" : "not due"
            rows.append(
                ("trigger", ["\(hook.trigger.rawValue); the run is \(explanation.status.rawValue): \(verdict)"]))
            if let condition = explanation.condition { rows.append(("condition", self.condition(condition))) }
            if !explanation.params.isEmpty {
                rows.append(
                    (
                        "params",
                        explanation.params.sorted { $0.key < $1.key }.map {
                            "\($0.key.visible) = \($0.value.visible)"
                        }
                    ))
            }
        } else {
            rows.append(("trigger", [hook.trigger.rawValue]))
        }
        rows.append(("outcome", outcome(hook)))
        for rerun in hook.reruns ?? [] {
            rows.append(
                ("run again", ["\(Units.timestamp(rerun.at)) -> \(rerun.run.short) \(rerun.status.coloured(style))"]))
        }
        let body = rows.flatMap { title, lines in
            lines.enumerated().map { index, line in "  \((index == 0 ? title : "").padded(to: 10)) \(line)" }
        }
        return ["hook \(style.bold(hook.name.visible)) (\(hook.origin.visible))"] + body
    }

    private func condition(_ condition: HookExplanation.Condition) -> [String] {
        let place = condition.place.map { " at \($0.description.visible)" } ?? ""
        let verdict = condition.holds.map { $0 ? ": true" : ": false" } ?? ": not decided"
        return [condition.source.visible + place + verdict]
            + condition.operands.map { "\($0.expression.visible) = \($0.value?.visible ?? "nothing of that name")" }
    }

    private func outcome(_ hook: HookRecord) -> [String] {
        guard let outcome = hook.outcome else { return ["not decided: the run has not ended"] }
        let run = hook.run.map { " -> \($0.short)" + (hook.status.map { " \($0.coloured(style))" } ?? "") } ?? ""
        let errors = hook.explanation?.errors ?? []
        guard errors.isEmpty else {
            return [outcome.words(style) + run]
                + errors.map { error in
                    let place = error.place.map { "\($0.description.visible): " } ?? ""
                    return "\(place)\(error.message.visible) [\(error.code)]"
                        + (error.hint.map { " (\($0.visible))" } ?? "")
                }
        }
        return [outcome.words(style) + run] + (outcome == .error ? [hook.detail.visible] : [])
    }
}
