import Foundation
import Testing

@testable import PostludeSandbox

/// The shipped programs in the kernel of this machine.
@Suite(.enabled(if: KernelSeccomp.isAvailable, "needs /usr/bin/python3")) struct SeccompKernelTests {
    #if arch(x86_64)
    /// uretprobe and uprobe: the kernel does not ask filters, and kills who calls them from elsewhere than its own
    /// trampoline (SIGILL).
    private static let unfiltered: Set<UInt32> = [335, 336]
    #else
    private static let unfiltered: Set<UInt32> = []
    #endif

    @Test func `the kernel answers every call as the interpreter does`() throws {
        var programs: [[SeccompProgram.Instruction]] = []
        var answers: [[UInt32]] = []
        var questions: [KernelSeccomp.Question] = []
        var expected: [UInt32] = []
        for name in SeccompProgramTests.profiles {
            guard let loaded = try SeccompExhaustiveTests.programs(name).first else { continue }
            let observable = KernelSeccomp.observable(loaded.machine.program)
            for number in Array(0...600) + [1000, 0x3fff_ffff, 0x4000_0000, 0x4000_0027, 0x4000_0200] as [UInt32]
            where !Self.unfiltered.contains(number) {
                // Every second one: the kernel is slower to ask than the interpreter.
                let arguments = loaded.meaning.arguments(for: number).enumerated().filter { $0.offset % 2 == 0 }
                for (_, arguments) in arguments {
                    let asked = Array(arguments.prefix(5))
                    questions.append(.init(program: programs.count, number: number, arguments: asked))
                    let call = BPFInterpreter.Call(
                        number: number, architecture: SeccompProgramTests.native, arguments: asked)
                    expected.append(loaded.machine.run(call).action)
                }
            }
            programs.append(observable.program)
            answers.append(observable.answers)
        }
        let given = try KernelSeccomp.ask(programs, questions)
        var wrong: [String] = []
        for ((question, answer), expected) in zip(zip(questions, given), expected) {
            let place = answers[question.program].firstIndex(of: expected).map { $0 + 1 }
            if answer != place { wrong.append("call \(question.number) with \(question.arguments)") }
        }
        #expect(wrong.isEmpty, "\(wrong.count), such as \(wrong.prefix(3))")
        print("seccomp: \(given.count) calls compared with the kernel")
    }

    /// Harmless calls with a program as it is shipped: [number, arguments...] and the error, 0 for success.
    private struct Outcome: Decodable {
        var errors: [Int]
        /// By signal: of a call of x32, of one of i386, of the same two without the program.
        var signals: [Int]
    }

    #if arch(x86_64)
    @Test(arguments: SeccompProgramTests.profiles) func `a process under the program lives with it`(name: String) throws
    {
        let program = try SeccompProgramTests.shipped(name).machine.program
        let fields = program.map { [UInt32($0.code), UInt32($0.ifTrue), UInt32($0.ifFalse), $0.operand] }
        // getpid; unshare; clone3; personality twice; chmod without and with S_ISUID of nothing; socket of AF_VSOCK and
        // of AF_UNIX; ioctl TIOCSTI and TCGETS of no descriptor; mseal of a bad address; a number that nobody has.
        let calls: [[UInt64]] = [
            [39], [272, 0], [435, 0, 0], [135, 0xffff_ffff], [135, 0x0004_0000], [90, 0, 0o755], [90, 0, 0o4755],
            [41, 40, 1, 0], [41, 0x1_0000_0028, 1, 0], [16, 9999, 0x5412, 0], [16, 9999, 0x5401, 0],
            [16, 9999, 0x1_0000_5412, 0], [462, 1, 1, 0], [600], [0x3fff_ffff],
        ]
        let expected = [0, 1, 38, 0, 1, 14, 1, 1, 1, 1, 9, 1, 38, 38, 38]
        let input = try JSONEncoder().encode(["program": fields.map { $0.map(UInt64.init) }, "calls": calls])
        let output = try JSONDecoder().decode(Outcome.self, from: try KernelSeccomp.run(Self.script, input))
        #expect(output.errors == expected)
        // x32 and i386: SIGSYS under the program. Without it the first is an unknown number to most kernels.
        #expect(output.signals.prefix(2) == [31, 31])
        #expect(output.signals.suffix(2) == [0, 0])
    }
    #endif

    private static let script = """
        import mmap
        given = json.load(sys.stdin)

        def foreign(kind):
            pid = os.fork()
            if pid == 0:
                if kind == 'x32':
                    call(0x40000000 | 39)
                else:
                    page = mmap.mmap(-1, 4096, prot=7)
                    page.write(bytes.fromhex('53b814000000cd805bc3'))  # push rbx; mov eax, 20; int 0x80; pop rbx; ret
                    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
                os._exit(0)
            status = os.waitpid(pid, 0)[1]
            return status & 0x7f

        before = [foreign('x32'), foreign('i386')]
        assert install(given['program']) == 0
        errors = [call(*words) for words in given['calls']]
        json.dump({'errors': errors, 'signals': [foreign('x32'), foreign('i386')] + before}, sys.stdout)
        """
}
