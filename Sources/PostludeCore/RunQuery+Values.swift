/// From what a file says to what runs are held against.
extension RunQuery {
    /// The query with its values in place. A list that a template makes stands for any of its items.
    ///
    /// - Throws: `InputError` with the place of the value that cannot be had, or means nothing for its field.
    func criteria(in context: EvaluationContext) throws(InputError) -> RunCriteria {
        var found: [RunCriteria.Condition] = []
        for condition in conditions { found.append(try condition.criterion(in: context)) }
        return RunCriteria(conditions: found)
    }
}

extension RunQuery.Condition {
    /// Looks at the values that are no templates.
    func checkWritten() throws(RunQuery.Problem) {
        if case .oneOf(let all) = test, all.count > RunQuery.maxValues {
            throw Self.tooMany(all.count, name, at: all[RunQuery.maxValues].offset)
        }
        let operands: [RunQuery.Operand] =
            switch test {
            case .missing: []
            case .oneOf(let all): all
            case .compare(_, let operand): [operand]
            case .range(let low, let high): [low, high]
            }
        for operand in operands where !operand.isTemplate { try check(.string(operand.template.source), operand) }
    }

    func criterion(in context: EvaluationContext) throws(InputError) -> RunCriteria.Condition {
        var criterion = RunCriteria.Condition(field: field, isNegated: isNegated, test: .missing)
        switch test {
        case .missing: break
        case .oneOf(let operands):
            var values: [(value: Value, operand: RunQuery.Operand)] = []
            for operand in operands {
                let value = try rendered(operand, in: context)
                guard case .list(let items) = value else {
                    values.append((value, operand))
                    continue
                }
                for item in items { values.append((item, operand)) }
            }
            try checkCount(values.count)
            criterion.test = try located { () throws(RunQuery.Problem) in
                guard field.nature == .time else {
                    var found: [RunCriteria.Operand] = []
                    for (value, operand) in values { found.append(try self.operand(value, operand)) }
                    return .oneOf(found)
                }
                var spans: [Range<Int64>] = []
                for (value, operand) in values { spans.append(try span(value, operand)) }
                return .instants(spans)
            }
        case .compare(let comparison, let operand):
            let value = try rendered(operand, in: context)
            criterion.test = try located { () throws(RunQuery.Problem) in
                guard field.nature == .time else { return .compare(comparison, try self.operand(value, operand)) }
                return .instants([Self.instants(comparison, try span(value, operand))])
            }
        case .range(let low, let high):
            let (first, last) = (try rendered(low, in: context), try rendered(high, in: context))
            criterion.test = try located { () throws(RunQuery.Problem) in
                guard field.nature == .time else {
                    return .between(try operand(first, low), try operand(last, high))
                }
                let (from, until) = (try span(first, low), try span(last, high))
                return .instants(from.lowerBound < until.upperBound ? [from.lowerBound..<until.upperBound] : [])
            }
        }
        return criterion
    }

    private func checkCount(_ count: Int) throws(InputError) {
        guard count > RunQuery.maxValues else { return }
        try located { () throws(RunQuery.Problem) -> Void in throw Self.tooMany(count, name, at: 0) }
    }

    private static func tooMany(_ count: Int, _ name: String, at offset: Int) -> RunQuery.Problem {
        RunQuery.Problem(
            "wrong-value", "The condition on '\(name)' has \(count) values; \(RunQuery.maxValues) are allowed.",
            hint: "Give the runs a tag, and search for that.", at: offset)
    }

    private func rendered(_ operand: RunQuery.Operand, in context: EvaluationContext) throws(InputError) -> Value {
        guard operand.isTemplate else { return .string(operand.template.source) }
        do throws(ExpressionError) {
            return try Rendering.render(operand.template, in: context)
        } catch {
            throw InputError(error)
        }
    }

    /// A problem's place is the operand's own.
    private func located<T>(_ body: () throws(RunQuery.Problem) -> T) throws(InputError) -> T {
        do throws(RunQuery.Problem) {
            return try body()
        } catch {
            let place: SourcePlace? =
                switch test {
                case .missing: nil
                case .oneOf(let operands):
                    (operands.first { $0.offset == error.offset } ?? operands.first)?.template.place
                case .compare(_, let operand): operand.template.place
                case .range(let low, let high): (high.offset == error.offset ? high : low).template.place
                }
            throw InputError([Diagnostic(.error, error.code, error.message, hint: error.hint, at: place)])
        }
    }

    private func check(_ value: Value, _ operand: RunQuery.Operand) throws(RunQuery.Problem) {
        if field.nature == .time { _ = try span(value, operand) } else { _ = try self.operand(value, operand) }
    }

