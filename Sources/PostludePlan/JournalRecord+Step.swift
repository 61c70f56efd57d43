extension StepCounters {
    /// In this order for ever; new counters go to the end.
    private var values: [UInt64?] {
        [
            wallNanoseconds, userMicroseconds, systemMicroseconds, maxRSSBytes, peakMemoryBytes, oomKills, peakPIDs,
            throttledMicroseconds, readBytes, writtenBytes, logBytesDropped, forksRefused,
        ]
    }

    func encode(to writer: inout ByteWriter) {
        let values = values
        writer.integer(UInt8(values.count))
        for value in values { writer.optional(value) { $0.integer($1) } }
    }

    init(from reader: inout ByteReader) throws(PlanError) {
        self.init()
        var values: [UInt64?] = []
        for _ in 0..<(try reader.integer(UInt8.self)) {
            values.append(
                try reader.optional("flag") { (reader) throws(PlanError) in try reader.integer(UInt64.self) })
        }
        // An older warden counts less, a newer one more than this reader knows.
        let known = self.values.count
        while values.count < known { values.append(nil) }
        (wallNanoseconds, userMicroseconds, systemMicroseconds) = (values[0], values[1], values[2])
        (maxRSSBytes, peakMemoryBytes, oomKills, peakPIDs) = (values[3], values[4], values[5], values[6])
        (throttledMicroseconds, readBytes, writtenBytes) = (values[7], values[8], values[9])
        (logBytesDropped, forksRefused) = (values[10], values[11])
    }
}

extension StepReceipt {
    func encode(to writer: inout ByteWriter) {
        writer.inodes(namespaces)
        writer.inodes(hostNamespaces)
        writer.text(cgroupText)
        writer.list(limits.sorted { $0.key < $1.key }) {
            $0.text($1.key)
            $0.text($1.value)
        }
        writer.list(deviceFilterPrograms) { $0.integer($1) }
        writer.integer(seccompMode)
        writer.integer(seccompFilters)
        writer.flag(noNewPrivileges)
        writer.list(capabilities) { $0.integer($1) }
        writer.integer(uid)
        writer.integer(gid)
        writer.list(groups) { $0.integer($1) }
        writer.integer(mounts)
        writer.list(writableMounts) { $0.text($1) }
        writer.integer(landlockABI)
        writer.integer(landlockRules)
        writer.integer(startTime)
        writer.flag(hasCgroup)
        writer.flag(hasCoreCookie)
    }

    init(from reader: inout ByteReader) throws(PlanError) {
        let namespaces = try reader.inodes()
        let hostNamespaces = try reader.inodes()
        let cgroupText = try reader.text()
        let limits = try reader.list("limits", limit: 1024) { (reader) throws(PlanError) in
            (try reader.text(), try reader.text())
        }
        self.init(
            namespaces: namespaces, hostNamespaces: hostNamespaces, cgroupText: cgroupText,
            limits: Dictionary(limits, uniquingKeysWith: { $1 }),
            deviceFilterPrograms: try reader.list("programs", limit: 1024) { (reader) throws(PlanError) in
                try reader.integer()
            },
            seccompMode: try reader.integer(), seccompFilters: try reader.integer(),
            noNewPrivileges: try reader.flag("flag"),
            capabilities: try reader.list("sets", limit: 16) { (reader) throws(PlanError) in try reader.integer() },
            uid: try reader.integer(), gid: try reader.integer(),
            groups: try reader.list("groups", limit: 1 << 16) { (reader) throws(PlanError) in try reader.integer() },
            mounts: try reader.integer(),
            writableMounts: try reader.list("mounts", limit: 1 << 16) { (reader) throws(PlanError) in
                try reader.text()
            })
        // It ends a record, and older wardens' records end before.
        guard reader.remaining > 0 else { return }
        landlockABI = try reader.integer()
        landlockRules = try reader.integer()
        guard reader.remaining > 0 else { return }
        startTime = try reader.integer()
        hasCgroup = try reader.flag("flag")
        guard reader.remaining > 0 else { return }
        hasCoreCookie = try reader.flag("flag")
    }
}

extension ByteWriter {
    fileprivate mutating func inodes(_ table: [String: UInt64]) {
        list(table.sorted { $0.key < $1.key }) {
            $0.text($1.key)
            $0.integer($1.value)
        }
    }
}

extension ByteReader {
    fileprivate mutating func inodes() throws(PlanError) -> [String: UInt64] {
        let entries = try list("namespaces", limit: 64) { (reader) throws(PlanError) in
            (try reader.text(), try reader.integer(UInt64.self))
        }
        return Dictionary(entries, uniquingKeysWith: { $1 })
    }
}
