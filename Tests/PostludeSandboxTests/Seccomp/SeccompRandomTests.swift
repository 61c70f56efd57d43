import Foundation
import Glibc
import Testing

@testable import PostludeSandbox

/// Profiles that nobody wrote: what libseccomp and the search tree make of rules that overlap in every way.
@Suite(.enabled(if: !isGuest, notInGuest)) struct SeccompRandomTests {
    /// A small generator with a known start (Knuth's MMIX), so that a failure can be repeated.
    struct Numbers: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    private static let calls = [
        "read", "write", "ioctl", "socket", "clone", "personality", "fcntl", "openat", "prctl", "statmount", "mseal",
    ]
    private static let values: [UInt32] = [0, 1, 2, 3, 7, 8, 0xff, 0x100, 0x8000_0000, 0xffff_fffe, .max]

    private static func action(_ numbers: inout Numbers) -> (name: String, errno: Int) {
        let name = ["ALLOW", "ALLOW", "LOG", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "ERRNO"].randomElement(
            using: &numbers)
        return ("SCMP_ACT_\(name ?? "")", [1, 13, 38].randomElement(using: &numbers) ?? 1)
    }

    private static func rule(_ numbers: inout Numbers) -> [String: Any] {
        let action = action(&numbers)
        var rule: [String: Any] = [
            "names": Array(calls.shuffled(using: &numbers).prefix(Int.random(in: 1...3, using: &numbers))),
            "action": action.name, "errnoRet": action.errno,
        ]
        var conditions: [[String: Any]] = []
        for _ in 0..<Int.random(in: 0...3, using: &numbers) {
            var operation = ["EQ", "MASKED_EQ", "MASKED_EQ", "NE"].randomElement(using: &numbers) ?? "EQ"
            // Two unequal conditions on two arguments would be 32 times 32 rules, which the reader refuses.
            if conditions.contains(where: { $0["op"] as? String == "SCMP_CMP_NE" }) { operation = "MASKED_EQ" }
            conditions.append([
                "index": Int.random(in: 0...2, using: &numbers), "op": "SCMP_CMP_\(operation)",
                "value": values.randomElement(using: &numbers) ?? 0,
                "valueTwo": values.randomElement(using: &numbers) ?? 0,
            ])
        }
        if !conditions.isEmpty { rule["args"] = conditions }
        return rule
    }

    private static func profile(_ numbers: inout Numbers) -> [String: Any] {
        let fallback = action(&numbers)
        return [
            "defaultAction": fallback.name, "defaultErrnoRet": fallback.errno,
            "syscalls": (0...Int.random(in: 1...10, using: &numbers)).map { _ in rule(&numbers) },
        ]
    }

    @Test func `random profiles mean the same before and after they are compiled`() throws {
        let given = ProcessInfo.processInfo.environment
        // A longer look than a test run has time for: POSTLUDE_SECCOMP_PROFILES=20000 POSTLUDE_SECCOMP_SEED=7.
        let count = given["POSTLUDE_SECCOMP_PROFILES"].flatMap { Int($0) } ?? 15
        var numbers = Numbers(state: given["POSTLUDE_SECCOMP_SEED"].flatMap { UInt64($0) } ?? 20_261_122)
        let host = SeccompHost.current()
        var (profiles, compared, refused) = (0, 0, 0)
        while profiles < count {
            let json = try JSONSerialization.data(withJSONObject: Self.profile(&numbers), options: .sortedKeys)
            profiles += 1
            let text = String(decoding: json, as: UTF8.self)
            let meaning = try SeccompMeaning(json: json)
            let forms: SeccompCompiler.Forms
            do {
                let profile = try SeccompProfile.read(Array(json), file: "random.json", host: host)
                forms = try SeccompCompiler(file: "random.json", host: host).forms(of: profile)
            } catch {
                refused += 1
                print("seccomp: refused", error.message, text)
                continue
            }
            for (name, instructions) in [("short", forms.short), ("whole", forms.whole)] {
                guard let instructions else { continue }
                var program = try SeccompExhaustiveTests.Program("\(name) form of \(text)", instructions, meaning)
                for number in meaning.rules.keys.sorted() + [500, 39] {
                    for arguments in meaning.arguments(for: number).shuffled(using: &numbers).prefix(60) {
                        program.compare(number, arguments)
                    }
                }
                compared += program.compared
            }
        }
        #expect(refused == 0)
        print("seccomp: \(profiles) random profiles, \(compared) calls compared")
    }
}
