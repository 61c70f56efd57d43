import PostludeCore

/// Reads what a container asks for.
struct ResourcesReader {
    let session: SpecSession
    /// Renders templates in quantities; nil where inputs are not known yet.
    let inputs: EvaluationContext?

    private static let clusterNames: Set<String> = ["storage"]

    /// `{limits: {...}, requests: {...}}`, or the short form `{cpu: 2, memory: 2Gi, gpu: 1}`.
    func read(_ node: YAMLNode, path: String) -> ResourceRequest {
        guard let entries = node.entries else {
            session.findings.wrongType(path, wanted: "a mapping", node)
            return ResourceRequest()
        }
        let isLong = entries.isEmpty || entries.contains { ["limits", "requests", "claims"].contains($0.key) }
        return isLong ? long(node, path) : short(entries, path)
    }

    /// The 2.18 shortcut: `cpu: 2`, `memory: 1Gi..2Gi` (request and limit), `gpu: 1`, other devices by name.
    func short(_ entries: [YAMLEntry], _ path: String) -> ResourceRequest {
        var request = ResourceRequest()
        for entry in entries {
            let name = entry.key == "gpu" ? "nvidia.com/gpu" : entry.key
            guard let text = text(entry.value, "\(path).\(entry.key)") else { continue }
            guard let dots = text.firstRange(of: "..") else {
                set(name, text, entry, &request, "\(path).\(entry.key)")
                continue
            }
            let high = String(text[dots.upperBound...])
            set(name, high.isEmpty ? String(text[..<dots.lowerBound]) : high, entry, &request, "\(path).\(entry.key)")
        }
        return request
    }

    private func long(_ node: YAMLNode, _ path: String) -> ResourceRequest {
        guard var reader = MappingReader(node, path: path, session.findings) else { return ResourceRequest() }
        let requests = side("requests", &reader)
        let limits = side("limits", &reader)
        reader.refuse(["claims": "Ask for devices by their class in `limits`."])
        reader.finish()
        var request = requests.request
        compare(requests, limits)
        // What is asked is what is enforced: a request without a limit is one.
        request.memoryBytes = limits.request.memoryBytes ?? request.memoryBytes
        request.milliCPU = limits.request.milliCPU ?? request.milliCPU
        request.storageBytes = limits.request.storageBytes ?? request.storageBytes
        request.devices.merge(limits.request.devices) { _, limit in limit }
        return request
    }

    private typealias Side = (request: ResourceRequest, places: [String: SourcePlace])

    private func side(_ key: String, _ reader: inout MappingReader) -> Side {
        var side: Side = (ResourceRequest(), [:])
        guard let node = reader.take(key) else { return side }
        let path = reader.name(of: key)
        guard let entries = node.entries else {
            session.findings.wrongType(path, wanted: "a mapping", node)
            return side
        }
        for entry in entries {
            guard let text = text(entry.value, "\(path).\(entry.key)") else { continue }
            set(entry.key, text, entry, &side.request, "\(path).\(entry.key)")
            side.places[entry.key] = entry.value.place
        }
        return side
    }

    private func compare(_ requests: Side, _ limits: Side) {
        func check(_ name: String, _ request: Int64?, _ limit: Int64?) {
            guard let request, let limit, request > limit else { return }
            session.findings.error(
                "spec.invalid-value", "The request for `\(name)` is larger than its limit.",
                hint: "Raise the limit or lower the request.", at: requests.places[name])
        }
        check("memory", requests.request.memoryBytes, limits.request.memoryBytes)
        check("cpu", requests.request.milliCPU, limits.request.milliCPU)
        check("ephemeral-storage", requests.request.storageBytes, limits.request.storageBytes)
        for (name, count) in requests.request.devices {
            check(name, Int64(count), limits.request.devices[name].map(Int64.init))
        }
    }

    /// A quantity's text, its template rendered.
    private func text(_ node: YAMLNode, _ name: String) -> String? {
        if node.entries != nil {
            session.findings.unsupported(
                "resources of Polyaxon before 1.0", "Write limits: {\(name.split(separator: ".").last ?? "cpu"): ...}.",
                at: node.place)
            return nil
        }
        guard let scalar = node.scalar, let value = scalar.value, value != .null else {
            session.findings.wrongType(name, wanted: "a quantity", node, hint: "Such as 2, 500m or 2Gi.")
            return nil
        }
        guard Rendering.hasExpression(scalar.text) else { return scalar.text }
        guard let inputs else {
            session.findings.unsupported(
                "a template in \(name)", "Write the quantity; it must be known when the operation is submitted.",
                at: node.place)
            return nil
        }
        do throws(ExpressionError) {
            return try Rendering.text(Template(scalar.text, at: scalar.textPlace), in: inputs)
        } catch {
            session.findings.add(error.diagnostic)
            return nil
        }
    }

    private func set(
        _ name: String, _ text: String, _ entry: YAMLEntry, _ request: inout ResourceRequest, _ path: String
    ) {
        switch name {
        case "memory":
            guard let bytes = Quantity.parse(text), bytes >= 1 << 20 else {
                invalid(path, text, "an amount of memory of 1 MiB or more", "Such as 512Mi or 2Gi.", entry)
                return
            }
            request.memoryBytes = bytes
        case "cpu":
            guard let milli = Quantity.parse(text, scale: 1_000), (1...1_000_000).contains(milli) else {
                invalid(path, text, "a number of cores", "Such as 2, 0.5 or 500m.", entry)
                return
            }
            request.milliCPU = milli
        case "ephemeral-storage":
            guard let bytes = Quantity.parse(text), bytes >= 1 << 20 else {
                invalid(path, text, "an amount of storage of 1 MiB or more", "Such as 500Mi or 20Gi.", entry)
                return
            }
            request.storageBytes = bytes
        case _ where Self.clusterNames.contains(name) || name.hasPrefix("hugepages-"):
            session.findings.noEffect(path, at: entry.keyPlace)
        case "gpu":
            session.findings.error(
                "spec.invalid-value", "`\(path)` names no class of devices.", hint: "Write nvidia.com/gpu: \(text).",
                at: entry.keyPlace)
        default:
            guard let count = Quantity.parse(text), (0...1_024).contains(count), Int64(text) != nil else {
                invalid(path, text, "a count of devices", "Such as 1.", entry)
                return
            }
            request.devices[name] = Int(count)
        }
    }

    private func invalid(_ path: String, _ text: String, _ wanted: String, _ hint: String, _ entry: YAMLEntry) {
        session.findings.error(
            "spec.invalid-value", "`\(path)` is '\(text)', which is not \(wanted).", hint: hint, at: entry.value.place)
    }
}
