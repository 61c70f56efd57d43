import Foundation
import Testing

@testable import PostludeCore

@Suite struct MatrixTests {
    private func ints(_ values: Int64...) -> Matrix.Space { .values(values.map(Value.int)) }

    @Test func `a grid has every combination once, the last axis fastest`() {
        let matrix = Matrix(.grid(limit: nil), axes: [.init("a", ints(1, 2)), .init("b", ints(7, 8, 9))])
        #expect(matrix.count == 6)
        let points = (0..<6).map { matrix.point($0) }
        #expect(points.map { $0["a"] } == [.int(1), .int(1), .int(1), .int(2), .int(2), .int(2)])
        #expect(points.map { $0["b"] } == [.int(7), .int(8), .int(9), .int(7), .int(8), .int(9)])
        #expect(Matrix(.grid(limit: 4), axes: matrix.axes).count == 4)
        #expect(Matrix(.grid(limit: 40), axes: matrix.axes).count == 6)
    }

    @Test func `a random search over lists draws distinct points, all of them when asked for more`() {
        let axes = (0..<3).map { Matrix.Axis("a\($0)", ints(1, 2, 3, 4, 5, 6, 7)) }
        let matrix = Matrix(.random(count: 100_000, seed: 3), axes: axes)
        #expect(matrix.count == 343)
        #expect(Set((0..<343).map { matrix.point($0) }).count == 343)
        let fewer = Matrix(.random(count: 20, seed: 3), axes: axes)
        #expect(fewer.count == 20)
        #expect((0..<20).map { fewer.point($0) } == (0..<20).map { matrix.point($0) })
        let other = Matrix(.random(count: 20, seed: 4), axes: axes)
        #expect((0..<20).map { other.point($0) } != (0..<20).map { fewer.point($0) })
    }

    @Test(arguments: [1, 2, 3, 4, 5, 16, 17, 1_000, 4_097] as [UInt64])
    func `a shuffle is a permutation`(count: UInt64) {
        let shuffle = Shuffle(count: count, seed: 99)
        #expect(Set((0..<count).map { shuffle[$0] }) == Set(0..<count))
    }

    @Test func `a grid too large to count has no count, and points all the same when it is drawn from`() {
        let axes = (0..<8).map { axis in Matrix.Axis("a\(axis)", .values((0..<1_000).map { .int($0) })) }
        #expect(Matrix(.grid(limit: nil), axes: axes).count == nil)
        let drawn = Matrix(.random(count: 50, seed: 1), axes: axes)
        #expect(drawn.count == 50)
        #expect(Set((0..<50).map { drawn.point($0) }).count == 50)
    }

    @Test func `the same seed draws the same points, one by one as well as in order`() {
        let axes: [Matrix.Axis] = [
            .init("u", .distribution(.uniform(low: -1, high: 3), quantum: nil)),
            .init("n", .distribution(.normal(mean: 5, deviation: 2), quantum: nil)),
            .init("w", .weighted([.init(.string("a"), weight: 0.9), .init(.string("b"), weight: 0.1)])),
        ]
        let matrix = Matrix(.random(count: 10_000, seed: 11), axes: axes)
        #expect(matrix.count == 10_000)
        let points = (0..<10_000).map { matrix.point($0) }
        #expect(matrix.point(1_234) == points[1_234])
        let uniform = points.compactMap { $0["u"]?.number }
        #expect(uniform.allSatisfy { $0 >= -1 && $0 < 3 })
        #expect(abs(uniform.reduce(0, +) / 10_000 - 1) < 0.05)
        let normal = points.compactMap { $0["n"]?.number }
        let mean = normal.reduce(0, +) / 10_000
        let variance = normal.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 10_000
        #expect(abs(mean - 5) < 0.1)
        #expect(abs(variance - 4) < 0.2)
        let rare = points.filter { $0["w"] == .string("b") }.count
        #expect(abs(rare - 1_000) < 150)
    }

    @Test func `a quantum rounds, and a logarithmic distribution is e to the power of its base`() {
        var generator = SplitMix64(seed: 5)
        for _ in 0..<1_000 {
            let stepped = Matrix.Space.distribution(.uniform(low: 0, high: 10), quantum: 0.5).draw(using: &generator)
            let value = stepped.number ?? -1
            #expect((value * 2).rounded() == value * 2)
            let log = Matrix.Space.distribution(.logUniform(low: 0, high: 1), quantum: nil).draw(using: &generator)
            #expect((1...2.7183).contains(log.number ?? -1))
        }
    }

    @Test func `a seed comes from the run's id when the file gives none`() throws {
        let id = try #require(RunID("0123456789abcdef0123456789abcdef"))
        let matrix = Matrix(.random(count: 5, seed: nil), axes: [.init("a", ints(1, 2, 3))])
        #expect(matrix.seeded(by: id) == matrix.seeded(by: id))
        #expect(matrix.seeded(by: id) != matrix.seeded(by: .random()))
        let given = Matrix(.random(count: 5, seed: 8), axes: matrix.axes)
        #expect(given.seeded(by: id) == given)
    }

