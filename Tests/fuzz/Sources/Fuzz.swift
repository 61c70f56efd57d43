import Glibc

/// What libFuzzer, which brings the program's `main`, calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    Fuzz.one([UInt8](UnsafeBufferPointer(start: data, count: size)))
    return 0
}

/// `postlude-fuzz`: libFuzzer over one of the places where Postlude reads what it did not write.
///
/// `POSTLUDE_FUZZ_TARGET` names the target (libFuzzer starts this program again with its own arguments only); see run.sh.
enum Fuzz {
    /// Processor time that one input may take; the wall clock says little on a busy machine.
    static let secondsPerInput = 1.0

    private static let targets: [String: @Sendable ([UInt8]) -> Void] = [
        "plan": PlanTarget.run, "spec": SpecTarget.run, "expression": ExpressionTarget.run,
        "seccomp": SeccompTarget.run,
    ]

    private static let target: @Sendable ([UInt8]) -> Void = {
        let name = getenv("POSTLUDE_FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let found = targets[name] else {
            let known = targets.keys.sorted().joined(separator: ", ")
            print("fuzz: POSTLUDE_FUZZ_TARGET is '\(name)'; targets are \(known)")
            exit(2)
        }
        return found
    }()

    static func one(_ input: [UInt8]) {
        let started = clock()
        target(input)
        let seconds = clock() - started
        demand(seconds <= secondsPerInput, "one input took \(seconds) s of processor time")
    }

    private static func clock() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Ends the program the way a crash does, so that libFuzzer keeps the input.
    static func demand(_ holds: Bool, _ what: @autoclosure () -> String) {
        guard !holds else { return }
        print("fuzz: broken promise: \(what())")
        fflush(nil)
        abort()
    }
}
