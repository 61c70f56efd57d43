/// What makes a parent of an operation.
extension Operation {
    /// The kind of run that the operation is, in Polyaxon's words.
    public var kind: String {
        if schedule != nil { return "schedule" }
        if matrix != nil { return "matrix" }
        if dag != nil { return "dag" }
        return component.job.service == nil ? "job" : "service"
    }

    /// Whether a run of the operation has children instead of steps.
    public var isParent: Bool { schedule != nil || matrix != nil || dag != nil }

    /// What the lifecycle needs to know.
    public var terms: Run.Terms {
        let kind: Run.Terms.Kind =
            schedule != nil
            ? .schedule : matrix != nil || dag != nil ? .pipeline : component.job.service == nil ? .job : .service
        return Run.Terms(
            maxRetries: kind == .pipeline || kind == .schedule ? 0 : component.termination.maxRetries, kind: kind,
            needsApproval: isApproved == false)
    }

    /// Children that a parent may have alive; nil for all that may start.
    public var concurrency: Int? {
        if schedule != nil { return nil }
        if let matrix { return matrix.concurrency ?? Matrix.defaultConcurrency }
        return dag?.concurrency
    }

    /// The operation as its parent run sees it: without the inputs that each child gets from the matrix.
    public var withoutPoints: Operation {
        guard let matrix else { return self }
        let names = matrix.names
        var copy = self
        copy.component.inputs.removeAll { names.contains($0.name) }
        copy.params = copy.params.filter { !names.contains($0.key) }
        return copy
    }

    /// The operation of the child at a point: what the point says is data (P5).
    public func child(at point: [String: Value]) -> Operation {
        var child = self
        child.matrix = nil
        // Decided and searched for once, for the parent.
        child.conditions = nil
        child.isApproved = nil
        child.joins = nil
        child.hooks = eachHooks ?? []
        child.eachHooks = nil
        child.notes = []
        for (name, value) in point {
            var param = child.params[name] ?? Param(value: value, isTemplate: false)
            param.value = value
            param.isTemplate = false
            param.reference = nil
            child.params[name] = param
        }
        return child
    }

    /// The operation of one run of a schedule.
    public var scheduledChild: Operation {
        var child = self
        child.schedule = nil
        child.isApproved = nil
        child.notes = []
        if let matrix {
            child.hooks = matrix.hooks
        } else {
            child.hooks = eachHooks ?? []
            child.eachHooks = nil
        }
        return child
    }

    /// The number of children of a matrix or graph; nil when it has none to count.
    public var childCount: Int? { schedule == nil ? matrix?.count ?? dag?.nodes.count : nil }
}

/// What a parent knows of its children, and what it decides to do about them.
public enum Pipeline {
    /// Children that are made in one transaction: others' writes go in between.
    public static let batch = 100

    /// How a matrix goes on.
    public struct MatrixStep: Hashable, Sendable {
        /// Points to make children of, in order.
        public var create: Range<Int>
        /// Whether there would be room for more.
        public var hasMore: Bool
        /// How the parent ends; nil while children are alive or are to be made.
        public var outcome: Run.Outcome?
    }

    /// Points are made in order, so the number of children says which come next.
    public static func next(count: Int, concurrency: Int, children: [RunStatus: Int]) -> MatrixStep {
        let made = children.values.reduce(0, +)
        let alive = children.reduce(0) { $0 + ($1.key.isFinal ? 0 : $1.value) }
        let room = max(0, min(concurrency - alive, count - made))
        let now = min(room, batch)
        let outcome = alive == 0 && made >= count ? Run.outcome(of: children) : nil
        return MatrixStep(create: made..<(made + now), hasMore: room > now, outcome: outcome)
    }

    /// Children that a parent's hooks are told of one by one.
    public static let childrenTold = 500

    /// One child as its parent's hooks are told of it.
    public struct Child: Hashable, Sendable {
        public var id: RunID
        public var name: String
        public var status: RunStatus
        public var inputs: [String: Value]
        public var outputs: [String: Value]

        public init(id: RunID, name: String, status: RunStatus, inputs: [String: Value], outputs: [String: Value]) {
            self.id = id
            self.name = name
            self.status = status
            self.inputs = inputs
            self.outputs = outputs
        }
    }

    /// `children` in the context of a parent's hooks: `total`, a number for each final status, and `runs` with the first of
    /// them; all of it data.
    public static func summary(of counts: [RunStatus: Int], first: [Child]) -> Value {
        var summary: [String: Value] = ["total": .int(Int64(counts.values.reduce(0, +)))]
        for status in RunStatus.allCases where status.isFinal {
            summary[status.rawValue] = .int(Int64(counts[status, default: 0]))
        }
        summary["runs"] = .list(
            first.map { child in
                .dict([
                    "uuid": .string(child.id.description), "name": .string(child.name),
                    "status": .string(child.status.rawValue), "inputs": .dict(child.inputs),
                    "outputs": .dict(child.outputs),
                ])
            })
        return .dict(summary)
    }
}
