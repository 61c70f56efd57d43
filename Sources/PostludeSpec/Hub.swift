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

    /// The programs that come with the hub and that its components run, at `InsidePaths.hub` in their sandbox; without
    /// links, and nil when there are none.
    public let programs: String?

    /// - Throws: `SpecError` when the directory is not there or cannot be read.
    public init(directory: String) throws(SpecError) {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw SpecError(
                "hub.missing-directory", "The hub '\(directory)' is no directory.",
                hint: "Set `hubDirectory` in the configuration, or install the hub.")
        }
        self.directory = directory
        programs = realpath("\(directory)/\(Self.programsName)", nil).map { path in
            defer { free(path) }
            return String(cString: path)
        }
    }

    private init() {
        directory = nil
        programs = nil
    }

    /// A hub that has nothing.
    public static let empty = Hub()

    /// What is in the hub and no component.
    private static let programsName = "lib"
    /// The tag of what a reference without a tag means.
    public static let latest = "latest"

    /// The names of the components, sorted.
    public var names: [String] {
        guard let directory else { return [] }
        let entries = Self.entries(of: directory)
        let single = entries.compactMap(Self.stem)
        let versioned = entries.filter { $0 != Self.programsName && !Self.versions(in: "\(directory)/\($0)").isEmpty }
        return Set(single + versioned).filter(Self.isWord).sorted()
    }

    /// The tags of a component, newest first: `latest` for `<name>.yaml`, then those of `<name>/<tag>.yaml`.
    public func tags(of name: String) -> [String] {
        guard let directory, Self.isWord(name), name != Self.programsName else { return [] }
        let tags = Self.versions(in: "\(directory)/\(name)")
        guard FileManager.default.fileExists(atPath: "\(directory)/\(name).yaml") else { return tags }
        return [Self.latest] + tags.filter { $0 != Self.latest }
    }

    /// The component called `name` or `name:tag`: `<name>/<tag>.yaml` for a tag; for none, or `latest`, `<name>.yaml`, or
    /// the highest version there is.
    /// - Throws: `SpecError` when there is none, or its file cannot be read.
    public func component(named reference: String) throws(SpecError) -> Entry {
        let parts = reference.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), parts.allSatisfy(Self.isWord) else {
            throw SpecError(
                "spec.invalid-value", "'\(reference)' is no reference to a component.",
                hint: "Write a name such as webhook, or name:tag.")
        }
        let known = tags(of: parts[0])
        let wanted = parts.count == 2 ? parts[1] : Self.latest
        guard let directory, let tag = known.contains(wanted) || wanted != Self.latest ? wanted : known.first,
            known.contains(tag)
        else { throw unknown(reference, parts[0], tags: known) }
        let single = "\(directory)/\(parts[0]).yaml"
        let isSingle = tag == Self.latest && FileManager.default.fileExists(atPath: single)
        let path = isSingle ? single : "\(directory)/\(parts[0])/\(tag).yaml"
        return Entry(name: parts[0], path: path, text: try FileText.read(path))
    }

    private func unknown(_ reference: String, _ name: String, tags: [String]) -> SpecError {
        guard tags.isEmpty else {
            let all = tags.map { $0 == Self.latest ? name : "\(name):\($0)" }.joined(separator: ", ")
            let tag = reference.split(separator: ":").last.map(String.init) ?? ""
            let hint = Suggestion.closest(to: tag, among: tags).map { "Did you mean '\(name):\($0)'? " } ?? ""
            return SpecError(
                "spec.unknown-component", "The hub's '\(name)' has no version '\(tag)'.", hint: "\(hint)It has \(all).")
        }
        let known = names
        return SpecError(
            "spec.unknown-component", "The hub has no component '\(reference)'.",
            hint: Suggestion.hint(for: name, among: known)
                ?? (known.isEmpty ? "The hub is empty." : "It has \(known.joined(separator: ", "))."))
    }

    /// Tags of the files of a component's directory, the highest version first.
    private static func versions(in directory: String) -> [String] {
        entries(of: directory).compactMap(stem).filter(isWord).sorted { HubVersion($1) < HubVersion($0) }
    }

    private static func stem(_ file: String) -> String? {
        file.hasSuffix(".yaml") && !file.hasPrefix(".") ? String(file.dropLast(5)) : nil
    }

    /// What cannot be listed has nothing to suggest; reading a component says why it cannot be read.
    private static func entries(of directory: String) -> [String] {
        do { return try FileManager.default.contentsOfDirectory(atPath: directory).sorted() } catch { return [] }
    }

    /// A plain file name, so that no reference leaves the hub.
    static func isWord(_ text: String) -> Bool {
        !text.isEmpty && !text.hasPrefix(".") && text.utf8.count <= 128
            && text.utf8.allSatisfy { byte in
                (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
                    || byte == 0x5f || byte == 0x2d || byte == 0x2e
            }
    }
}

/// The order of versions: numbers by value, so that 1.10 is above 1.9, and a release above what leads to it, as in semver.
struct HubVersion: Comparable {
    private let release: [Substring]
    private let preview: [Substring]

    init(_ tag: String) {
        let parts = tag.split(separator: "-", maxSplits: 1)
        release = (parts.first ?? "").split(separator: ".")
        preview = parts.count > 1 ? parts[1].split(separator: ".") : []
    }

    static func < (left: HubVersion, right: HubVersion) -> Bool {
        if let order = order(left.release, right.release) { return order }
        if left.preview.isEmpty || right.preview.isEmpty { return !left.preview.isEmpty && right.preview.isEmpty }
        return order(left.preview, right.preview) ?? false
    }

    static func == (left: HubVersion, right: HubVersion) -> Bool { !(left < right) && !(right < left) }

    /// nil when they are the same.
    private static func order(_ left: [Substring], _ right: [Substring]) -> Bool? {
        for (a, b) in zip(left, right) {
            switch (number(a), number(b)) {
            case (let a?, let b?): if a != b { return a < b }
            case (nil, _?): return true
            case (_?, nil): return false
            case (nil, nil): if a != b { return a < b }
            }
        }
        return left.count == right.count ? nil : left.count < right.count
    }

    private static func number(_ text: Substring) -> UInt64? {
        UInt64(text.hasPrefix("v") ? text.dropFirst() : text)
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
