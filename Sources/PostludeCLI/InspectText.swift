import PostludeAPI
import PostludeCore
import PostludeReports

/// Everything about one run, for people.
struct InspectText {
    var style: Style

    func lines(_ detail: RunDetail) -> [String] {
        var lines = head(detail)
        lines += section("Conditions", conditions(detail.conditions))
        lines += section("Joins", (detail.joins ?? []).map(\.words))
        lines += section("Inputs", values(detail.inputs)) + section("Outputs", values(detail.outputs))
        for attempt in detail.attempts {
            let title = detail.attempts.count > 1 ? "Attempt \(attempt.number)" : "Steps"
            lines += section(title, attempt.steps.flatMap(step) + attempt.leases.flatMap(lease))
        }
        lines += section("Runs", children(detail))
        lines += section("Hooks", detail.hooks.flatMap(hook))
        let notes = detail.notes.map { note in
            (note.place.map { "\($0): " } ?? "") + "\(note.severity.rawValue): \(note.message.visible) [\(note.code)]"
        }
        return lines + section("Notes", notes)
    }

    private func section(_ title: String, _ lines: [String]) -> [String] {
        lines.isEmpty ? [] : ["", style.bold(title)] + lines.map { "  " + $0 }
    }

    private func head(_ detail: RunDetail) -> [String] {
        let run = detail.summary
        var rows: [(String, String)] = [
            ("Run", run.id.description), ("Name", run.name.visible), ("Project", run.project.visible),
            ("User", "\(run.user.visible) (uid \(run.uid))"),
            ("Status", run.status.coloured(style) + (run.message.isEmpty ? "" : "  \(run.message.visible)")),
        ]
        if let upstream = run.upstream {
            rows.append(("Hook of", "\(upstream) (\(run.hookName?.visible ?? "unnamed"))"))
        }
        if let parent = run.parent { rows.append(("Run of", "\(parent) (\(run.childName?.visible ?? "unnamed"))")) }
        rows += [
            ("Created", Units.timestamp(run.createdAt)), ("Queued", Units.timestamp(run.queuedAt)),
            ("Started", Units.timestamp(run.startedAt)), ("Finished", Units.timestamp(run.finishedAt)),
            ("Artifacts", detail.artifacts.visible + size(of: detail)),
        ]
        return rows.map { name, value in "\((name + ":").padded(to: 11)) \(value)" }
    }

    private func size(of detail: RunDetail) -> String {
        detail.attempts.last?.artifactsBytes.map { " (\(Units.bytes($0)) on disk)" } ?? ""
    }

    private func conditions(_ conditions: [RunCondition]) -> [String] {
        TextTable(
            [.init("TIME"), .init("STATUS"), .init("REASON"), .init("MESSAGE")],
            rows: conditions.map {
                [Units.timestamp($0.lastTransition), $0.status.rawValue, $0.reason, $0.message]
            }
        ).lines
    }

    private func values(_ values: [String: Value]) -> [String] {
        values.sorted { $0.key < $1.key }.map { "\($0.key.visible) = \($0.value.shown)" }
    }

    private func step(_ step: StepRecord) -> [String] {
        let usage = step.usage
        var lines = [
            style.bold(step.name.visible) + " (\(step.role.rawValue)): " + (step.exit?.longText.visible ?? "not ended"),
            "  time     \(Units.timestamp(step.startedAt)) to \(Units.timestamp(step.finishedAt)), wall \(Units.duration(usage?.wallSeconds)),"
                + " user \(Units.duration(usage?.userSeconds)), system \(Units.duration(usage?.systemSeconds)),"
                + " throttled \(Units.duration(usage?.throttledSeconds))",
            "  memory   peak \(Units.bytes(usage?.peakMemoryBytes)), largest process \(Units.bytes(usage?.maxRSSBytes)),"
                + " oom kills \(Units.count(usage?.oomKills)), peak processes \(Units.count(usage?.peakPIDs)),"
                + " forks refused \(Units.count(usage?.forksRefused))",
            "  io       read \(Units.bytes(usage?.readBytes)), written \(Units.bytes(usage?.writtenBytes)),"
                + " output dropped \(Units.bytes(usage?.logBytesDropped))",
        ]
        if let receipt = step.receipt { lines += self.receipt(receipt) }
        return lines
    }

