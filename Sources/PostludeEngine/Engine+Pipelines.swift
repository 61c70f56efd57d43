import Foundation
import PostludeCore
import PostludeFailpoints
import PostludeStore
import PostludeThreads

extension Engine {
    /// Takes a parent one step further: makes the children that are due, or ends it. What is decided here comes from the
    /// store and the clock alone and is stored in one transaction, so that it may be done twice.
    func advance(_ id: RunID, _ owed: OwedEffect) async throws {
        Failpoint.reach(.advanceDue)
        guard let parent = try await store.run(id), case .pipeline(let pipeline) = parent.state else {
            return try await store.complete(owed)
        }
        let step: Store.Advance
        if pipeline.stop != nil {
            step = Store.Advance()
        } else if let schedule = parent.operation.schedule {
            guard let due = try await scheduleStep(schedule, of: parent) else { return try await store.complete(owed) }
            step = due
        } else if let matrix = parent.operation.matrix {
            step = try await matrixStep(matrix, of: parent)
        } else if let dag = parent.operation.dag {
            step = try await dagStep(dag, of: parent)
        } else {
            step = Store.Advance(
                outcome: Run.Outcome(.failed, reason: "NoChildren", message: "The parent says nothing to run."))
        }
        let applied = try await store.advance(id, step, at: .now, completing: owed)
        inbox.take(applied.owed)
        if let decision = applied.result { tell(decision, of: id) }
    }

    private func matrixStep(_ matrix: Matrix, of parent: StoredRun) async throws -> Store.Advance {
        let counts = try await store.childCounts(of: parent.id)
        let step = Pipeline.next(
            count: matrix.count ?? 0, concurrency: matrix.concurrency ?? Matrix.defaultConcurrency,
            children: counts.byStatus)
        var children: [Store.NewChild] = []
        for index in step.create {
            children.append(
                try await child(
                    parent.operation.child(at: matrix.point(index)), of: parent, key: Int64(index),
                    name: String(index), runName: "\(parent.name)-\(index)"))
        }
        return Store.Advance(create: children, outcome: step.outcome, hasMore: step.hasMore)
    }

    private func dagStep(_ dag: Dag, of parent: StoredRun) async throws -> Store.Advance {
        let records = try await store.children(of: parent.id, limit: dag.nodes.count)
        var runs = [Store.ChildRecord?](repeating: nil, count: dag.nodes.count)
        for record in records where dag.nodes.indices.contains(Int(record.key)) { runs[Int(record.key)] = record }
        let verdicts = dag.decide(runs.map { $0?.status })
        var children: [Store.NewChild] = []
        for (index, verdict) in verdicts.prefix(Pipeline.batch) {
            let node = dag.nodes[index]
            var event: Run.Event?
            var operation = node.operation
            switch verdict {
            case .upstreamFailed(let detail): event = .upstreamFailed(detail: detail)
            case .skip(let detail): event = .upstreamSkipped(detail: detail)
            case .start:
                do throws(InputError) {
                    operation = try Dag.resolved(
                        node, upstreams: upstreams(of: node, in: dag, runs, parent), dag: upstream(parent))
                } catch {
                    event = .compilationFailed(code: error.code, message: error.message)
                }
            }
            children.append(
                try await child(
                    operation, of: parent, key: Int64(index), name: node.name, runName: node.name, endingWith: event))
        }
        let counts = Dictionary(grouping: records, by: \.status).mapValues(\.count)
        let isOver = verdicts.isEmpty && records.count == dag.nodes.count && records.allSatisfy(\.status.isFinal)
        return Store.Advance(
            create: children, outcome: isOver ? Run.outcome(of: counts) : nil,
            hasMore: verdicts.count > Pipeline.batch)
    }

    private func upstreams(
        of node: Dag.Node, in dag: Dag, _ runs: [Store.ChildRecord?], _ parent: StoredRun
    ) -> [String: Dag.Upstream] {
        var found: [String: Dag.Upstream] = [:]
        for index in node.dependencies {
            guard let run = runs[index] else { continue }
            found[dag.nodes[index].name] = Dag.Upstream(
                id: run.id, name: run.name, project: parent.project, owner: parent.user.name, status: run.status,
                inputs: run.inputs, outputs: dag.nodes[index].operation.component.typedOutputs(run.outputs),
                createdAt: run.createdAt, artifacts: run.cachedFrom)
        }
        return found
    }

    private func upstream(_ parent: StoredRun) -> Dag.Upstream {
        Dag.Upstream(
            id: parent.id, name: parent.name, project: parent.project, owner: parent.user.name,
            status: parent.state.status, inputs: parent.inputs, outputs: parent.outputs, createdAt: parent.createdAt)
    }

