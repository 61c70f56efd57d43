import PostludeCore

/// Reads YAML text into nodes, within bounds that no file can exceed.
enum YAMLReader {
    static let maximumBytes = 1 << 20
    static let maximumDepth = 64
    /// Parts of a file, those that aliases repeat included.
    static let maximumNodes = 50_000

    /// The file's only document, or nil with the reason in `findings`.
    static func read(_ text: String, file: String, _ findings: Findings) -> YAMLNode? {
        guard text.utf8.count <= maximumBytes else {
            findings.error(
                "spec.too-large", "The file is larger than 1 MiB.",
                hint: "Keep data out of the file; mount or fetch it.",
                at: SourcePlace(file: file, line: 1, column: 1))
            return nil
        }
        let lines = YAMLLines(text)
        var bytes = text
        let outcome = bytes.withUTF8 { read($0, lines, file) }
        switch outcome {
        case .success(let node): return node
        case .failure(let fault):
            findings.add(YAMLProblem.diagnostic(fault, text, file))
            return nil
        }
    }

    private static func read(
        _ bytes: UnsafeBufferPointer<UInt8>, _ lines: YAMLLines, _ file: String
    ) -> Result<YAMLNode, YAMLFault> {
        do throws(YAMLFault) {
            var builder = YAMLBuilder(try YAMLEvents(bytes), lines: lines, file: file)
            return .success(try builder.document())
        } catch {
            return .failure(error)
        }
    }
}
