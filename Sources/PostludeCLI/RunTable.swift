import PostludeCore
import PostludeReports

/// Runs, devices and checks as tables.
enum RunTable {
    static func lines(_ runs: [RunSummary], now: Timestamp, style: Style) -> [String] {
        var table = TextTable([
            .init("RUN"), .init("NAME", limit: 40), .init("STATUS"), .init("USER", limit: 16),
            .init("DEVICES", limit: 30),
            .init("WAITED", .trailing), .init("TOOK", .trailing), .init("AGE", .trailing), .init("WHY", limit: 60),
        ])
        let runs = inOrder(runs)
        for run in runs {
            let name = name(run)
            table.rows.append([
                run.id.short, name, run.status.rawValue, run.user, run.devices.joined(separator: " "),
                Units.duration(waited(run, now: now)), Units.duration(took(run, now: now)),
                Units.duration(now.seconds(since: run.createdAt)), why(run),
            ])
        }
        return zip(table.lines, [nil] + runs.map { Optional($0) }).map { line, run in
            guard let run else { return style.bold(line) }
            // The id, the name and the status are the first columns; colour only marks what needs attention.
            return run.status.isFinal && run.status != .succeeded ? style.red(line) : line
        }
    }

    /// A child in one line: `evaluate af44fa4c failed: exit 1`.
    static func line(_ child: RunSummary, _ style: Style) -> String {
        let why = child.status == .succeeded ? "" : child.message.isEmpty ? child.reason : child.message
        return "\((child.childName ?? child.name).visible) \(child.id.short) \(child.status.coloured(style))"
            + (why.isEmpty ? "" : ": \(why.visible)")
    }

    private static func name(_ run: RunSummary) -> String {
        if let hook = run.hookName { return "↳ \(hook)" + (run.upstream.map { " of \($0.short)" } ?? "") }
        if let child = run.childName { return "├ \(child)" + (run.parent.map { " of \($0.short)" } ?? "") }
        switch run.kind {
        case "matrix", "dag", "schedule", "service": return "\(run.name) (\(run.kind ?? ""))"
        case _: return run.name
        }
    }

    /// As they came, but that a parent's children stand below it, first ones first.
    static func inOrder(_ runs: [RunSummary]) -> [RunSummary] {
        let listed = Set(runs.map(\.id))
        var children: [RunID: [RunSummary]] = [:]
        for run in runs.reversed() {
            if let parent = run.parent, listed.contains(parent) { children[parent, default: []].append(run) }
        }
        func withChildren(_ run: RunSummary) -> [RunSummary] { [run] + (children[run.id] ?? []).flatMap(withChildren) }
        return runs.filter { run in run.parent.map { !listed.contains($0) } ?? true }.flatMap(withChildren)
    }

    private static func waited(_ run: RunSummary, now: Timestamp) -> Double? {
        run.queuedAt.map { (run.startedAt ?? run.finishedAt ?? now).seconds(since: $0) }
    }

    private static func took(_ run: RunSummary, now: Timestamp) -> Double? {
        run.startedAt.map { (run.finishedAt ?? now).seconds(since: $0) }
    }

    /// The message of a status that needs one.
    private static func why(_ run: RunSummary) -> String {
        switch run.status {
        case .failed, .warning, .unschedulable, .retrying, .unknown, .upstreamFailed, .queued, .stopped, .skipped:
            run.message.isEmpty ? run.reason : run.message
        case .created, .onSchedule, .resuming, .compiled, .scheduled, .starting, .running, .processing, .stopping,
            .succeeded:
            ""
        }
    }

    static func lines(_ devices: [DeviceStatus], now: Timestamp, style: Style) -> [String] {
        var table = TextTable([
            .init("DEVICE"), .init("CLASS"), .init("STATE"), .init("RUN"), .init("SINCE", .trailing), .init("NODES"),
            .init("MODEL"),
        ])
        for status in devices {
            table.rows.append([
                status.device.id, status.device.deviceClass, status.state.rawValue, status.run?.short ?? "",
                Units.duration(status.since.map { now.seconds(since: $0) }),
                status.device.nodes.map(\.path).joined(separator: " "),
                status.device.model ?? Units.unknown,
            ])
        }
        var lines = table.lines
        if !lines.isEmpty { lines[0] = style.bold(lines[0]) }
        for status in devices where !status.evidence.isEmpty {
            lines.append("\(status.device.id) is held by:")
            lines += status.evidence.map { "  " + holder($0) }
        }
        return lines
    }

    static func lines(_ images: [ImageRecord], now: Timestamp, style: Style) -> [String] {
        var table = TextTable([.init("IMAGE"), .init("SIZE", .trailing), .init("LAST USED", .trailing), .init("STATE")])
        for image in images {
            table.rows.append([
                image.digest, Units.bytes(image.bytes), Units.duration(now.seconds(since: image.usedAt)) + " ago",
                image.isInUse ? "in use" : "",
            ])
        }
        var lines = table.lines
        if !lines.isEmpty { lines[0] = style.bold(lines[0]) }
        return lines
    }

    static func holder(_ holder: DeviceHolder) -> String {
        let how =
            switch holder.how {
            case .descriptor: "has open"
            case .mapping: "has mapped"
            case .inFlight: "has not received from a socket"
            }
        return "pid \(holder.pid) (\(holder.command.visible), uid \(holder.uid)) \(how) \(holder.node.visible)"
    }

    static func lines(_ checks: [HostCheck], style: Style) -> [String] {
        let width = checks.map(\.name.displayWidth).max() ?? 0
        return checks.flatMap { check in
            let verdict =
                switch check.verdict {
                case .ok: style.green("ok      ")
                case .degraded: style.yellow("degraded")
                case .missing: style.red("missing ")
                }
            let line = "\(verdict)  \(check.name.visible.padded(to: width))  \(check.detail.visible)"
            let hint = check.verdict == .ok ? nil : check.hint
            return [line]
                + (hint.map { [String(repeating: " ", count: width + 12) + style.dim("hint: " + $0.visible)] } ?? [])
        }
    }
}
