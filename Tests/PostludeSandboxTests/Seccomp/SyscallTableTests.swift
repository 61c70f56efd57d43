import Foundation
import Testing

@testable import PostludeSandbox

/// The numbers of names, against the kernel's own header as far as this machine's copy goes.
@Suite struct SyscallTableTests {
    private static let header =
        (["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"] as [String]).first {
            access($0, R_OK) == 0
        }

    #if arch(x86_64)
    @Test(.enabled(if: header != nil, "the kernel's headers are not installed"))
    func `names have the numbers of the kernel's header`() throws {
        let text = try String(contentsOfFile: try #require(Self.header), encoding: .utf8)
        var found = 0
        for line in text.split(separator: "\n") where line.hasPrefix("#define __NR_") {
            let words = line.split(separator: " ")
            guard words.count == 3, let number = Int32(words[2]) else { continue }
            let name = String(words[1].dropFirst(5))
            #expect(SyscallTable.look(up: name) == .number(number), "\(name)")
            found += 1
        }
        #expect(found > 300)
    }
    #endif
}
