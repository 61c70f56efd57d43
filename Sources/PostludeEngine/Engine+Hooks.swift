import PostludeCore
import PostludeFailpoints
import PostludeStore

extension Engine {
    /// Decides about every hook of a finished run, and stores the outcomes together with the runs that they start.
    func resolveHooks(of id: RunID, _ owed: OwedEffect) async throws {
        Failpoint.reach(.hooksDue)
        guard let main = try await store.mainRecord(id), case .finished = main.run.state,
            !main.run.operation.hooks.isEmpty
        else {
            return try await store.complete(owed)
        }
        let decisions = decisions(about: main, try mainContext(main))
        let applied = try await store.resolveHooks(of: id, decisions, at: .now, completing: owed)
        inbox.take(applied.owed)
        tell(decisions, of: id)
    }

    /// What the store asks when a run finishes.
    var hookDecider: Store.HookDecider {
        { [self] main in
            main.run.operation.hooks.isEmpty ? [] : decisions(about: main, try mainContext(main))
        }
    }

    func tell(_ decisions: [Store.HookDecision], of id: RunID) {
        for decision in decisions {
            logger.notice(
                "hook decided",
                metadata: ["run": "\(id)", "hook": "\(decision.index)", "outcome": "\(decision.outcome.rawValue)"])
        }
    }

    private func decisions(
        about record: Store.MainRecord, _ context: HookResolution.MainContext
    ) -> [Store.HookDecision] {
        let decisions = HookResolution.resolve(record.run.operation.hooks, main: context).map { resolved in
            decision(
                about: HookResolution.guarded(resolved, depth: record.depth + 1, limit: configuration.hookDepth),
                of: record.run, context)
        }
        Failpoint.reach(.hooksDecided)
        return decisions
    }

    /// A hook that fires but cannot become a run is an error of that hook alone (P3).
    private func decision(
        about resolved: HookResolution.Resolved, of main: StoredRun, _ context: HookResolution.MainContext
    ) -> Store.HookDecision {
        let index = resolved.index
        guard let operation = resolved.operation else {
            return Store.HookDecision(
                index: index, outcome: resolved.outcome, detail: resolved.detail, explanation: resolved.explanation)
        }
        let hook = main.operation.hooks[index]
        do {
            return Store.HookDecision(
                index: index, outcome: .fired, detail: resolved.detail, explanation: resolved.explanation,
                run: try newRun(operation, of: hook, at: index, main, context))
        } catch let error as InputError {
            return Store.HookDecision(failed: resolved, error.description, error.diagnostics)
        } catch let error as EngineError {
            let finding = Diagnostic(.error, error.code, error.message, hint: error.hint, at: hook.place)
            return Store.HookDecision(failed: resolved, "\(error.code): \(error.message)", [finding])
        } catch {
            let finding = Diagnostic(.error, "engine.hook-failed", "\(error)", at: hook.place)
            return Store.HookDecision(failed: resolved, "\(error)", [finding])
        }
    }

    /// The run that a hook becomes.
    private func newRun(
        _ operation: PostludeCore.Operation, of hook: Hook, at index: Int, _ main: StoredRun,
        _ context: HookResolution.MainContext, isRerun: Bool = false
    ) throws -> NewRun {
        let id = RunID.random()
        // What the submitter wrote runs beside the submitter's files, as main does; what the hub holds needs none of them.
        // Runs of before `usesHub` tell by the origin alone.
        let isOfHub = hook.component.job.usesHub == true || hook.origin.hasPrefix("hub:")
        let working = isOfHub ? nil : main.workingDirectory
        let facts = RunFacts(
            id: id, name: hook.name, project: main.project, user: main.user, createdAt: .now,
            workingDirectory: working, main: context)
        let compiled = try JobCompiler.compile(operation, facts: facts)
        let images = try checkImages(of: operation, steps: compiled.steps, path: "the hook '\(hook.name)'")
        return NewRun(
            id: id, name: hook.name, project: main.project, user: main.user, operation: operation,
            inputs: compiled.inputs, notes: operation.notes + images, workingDirectory: working,
            artifacts: paths.artifacts(id),
            upstream: NewRun.Upstream(run: main.id, index: index, name: hook.name, isRerun: isRerun),
            needs: try checkedNeeds(of: operation.component.job, isHook: true),
            // A queue that the configuration no longer has must not keep a hook from running.
            queue: hook.queue.flatMap { configuration.rules.resolve($0)?.name } ?? main.queue)
    }

