import PostludeCore
import PostludeStore

extension Engine {
    /// Decides about every hook of a finished run, and stores the outcomes together with the runs that they start.
    func resolveHooks(of id: RunID, _ owed: OwedEffect) async throws {
        guard let main = try await store.mainRecord(id), case .finished = main.run.state,
            !main.run.operation.hooks.isEmpty
        else {
            return try await store.complete(owed)
        }
        let decisions = decisions(about: main.run, try mainContext(main))
        let applied = try await store.resolveHooks(of: id, decisions, at: .now, completing: owed)
        inbox.take(applied.owed)
        tell(decisions, of: id)
    }

    /// What the hooks will be told of a run that is about to finish, and what they will do then.
    func forethought(
        about run: StoredRun, _ attempt: AttemptID, _ outcome: Run.Outcome, outputs: [String: Value]?,
        at time: Timestamp
    ) async throws -> Store.Forethought? {
        guard !run.operation.hooks.isEmpty, var main = try await store.mainRecord(run.id) else { return nil }
        main.run.state = .finished(outcome)
        main.run.outputs = outputs ?? main.run.outputs
        main.run.finishedAt = time
        main.run.condition = RunCondition(
            status: outcome.status, reason: outcome.reason, message: outcome.message, at: time)
        return Store.Forethought(
            outcome: outcome, decisions: decisions(about: main.run, try mainContext(main)))
    }

    func tell(_ decisions: [Store.HookDecision], of id: RunID) {
        for decision in decisions {
            logger.notice(
                "hook decided",
                metadata: ["run": "\(id)", "hook": "\(decision.index)", "outcome": "\(decision.outcome.rawValue)"])
        }
    }

    private func decisions(
        about main: StoredRun, _ context: HookResolution.MainContext
    ) -> [Store.HookDecision] {
        HookResolution.resolve(main.operation.hooks, main: context).map { decision(about: $0, of: main, context) }
    }

    /// A hook that fires but cannot become a run is an error of that hook alone (P3).
    private func decision(
        about resolved: HookResolution.Resolved, of main: StoredRun, _ context: HookResolution.MainContext
    ) -> Store.HookDecision {
        let index = resolved.index
        guard let operation = resolved.operation else {
            return Store.HookDecision(index: index, outcome: resolved.outcome, detail: resolved.detail)
        }
        let hook = main.operation.hooks[index]
        let id = RunID.random()
        // What the submitter wrote runs beside the submitter's files, as main does; what the hub holds needs none of them.
        let working = hook.origin.hasPrefix("hub:") ? nil : main.workingDirectory
        let facts = RunFacts(
            id: id, name: hook.name, project: main.project, user: main.user, createdAt: .now,
            workingDirectory: working, main: context)
        do {
            let compiled = try JobCompiler.compile(operation, facts: facts)
            let new = NewRun(
                id: id, name: hook.name, project: main.project, user: main.user, operation: operation,
                inputs: compiled.inputs, notes: operation.notes, workingDirectory: working,
                artifacts: paths.artifacts(id), upstream: NewRun.Upstream(run: main.id, index: index, name: hook.name),
                needs: try checkedNeeds(of: operation.component.job, isHook: true))
            return Store.HookDecision(index: index, outcome: .fired, detail: resolved.detail, run: new)
        } catch let error as InputError {
            return Store.HookDecision(index: index, outcome: .error, detail: error.description)
        } catch let error as EngineError {
            return Store.HookDecision(index: index, outcome: .error, detail: "\(error.code): \(error.message)")
        } catch {
            return Store.HookDecision(index: index, outcome: .error, detail: "\(error)")
        }
    }

    /// For a hook run: its main, as its templates and its sandbox see it.
    func mainRun(_ main: Store.MainRecord) throws -> AttemptPlanner.MainRun {
        AttemptPlanner.MainRun(context: try mainContext(main), attempt: main.attempt)
    }

    private func mainContext(_ record: Store.MainRecord) throws -> HookResolution.MainContext {
        let main = record.run
        guard case .finished(let outcome) = main.state else {
            throw EngineError(.internalFault, "engine.main-not-finished", "Run \(main.id) has not finished.")
        }
        // The same operation and facts give the same typed values as at submission; facts of a hook run's own main are
        // not needed, for a hook's params are data.
        let facts = RunFacts(
            id: main.id, name: main.name, project: main.project, user: main.user, createdAt: main.createdAt,
            workingDirectory: main.workingDirectory)
        var inputs = main.inputs
        var contextParams: [String: Value] = [:]
        do throws(InputError) {
            (_, inputs, contextParams) = try JobCompiler.context(for: main.operation, facts: facts)
        } catch {
            logger.warning(
                "params of a finished run cannot be rendered again, ignoring",
                metadata: ["run": "\(main.id)", "error": "\(error)"])
        }
        func seconds(_ from: Timestamp?, _ until: Timestamp?) -> Double? {
            guard let from, let until else { return nil }
            return max(0, until.seconds(since: from))
        }
        return HookResolution.MainContext(
            id: main.id, name: main.name, project: main.project, owner: main.user.name, status: outcome.status,
            condition: main.condition
                ?? RunCondition(status: outcome.status, reason: outcome.reason, message: outcome.message, at: .now),
            inputs: inputs, outputs: main.operation.component.typedOutputs(main.outputs), contextParams: contextParams,
            inputDeclarations: main.operation.component.inputs, outputDeclarations: main.operation.component.outputs,
            createdAt: main.createdAt, startedAt: main.startedAt, finishedAt: main.finishedAt,
            waitSeconds: seconds(main.queuedAt, main.startedAt),
            durationSeconds: seconds(main.startedAt, main.finishedAt), exit: outcome.exit, usage: record.usage)
    }
}
