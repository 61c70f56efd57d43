import Foundation
import PostludeCore

/// The site's presets: files `NAME.yaml` of one directory.
public struct PresetCatalog: Sendable {
    /// nil for a site without presets.
    public let directory: String?

    /// - Throws: `SpecError` when the directory is not there.
    public init(directory: String) throws(SpecError) {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw SpecError(
                "preset.missing-directory", "The presets' directory '\(directory)' is no directory.",
                hint: "Set `presetsDirectory` in the configuration, or make the directory.")
        }
        self.directory = directory
    }

    private init() { directory = nil }

    /// A site without presets.
    public static let empty = PresetCatalog()

    /// Where an operation's own preset may lie, as seen from the operation's directory.
    public static func files(for name: String) -> [String] {
        guard Hub.isWord(name) else { return [] }
        return ["\(name).yaml", "\(name).yml", "presets/\(name).yaml", "presets/\(name).yml"]
    }

    /// The names of the site's presets, sorted.
    var names: [String] {
        guard let directory else { return [] }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: directory)
                .filter { $0.hasSuffix(".yaml") && !$0.hasPrefix(".") }.map { String($0.dropLast(5)) }.sorted()
        } catch {
            // An unreadable directory has no names to suggest; `preset(named:)` says that there is none.
            return []
        }
    }

    /// The defaults, every preset of which is there and can be read.
    /// - Throws: `SpecError` with those that are not.
    public func checked(_ defaults: [SiteDefaults]) throws(SpecError) -> [SiteDefaults] {
        var problems: [Diagnostic] = []
        for rule in defaults {
            for name in rule.presets + rule.hookPresets {
                do throws(SpecError) {
                    let entry = try preset(named: name)
                    let submission = Submission(path: entry.path, text: entry.text, workingDirectory: "/")
                    let findings = OperationReader.checkPreset(submission, from: SpecSources(hub: .empty, profiles: []))
                    guard findings == nil else { continue }
                    problems.append(
                        Diagnostic(
                            .error, "spec.not-a-preset", "The file '\(entry.path)' is no preset.",
                            hint: "Add isPreset: true to it, and check it with `postlude validate`.",
                            at: SourcePlace(file: entry.path, line: 1, column: 1)))
                } catch {
                    for var problem in error.diagnostics {
                        problem.message = "Of the defaults '\(rule.name)': \(problem.message)"
                        problems.append(problem)
                    }
                }
            }
        }
        guard problems.isEmpty else { throw SpecError(problems) }
        return defaults
    }

    func preset(named name: String) throws(SpecError) -> Hub.Entry {
        guard Hub.isWord(name) else {
            throw SpecError(
                "spec.unknown-preset", "There is no preset '\(name.prefix(64))'.",
                hint: "A preset is the file NAME.yaml, its name of letters, digits, '-', '_' and '.'.")
        }
        let path = directory.map { "\($0)/\(name).yaml" }
        guard let path, FileManager.default.fileExists(atPath: path) else {
            let known = names
            throw SpecError(
                "spec.unknown-preset", "There is no preset '\(name)'.",
                hint: Suggestion.hint(for: name, among: known)
                    ?? "Write \(name).yaml beside the operation"
                    + (known.isEmpty ? "." : ", or name one of the site's: \(known.joined(separator: ", "))."))
        }
        return Hub.Entry(name: name, path: path, text: try FileText.read(path))
    }
}

/// What of the site's configuration holds for one submission.
public struct SiteSelection: Sendable {
    var rules: [SiteDefaults]
    var project: String
    var subject: SitePolicy.Subject

    /// - Parameter project: the submission's; nil for the default one.
    public init(_ rules: [SiteDefaults], project: String?, subject: SitePolicy.Subject) {
        self.rules = rules
        self.project = project ?? "default"
        self.subject = subject
    }

    func presets(queue: String?) -> [String] { matching(queue).flatMap(\.presets) }

    func hookPresets(queue: String?) -> [String] { matching(queue).flatMap(\.hookPresets) }

    private func matching(_ queue: String?) -> [SiteDefaults] {
        rules.filter { $0.isFor(subject, project: project, queue: queue) }
    }
}
