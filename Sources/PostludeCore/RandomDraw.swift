/// A small generator with a seed: SplitMix64. The same seed gives the same numbers on every machine and in every version.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// A stream of its own for each seed and position, so that one value can be drawn without those before it.
    init(seed: UInt64, stream: UInt64, position: UInt64) {
        state = Self.mix(Self.mix(seed &+ stream &* 0xd134_2543_de82_ef95) &+ position &* 0x9e37_79b9_7f4a_7c15)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    /// Within 0 and 1, without 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    static func mix(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

/// A shuffled order of 0..<count that needs no memory: a Feistel network over the next even number of bits, walked until
/// it falls within the count.
struct Shuffle {
    let count: UInt64
    let seed: UInt64
    private let halfBits: UInt64

    init(count: UInt64, seed: UInt64) {
        self.count = count
        self.seed = seed
        let bits = UInt64(UInt64.bitWidth - max(1, count - 1).leadingZeroBitCount)
        halfBits = (max(2, bits) + 1) / 2
    }

    subscript(position: UInt64) -> UInt64 {
        var value = position
        // A permutation of the larger range, so a walk from within comes back within.
        repeat { value = permuted(value) } while value >= count
        return value
    }

    private func permuted(_ value: UInt64) -> UInt64 {
        let mask = (UInt64(1) << halfBits) - 1
        var (left, right) = (value >> halfBits, value & mask)
        for round in 0..<4 {
            let mixed = SplitMix64.mix(seed ^ SplitMix64.mix(right &+ UInt64(round) << 56)) & mask
            (left, right) = (right, left ^ mixed)
        }
        return left << halfBits | right
    }
}
