/// What users have used of the node lately, so that those who used less come first.
///
/// An attempt uses, for as long as it holds its lease, the largest of its fractions of the node's devices of one class,
/// memory and processor time (its dominant share): on a node with 4 accelerators, who holds one holds at least a quarter.
/// What was used counts half after each half-life.
public enum FairShare {
    /// The largest fraction of something that the node has; from 0 to 1.
    public static func dominant(_ needs: Scheduler.Needs, of capacity: Scheduler.Capacity) -> Double {
        func fraction(_ part: Int64, _ whole: Int64) -> Double {
            part <= 0 || whole <= 0 ? 0 : min(1, Double(part) / Double(whole))
        }
        let devices = needs.devices.map { name, count in
            fraction(Int64(count), Int64(capacity.devices[name, default: 0]))
        }
        return max(
            devices.max() ?? 0, fraction(needs.memoryBytes, capacity.memoryBytes),
            fraction(needs.milliCPU, capacity.milliCPU))
    }

    /// Seconds that were used by `now`, decayed, as seen at `now`.
    public static func decayed(_ seconds: Double, since then: Timestamp, at now: Timestamp, halfLife: Double) -> Double
    {
        guard halfLife > 0 else { return seconds }
        // A clock that was set back makes nothing grow.
        return seconds * remaining(after: Self.seconds(then, now), halfLife)
    }

    /// What holding a share from one time to another counts at the end of it: the integral over that time, decayed.
    public static func held(_ share: Double, from began: Timestamp, to end: Timestamp, halfLife: Double) -> Double {
        let duration = max(0, seconds(began, end))
        guard halfLife > 0 else { return share * duration }
        return share * halfLife / ln2 * (1 - remaining(after: duration, halfLife))
    }

    private static let ln2 = 0.693147180559945309417

    /// 2^(-seconds / halfLife), within some units of the last place: this module has no library of mathematics.
    static func remaining(after seconds: Double, _ halfLife: Double) -> Double {
        let halvings = max(0, seconds) / halfLife
        guard halvings < 1000 else { return 0 }
        let whole = halvings.rounded(.down)
        let x = (whole - halvings) * ln2
        // The power series of e^x; |x| < ln 2, so that 20 terms are more than enough.
        var (sum, term) = (1.0, 1.0)
        for n in 1...20 {
            term *= x / Double(n)
            sum += term
        }
        return sum * Double(sign: .plus, exponent: -Int(whole), significand: 1)
    }

    private static func seconds(_ a: Timestamp, _ b: Timestamp) -> Double {
        Double(b.microseconds - a.microseconds) / 1_000_000
    }
}
