import Foundation

/// The files below `Sources`, as the compiler found this one.
struct SourceTree: Sendable {
    struct File: Sendable {
        var target: String
        /// Relative to the package's root.
        var path: String
        var lines: [String]
    }

    var targets: Set<String>
    var files: [File]

    static func load() throws -> SourceTree {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let sources = root.appending(path: "Sources")
        var tree = SourceTree(targets: [], files: [])
        for target in try FileManager.default.contentsOfDirectory(atPath: sources.path) where !target.hasPrefix(".") {
            tree.targets.insert(target)
            let directory = sources.appending(path: target)
            for path in try FileManager.default.subpathsOfDirectory(atPath: directory.path) {
                guard [".swift", ".c", ".h"].contains(where: path.hasSuffix) else { continue }
                let text = try String(contentsOf: directory.appending(path: path), encoding: .utf8)
                let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                tree.files.append(File(target: target, path: "Sources/\(target)/\(path)", lines: lines))
            }
        }
        tree.files.sort { $0.path < $1.path }
        return tree
    }

    var swiftFiles: [File] { files.filter { $0.path.hasSuffix(".swift") } }
    var cFiles: [File] { files.filter { !$0.path.hasSuffix(".swift") } }
}

extension SourceTree.File {
    /// The module each import line names: `@testable import struct A.B` is `A`.
    var imports: [(line: Int, module: String)] {
        let pattern =
            /^\s*(?:@\w+(?:\([^)]*\))?\s+|public\s+|package\s+|internal\s+|fileprivate\s+|private\s+)*import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)/
        return code.enumerated().compactMap { index, line in
            line.firstMatch(of: pattern).map { (index + 1, String($0.output.1)) }
        }
    }

    /// The lines without comments and without what string literals say.
    var code: [String] {
        var inBlock = false
        var inText = false
        return lines.map { line in
            if line.contains("\"\"\"") {
                defer { inText.toggle() }
                return inText
                    ? "" : String(line.prefix(upTo: line.firstRange(of: "\"\"\"")?.lowerBound ?? line.endIndex))
            }
            if inText { return "" }
            return Self.strip(line, &inBlock)
        }
    }

    private static func strip(_ line: String, _ inBlock: inout Bool) -> String {
        var result = ""
        var inString = false
        var characters = Substring(line)
        while let character = characters.first {
            if inBlock {
                if characters.hasPrefix("*/") {
                    inBlock = false
                    characters.removeFirst()
                }
            } else if inString {
                if character == "\\" {
                    characters.removeFirst()
                } else if character == "\"" {
                    inString = false
                    result.append(character)
                }
            } else if characters.hasPrefix("//") {
                break
            } else if characters.hasPrefix("/*") {
                inBlock = true
                characters.removeFirst()
            } else {
                inString = character == "\""
                result.append(character)
            }
            if !characters.isEmpty { characters.removeFirst() }
        }
        return result
    }
}
