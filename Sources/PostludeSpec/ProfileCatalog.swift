import Foundation
import PostludeCore

/// Reads sandbox profiles: one file each, named after the profile.
public enum ProfileCatalog {
    /// The profiles of a directory, by name.
    /// - Throws: `SpecError` with every problem of every file.
    public static func load(directory: String) throws(SpecError) -> [String: SandboxProfile] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
                .filter { $0.hasSuffix(".yaml") && !$0.hasPrefix(".") }.sorted()
        } catch {
            throw SpecError(
                "profile.missing-directory", "The profiles' directory '\(directory)' cannot be read.",
                hint: "Set `profilesDirectory` in the configuration, or install the profiles.")
        }
        var profiles: [String: SandboxProfile] = [:]
        var problems: [Diagnostic] = []
        for name in names {
            do throws(SpecError) {
                let path = "\(directory)/\(name)"
                profiles[String(name.dropLast(5))] = try read(
                    try FileText.read(path), path: path, name: String(name.dropLast(5)))
            } catch {
                problems += error.diagnostics
            }
        }
        guard problems.isEmpty else { throw SpecError(problems) }
        guard !profiles.isEmpty else {
            throw SpecError(
                "profile.missing-directory", "The directory '\(directory)' holds no profile.",
                hint: "Install the profiles main.yaml, hook.yaml and notifier.yaml.")
        }
        return profiles
    }

    /// One profile from its text.
    /// - Throws: `SpecError` with every problem of the file.
    public static func read(_ text: String, path: String, name: String) throws(SpecError) -> SandboxProfile {
        let findings = Findings()
        guard let root = YAMLReader.read(text, file: path, findings),
            var reader = MappingReader(root, path: "", findings)
        else { throw SpecError(findings.sorted) }
        var profile = SandboxProfile(name: name, seccomp: name)
        let fields = SettingsReader(findings: findings)
        if let given = reader.text("name"), given != name {
            findings.error(
                "profile.wrong-name", "The file of profile '\(name)' names itself '\(given)'.",
                hint: "Rename the file or the profile.", at: reader.entry("name")?.value.place)
        }
        profile.description = reader.text("description") ?? ""
        profile.hide = fields.paths(&reader, "hide", optional: false)
        profile.hideInHome = fields.relativePaths(&reader, "hideInHome")
        profile.readOnly = fields.paths(&reader, "readOnly", optional: true)
        profile.network = fields.choice(&reader, "network", SandboxProfile.Network.init) ?? profile.network
        profile.listen = fields.choice(&reader, "listen", SandboxProfile.Listen.init) ?? profile.listen
        profile.devices = fields.choice(&reader, "devices", SandboxProfile.Devices.init) ?? profile.devices
        if let seccomp = fields.word(&reader, "seccomp") { profile.seccomp = seccomp }
        profile.tmpBytes = fields.bytes(&reader, "tmp") ?? profile.tmpBytes
        profile.shmBytes = fields.bytes(&reader, "shm") ?? profile.shmBytes
        profile.tmpInodes = reader.count("tmpInodes", least: 16) ?? profile.tmpInodes
        profile.defaultMemoryBytes = fields.bytes(&reader, "defaultMemory")
        profile.defaultMilliCPU = fields.cores(&reader, "defaultCPU")
        profile.defaultStorageBytes = fields.bytes(
            &reader, "defaultStorage", least: 1 << 20, what: "an amount of storage")
        profile.maxPIDs = reader.count("maxPIDs", least: 8) ?? profile.maxPIDs
        profile.openFiles = reader.count("openFiles", least: 16).map(UInt64.init) ?? profile.openFiles
        profile.lockedMemoryBytes = fields.bytes(&reader, "lockedMemory", least: 0).map(UInt64.init)
        profile.logBytes = fields.bytes(&reader, "logs") ?? profile.logBytes
        profile.requires = fields.requirements(&reader, "requires")
        profile.withoutRoot = fields.requirements(&reader, "withoutRoot")
        profile.coreScheduling = reader.flag("coreScheduling") ?? false
        reader.finish()
        guard !findings.hasErrors else { throw SpecError(findings.sorted) }
        return profile
    }
}

/// Values of profiles and of the configuration.
struct SettingsReader {
    let findings: Findings

    func bytes(
        _ reader: inout MappingReader, _ key: String, least: Int64 = 4_096, what: String = "an amount of memory"
    ) -> Int64? {
        quantity(&reader, key, scale: 1, least: least, example: "64Mi or 2Gi", what: what)
    }

