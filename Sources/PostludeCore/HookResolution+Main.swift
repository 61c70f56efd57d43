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
        /// What main's own step of the last attempt used.
        public var usage: StepUsage?
        /// How many attempts were made; 0 when none ever was.
        public var attempts: Int?
        /// Whether the kernel killed something of main for want of memory; nil where nobody counts that (P9).
        public var oomKilled: Bool?
        /// Seconds that all attempts held devices, times devices, until main had ended; 0 when none was leased.
        public var deviceSeconds: Double?
        /// The end of main's output; nil when no step has run or the logs are gone.
        public var logTail: LogTail?
        /// For a parent: what became of its children; nil for a run that has none.
        public var children: Value?

        public init(
            id: RunID, name: String, project: String, owner: String, kind: String = "job", status: RunStatus,
            condition: RunCondition, inputs: [String: Value] = [:], outputs: [String: Value] = [:],
            contextParams: [String: Value] = [:], inputDeclarations: [IODeclaration] = [],
            outputDeclarations: [IODeclaration] = [], createdAt: Timestamp? = nil, startedAt: Timestamp? = nil,
            finishedAt: Timestamp? = nil, waitSeconds: Double? = nil, durationSeconds: Double? = nil,
            exit: ProcessExit? = nil, usage: StepUsage? = nil, attempts: Int? = nil, oomKilled: Bool? = nil,
            deviceSeconds: Double? = nil, logTail: LogTail? = nil, children: Value? = nil
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
            self.attempts = attempts
            self.oomKilled = oomKilled
            self.deviceSeconds = deviceSeconds
            self.logTail = logTail
            self.children = children
        }
    }
}

extension HookResolution.MainContext {
    /// Polyaxon's default context params of a hook, each seen by templates only.
    public var defaultParams: [String: Value] {
        var params: [String: Value] = [
            "name": .string(name), "uuid": .string(id.description), "kind": .string(kind),
            "status": .string(status.rawValue), "runtime": .string(kind), "wait_time": number(waitSeconds),
            "duration": number(durationSeconds), "inputs": .dict(inputs), "outputs": .dict(outputs),
            "condition": conditionValue,
        ]
        // An extension: Polyaxon's hooks know nothing of children.
        if let children { params["children"] = children }
        return params
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

    /// What the templates of main's hooks see: main's names and `globals`, status and condition included.
    func runContext() throws(ExpressionError) -> RunContext {
        var globals = RunFacts.globals(id: id, name: name, project: project, owner: owner, createdAt: createdAt)
        globals["status"] = .string(status.rawValue)
        globals["condition"] = conditionValue
        globals["started_at"] = time(startedAt)
        globals["finished_at"] = time(finishedAt)
        globals["duration"] = number(durationSeconds)
        globals["main"] = description
        return try RunContext(
            globals: globals, declarations: inputDeclarations, inputs: inputs, outputs: outputs,
            contextParams: contextParams)
    }

    func time(_ timestamp: Timestamp?) -> Value { timestamp.map { .string($0.iso8601) } ?? .null }
    func number(_ value: Double?) -> Value { value.map(Value.double) ?? .null }
    func number(_ value: Int64?) -> Value { value.map(Value.int) ?? .null }
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
