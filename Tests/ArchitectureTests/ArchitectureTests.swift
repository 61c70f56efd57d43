import Testing

@Suite struct ArchitectureTests {
    let tree: SourceTree

    init() throws { tree = try SourceTree.load() }

    @Test func `every target is in the table, and every row has its target`() {
        #expect(Set(Table.rows.map(\.target)) == tree.targets)
        #expect(Table.rows.count == Set(Table.rows.map(\.target)).count, "a target has two rows")
    }

    @Test func `a row names only targets that exist`() {
        for row in Table.rows {
            #expect(row.ours.subtracting(tree.targets) == [], "\(row.target)")
        }
    }

    @Test func `targets form no cycle`() {
        let arrows = Dictionary(Table.rows.map { ($0.target, $0.ours) }, uniquingKeysWith: { $0.union($1) })
        var settled: Set<String> = []
        while let next = arrows.first(where: { !settled.contains($0.key) && $0.value.isSubset(of: settled) }) {
            settled.insert(next.key)
        }
        #expect(Set(arrows.keys).subtracting(settled) == [])
    }

    @Test func `every import is in the table`() {
        let rows = Dictionary(Table.rows.map { ($0.target, $0) }, uniquingKeysWith: { first, _ in first })
        #expect(tree.swiftFiles.count > 50, "the tree was not read")
        for file in tree.swiftFiles {
            let allowed = rows[file.target].map { $0.ours.union($0.others) } ?? []
            for (line, module) in file.imports where !allowed.contains(module) {
                Issue.record("\(file.path):\(line): \(file.target) may not import \(module)")
            }
        }
    }

    @Test(arguments: [
        "import A", "  @testable import A", "public import A", "import struct A.B", "import A.Inner",
        "@preconcurrency @_spi(Part) private import A",
    ])
    func `the reader knows every form of import`(line: String) {
        let file = SourceTree.File(target: "T", path: "T.swift", lines: ["// import X", "let a = \"import Y\"", line])
        #expect(file.imports.map(\.module) == ["A"])
        #expect(file.imports.map(\.line) == [3])
    }

    @Test func `a target that the table grants is really used`() {
        for row in Table.rows {
            let used = Set(tree.swiftFiles.filter { $0.target == row.target }.flatMap { $0.imports.map(\.module) })
            #expect(
                row.others.subtracting(used) == [], "\(row.target) no longer imports these: take them out of its row")
        }
    }

    @Test func `no shortcut that hides a failure`() {
        let shortcuts: [(Regex<Substring>, String)] = [
            (/\btry!/, "try!"),
            (/(?:^|[;{])\s*(?:_\s*=\s*)?try\?/, "a try? whose result nobody looks at"),
            (/\bfatalError\b/, "fatalError"),
            (/@unchecked\s+Sendable/, "@unchecked Sendable"),
            (/\bas!/, "as!"),
        ]
        for file in tree.swiftFiles {
            for (index, line) in file.code.enumerated() {
                for (pattern, name) in shortcuts where line.contains(pattern) {
                    Issue.record("\(file.path):\(index + 1): \(name)")
                }
            }
        }
    }

    @Test func `nothing is left to do in comments`() {
        for file in tree.files {
            for (index, line) in file.lines.enumerated() where line.contains(/\b(?:TODO|FIXME|XXX)\b/) {
                Issue.record("\(file.path):\(index + 1): \(line)")
            }
        }
    }

    @Test func `files stay readable in one sitting`() {
        for file in tree.files where file.lines.count > 400 {
            Issue.record("\(file.path): \(file.lines.count) lines; split it as Type+Topic.swift")
        }
    }

    @Test func `C wraps system calls and decides nothing`() {
        for file in tree.cFiles {
            let code = file.code
            if file.path.hasSuffix(".c") {
                #expect(
                    code.allSatisfy { $0.isEmpty || $0.hasPrefix("#include") },
                    "\(file.path): code belongs in the header")
            }
            for (index, line) in code.enumerated() where !line.hasPrefix("#") {
                if line.contains(/\b(?:if|else|for|while|do|switch|goto)\b/) {
                    Issue.record("\(file.path):\(index + 1): a wrapper that decides: \(line)")
                }
            }
            // A few statements may fill a structure; the call itself is one.
            for body in Self.bodies(code) where body.statements > 3 || body.end != body.start {
                Issue.record(
                    "\(file.path):\(body.start): a wrapper is one line that fills a structure and makes one call")
            }
        }
    }

    private struct Body {
        var start: Int
        var end: Int
        var statements: Int
    }

    /// The lines each function body spans, and how many statements it has.
    private static func bodies(_ code: [String]) -> [Body] {
        var found: [Body] = []
        var depth = 0
        var inFunction = false
        var previous = ""
        for (index, line) in code.enumerated() where !line.hasPrefix("#") {
            for character in line {
                if character == "{" {
                    if depth == 0 {
                        inFunction = previous.last { $0 != " " } == ")"
                        if inFunction { found.append(Body(start: index + 1, end: index + 1, statements: 0)) }
                    }
                    depth += 1
                } else if character == "}" {
                    depth -= 1
                    if depth == 0, inFunction, let last = found.indices.last { found[last].end = index + 1 }
                } else if character == ";", depth == 1, inFunction, let last = found.indices.last {
                    found[last].statements += 1
                }
                previous.append(character)
            }
            previous.append(" ")
        }
        return found
    }
}

extension ArchitectureTests {
    /// Whoever commits names the commit, which is what makes a failpoint before and after it.
    @Test func `nothing commits but the queue of writes`() {
        // Upgrade and repair work on copies, before any agent has the database.
        let makers = ["CommitQueue", "Schema", "Store", "Store+Upgrade", "Salvage"].map {
            "Sources/PostludeStore/\($0).swift"
        }
        for file in tree.swiftFiles where !makers.contains(file.path) {
            for (index, line) in file.code.enumerated()
            where line.contains(/\b(?:inTransaction|inSavepoint|pool\.write|DatabaseMigrator)\b/) {
                Issue.record("\(file.path):\(index + 1): a commit without a name: \(line)")
            }
        }
    }

    @Test func `every place that a failpoint is declared for is in the agent, and once or twice at most`() throws {
        let declared = try #require(tree.files.first { $0.path.hasSuffix("/Failpoint.swift") }).lines
        let names = declared.compactMap { line in line.firstMatch(of: /^        case (\w+)/).map { String($0.output.1) }
        }
        .filter { !["before", "after", "at"].contains($0) }
        #expect(names.count > 20, "the list was not read")
        let code = tree.swiftFiles.filter { $0.target != "PostludeFailpoints" }.flatMap(\.code)
        for name in names {
            let count = code.count { $0.contains("Failpoint.reach(.\(name))") }
            #expect((1...2).contains(count), "\(name) is reached in \(count) places")
        }
    }
}