    /// nil when there is nothing to do before the next slot.
    private func scheduleStep(_ schedule: Schedule, of parent: StoredRun) async throws -> Store.Advance? {
        let counts = try await store.childCounts(of: parent.id)
        let zone = schedule.timeZone.flatMap(TimeZone.init(identifier:))
        let step = schedule.step(
            submitted: parent.createdAt.seconds, last: counts.lastKey, made: counts.made, alive: counts.alive,
            now: Timestamp.now.seconds
        ) { seconds in
            Int64(zone?.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds))) ?? 0)
        }
        switch step {
        case .wait(let time):
            inbox.wake(parent.id, at: time)
            return nil
        case .waitForPast: return nil
        case .over: return counts.alive > 0 ? nil : Store.Advance(outcome: Run.outcome(of: counts.byStatus))
        case .run(let slot):
            let name = Timestamp(microseconds: slot * 1_000_000).iso8601.prefix(19) + "Z"
            let new = try await child(
                parent.operation.scheduledChild, of: parent, key: slot, name: String(name), runName: parent.name)
            return Store.Advance(create: [new], hasMore: true)
        }
    }

    /// A child with the first event of its life; one that cannot be compiled fails, and its hooks say so. What it joins is
    /// searched for here, and stored with it: nothing before it has seen the result.
    private func child(
        _ operation: PostludeCore.Operation, of parent: StoredRun, key: Int64, name: String, runName: String,
        endingWith event: Run.Event? = nil
    ) async throws -> Store.NewChild {
        let id = RunID.random()
        var operation = operation
        operation.matrix = operation.matrix?.seeded(by: id)
        // The operations of a graph may name their own; one that the configuration no longer has keeps nothing from running.
        let named = parent.operation.dag == nil ? nil : operation.queue
        let queue = named.flatMap { configuration.rules.resolve($0)?.name } ?? parent.queue
        var new = NewRun(
            id: id, name: runName, project: parent.project, user: parent.user, operation: operation, inputs: [:],
            notes: operation.notes, workingDirectory: parent.workingDirectory, artifacts: paths.artifacts(id),
            parent: NewRun.Parent(run: parent.id, key: key, name: name),
            queue: queue)
        if let event { return Store.NewChild(new, then: event) }
        let facts = RunFacts(
            id: id, name: runName, project: parent.project, user: parent.user, createdAt: .now,
            workingDirectory: parent.workingDirectory)
        do {
            operation = try await joined(operation, facts: facts)
            new.operation = operation
            let compiled = try JobCompiler.outline(operation, facts: facts)
            new.inputs = compiled.inputs
            new.notes += try checkImages(of: operation, steps: compiled.steps, path: "the run '\(name)'")
            new.needs =
                operation.isParent ? Scheduler.Needs() : try checkedNeeds(of: operation.component.job, isHook: false)
            if compiled.isDue { new.cacheKey = try CacheKey.of(new) }
            let detail = compiled.condition ?? ""
            return Store.NewChild(new, then: compiled.isDue ? .compiled : .conditionFalse(detail: detail))
        } catch let error as InputError {
            return Store.NewChild(new, then: .compilationFailed(code: error.code, message: error.message))
        } catch let error as EngineError {
            return Store.NewChild(new, then: .compilationFailed(code: error.code, message: error.message))
        } catch let error as CancellationError {
            throw error
        } catch let error as StoreError where error.isTemporary {
            // Not the child's fault: its parent's step stays owed.
            throw error
        } catch {
            return Store.NewChild(new, then: .compilationFailed(code: "engine.child", message: "\(error)"))
        }
    }

    /// The operation with what its joins find among its submitter's runs as params; as it is when it has none to search.
    func joined(_ operation: PostludeCore.Operation, facts: RunFacts) async throws -> PostludeCore.Operation {
        guard operation.isToJoin else { return operation }
        var joined = try JoinGathering(operation)
        for (index, search) in try operation.searches(facts: facts).enumerated() {
            let hits = try await store.search(search, uid: facts.user.uid)
            // One at a time: a run may have large outputs.
            for number in hits.numbers {
                if let run = try await store.foundRun(number) { try joined.take(run, for: index) }
            }
            if hits.hasMore { joined.noteMore(for: index) }
        }
        return joined.result
    }

    /// Sleeps until the next time at which a schedule is due, then owes its parent's next step. One timer for all
    /// schedules, on the clock that people set.
    func followSchedules() async {
        do {
            while let (run, time) = inbox.nextWake() {
                try await pauseUntilWake(time)
                guard inbox.takeWake(run, due: Timestamp.now.seconds) else { continue }
                let applied = try await persistently { try await self.store.oweAdvance(of: run, at: .now) }
                inbox.take(applied.owed)
            }
        } catch is CancellationError {
            return
        } catch {
            logger.error("a schedule cannot be followed", metadata: ["error": "\(error)"])
        }
    }

    /// Ends early when an earlier time has come up.
    private func pauseUntilWake(_ time: Int64) async throws {
        let changes = inbox.wakeChanges(sleepingUntil: time)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pause(untilWallClock: time) }
            group.addTask { for await _ in changes { return } }
            try await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
    }
}

extension Timestamp {
    /// Whole seconds since 1970, rounded down.
    var seconds: Int64 { microseconds.quotientAndRemainder(dividingBy: 1_000_000).quotient }
}
