import PostludeCore
import PostludeReports

/// One line for each thing that happens to a run while somebody follows it.
struct EventText {
    var style: Style
    /// When the followed run was created: times are told from there.
    var start: Timestamp
    var run: RunID
    /// Hook runs by id, with the hook's name.
    var hooks: [RunID: String] = [:]
    /// A hook run is made a moment before its main tells that it fired: what happened to it waits for its name.
    private var waiting: [RunEvent] = []

    init(style: Style, start: Timestamp, run: RunID) {
        self.style = style
        self.start = start
        self.run = run
    }

    /// The lines that an event is worth: often one, sometimes none.
    mutating func lines(_ event: RunEvent) -> [String] {
        if event.run != run, hooks[event.run] == nil {
            waiting.append(event)
            return []
        }
        var due = [event]
        if event.kind == .hook, event.what == HookRecord.Outcome.fired.rawValue, let id = RunID(event.detail) {
            hooks[id] = event.subject
            due += waiting.filter { $0.run == id }
            waiting.removeAll { $0.run == id }
        }
        return due.compactMap { event in words(event).map { prefix(event) + $0 } }
    }

    private func prefix(_ event: RunEvent) -> String {
        let time = style.dim(
            ("+" + Units.fixed(max(0, event.at.seconds(since: start)), digits: 3) + "s").padded(to: 10))
        let hook = event.run == run ? "" : style.cyan("hook \((hooks[event.run] ?? event.run.short).visible): ")
        return "\(time)  \(hook)"
    }

    private func words(_ event: RunEvent) -> String? {
        let detail = event.detail.visible
        let subject = event.subject.visible
        switch event.kind {
        case .status:
            guard let status = RunStatus(rawValue: event.subject) else { return subject }
            // Created and compiled are one moment with what follows them.
            guard status != .created, status != .compiled else { return nil }
            return status.coloured(style) + (detail.isEmpty ? "" : "  \(detail)")
        case .step:
            guard !subject.isEmpty else {
                return "\(event.what.visible) the steps" + (detail.isEmpty ? "" : " (\(detail))")
            }
            return "step \(style.bold(subject)) \(event.what.visible)" + (detail.isEmpty ? "" : ": \(detail)")
        case .device: return device(event, subject, detail)
        case .hook: return hook(event, subject, detail)
        case .child:
            let status = RunStatus(rawValue: event.what)?.coloured(style) ?? event.what.visible
            return "run \(style.bold(subject)) \(status)" + (RunID(event.detail).map { "  -> \($0.short)" } ?? "")
        }
    }

    private func device(_ event: RunEvent, _ subject: String, _ detail: String) -> String {
        let more = detail.isEmpty ? "" : ": \(detail)"
        switch event.what {
        case "leased": return "device \(style.bold(subject)) leased\(more)"
        case "releasing": return "device \(style.bold(subject)) taken back, looking for holders\(more)"
        case "released": return "device \(style.bold(subject)) released: \(style.green("verified free"))\(more)"
        case "quarantined": return "device \(style.bold(subject)) \(style.red("quarantined"))\(more)"
        default: return "device \(style.bold(subject)) \(event.what.visible)\(more)"
        }
    }

    private func hook(_ event: RunEvent, _ subject: String, _ detail: String) -> String {
        let outcome = HookRecord.Outcome(rawValue: event.what).map { $0.words(style) } ?? event.what.visible
        let more = RunID(event.detail).map { "-> \($0.short)" } ?? detail
        return "hook \(style.bold(subject)) \(outcome)" + (more.isEmpty ? "" : "  \(more)")
    }
}
