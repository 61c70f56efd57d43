import Foundation

@testable import PostludeSandbox

/// The kernel's own answers: a child process installs programs and makes calls.
///
/// A program is only asked about calls whose sixth argument names it, so many can be asked in one process, and what it
/// would allow is turned into an error number that the child reads: no call that is compared is ever carried out.
struct KernelSeccomp {
    struct Question: Encodable {
        var program: Int
        var number: UInt32
        /// Five at most.
        var arguments: [UInt64]
    }

    struct Failure: Error { var output: String }

    static let python = "/usr/bin/python3"
    static let isAvailable = access(python, X_OK) == 0

    /// High half of the sixth argument of a call that is a question; the low half is the program's number.
    private static let mark: UInt32 = 0x5ecc_0de5

    private struct Input: Encodable {
        var programs: [[[UInt32]]] = []
        var questions: [[UInt64]] = []
    }

    /// What every program answers, as the low 12 bits of an error number; nil for a program that the kernel refuses.
    ///
    /// Programs end in SECCOMP_RET_ERRNO for every question, see `observable`.
    static func ask(_ programs: [[SeccompProgram.Instruction]], _ questions: [Question]) throws -> [Int?] {
        try send(programs, questions, mark: mark)
    }

    /// Whether the kernel takes each program; none of them is run for any call but those of the child itself.
    static func takes(_ programs: [[SeccompProgram.Instruction]]) throws -> [Bool] {
        let questions = programs.indices.map { Question(program: $0, number: getpidNumber, arguments: []) }
        return try send(programs, questions, mark: 0).map { $0 != nil }
    }

    #if arch(x86_64)
    static let getpidNumber: UInt32 = 39
    #else
    static let getpidNumber: UInt32 = 172
    #endif

    private static func send(
        _ programs: [[SeccompProgram.Instruction]], _ questions: [Question], mark: UInt32
    ) throws -> [Int?] {
        var input = Input()
        for (index, program) in programs.enumerated() {
            input.programs.append(numbers(gate(UInt32(index)) + program))
        }
        for question in questions {
            let padded = question.arguments + [UInt64](repeating: 0, count: 5 - question.arguments.count)
            let key = UInt64(mark) << 32 | UInt64(question.program)
            input.questions.append([UInt64(question.program), UInt64(question.number)] + padded + [key])
        }
        let output = try run(script, try JSONEncoder().encode(input))
        return try JSONDecoder().decode([Int?].self, from: output)
    }

    /// The program with each answer replaced by an error number of its own, and the answers in that order from 1 on.
    static func observable(
        _ program: [SeccompProgram.Instruction]
    ) -> (program: [SeccompProgram.Instruction], answers: [UInt32]) {
        var answers: [UInt32] = []
        let changed = program.map { instruction in
            guard instruction.code == BPF.returnConstant else { return instruction }
            if !answers.contains(instruction.operand) { answers.append(instruction.operand) }
            let place = answers.firstIndex(of: instruction.operand) ?? 0
            return SeccompProgram.Instruction(BPF.returnConstant, 0x0005_0000 | UInt32(place + 1))
        }
        return (changed, answers)
    }

    /// Lets everything pass but questions for this program.
    private static func gate(_ index: UInt32) -> [SeccompProgram.Instruction] {
        [
            .init(BPF.loadWord, 60), .init(BPF.jumpIfEqual, mark, ifTrue: 0, ifFalse: 2), .init(BPF.loadWord, 56),
            .init(BPF.jumpIfEqual, index, ifTrue: 1, ifFalse: 0), .init(BPF.returnConstant, 0x7fff_0000),
            .init(0x00, 0),  // what a program finds in its accumulator
        ]
    }

    private static func numbers(_ program: [SeccompProgram.Instruction]) -> [[UInt32]] {
        program.map { [UInt32($0.code), UInt32($0.ifTrue), UInt32($0.ifFalse), $0.operand] }
    }

    /// Runs a script with `input` at its standard input.
    static func run(_ script: String, _ input: Data) throws -> Data {
        let directory = try TemporaryDirectory()
        let file = URL(fileURLWithPath: "\(directory.path)/input")
        try input.write(to: file)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = ["-I", "-c", prelude + script]
        process.standardInput = try FileHandle(forReadingFrom: file)
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        let complaints = try errors.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw Failure(
                output: "\(process.terminationStatus): " + String(decoding: data + complaints, as: UTF8.self))
        }
        return data
    }

    /// Installs a program, and makes calls without going through a function of the C library that knows them.
    private static let prelude = """
        import ctypes, json, os, platform, struct, sys
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        SECCOMP = 317 if platform.machine() == 'x86_64' else 277

        def call(number, *arguments):
            ctypes.set_errno(0)
            result = libc.syscall(ctypes.c_long(number), *[ctypes.c_ulong(value) for value in arguments])
            return ctypes.get_errno() if result == -1 else 0

        def install(program):
            code = b''.join(struct.pack('<HBBI', *instruction) for instruction in program)
            buffer = ctypes.create_string_buffer(code, max(len(code), 1))
            fprog = ctypes.create_string_buffer(struct.pack('<HxxxxxxQ', len(program), ctypes.addressof(buffer)), 16)
            return call(SECCOMP, 1, 0, ctypes.addressof(fprog))

        assert call(157 if platform.machine() == 'x86_64' else 167, 38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS

        """

    private static let script = """
        given = json.load(sys.stdin)
        refused = [install(program) for program in given['programs']]
        assert set(refused) <= {0, 22}, refused
        answers = []
        for program, *question in given['questions']:
            answers.append(None if refused[program] else call(*question))
        json.dump(answers, sys.stdout)
        """
}
