/// What an event of the loop is about.
struct Token {
    enum Kind: UInt8 { case stop = 0, timeout, grace, control, process, output, error, cgroup, agent }

    let kind: Kind
    let step: Int

    init(_ kind: Kind, _ step: Int = 0) {
        self.kind = kind
        self.step = step
    }

    init(raw: UInt64) {
        kind = Kind(rawValue: UInt8(truncatingIfNeeded: raw)) ?? .stop
        step = Int(raw >> 8)
    }

    var raw: UInt64 { UInt64(kind.rawValue) | UInt64(step) << 8 }
}
