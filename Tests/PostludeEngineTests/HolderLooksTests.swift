import PostludeDevices
import Testing

@testable import PostludeEngine

@Suite struct HolderLooksTests {
    private let start = ContinuousClock.now
    private var now: () -> ContinuousClock.Instant { { [start] in start } }
    private let display = HolderBaseline(startTimes: [7: 700])

    @Test func `what was seen at a release is used by the next grant, once`() async {
        let looks = HolderLooks()
        looks.keep(display, of: "gpu0", at: start)
        #expect(await looks.take(["gpu0", "gpu1"], at: now) == nil)
        looks.keep(display, of: "gpu0", at: start)
        #expect(await looks.take(["gpu0"], at: now) == ["gpu0": display])
        #expect(await looks.take(["gpu0"], at: now) == nil)
    }

    @Test func `a look that is too old is not used, and another may begin`() async {
        let looks = HolderLooks()
        looks.keep(display, of: "gpu0", at: start - HolderLooks.lifetime - .milliseconds(1))
        #expect(looks.begin(["gpu0"], at: start))
        looks.end([:], at: start)
        #expect(await looks.take(["gpu0"], at: now) == nil)
    }

    @Test func `one look goes on at a time, and none at what is known`() {
        let looks = HolderLooks()
        #expect(!looks.begin([], at: start))
        #expect(looks.begin(["gpu0"], at: start))
        #expect(!looks.begin(["gpu1"], at: start))
        looks.end(["gpu0": display], at: start)
        #expect(!looks.begin(["gpu0"], at: start))
        #expect(looks.begin(["gpu0", "gpu1"], at: start))
    }

    @Test func `a grant waits for the look that is under way, and only for one at its devices`() async {
        let looks = HolderLooks()
        #expect(looks.begin(["gpu0"], at: start))
        #expect(await looks.take(["gpu1"], at: now) == nil)
        async let taken = looks.take(["gpu0"]) { [start] in start }
        looks.end(["gpu0": display], at: start)
        #expect(await taken == ["gpu0": display])
    }
}
