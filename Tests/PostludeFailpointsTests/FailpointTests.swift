import PostludeFailpoints
import Testing

@Suite struct FailpointTests {
    @Test func `every name is its failpoint's alone`() {
        #expect(Failpoint.all.count == 2 * Commit.allCases.count + Failpoint.Place.allCases.count)
        #expect(Set(Failpoint.all.map(\.name)).count == Failpoint.all.count)
        for point in Failpoint.all { #expect(Failpoint(name: point.name) == point) }
    }

    @Test func `an order says the place and the hit`() throws {
        #expect(try FailpointOrder("after:bind") == FailpointOrder(.after(.bind)))
        #expect(try FailpointOrder("after:bind@3") == FailpointOrder(.after(.bind), hit: 3))
        for point in Failpoint.all {
            for hit in [1, 2, 17] {
                let order = FailpointOrder(point, hit: hit)
                #expect(try FailpointOrder(order.text) == order)
            }
        }
    }

    @Test(arguments: [
        "", "bind", "after:", "after:bind@", "after:bind@0", "after:bind@-1", "after:bind@x", "@1", "started ",
    ])
    func `what is no order is refused`(text: String) {
        let error = #expect(throws: FailpointError.self) { try FailpointOrder(text) }
        #expect(error?.text == text)
    }

    @Test func `a failpoint that nobody asked for is passed`() {
        for point in Failpoint.all { Failpoint.reach(point) }
    }
}
