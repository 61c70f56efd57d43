extension Hook {
    /// The hook and all that its component's hooks bring along.
    public var withNested: [Hook] { [self] + (hooks ?? []).flatMap(\.withNested) }
}

extension Operation {
    /// Takes the hooks away, those of its children too, and notes that it has.
    public mutating func leaveHooksOut() {
        let names = takeHooks().map { "'\($0)'" }.joined(separator: ", ")
        guard !names.isEmpty else { return }
        notes.append(
            Diagnostic(
                .note, "run.no-hooks", "Hooks are left out, as asked: \(names).", hint: "Submit without --no-hooks."))
    }

    /// Returns the names of those that were there, each once.
    private mutating func takeHooks() -> [String] {
        // With a matrix alone `hooks` and those of the matrix are the same.
        var names = (hooks + (eachHooks ?? []) + (schedule == nil ? [] : matrix?.hooks ?? [])).map(\.name)
        hooks = []
        eachHooks = nil
        matrix?.hooks = []
        for index in dag?.nodes.indices ?? 0..<0 { names += dag?.nodes[index].operation.takeHooks() ?? [] }
        var known: Set<String> = []
        return names.filter { known.insert($0).inserted }
    }
}

extension JobSpec {
    /// The classes of devices that its steps ask for.
    public var deviceClasses: [String] {
        var classes: Set<String> = []
        var containers = sidecars + [container]
        for step in initSteps { if case .container(let container) = step { containers.append(container) } }
        for container in containers {
            for (name, count) in container.resources.devices where count > 0 { classes.insert(name) }
        }
        return classes.sorted()
    }
}

extension HookResolution {
    /// A hook that fires below too many mains is an error of its own, so that hooks of hooks come to an end.
    ///
    /// - Parameter depth: mains above the hook run: 1 for a hook of an operation.
    public static func guarded(_ resolved: Resolved, depth: Int, limit: Int) -> Resolved {
        guard resolved.outcome == .fired, depth > limit else { return resolved }
        let finding = Diagnostic(
            .error, "hooks.too-deep", "The hook would be \(depth) deep; hooks may be \(limit) deep here.",
            hint:
                "Take it out of the hook's component, or have an administrator raise `hookDepth` in the configuration.")
        var guarded = resolved
        guarded.outcome = .error
        guarded.operation = nil
        guarded.detail = InputError([finding]).description
        guarded.explanation.errors = [finding]
        return guarded
    }
}
