extension Matrix {
    /// `range`: from `start` in steps of `step`, without `stop`, as numpy's arange; whole numbers stay whole.
    /// nil when it is empty or has more than `maxPoints` values.
    public static func range(start: Value, stop: Value, step: Value) -> [Value]? {
        if case .int(let first) = start, case .int(let last) = stop, case .int(let by) = step {
            guard by != 0 else { return nil }
            let values = stride(from: first, to: last, by: Int(clamping: by)).prefix(maxPoints + 1).map(Value.int)
            return values.isEmpty || values.count > maxPoints ? nil : values
        }
        guard let first = start.number, let last = stop.number, let by = step.number, by != 0 else { return nil }
        let count = ((last - first) / by).rounded(.up)
        guard count >= 1, count <= Double(maxPoints) else { return nil }
        return (0..<Int(count)).map { .double(first + Double($0) * by) }
    }

    /// `linspace`: `count` values at even distances, both ends included.
    public static func linear(start: Double, stop: Double, count: Int) -> [Value]? {
        guard count >= 1, count <= maxPoints else { return nil }
        return positions(count).map { .double($0 == 1 ? stop : start + $0 * (stop - start)) }
    }

    /// `logspace`: powers of `base` whose exponents are at even distances.
    public static func logarithmic(start: Double, stop: Double, count: Int, base: Double = 10) -> [Value]? {
        guard count >= 1, count <= maxPoints, base > 0 else { return nil }
        return positions(count).map { .double(Elementary.power(base, $0 == 1 ? stop : start + $0 * (stop - start))) }
    }

    /// `geomspace`: values with the same quotient from one to the next; neither end is 0, and both have one sign.
    public static func geometric(start: Double, stop: Double, count: Int) -> [Value]? {
        guard count >= 1, count <= maxPoints, start != 0, stop != 0, (start < 0) == (stop < 0) else { return nil }
        let quotient = Elementary.log(stop / start)
        return positions(count).map { position in
            .double(
                position == 0
                    ? start : position == 1 && count > 1 ? stop : start * Elementary.exp(position * quotient))
        }
    }

    /// From 0 to 1; only 0 when there is one.
    private static func positions(_ count: Int) -> [Double] {
        (0..<count).map { count == 1 ? 0 : Double($0) / Double(count - 1) }
    }
}

extension Value {
    /// An int or float as a float; nil for anything else.
    public var number: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        case .null, .bool, .string, .list, .dict: nil
        }
    }
}
