import Foundation
import PostludeCore
import Testing

@testable import PostludeEngine

/// `postlude-output` and the Python module, as a run finds them.
@Suite(.enabled(if: TestNode.isAble), .serialized, .timeLimit(.minutes(2)))
struct OutputCommandTests {
    static let declared = [
        IODeclaration(name: "accuracy", type: "float"), IODeclaration(name: "name", type: "str"),
        IODeclaration(name: "curve", type: "float", isOptional: true, isList: true),
    ]

    static func run(_ script: String, in engine: Engine, _ node: TestNode) async throws -> RunDetail {
        try await engine.finish(try await node.submit(.script(script, outputs: declared), to: engine))
    }

    @Test func `a shell script writes typed outputs, and a wrong one is refused by name`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let done = try await Self.run(
                """
                postlude-output accuracy=1 name=7 && postlude-output more=3 text="a b"
                echo '{"curve": [1, 2]}' | postlude-output --json
                postlude-output accuracy=high extra=1; echo "status $?"
                ls -A "$POSTLUDE_ARTIFACTS"
                """, in: engine, node)
            #expect(done.summary.status == .succeeded)
            // JSON forgets that 1.0 is no integer.
            #expect(
                done.outputs == [
                    "accuracy": .int(1), "name": .string("7"), "more": .int(3), "text": .string("a b"),
                    "curve": .list([.int(1), .int(2)]),
                ])
            #expect(try await engine.output(done.summary.id) == "status 2\noutputs\noutputs.json\n")
            let errors = try await engine.output(done.summary.id, .stderr)
            #expect(errors.contains("The output 'accuracy' takes float, not the text 'high'."), "\(errors)")
            #expect(!done.statuses.contains(.warning))
        }
    }

    @Test func `of many that write at once, in steps of their own, none loses what another wrote`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let writer = "import postlude_output as o; [o.write({f'p{i}': i}) for i in range(30)]"
            let main = """
                for i in $(seq 0 29); do postlude-output "s$i=$i" & done
                /usr/bin/python3 -c "\(writer)" & wait
                while ! grep -q c29 "$POSTLUDE_OUTPUTS"; do :; done
                """
            let sidecar = "for i in $(seq 0 29); do postlude-output \"c$i=$i\" || exit 1; done; exec sleep 60"
            let done = try await engine.finish(
                try await node.submit(.script(main, sidecars: [sidecar]), to: engine))
            #expect(done.summary.status == .succeeded)
            let expected = ["s", "p", "c"].flatMap { kind in (0..<30).map { ("\(kind)\($0)", Value.int($0)) } }
            #expect(done.outputs == Dictionary(uniqueKeysWithValues: expected))
        }
    }

    @Test func `the Python module checks declared types and adds to what is there`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let done = try await Self.run(
                """
                /usr/bin/python3 - << 'END'
                import postlude_output, pathlib
                postlude_output.write(accuracy=0.5, name="x")
                postlude_output.write({"curve": (1, 2.5)}, path=pathlib.Path("/a"))
                for bad in ({"accuracy": "high"}, {"accuracy": True}, {"x": float("nan")}, {"x": object()}):
                    try:
                        postlude_output.write(bad)
                        print("taken", bad)
                    except (TypeError, ValueError) as error:
                        print(error)
                print(sorted(postlude_output.read()), sorted(postlude_output.declared()))
                END
                """, in: engine, node)
            let lines = try await engine.output(done.summary.id).split(separator: "\n").map(String.init)
            #expect(
                lines == [
                    "the output 'accuracy' takes float, not str: 'high'",
                    "the output 'accuracy' takes float, not bool: True",
                    "the output 'x' is nan, which JSON cannot hold",
                    "the output 'x' is of type object, which JSON cannot hold",
                    "['accuracy', 'curve', 'name', 'path'] ['accuracy', 'curve', 'name']",
                ])
            #expect(done.outputs["curve"] == .list([.int(1), .double(2.5)]))
        }
    }

    @Test func `a step cannot change the programs, and a hook has them too`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let hook = Hook.script("h", "postlude-output from=hook; : > /plx-context/bin/postlude-output || echo no")
            let done = try await engine.finish(
                try await node.submit(
                    .script("rm -f /plx-context/bin/postlude-output; postlude-output a=1", hooks: [hook]), to: engine))
            #expect(done.outputs == ["a": .int(1)])
            let run = try #require(done.hooks.first?.run)
            #expect(try await engine.detail(run, for: Engine.root).outputs == ["from": .string("hook")])
        }
    }

    @Test func `what is broken in the file or around it is told, and nothing is lost`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let done = try await Self.run(
                """
                echo '[1]' > "$POSTLUDE_OUTPUTS"; postlude-output a=1; echo $?
                echo '{' > "$POSTLUDE_OUTPUTS"; postlude-output a=1; echo $?
                rm "$POSTLUDE_OUTPUTS"; ln -s /etc/passwd "$POSTLUDE_OUTPUTS"; postlude-output a=1; echo $?
                rm "$POSTLUDE_OUTPUTS"; postlude-output; echo $?; postlude-output --json a=x; echo $?
                env -u POSTLUDE_OUTPUTS postlude-output a=1; echo $?
                """, in: engine, node)
            #expect(try await engine.output(done.summary.id) == "1\n1\n1\n2\n2\n1\n")
            #expect(done.outputs.isEmpty)
        }
    }
}