    @Test func `ranges are numpy's`() {
        #expect(Matrix.range(start: .int(10), stop: .int(600), step: .int(50))?.count == 12)
        #expect(Matrix.range(start: .int(-5), stop: .int(0), step: .int(1)) == (-5...(-1)).map { .int($0) })
        #expect(Matrix.range(start: .int(3), stop: .int(0), step: .int(-1)) == [.int(3), .int(2), .int(1)])
        #expect(Matrix.range(start: .double(0), stop: .int(1), step: .double(0.25))?.count == 4)
        #expect(Matrix.range(start: .int(0), stop: .int(1), step: .int(0)) == nil)
        #expect(Matrix.range(start: .int(1), stop: .int(0), step: .int(1)) == nil)
        #expect(Matrix.range(start: .int(0), stop: .int(10_001), step: .int(1)) == nil)
        #expect(
            Matrix.linear(start: 0, stop: 1, count: 5) == [
                .double(0), .double(0.25), .double(0.5), .double(0.75), .double(1),
            ])
        #expect(Matrix.linear(start: 3, stop: 9, count: 1) == [.double(3)])
        #expect(Matrix.logarithmic(start: -2, stop: 1, count: 4)?.compactMap(\.number) == [0.01, 0.1, 1, 10])
        let geometric = Matrix.geometric(start: 1, stop: 1_000, count: 4)?.compactMap(\.number) ?? []
        for (value, expected) in zip(geometric, [1, 10, 100, 1_000] as [Double]) {
            #expect(abs(value / expected - 1) < 1e-12)
        }
        #expect(geometric.count == 4)
        #expect(Matrix.geometric(start: -1, stop: 1, count: 4) == nil)
    }

    @Test func `elementary functions agree with the system's`() {
        for exponent in stride(from: -700.0, through: 700, by: 0.37) {
            let ours = Elementary.exp(exponent)
            #expect(abs(ours / exp(exponent) - 1) < 1e-13, "exp(\(exponent))")
            #expect(abs(Elementary.log(ours) - exponent) < 1e-12 * max(1, abs(exponent)), "log(exp(\(exponent)))")
        }
        for turns in stride(from: -2.0, through: 2, by: 0.01) {
            #expect(abs(Elementary.cosine(turns: turns) - cos(turns * 2 * .pi)) < 1e-12)
        }
        #expect(Elementary.exp(-.infinity) == 0)
        #expect(Elementary.log(0) == -.infinity)
        #expect(Elementary.log(-1).isNaN)
        #expect(Elementary.power(10, -3) == 0.001)
    }

    @Test func `a child's point is data, and what belongs to the parent stays there`() {
        let component = Component(
            inputs: [IODeclaration(name: "x", type: "str")], job: JobSpec(container: ContainerSpec(command: ["true"])))
        let hook = Hook(name: "h", origin: "inline", component: component)
        var operation = Operation(component: component, conditions: "{{ true }}", isApproved: false)
        operation.matrix = Matrix(.mapping([["x": .string("{{ 7*7 }}")]]))
        operation.eachHooks = [hook]
        let child = operation.child(at: ["x": .string("{{ 7*7 }}")])
        #expect(child.params["x"]?.isTemplate == false)
        #expect(child.params["x"]?.value == .string("{{ 7*7 }}"))
        #expect(child.hooks == [hook])
        #expect(!child.isParent)
        #expect(child.conditions == nil)
        #expect(child.terms == Run.Terms())
        #expect(operation.terms == Run.Terms(kind: .pipeline, needsApproval: true))
        #expect(operation.withoutPoints.component.inputs.isEmpty)
        #expect(operation.kind == "matrix")
    }

    @Test func `without hooks means without those of children too, each named once`() {
        let job = Component(job: JobSpec(container: ContainerSpec(command: ["true"])))
        func hook(_ name: String) -> Hook { Hook(name: name, origin: "inline", component: job) }
        var sweep = Operation(
            component: job, hooks: [hook("own")], matrix: Matrix(.mapping([[:]]), hooks: [hook("own")]))
        sweep.eachHooks = [hook("each")]
        var graph = Operation(
            component: job, hooks: [hook("graph")],
            dag: Dag([Dag.Node("a", sweep), Dag.Node("b", Operation(component: job, hooks: [hook("each")]))]))
        graph.leaveHooksOut()
        #expect(graph.notes.map(\.message) == ["Hooks are left out, as asked: 'graph', 'own', 'each'."])
        let nodes = graph.dag?.nodes.map(\.operation) ?? []
        #expect(graph.hooks.isEmpty && nodes.count == 2 && nodes.allSatisfy(\.hooks.isEmpty))
        #expect(nodes[0].matrix?.hooks.isEmpty == true && nodes[0].child(at: [:]).hooks.isEmpty)
        var plain = Operation(component: job)
        plain.leaveHooksOut()
        #expect(plain.notes.isEmpty)
    }
}