    private func operand(
        _ value: Value, _ written: RunQuery.Operand
    ) throws(RunQuery.Problem) -> RunCriteria.Operand {
        guard var operand = RunCriteria.Operand(value) else {
            throw RunQuery.Problem(
                "wrong-value", "The value of '\(name)' is \(value.brief), which nothing is compared with.",
                hint: value == .null ? "Write \(name): nil for runs that have none." : "Give a text or a number.",
                at: written.offset)
        }
        switch field.nature {
        case .word(let words):
            guard words.contains(operand.text) else {
                throw RunQuery.Problem(
                    "wrong-value", "'\(operand.text.prefix(64))' is no \(name).",
                    hint: Suggestion.hint(for: operand.text, among: words)
                        ?? "It is one of \(words.sorted().joined(separator: ", ")).", at: written.offset)
            }
        case .number:
            guard operand.number != nil else {
                throw RunQuery.Problem(
                    "wrong-value", "'\(name)' is a number, and '\(operand.text.prefix(64))' is none.",
                    hint: "Such as \(name): <0.5.", at: written.offset)
            }
        case .text, .time, .any: break
        }
        if field == .uuid || field == .pipeline {
            guard let id = RunID(operand.text) else {
                throw RunQuery.Problem(
                    "wrong-value", "'\(operand.text.prefix(64))' is no run's uuid.",
                    hint: "Write its 32 digits, or a template such as {{ globals.uuid }}.", at: written.offset)
            }
            operand.text = id.description
        }
        // Only what the file itself says has patterns.
        if field.hasPatterns, !written.isTemplate { operand.readPattern() }
        return operand
    }

    private func span(_ value: Value, _ operand: RunQuery.Operand) throws(RunQuery.Problem) -> Range<Int64> {
        if case .string(let text) = value, let span = TimeSpan.parse(text) { return span }
        throw RunQuery.Problem(
            "wrong-value", "'\(name)' is a time, and \(value.brief) is none.",
            hint: "Write 2026-06-24, \"2026-06-24 21:20\" or 2026-06-24T21:20:07Z.", at: operand.offset)
    }

    /// A day is all of its hours: after it is not in it.
    private static func instants(_ comparison: RunQuery.Comparison, _ span: Range<Int64>) -> Range<Int64> {
        switch comparison {
        case .less: .min..<span.lowerBound
        case .lessOrEqual: .min..<span.upperBound
        case .greater: span.upperBound..<(.max)
        case .greaterOrEqual: span.lowerBound..<(.max)
        }
    }
}

extension RunQuery.Operand {
    var isTemplate: Bool { Rendering.hasExpression(template.source) }
}

extension RunCriteria.Operand {
    fileprivate mutating func readPattern() {
        var scalars = Array(text.unicodeScalars)
        if scalars.count > 1, scalars.first == "%" {
            isOpenBefore = true
            scalars.removeFirst()
        }
        if scalars.count > 1, scalars.last == "%" {
            isOpenBehind = true
            scalars.removeLast()
        }
        text = ExpressionLexer.string(scalars[...])
    }
}

/// A day, a minute or a second as queries write them.
enum TimeSpan {
    /// Microseconds since 1970; a text without an offset is UTC. nil for what is no time.
    static func parse(_ text: String) -> Range<Int64>? {
        guard InputFormats.isDateTime(text) else { return nil }
        let scalars = Array(text.utf8)
        guard let year = number(scalars[0..<4]), let month = number(scalars[5..<7]), let day = number(scalars[8..<10])
        else { return nil }
        let start = days(year, month, day) * 86_400
        guard scalars.count > 10 else { return range(start, seconds: 86_400) }
        var clock = scalars[11...]
        var offset: Int64 = 0
        if clock.last == UInt8(ascii: "Z") || clock.last == UInt8(ascii: "z") {
            clock = clock.dropLast()
        } else if let sign = clock.lastIndex(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") }) {
            let digits = clock[(sign + 1)...].filter { $0 != UInt8(ascii: ":") }
            guard let hours = number(digits.prefix(2)) else { return nil }
            offset = hours * 3_600 + (number(digits.dropFirst(2)) ?? 0) * 60
            if clock[sign] == UInt8(ascii: "-") { offset = -offset }
            clock = clock[..<sign]
        }
        let parts = clock.split(separator: UInt8(ascii: ":"))
        guard parts.count >= 2, let hour = number(parts[0]), let minute = number(parts[1]) else { return nil }
        let base = start + hour * 3_600 + minute * 60 - offset
        guard parts.count > 2 else { return range(base, seconds: 60) }
        let second = parts[2].split(separator: UInt8(ascii: "."))
        guard let seconds = number(second[0]) else { return nil }
        guard second.count > 1 else { return range(base + seconds, seconds: 1) }
        // Beyond microseconds nothing is stored.
        let digits = second[1].prefix(6) + Array(repeating: UInt8(ascii: "0"), count: max(0, 6 - second[1].count))
        guard let fraction = number(digits) else { return nil }
        let instant = (base + seconds) * 1_000_000 + fraction
        return instant..<instant + 1
    }

    private static func range(_ start: Int64, seconds: Int64) -> Range<Int64> {
        start * 1_000_000..<(start + seconds) * 1_000_000
    }

    private static func number(_ digits: some Sequence<UInt8>) -> Int64? {
        var value: Int64?
        for digit in digits {
            guard digit >= 0x30, digit <= 0x39 else { return nil }
            value = (value ?? 0) * 10 + Int64(digit - 0x30)
        }
        return value
    }

    /// Days from 1970-01-01 (proleptic Gregorian), eras of 400 years beginning in March.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