    func cores(_ reader: inout MappingReader, _ key: String) -> Int64? {
        quantity(&reader, key, scale: 1_000, least: 1, example: "2 or 500m", what: "a number of cores")
    }

    private func quantity(
        _ reader: inout MappingReader, _ key: String, scale: Int128, least: Int64, example: String, what: String
    ) -> Int64? {
        guard let node = reader.take(key) else { return nil }
        guard let text = node.scalar?.text, let value = Quantity.parse(text, scale: scale), value >= least else {
            findings.error(
                "spec.invalid-value", "`\(reader.name(of: key))` is not \(what).", hint: "Such as \(example).",
                at: node.place)
            return nil
        }
        return value
    }

    func choice<Choice: RawRepresentable>(
        _ reader: inout MappingReader, _ key: String, _ make: (String) -> Choice?
    ) -> Choice? where Choice.RawValue == String {
        guard let entry = reader.entry(key), let text = reader.text(key) else { return nil }
        if let choice = make(text) { return choice }
        findings.error(
            "spec.invalid-value", "`\(reader.name(of: key))` cannot be '\(text)'.",
            hint: ["network": "Choose none, loopback or host.", "listen": "Choose none or any."][key]
                ?? "Choose none or leased.", at: entry.value.place)
        return nil
    }

    func word(_ reader: inout MappingReader, _ key: String) -> String? {
        guard let entry = reader.entry(key), let text = reader.text(key) else { return nil }
        guard !text.isEmpty, !text.contains("/"), !text.hasPrefix(".") else {
            findings.error(
                "spec.invalid-value", "`\(reader.name(of: key))` is not a plain name.",
                hint: "Write a name without '/'.",
                at: entry.value.place)
            return nil
        }
        return text
    }

    /// Those whom something is for. An empty list would turn what is for few into `everybody's`: a thing that is for all.
    func names(_ reader: inout MappingReader, for everybodys: String, _ key: String) -> [String] {
        guard let entry = reader.entry(key) else { return [] }
        let names = reader.texts(key)
        if names.isEmpty || names.contains(where: \.isEmpty), !findings.hasErrors {
            findings.error(
                "spec.invalid-value", "`\(reader.name(of: key))` names nobody.",
                hint: "Name some, or leave the key out for \(everybodys).", at: entry.value.place)
        }
        return names
    }

    /// Absolute paths without `..`; a `?` at the end marks one that may be missing.
    func paths(_ reader: inout MappingReader, _ key: String, optional: Bool) -> [String] {
        (reader.list(key) ?? []).compactMap { node in
            guard let text = reader.text(of: node, named: reader.name(of: key)) else { return nil }
            let path = optional && text.hasSuffix("?") ? String(text.dropLast()) : text
            guard Self.isPlain(path) else {
                findings.error(
                    "spec.invalid-value", "'\(text)' is not an absolute path.",
                    hint:
                        "Start with '/', without '..'\(optional ? "; a '?' at the end allows it to be missing" : "").",
                    at: node.place)
                return nil
            }
            return text
        }
    }

    /// Paths below some directory, without `.` and `..`.
    func relativePaths(_ reader: inout MappingReader, _ key: String) -> [String] {
        (reader.list(key) ?? []).compactMap { node in
            guard let text = reader.text(of: node, named: reader.name(of: key)) else { return nil }
            guard !text.isEmpty, Self.isPlain("/" + text), text != "/", !text.hasPrefix("/") else {
                findings.error(
                    "spec.invalid-value", "'\(text)' is not a path below the home directory.",
                    hint: "Write it without '/' at its beginning and end and without '..', such as .ssh.",
                    at: node.place)
                return nil
            }
            return text
        }
    }

    func requirements(_ reader: inout MappingReader, _ key: String) -> [SandboxProfile.Requirement] {
        let names = SandboxProfile.Requirement.allCases.map(\.rawValue)
        return (reader.list(key) ?? []).compactMap { node in
            guard let text = reader.text(of: node, named: key) else { return nil }
            if let requirement = SandboxProfile.Requirement(rawValue: text) { return requirement }
            findings.error(
                "spec.invalid-value", "There is no requirement '\(text)'.",
                hint: Suggestion.hint(for: text, among: names) ?? "Requirements are \(names.joined(separator: ", ")).",
                at: node.place)
            return nil
        }
    }

    static func isPlain(_ path: String) -> Bool {
        path.hasPrefix("/") && path.utf8.count < 4_096 && !path.contains("\0")
            && !path.split(separator: "/").contains { $0 == ".." || $0 == "." } && (path == "/" || !path.hasSuffix("/"))
    }
}
