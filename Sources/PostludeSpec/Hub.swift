import Foundation
import PostludeCore

/// The folder of reusable components that a `hubRef` names.
public struct Hub: Sendable {
    /// A component's file.
    public struct Entry: Hashable, Sendable {
        public var name: String
        public var path: String
        public var text: String
    }

    /// nil for a hub without components.
    public let directory: String?

    /// - Throws: `SpecError` when the directory is not there or cannot be read.
    public init(directory: String) throws(SpecError) {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw SpecError(
                "hub.missing-directory", "The hub '\(directory)' is no directory.",
                hint: "Set `hubDirectory` in the configuration, or install the hub.")
        }
        self.directory = directory
    }

    private init() { directory = nil }

    /// A hub that has nothing.
    public static let empty = Hub()

    /// The names of the components, sorted.
    public var names: [String] {
        guard let directory else { return [] }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: directory)
                .filter { $0.hasSuffix(".yaml") && !$0.hasPrefix(".") }.map { String($0.dropLast(5)) }.sorted()
        } catch {
            // An unreadable hub has no names to suggest; `component(named:)` says why it cannot be read.
            return []
        }
    }

    /// The component called `name` or `name:tag`: `<name>.yaml`, or `<name>/<tag>.yaml` for a tag.
    /// - Throws: `SpecError` when there is none, or its file cannot be read.
    public func component(named reference: String) throws(SpecError) -> Entry {
        let parts = reference.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), parts.allSatisfy(Self.isWord) else {
            throw SpecError(
                "spec.invalid-value", "'\(reference)' is no reference to a component.",
                hint: "Write a name such as webhook, or name:tag.")
        }
        guard let directory else { throw unknown(reference, parts[0]) }
        let tag = parts.count == 2 ? parts[1] : "latest"
        var candidates = ["\(directory)/\(parts[0])/\(tag).yaml"]
        if tag == "latest" { candidates.insert("\(directory)/\(parts[0]).yaml", at: 0) }
        guard let path = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw unknown(reference, parts[0])
        }
        return Entry(name: parts[0], path: path, text: try FileText.read(path))
    }

    private func unknown(_ reference: String, _ name: String) -> SpecError {
        let known = names
        return SpecError(
            "spec.unknown-component", "The hub has no component '\(reference)'.",
            hint: Suggestion.hint(for: name, among: known)
                ?? (known.isEmpty ? "The hub is empty." : "It has \(known.joined(separator: ", "))."))
    }

    /// A plain file name, so that no reference leaves the hub.
    private static func isWord(_ text: String) -> Bool {
        !text.isEmpty && !text.hasPrefix(".") && text.utf8.count <= 128
            && text.utf8.allSatisfy { byte in
                (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
                    || byte == 0x5f || byte == 0x2d || byte == 0x2e
            }
    }
}

/// Reads files of the installation.
enum FileText {
    static func read(_ path: String) throws(SpecError) -> String {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw SpecError(
                "spec.unreadable-file", "The file '\(path)' cannot be read: \(reason(error)).",
                hint: "Check that it exists and who may read it.", at: SourcePlace(file: path, line: 1, column: 1))
        }
        switch SourceText.decode(Array(data), path: path) {
        case .success(let text): return text
        case .failure(let error): throw error
        }
    }

    private static func reason(_ error: any Error) -> String {
        let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
        let underlying = (cause ?? error) as NSError
        guard underlying.domain == NSPOSIXErrorDomain else { return error.localizedDescription }
        return String(cString: strerror(Int32(underlying.code)))
    }
}
