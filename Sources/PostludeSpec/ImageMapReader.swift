import PostludeCore

/// Reads what is below `images` of the configuration.
struct ImageMapReader {
    let findings: Findings

    /// What skopeo can copy from without a daemon; see containers-transports(5).
    static let transports = ["docker://", "oci:", "oci-archive:", "docker-archive:", "dir:"]

    func map(_ node: YAMLNode, defaults: ImageMap) -> ImageMap {
        guard var reader = MappingReader(node, path: "images", findings) else { return defaults }
        var map = ImageMap(unmapped: defaults.unmapped)
        if let entry = reader.entry("unmapped"), let text = reader.text("unmapped") {
            if let unmapped = ImageMap.Unmapped(rawValue: text) {
                map.unmapped = unmapped
            } else {
                findings.error(
                    "spec.invalid-value", "`images.unmapped` cannot be '\(text)'.",
                    hint: "Choose host or refuse: what an image is that `images.map` does not have.",
                    at: entry.value.place)
            }
        }
        let allowsFetch = reader.flag("fetch") ?? false
        for (index, item) in (reader.list("map") ?? []).enumerated() {
            guard let rule = rule(item, "images.map[\(index)]", allowsFetch: allowsFetch) else { continue }
            if map.rules.contains(where: { $0.match == rule.match }) {
                findings.error(
                    "config.duplicate-image", "`images.map[\(index)]` is for the same images as one before.",
                    hint: "Remove one.", at: item.place)
            }
            map.rules.append(rule)
        }
        reader.finish()
        return map
    }

    private func rule(_ node: YAMLNode, _ path: String, allowsFetch: Bool) -> ImageMap.Rule? {
        guard var reader = MappingReader(node, path: path, findings) else { return nil }
        let match = match(&reader)
        let source = source(&reader, allowsFetch: allowsFetch)
        reader.finish()
        guard let match, let source else { return nil }
        return ImageMap.Rule(match, source)
    }

    private func match(_ reader: inout MappingReader) -> ImageMap.Match? {
        guard let key = one(of: ["image", "repository", "prefix"], in: reader, "which images it is for"),
            let entry = reader.entry(key), let text = reader.text(key)
        else {
            reader.accept(["image", "repository", "prefix"])
            return nil
        }
        reader.accept(["image", "repository", "prefix"])
        func refuse(_ why: String, _ hint: String) -> ImageMap.Match? {
            findings.error(
                "spec.invalid-value", "`\(reader.name(of: key))` is '\(text)', which is \(why).", hint: hint,
                at: entry.value.place)
            return nil
        }
        switch key {
        case "prefix":
            guard text.hasSuffix("/"), let image = ImageReference(text + "x"), image.tag == nil else {
                return refuse("no beginning of images' names", "End it with '/', such as registry.example.org/lab/.")
            }
            return .prefix(String(image.repository.dropLast()))
        case "repository":
            guard let image = ImageReference(text), image.tag == nil, image.digest == nil else {
                return refuse("no repository", "Leave the tag out, or write `image` for this one tag alone.")
            }
            return .repository(image.repository)
        case _:
            guard let image = ImageReference(text) else {
                return refuse("no image", "Such as python:3.11 or python@sha256:...")
            }
            guard image.tag != nil || image.digest != nil else {
                return refuse("without a tag", "Add the tag, or write `repository` for all tags.")
            }
            return .image(image)
        }
    }

    private func source(_ reader: inout MappingReader, allowsFetch: Bool) -> ImageMap.Source? {
        let key = one(of: ["host", "directory", "layout"], in: reader, "what these images are")
        let isHost = reader.flag("host")
        let directory = path(&reader, "directory")
        let layout = layout(&reader, allowsFetch: allowsFetch)
        switch key {
        case "host":
            guard isHost != false else {
                findings.error(
                    "spec.invalid-value", "`\(reader.name(of: "host"))` is false, which maps to nothing.",
                    hint: "Leave the rule out, or map to a `directory` or a `layout`.",
                    at: reader.entry("host")?.value.place)
                return nil
            }
            return isHost == nil ? nil : .host
        case "directory": return directory.map(ImageMap.Source.directory)
        case "layout": return layout.map(ImageMap.Source.layout)
        case _: return nil
        }
    }

    private func layout(_ reader: inout MappingReader, allowsFetch: Bool) -> ImageMap.Layout? {
        let path = path(&reader, "layout")
        let tag = word(&reader, "tag", "name of an image in the layout", "Such as \"3.11\".") { $0.utf8.count <= 255 }
        let digest = word(&reader, "digest", "digest", "Write sha256: and 64 hexadecimal digits.") {
            ImageReference("x@\($0)") != nil
        }
        let fetch = word(&reader, "fetch", "image for skopeo", "Such as docker://docker.io/library/python:3.11.") {
            text in
            Self.transports.contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
        }
        for key in ["tag", "digest", "fetch"] where reader.has(key) && !reader.has("layout") {
            findings.error(
                "config.no-layout", "`\(reader.name(of: key))` is for a `layout`, and there is none.",
                hint: "Leave it out, or map to a `layout`.", at: reader.entry(key)?.keyPlace)
        }
        if reader.has("fetch"), !allowsFetch {
            findings.error(
                "config.fetch-not-allowed", "`\(reader.name(of: "fetch"))` needs the network, which is not allowed.",
                hint: "Set `images.fetch: true`, or get the image with skopeo copy yourself.",
                at: reader.entry("fetch")?.keyPlace)
        }
        return path.map { ImageMap.Layout(path: $0, tag: tag, digest: digest, fetch: fetch) }
    }

    /// The one of these keys that is there.
    private func one(of keys: [String], in reader: MappingReader, _ what: String) -> String? {
        let found = keys.filter(reader.has)
        if found.count == 1 { return found[0] }
        findings.error(
            found.isEmpty ? "spec.missing-key" : "config.ambiguous-image",
            found.isEmpty
                ? "`\(reader.path)` does not say \(what)."
                : "`\(reader.path)` says \(what) \(found.count) times: \(found.joined(separator: ", ")).",
            hint: "Write one of \(keys.joined(separator: ", ")).", at: reader.place)
        return nil
    }

    private func path(_ reader: inout MappingReader, _ key: String) -> String? {
        word(&reader, key, "absolute path", "Start with '/', without '..' and without '/' at the end.") {
            SettingsReader.isPlain($0) && $0 != "/"
        }
    }

    private func word(
        _ reader: inout MappingReader, _ key: String, _ what: String, _ hint: String, _ isValid: (String) -> Bool
    ) -> String? {
        guard let entry = reader.entry(key), let text = reader.text(key) else { return nil }
        guard !text.isEmpty, !text.utf8.contains(where: { $0 < 0x20 }), isValid(text) else {
            findings.error(
                "spec.invalid-value", "`\(reader.name(of: key))` is '\(text)', which is no \(what).", hint: hint,
                at: entry.value.place)
            return nil
        }
        return text
    }
}
