extension HookResolution.MainContext {
    /// Everything about main by name: `globals.main` in the templates of a hook and of what it runs, and `main` in the
    /// file that `POSTLUDE_CONTEXT` names. What is not known is null (P9).
    public var description: Value {
        .dict(
            defaultParams.merging([
                "owner": .string(owner), "project": .string(project), "created_at": time(createdAt),
                "started_at": time(startedAt), "finished_at": time(finishedAt), "exit": exitValue,
                "exit_code": exitCode, "signal": signal, "oom_killed": oomKilled.map(Value.bool) ?? .null,
                "attempts": number(attempts.map(Int64.init)), "usage": usageValue, "cpu_seconds": number(cpuSeconds),
                "peak_memory_bytes": number(peakMemoryBytes), "device_seconds": number(deviceSeconds),
                "log_tail": logTail?.value ?? .null, "artifacts_path": .string(InsidePaths.artifacts(of: id)),
                "outputs_path": .string(InsidePaths.outputs(of: id)),
                "outputs_file": .string(InsidePaths.outputsFile(of: id)),
                "logs_path": .string(InsidePaths.logs(of: id)),
            ]) { _, new in new })
    }

    /// `POSTLUDE_MAIN_*` inside a hook; what is not known has no variable.
    var environment: [String: String] {
        let values: [String: Value] = [
            "RUN_ID": .string(id.description), "NAME": .string(name), "PROJECT": .string(project),
            "OWNER": .string(owner), "KIND": .string(kind), "STATUS": .string(status.rawValue),
            "REASON": .string(condition.reason), "MESSAGE": .string(condition.message),
            "EXIT_CODE": exitCode, "SIGNAL": signal, "OOM_KILLED": oomKilled.map(Value.bool) ?? .null,
            "ATTEMPTS": number(attempts.map(Int64.init)), "CREATED_AT": time(createdAt),
            "STARTED_AT": time(startedAt), "FINISHED_AT": time(finishedAt), "WAIT_TIME": number(waitSeconds),
            "DURATION": number(durationSeconds), "CPU_SECONDS": number(cpuSeconds),
            "PEAK_MEMORY_BYTES": number(peakMemoryBytes), "DEVICE_SECONDS": number(deviceSeconds),
            "ARTIFACTS": .string(InsidePaths.artifacts(of: id)), "OUTPUTS": .string(InsidePaths.outputsFile(of: id)),
            "LOGS": .string(InsidePaths.logs(of: id)), "LOG_STEP": logTail.map { .string($0.step) } ?? .null,
            "STDOUT_TAIL": logTail?.standardOutput.map(Value.string) ?? .null,
            "STDERR_TAIL": logTail?.standardError.map(Value.string) ?? .null,
        ]
        var environment: [String: String] = [:]
        for (name, value) in values {
            guard let text = RunEnvironment.text(value) else { continue }
            environment["POSTLUDE_MAIN_\(name)"] = text
        }
        return environment
    }

    /// CPU time of main's step in user and kernel mode.
    var cpuSeconds: Double? {
        guard let user = usage?.userSeconds, let system = usage?.systemSeconds else { return nil }
        return user + system
    }

    /// Of main's step: charged to its cgroup, or where there is none, its largest process.
    private var peakMemoryBytes: Int64? { usage?.peakMemoryBytes ?? usage?.maxRSSBytes }

    private var exitCode: Value {
        if case .code(let code)? = exit { .int(Int64(code)) } else { .null }
    }

    private var signal: Value {
        if case .signal(let signal, _)? = exit { .int(Int64(signal)) } else { .null }
    }

    private var exitValue: Value {
        switch exit {
        case nil, .unknown?: .null
        case .code(let code)?: .dict(["code": .int(Int64(code))])
        case .signal(let signal, let coreDumped)?:
            .dict(["signal": .int(Int64(signal)), "core_dumped": .bool(coreDumped)])
        case .setupFailed(let stage, let errno, let detail)?:
            .dict(["stage": .string(stage), "errno": .int(Int64(errno)), "detail": .string(detail)])
        }
    }

    private var usageValue: Value {
        guard let usage else { return .null }
        return .dict([
            "wall_seconds": number(usage.wallSeconds), "user_seconds": number(usage.userSeconds),
            "system_seconds": number(usage.systemSeconds), "peak_memory_bytes": number(usage.peakMemoryBytes),
            "max_rss_bytes": number(usage.maxRSSBytes), "oom_kills": number(usage.oomKills),
            "forks_refused": number(usage.forksRefused), "log_bytes_dropped": number(usage.logBytesDropped),
            "read_bytes": number(usage.readBytes), "written_bytes": number(usage.writtenBytes),
        ])
    }
}

/// The variables that Postlude itself gives to a step.
enum RunEnvironment {
    /// A value as a variable holds it; nil for null. NUL, which no variable can hold, becomes U+FFFD.
    static func text(_ value: Value) -> String? {
        let text: String
        switch value {
        case .null: return nil
        case .bool(let flag): text = flag ? "true" : "false"
        case .int(let number): text = String(number)
        case .double(let number): text = String(number)
        case .string(let given): text = given
        case .list, .dict: return nil
        }
        guard text.utf8.contains(0) else { return text }
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { scalars.append(scalar.value == 0 ? "\u{FFFD}" : scalar) }
        return String(scalars)
    }

    /// Each `POSTLUDE_` variable under `POLYAXON_` too, and those that Polyaxon itself has (`polyaxon/_env_vars/keys.py`).
    static func withPolyaxonNames(_ environment: [String: String], _ facts: RunFacts) -> [String: String] {
        var all = environment
        for (name, value) in environment where name.hasPrefix("POSTLUDE_") {
            all["POLYAXON_" + name.dropFirst("POSTLUDE_".count)] = value
        }
        all["POLYAXON_RUN_UUID"] = facts.id.description
        all["POLYAXON_RUN_INSTANCE"] = "\(facts.user.name).\(facts.project).runs.\(facts.id)"
        all["POLYAXON_CONTEXT_ROOT"] = InsidePaths.context
        all["POLYAXON_ARTIFACTS_ROOT"] = InsidePaths.artifacts(of: facts.id)
        return all
    }
}
