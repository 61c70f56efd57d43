/// The points that an operation runs with, one child run each. Points are computed from their index, so that a large
/// matrix takes no more memory than a small one.
public struct Matrix: Hashable, Sendable, Codable {
    /// Points that a matrix may have.
    public static let maxPoints = 10_000
    /// Children alive at a time when the file does not say: more would only wait in the queue, before others' runs.
    public static let defaultConcurrency = 100

    public enum Search: Hashable, Sendable, Codable {
        /// Every combination, the last axis fastest; the first `limit` of them when there is one.
        case grid(limit: Int?)
        /// Drawn by chance; distinct where every axis is a list (as many as there are then).
        case random(count: Int, seed: UInt64?)
        /// As listed.
        case mapping([[String: Value]])
    }

    public var search: Search
    /// In the file's order; empty for a mapping.
    public var axes: [Axis]
    public var concurrency: Int?
    /// The parent's own hooks, which fire when all children have ended.
    public var hooks: [Hook]
    public var place: SourcePlace?

    public init(
        _ search: Search, axes: [Axis] = [], concurrency: Int? = nil, hooks: [Hook] = [], place: SourcePlace? = nil
    ) {
        self.search = search
        self.axes = axes
        self.concurrency = concurrency
        self.hooks = hooks
        self.place = place
    }

    /// One param of the matrix and the values it takes.
    public struct Axis: Hashable, Sendable, Codable {
        public var name: String
        public var space: Space
        public var place: SourcePlace?

        public init(_ name: String, _ space: Space, at place: SourcePlace? = nil) {
            self.name = name
            self.space = space
            self.place = place
        }
    }

    public enum Space: Hashable, Sendable, Codable {
        /// `choice`, `range`, `linspace`, `logspace`, `geomspace` and the ranges of dates.
        case values([Value])
        /// `pchoice`: weights are positive and need not add up to 1.
        case weighted([Weighted])
        case distribution(Distribution, quantum: Double?)
    }

    public struct Weighted: Hashable, Sendable, Codable {
        public var value: Value
        public var weight: Double

        public init(_ value: Value, weight: Double) {
            self.value = value
            self.weight = weight
        }
    }

    public enum Distribution: Hashable, Sendable, Codable {
        case uniform(low: Double, high: Double)
        /// e to the power of a uniform value, as in Polyaxon's tuner: low and high are logarithms.
        case logUniform(low: Double, high: Double)
        case normal(mean: Double, deviation: Double)
        case logNormal(mean: Double, deviation: Double)
    }
}

extension Matrix {
    /// The names that each point gives a value to.
    public var names: Set<String> {
        switch search {
        case .grid, .random: Set(axes.map(\.name))
        case .mapping(let points): Set(points.flatMap(\.keys))
        }
    }

    /// How many points there are; nil when a grid has more than can be counted.
    public var count: Int? {
        switch search {
        case .grid(let limit):
            guard let size = gridSize else { return limit }
            return limit.map { min($0, size) } ?? size
        case .random(let count, _):
            guard isFinite, let size = gridSize else { return count }
            return min(count, size)
        case .mapping(let points): return points.count
        }
    }

    /// With the seed that a random search is to have when the file gives none.
    public func seeded(by id: RunID) -> Matrix {
        guard case .random(let count, nil) = search else { return self }
        var copy = self
        // FNV-1a over the id: the same run draws the same points after each restart.
        let seed = id.description.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        copy.search = .random(count: count, seed: seed)
        return copy
    }

    /// The point at an index below `count`, by param.
    public func point(_ index: Int) -> [String: Value] {
        switch search {
        case .grid: return gridPoint(UInt64(index))
        case .random(_, let seed):
            let seed = seed ?? 0
            if isFinite, let size = gridSize {
                return gridPoint(Shuffle(count: UInt64(size), seed: seed)[UInt64(index)])
            }
            var point: [String: Value] = [:]
            for (position, axis) in axes.enumerated() {
                var generator = SplitMix64(seed: seed, stream: UInt64(position), position: UInt64(index))
                point[axis.name] = axis.space.draw(using: &generator)
            }
            return point
        case .mapping(let points): return points[index]
        }
    }

    /// Whether each axis is a list without weights.
    private var isFinite: Bool {
        axes.allSatisfy { axis in
            if case .values = axis.space { true } else { false }
        }
    }

    /// nil when it cannot be counted.
    private var gridSize: Int? {
        var size = 1
        for axis in axes {
            let (product, overflow) = size.multipliedReportingOverflow(by: axis.space.count ?? 0)
            if overflow { return nil }
            size = product
        }
        return size
    }

    private func gridPoint(_ number: UInt64) -> [String: Value] {
        var rest = number
        var point: [String: Value] = [:]
        for axis in axes.reversed() {
            guard case .values(let values) = axis.space, !values.isEmpty else { continue }
            point[axis.name] = values[Int(rest % UInt64(values.count))]
            rest /= UInt64(values.count)
        }
        return point
    }
}

extension Matrix.Space {
    /// How many values a list has; nil for what is drawn by chance.
    public var count: Int? {
        if case .values(let values) = self { values.count } else { nil }
    }

    func draw(using generator: inout SplitMix64) -> Value {
        switch self {
        case .values(let values):
            return values[Int(generator.next() % UInt64(values.count))]
        case .weighted(let choices):
            var rest = generator.unit() * choices.reduce(0) { $0 + $1.weight }
            for choice in choices {
                rest -= choice.weight
                if rest < 0 { return choice.value }
            }
            return choices.last { $0.weight > 0 }?.value ?? .null
        case .distribution(let distribution, let quantum):
            let value = distribution.draw(using: &generator)
            guard let quantum else { return .double(value) }
            return .double((value / quantum).rounded(.toNearestOrEven) * quantum)
        }
    }
}

extension Matrix.Distribution {
    /// A value from its middle, to see what kind of values it gives.
    public var center: Double {
        switch self {
        case .uniform(let low, let high): low + (high - low) / 2
        case .logUniform(let low, let high): Elementary.exp(low + (high - low) / 2)
        case .normal(let mean, _): mean
        case .logNormal(let mean, _): Elementary.exp(mean)
        }
    }

    func draw(using generator: inout SplitMix64) -> Double {
        switch self {
        case .uniform(let low, let high): return low + generator.unit() * (high - low)
        case .logUniform(let low, let high): return Elementary.exp(low + generator.unit() * (high - low))
        case .normal(let mean, let deviation): return mean + deviation * Self.standardNormal(&generator)
        case .logNormal(let mean, let deviation):
            return Elementary.exp(mean + deviation * Self.standardNormal(&generator))
        }
    }

    /// Box and Muller's: from two uniform values; the first is never 0.
    private static func standardNormal(_ generator: inout SplitMix64) -> Double {
        let radius = (-2 * Elementary.log(1 - generator.unit())).squareRoot()
        return radius * Elementary.cosine(turns: generator.unit())
    }
}