    /// Runs one hook of a finished run again, as a new hook run. Neither trigger nor condition is asked: whoever calls
    /// has decided. Main and the record of what became of the hook stay as they are.
    ///
    /// Throws `EngineError`: `engine.unknown-run`, `engine.not-finished`, `engine.unknown-hook`, `engine.hook-depth`,
    /// `engine.invalid-operation` when its params cannot be resolved, or what a submission is refused for.
    public func rerun(_ id: RunID, hook name: String, for caller: Caller) async throws -> RunDetail {
        let detail = try await detail(id, for: caller)
        guard let record = try await store.mainRecord(id), case .finished = record.run.state,
            detail.hooks.allSatisfy({ $0.outcome != nil })
        else { throw EngineError.notFinished(id, detail.summary.status) }
        let hooks = record.run.operation.hooks
        let named = hooks.indices.filter { hooks[$0].name == name }
        let positions = named.isEmpty ? hooks.indices.filter { "\($0)" == name } : named
        guard let index = positions.first, positions.count == 1 else {
            throw EngineError.unknownHook(name, known: hooks.map(\.name), isAmbiguous: positions.count > 1)
        }
        guard record.depth + 1 <= configuration.hookDepth else {
            throw EngineError.hookDepth(configuration.hookDepth)
        }
        let context = try mainContext(record)
        var forced = hooks[index]
        forced.trigger = .done
        forced.conditions = nil
        let resolved = HookResolution.resolve([forced], main: context)[0]
        guard let operation = resolved.operation else {
            throw EngineError.invalidOperation("the hook '\(name)'", resolved.explanation.errors)
        }
        let new: NewRun
        do {
            new = try newRun(operation, of: hooks[index], at: index, record.run, context, isRerun: true)
        } catch let error as InputError {
            throw EngineError.invalidOperation("the hook '\(name)'", error.diagnostics)
        }
        let applied = try await store.submit(new, then: .compiled, at: .now)
        inbox.take(applied.owed)
        logger.notice("hook run again", metadata: ["run": "\(id)", "hook": "\(name)", "hook run": "\(applied.result)"])
        return try await known(applied.result)
    }

    /// For a hook run: its main, as its templates and its sandbox see it.
    func mainRun(_ main: Store.MainRecord) throws -> AttemptPlanner.MainRun {
        AttemptPlanner.MainRun(
            context: try mainContext(main), attempt: main.attempt, artifacts: main.run.cachedFrom ?? main.run.id)
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
            (_, inputs, contextParams) = try JobCompiler.context(for: main.operation.withoutPoints, facts: facts)
        } catch {
            logger.warning(
                "params of a finished run cannot be rendered again, ignoring",
                metadata: ["run": "\(main.id)", "error": "\(error)"])
        }
        let children = record.children.map { Pipeline.summary(of: $0.counts.byStatus, first: $0.first.map(\.child)) }
        if let children { contextParams["children"] = children }
        func seconds(_ from: Timestamp?, _ until: Timestamp?) -> Double? {
            guard let from, let until else { return nil }
            return max(0, until.seconds(since: from))
        }
        return HookResolution.MainContext(
            id: main.id, name: main.name, project: main.project, owner: main.user.name, kind: main.operation.kind,
            status: outcome.status,
            condition: main.condition
                ?? RunCondition(status: outcome.status, reason: outcome.reason, message: outcome.message, at: .now),
            inputs: inputs, outputs: main.operation.component.typedOutputs(main.outputs), contextParams: contextParams,
            inputDeclarations: main.operation.component.inputs, outputDeclarations: main.operation.component.outputs,
            createdAt: main.createdAt, startedAt: main.startedAt, finishedAt: main.finishedAt,
            waitSeconds: seconds(main.queuedAt, main.startedAt),
            durationSeconds: seconds(main.startedAt, main.finishedAt), exit: outcome.exit, usage: record.usage,
            attempts: record.attempt?.number ?? 0,
            oomKilled: outcome.reason == "OOMKilled" ? true : record.usage?.oomKills.map { $0 > 0 },
            deviceSeconds: record.deviceSeconds, logTail: logTail(of: record), children: children)
    }

    private func logTail(of record: Store.MainRecord) -> LogTail? {
        guard let attempt = record.attempt, let step = record.lastStep else { return nil }
        let tail = LogTail(
            step: step, standardOutput: StepLogFile.tail(paths.log(attempt, step: step, .stdout)),
            standardError: StepLogFile.tail(paths.log(attempt, step: step, .stderr)))
        return tail.standardOutput == nil && tail.standardError == nil ? nil : tail
    }
}

extension Store.HookDecision {
    /// A hook that was to fire and cannot become a run.
    fileprivate init(failed resolved: HookResolution.Resolved, _ detail: String, _ errors: [Diagnostic]) {
        var explanation = resolved.explanation
        explanation.errors = errors
        self.init(index: resolved.index, outcome: .error, detail: detail, explanation: explanation)
    }
}
