/// Elementary functions for drawing values, since this module has no mathematical library to import: to some 15 digits
/// in the ranges that a matrix can ask for, and the same bits on every machine.
enum Elementary {
    static let pi = Double.pi
    private static let ln2 = 0.693147180559945309417232121458
    /// The head of ln 2 has zeros enough at its end that its multiples are exact.
    private static let ln2High = 0.693147180369123816490
    private static let ln2Low = 1.90821492927058770002e-10

    /// The natural logarithm; NaN below 0, minus infinity at 0.
    static func log(_ x: Double) -> Double {
        guard x > 0, x.isFinite else { return x == 0 ? -.infinity : x == .infinity ? .infinity : .nan }
        var exponent = Double(x.exponent)
        var mantissa = x.significand
        if mantissa > 1.4142135623730951 {
            mantissa /= 2
            exponent += 1
        }
        // ln m = 2 artanh((m - 1) / (m + 1)), whose argument is at most 0.18 here.
        let t = (mantissa - 1) / (mantissa + 1)
        let square = t * t
        var sum = 0.0
        for k in stride(from: 23, through: 1, by: -2) { sum = sum * square + 1 / Double(k) }
        return exponent * ln2High + (exponent * ln2Low + 2 * t * sum)
    }

    /// e to the power of `x`.
    static func exp(_ x: Double) -> Double {
        guard x.isFinite else { return x == -.infinity ? 0 : x }
        if x > 709.78 { return .infinity }
        if x < -745.13 { return 0 }
        let count = (x / ln2).rounded()
        let rest = (x - count * ln2High) - count * ln2Low
        var sum = 1.0
        for k in stride(from: 18, through: 1, by: -1) { sum = 1 + sum * rest / Double(k) }
        let half = (count / 2).rounded(.towardZero)
        // In two steps, since the scale of a subnormal result is none itself.
        return sum * two(to: Int(half)) * two(to: Int(count - half))
    }

    /// `base` to the power of `exponent`, for a positive base; exact for whole exponents that are small.
    static func power(_ base: Double, _ exponent: Double) -> Double {
        if exponent == exponent.rounded(), abs(exponent) <= 64 {
            var result = 1.0
            for _ in 0..<Int(abs(exponent)) { result *= base }
            return exponent < 0 ? 1 / result : result
        }
        return exp(exponent * log(base))
    }

    /// The cosine of `turns` full turns.
    static func cosine(turns: Double) -> Double {
        let x = (turns - turns.rounded()) * 2 * pi
        let square = x * x
        var sum = 1.0
        for k in stride(from: 30, through: 2, by: -2) { sum = 1 - sum * square / Double(k * (k - 1)) }
        return sum
    }

    private static func two(to exponent: Int) -> Double {
        Double(sign: .plus, exponent: exponent, significand: 1)
    }
}
