import PostludeCore

/// Templates and expressions. What stands before the first NUL is the template, what follows is a value it can read.
enum ExpressionTarget {
    /// The value of a name that only an expression which says so may read. Every text in reach holds a template that
    /// asks for it: should any value be evaluated again, it shows.
    private static let canary = "c4n4ry-71d0"
    private static let bait = "{{ canary }}"

    static func run(_ input: [UInt8]) {
        let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        let source = String(decoding: parts[0], as: UTF8.self)
        let data = parts.count > 1 ? String(decoding: parts[1], as: UTF8.self) : bait
        guard !source.contains(canary), !data.contains(canary) else { return }
        let context = context(data)
        let place = SourcePlace(file: "f", line: 3, column: 5)
        let template = Template(source, at: place)
        let count = source.unicodeScalars.count
        expression(source, context)
        do throws(ExpressionError) {
            let value = try Rendering.render(template, in: context)
            var size = Size()
            size.add(value)
            Fuzz.demand(size.bytes <= 16 << 20 && size.items <= 500_000, "a value of \(size)")
            let again = try Rendering.render(template, in: context)
            Fuzz.demand(again == value || "\(value)".contains("nan"), "rendering twice differs")
            let text = try Rendering.text(template, in: context)
            Fuzz.demand(text.utf8.count <= ExpressionLimits.templateBytes, "a text of \(text.utf8.count) bytes")
            if !Rendering.freeNames(of: template).contains("canary") {
                Fuzz.demand(!text.contains(canary), "a value was evaluated: \(text)")
            }
            if !Rendering.hasExpression(source) { Fuzz.demand(text == source, "a plain text changed") }
            if case .string(let rendered) = value { Fuzz.demand(rendered == text, "two texts of one template") }
        } catch {
            Fuzz.demand((0...count).contains(error.offset), "an error at \(error.offset) of \(count): \(error)")
            Fuzz.demand((error.place?.line ?? 0) >= 3 && (error.place?.column ?? 0) >= 5, "no place: \(error)")
            Fuzz.demand(!error.message.isEmpty && !error.message.contains(canary), "an error says \(error)")
        }
    }

    /// The text as one expression, without braces.
    private static func expression(_ source: String, _ context: EvaluationContext) {
        do throws(ExpressionError) {
            let expression = try Expression.parse(source)
            let names = expression.freeNames
            let value = try expression.evaluate(context)
            if !names.contains("canary") {
                Fuzz.demand(!"\(value)".contains(canary), "a value was evaluated: \(value)")
            }
            let text = try value.text()
            Fuzz.demand(text.utf8.count <= ExpressionLimits.resultBytes, "a text of \(text.utf8.count) bytes")
        } catch {
            let count = source.unicodeScalars.count
            Fuzz.demand((0...count).contains(error.offset), "an error at \(error.offset) of \(count): \(error)")
        }
    }

    private struct Size {
        var bytes = 0
        var items = 0

        mutating func add(_ value: Value) {
            items += 1
            switch value {
            case .null, .bool, .int, .double: break
            case .string(let text): bytes += text.utf8.count
            case .list(let values): for value in values { add(value) }
            case .dict(let entries):
                for (key, value) in entries {
                    bytes += key.utf8.count
                    add(value)
                }
            }
        }
    }

    private static let long = Value.string(String(repeating: "é{{ canary }}", count: 4000))
    private static let many = Value.list((0..<3000).map { $0 % 3 == 0 ? .string(bait) : .int(Int64($0)) })

    private static func context(_ data: String) -> EvaluationContext {
        EvaluationContext([
            "canary": .string(canary), "data": .string(data), "bait": .string(bait), "long": long, "many": many,
            "words": .list(data.split(separator: ",").map { .string(String($0)) }),
            "i": .int(7), "big": .int(.max), "small": .int(.min), "f": .double(0.5), "huge": .double(1e308),
            "t": .bool(true), "none_": .null, "empty": .list([]),
            "d": .dict(["a": .int(1), "b": .list([.string(bait), .null]), "c": .dict(["x": .string(data)])]),
        ])
    }
}
