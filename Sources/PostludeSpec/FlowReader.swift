import PostludeCore

/// Reads what makes a parent of an operation: `matrix` and `schedule`.
struct FlowReader {
    let session: SpecSession

    struct Flow {
        var matrix: Matrix?
        var schedule: Schedule?
        /// The schedule's own, which fire when it is over.
        var scheduleHooks: [Hook] = []

        /// With a matrix or a schedule the operation's hooks are those of each child, as in Polyaxon; `matrix.hooks` and
        /// `schedule.hooks` are the parent's own.
        func apply(to operation: inout Operation) {
            guard matrix != nil || schedule != nil else { return }
            operation.matrix = matrix
            operation.schedule = schedule
            operation.eachHooks = operation.hooks
            operation.hooks = schedule == nil ? matrix?.hooks ?? [] : scheduleHooks
        }
    }

    func read(_ reader: inout MappingReader, isNode: Bool) -> Flow {
        var flow = Flow()
        if var matrix = reader.mapping("matrix") { flow.matrix = MatrixReader(session: session).read(&matrix) }
        if isNode {
            reader.refuse(["schedule": "Give the whole graph a schedule."])
        } else if var schedule = reader.mapping("schedule") {
            let found = ScheduleReader(session: session).read(&schedule)
            flow.schedule = found?.schedule
            flow.scheduleHooks = found?.hooks ?? []
        }
        return flow
    }
}
