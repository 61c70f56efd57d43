import PostludeCore
import PostludeDevices
import PostludeStore

extension OutputsFile.Reading {
    /// Main's outputs, typed and checked; what is wrong with them becomes a note and a condition, and what could be read
    /// is kept. That an attempt which did not succeed left outputs out is no news.
    func leavings(_ run: StoredRun, after ending: Run.Ending, hadDevices: Bool) -> Store.Leavings {
        var leavings = checked(run.operation.component, after: ending)
        if ReleaseCheck.isOwnUserOnly, hadDevices {
            leavings.notes.insert(.ownProcessesOnly(uid: run.user.uid), at: 0)
        }
        return leavings
    }

    private func checked(_ component: Component, after ending: Run.Ending) -> Store.Leavings {
        var hasSucceeded = false
        if case .finish(let outcome) = ending.next { hasSucceeded = outcome.status == .succeeded }
        func findings(_ values: [String: Value]) -> [Diagnostic] {
            Inputs.validateOutputs(component, values).filter { hasSucceeded || $0.code != Inputs.missingOutput }
        }
        switch self {
        case .absent:
            let notes = findings([:])
            return Store.Leavings(notes: notes, problem: Run.OutputProblem(notes))
        case .unusable(let reason):
            let note = Diagnostic.unusableOutputs(reason)
            return Store.Leavings(
                notes: [note], problem: Run.OutputProblem(reason: "OutputsUnusable", message: note.message))
        case .values(let values):
            let notes = findings(values)
            return Store.Leavings(
                outputs: component.typedOutputs(values), notes: notes, problem: Run.OutputProblem(notes))
        }
    }
}