    private func receipt(_ receipt: Receipt) -> [String] {
        func pairs(_ values: [String: String]) -> String {
            values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        }
        let capabilities = receipt.capabilities.values.allSatisfy { $0 == 0 } && !receipt.capabilities.isEmpty
        let programs = receipt.deviceFilterPrograms.map(String.init).joined(separator: " ")
        var lines = [
            "  receipt  profile \(receipt.profile.visible), uid \(receipt.uid), gid \(receipt.gid),"
                + " groups [\(receipt.groups.map(String.init).joined(separator: " "))],"
                + " no_new_privs \(receipt.noNewPrivileges ? "yes" : "no")",
            "    root          \((receipt.root?.words ?? "the host's").visible)",
            "    namespaces    \(pairs(receipt.namespaces.mapValues(String.init)).visible)"
                + (receipt.sharedNamespaces.isEmpty
                    ? "" : "; the host's: \(receipt.sharedNamespaces.joined(separator: " "))"),
            "    cgroups       \(pairs(receipt.cgroups).visible)",
            "    limits        \(receipt.limits.isEmpty ? "none" : pairs(receipt.limits.mapValues { $0.visible }))",
            "    device filter \(programs.isEmpty ? "none" : "program " + programs)"
                + (receipt.deviceIsolation.map { " (\($0.visible))" } ?? "")
                + "; devices \(receipt.devices.isEmpty ? "none" : receipt.devices.joined(separator: " ").visible)",
            "    seccomp       \(receipt.seccompProfile.visible), mode \(receipt.seccompMode), filters \(receipt.seccompFilters)",
            "    landlock      \((receipt.landlock ?? "none").visible)",
            "    capabilities  "
                + (capabilities
                    ? "none in all \(receipt.capabilities.count) sets"
                    : pairs(receipt.capabilities.mapValues { "0x" + String($0, radix: 16) })),
            "    mounts        \(receipt.mounts), writable: \(receipt.writableMounts.joined(separator: " ").visible)",
        ]
        // A user namespace of its own is an agent's without root, where nobody leaves a group.
        if receipt.namespaces["user"] != nil, !receipt.sharedNamespaces.contains("user") {
            lines.append("    groups        the agent's user's: without root none can be left")
        }
        if receipt.coreScheduling == true {
            lines.append("    cores         run nothing else beside this step (core scheduling)")
        }
        if let accounting = receipt.accounting, accounting != "cgroup" {
            lines.append("    accounting    \(accounting.visible) of the step's first process and all that it reaped")
        }
        if let lacking = receipt.lacking {
            lines.append("    went without  \(lacking.joined(separator: " ").visible)")
        }
        return lines
    }

    private func lease(_ lease: LeaseRecord) -> [String] {
        var line = "device \(lease.device.visible): leased \(Units.timestamp(lease.leasedAt))"
        if let releasing = lease.releasingAt {
            line += ", held \(Units.duration(releasing.seconds(since: lease.leasedAt)))"
            if let released = lease.releasedAt {
                line += ", verified free after \(Units.duration(released.seconds(since: releasing)))"
            }
        }
        if let quarantined = lease.quarantinedAt {
            line += ", " + style.red("quarantined \(Units.timestamp(quarantined))")
        }
        return [line] + lease.evidence.map { "  " + RunTable.holder($0) }
    }

    private func children(_ detail: RunDetail) -> [String] {
        guard let children = detail.children else { return [] }
        let counts = (detail.childCounts ?? [:]).sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        let total = (detail.childCounts ?? [:]).values.reduce(0, +)
        var lines = [counts.isEmpty ? "none yet" : counts.joined(separator: ", ")]
        lines +=
            TextTable(
                [.init("RUN"), .init("NAME", limit: 40), .init("STATUS"), .init("WHY", limit: 60)],
                rows: children.map {
                    [
                        $0.id.short, $0.childName ?? $0.name, $0.status.rawValue,
                        $0.message.isEmpty ? $0.reason : $0.message,
                    ]
                }
            ).lines
        if total > children.count { lines.append("and \(total - children.count) more") }
        return lines
    }

    private func hook(_ hook: HookRecord) -> [String] {
        let outcome = hook.outcome.map { $0.words(style) } ?? "not decided"
        let run = hook.run.map { " -> \($0.short)" + (hook.status.map { " \($0.coloured(style))" } ?? "") } ?? ""
        let line =
            "\(style.bold(hook.name.visible)) (\(hook.origin.visible), on \(hook.trigger.rawValue)): \(outcome)\(run)"
        return [line] + (hook.detail.isEmpty ? [] : ["  " + hook.detail.visible])
    }
}

extension RunStatus {
    func coloured(_ style: Style) -> String {
        switch self {
        case .succeeded: style.green(rawValue)
        case .failed, .upstreamFailed, .unknown: style.red(rawValue)
        case .stopped, .skipped, .warning, .unschedulable, .retrying, .stopping: style.yellow(rawValue)
        case .created, .onSchedule, .resuming, .compiled, .queued, .scheduled, .starting, .running, .processing:
            style.cyan(rawValue)
        }
    }
}

extension JoinRecord {
    /// Such as `metrics.loss: <0.3 found 5 runs (and there are more), 2 of them left out for lack of a value, for losses`.
    var words: String {
        let names = params.map(\.visible).joined(separator: ", ")
        guard let found else { return "\(query.visible), for \(names): searched for by each run" }
        let all = found.taken + found.leftOut
        var line = "\(query.visible) found \(all) run\(all == 1 ? "" : "s")"
        if found.hasMore { line += " (and there are more)" }
        if found.leftOut > 0 { line += ", \(found.leftOut) of them left out for lack of a value" }
        return "\(line), for \(names)"
    }
}

extension RootSource {
    /// Such as `oci sha256:... (image python:3.11, from /srv/images/python)`.
    var words: String {
        switch kind {
        case .host: return "the host's" + (image.map { ", for the image \($0)" } ?? "")
        case .directory: return "the directory \(path ?? "?"), for the image \(image ?? "?")"
        case .oci: return "\(digest ?? "?"), for the image \(image ?? "?"), from the layout \(path ?? "?")"
        }
    }
}

extension HookRecord.Outcome {
    func words(_ style: Style) -> String {
        switch self {
        case .fired: style.green("fired")
        case .triggerMismatch: style.dim("not due (trigger)")
        case .conditionFalse: style.dim("not due (condition)")
        case .error: style.red("error")
        }
    }
}

extension Value {
    /// The value as JSON.
    var shown: String {
        do {
            return String(decoding: try Wire.encode(self), as: UTF8.self).visible
        } catch {
            return "(\(typeName))"
        }
    }
}
