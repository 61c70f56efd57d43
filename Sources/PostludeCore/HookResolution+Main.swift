extension HookResolution {
    /// A finished main as its hooks see it.
    public struct MainContext: Hashable, Sendable, Codable {
        public var id: RunID
        public var name: String
        public var project: String
        /// Who submitted main.
        public var owner: String
        /// `job`, as in Polyaxon.
        public var kind: String
        public var status: RunStatus
        public var condition: RunCondition
        /// Typed values, as `Inputs.resolve` made them.
        public var inputs: [String: Value]
        public var outputs: [String: Value]
        /// Params of main that only its templates saw.
        public var contextParams: [String: Value]
        public var inputDeclarations: [IODeclaration]
        public var outputDeclarations: [IODeclaration]
        public var createdAt: Timestamp?
        public var startedAt: Timestamp?
        public var finishedAt: Timestamp?
        /// Seconds from queued to started; nil when it never started (P9).
        public var waitSeconds: Double?
        /// Seconds from started to finished; nil when it never started.
        public var durationSeconds: Double?
        public var exit: ProcessExit?
        public var usage: StepUsage?

        public init(
            id: RunID, name: String, project: String, owner: String, kind: String = "job", status: RunStatus,
            condition: RunCondition, inputs: [String: Value] = [:], outputs: [String: Value] = [:],
            contextParams: [String: Value] = [:], inputDeclarations: [IODeclaration] = [],
            outputDeclarations: [IODeclaration] = [], createdAt: Timestamp? = nil, startedAt: Timestamp? = nil,
            finishedAt: Timestamp? = nil, waitSeconds: Double? = nil, durationSeconds: Double? = nil,
            exit: ProcessExit? = nil, usage: StepUsage? = nil
        ) {
            self.id = id
            self.name = name
            self.project = project
            self.owner = owner
            self.kind = kind
            self.status = status
            self.condition = condition
            self.inputs = inputs
            self.outputs = outputs
            self.contextParams = contextParams
            self.inputDeclarations = inputDeclarations
            self.outputDeclarations = outputDeclarations
            self.createdAt = createdAt
            self.startedAt = startedAt
            self.finishedAt = finishedAt
            self.waitSeconds = waitSeconds
            self.durationSeconds = durationSeconds
            self.exit = exit
            self.usage = usage
        }
    }
}

extension HookResolution.MainContext {
    /// Polyaxon's default context params of a hook, each seen by templates only.
    public var defaultParams: [String: Value] {
        [
            "name": .string(name), "uuid": .string(id.description), "kind": .string(kind),
            "status": .string(status.rawValue), "runtime": .string(kind), "wait_time": number(waitSeconds),
            "duration": number(durationSeconds), "inputs": .dict(inputs), "outputs": .dict(outputs),
            "condition": conditionValue,
        ]
    }

    /// The last condition, in Polyaxon's words.
    public var conditionValue: Value {
        .dict([
            "type": .string(condition.status.rawValue), "status": .string("True"),
            "reason": .string(condition.reason), "message": .string(condition.message),
            "last_update_time": .string(condition.lastUpdate.iso8601),
            "last_transition_time": .string(condition.lastTransition.iso8601),
        ])
    }

    /// Everything about main, for the JSON file that `POSTLUDE_CONTEXT` names. What is not known is null.
    public var description: Value {
        .dict(
            defaultParams.merging([
                "owner": .string(owner), "project": .string(project), "created_at": time(createdAt),
                "started_at": time(startedAt), "finished_at": time(finishedAt), "exit": exitValue,
                "usage": usageValue, "artifacts_path": .string(InsidePaths.artifacts(of: id)),
                "outputs_path": .string(InsidePaths.outputs(of: id)), "logs_path": .string(InsidePaths.logs(of: id)),
            ]) { _, new in new })
    }

    /// What the templates of main's hooks see: main's names and `globals`, status and condition included.
    func runContext() throws(ExpressionError) -> RunContext {
        var globals = RunFacts.globals(id: id, name: name, project: project, owner: owner, createdAt: createdAt)
        globals["status"] = .string(status.rawValue)
        globals["condition"] = conditionValue
        globals["started_at"] = time(startedAt)
        globals["finished_at"] = time(finishedAt)
        globals["duration"] = number(durationSeconds)
        return try RunContext(
            globals: globals, declarations: inputDeclarations, inputs: inputs, outputs: outputs,
            contextParams: contextParams)
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

    private func time(_ timestamp: Timestamp?) -> Value { timestamp.map { .string($0.iso8601) } ?? .null }
    private func number(_ value: Double?) -> Value { value.map(Value.double) ?? .null }
    private func number(_ value: Int64?) -> Value { value.map(Value.int) ?? .null }
}

extension Operation {
    /// Params that become inputs: declared by the component and not for templates only.
    public var inputParams: [String: Param] {
        let declared = Set(component.inputs.map(\.name))
        return params.filter { declared.contains($0.key) && !$0.value.contextOnly }
    }

    /// Params that only templates see, because they say so or because no input has their name.
    public var contextOnlyParams: [String: Param] {
        let declared = Set(component.inputs.map(\.name))
        return params.filter { $0.value.contextOnly || !declared.contains($0.key) }
    }
}
