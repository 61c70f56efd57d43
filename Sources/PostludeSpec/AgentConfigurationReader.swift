import PostludeCore

/// Reads `postlude.yaml`.
public enum AgentConfigurationReader {
    /// The configuration that a file says, with `defaults` for what it leaves out.
    /// - Throws: `SpecError` with every problem of the file.
    public static func read(
        _ text: String, path: String, defaults: AgentConfiguration
    ) throws(SpecError)
        -> AgentConfiguration
    {
        let findings = Findings()
        // A file of comments only is a configuration that changes nothing.
        if text.split(separator: "\n").allSatisfy({
            $0.allSatisfy(\.isWhitespace) || $0.drop(while: \.isWhitespace).hasPrefix("#")
        }) {
            return defaults
        }
        guard let root = YAMLReader.read(text, file: path, findings),
            var reader = MappingReader(root, path: "", findings)
        else { throw SpecError(findings.sorted) }
        var configuration = defaults
        let fields = SettingsReader(findings: findings)
        func directory(_ key: String) -> String? {
            guard let entry = reader.entry(key), let text = reader.text(key) else { return nil }
            guard SettingsReader.isPlain(text), text != "/" else {
                findings.error(
                    "config.invalid-path", "`\(key)` is '\(text)', which is not an absolute path.",
                    hint: "Start with '/', without '..' and without '/' at the end.", at: entry.value.place)
                return nil
            }
            return text
        }
        if let state = directory("stateDirectory") {
            // A socket that lies in the state directory by default moves with it.
            if configuration.socket == "\(defaults.stateDirectory)/agent.sock" {
                configuration.socket = "\(state)/agent.sock"
            }
            configuration.stateDirectory = state
        }
        configuration.socket = directory("socket") ?? configuration.socket
        if configuration.socket.utf8.count > 107 {
            findings.error(
                "config.invalid-path", "The socket's path is longer than 107 bytes.", hint: "Set a shorter `socket`.",
                at: reader.entry("socket")?.value.place ?? reader.place)
        }
        configuration.profilesDirectory = directory("profilesDirectory") ?? configuration.profilesDirectory
        configuration.hubDirectory = directory("hubDirectory") ?? configuration.hubDirectory
        configuration.presetsDirectory = directory("presetsDirectory") ?? configuration.presetsDirectory
        if let rules = reader.list("defaults") {
            configuration.defaults = SiteDefaultsReader(findings: findings).rules(rules)
            if configuration.presetsDirectory == nil {
                findings.error(
                    "config.no-presets", "`defaults` names presets, and there is no `presetsDirectory`.",
                    hint: "Set `presetsDirectory` to the directory that has them.",
                    at: reader.entry("defaults")?.keyPlace)
            }
        }
        configuration.wardenPath = directory("wardenPath") ?? configuration.wardenPath
        configuration.memoryBytes = fields.bytes(&reader, "memory", least: 1 << 20) ?? configuration.memoryBytes
        configuration.milliCPU = fields.cores(&reader, "cpus") ?? configuration.milliCPU
        configuration.diskReserveBytes =
            fields.bytes(&reader, "diskReserve", least: 0, what: "an amount of storage")
            ?? configuration.diskReserveBytes
        if let seconds = reader.count("idleExitSeconds") { configuration.idleExitSeconds = Double(seconds) }
        if let depth = reader.count("hookDepth") {
            configuration.hookDepth = Int(depth)
            if !(1...HookReader.maximumDepth).contains(Int(depth)) {
                findings.error(
                    "spec.invalid-value",
                    "`hookDepth` is \(depth), which is not within 1 and \(HookReader.maximumDepth).",
                    hint: "Choose a number within these bounds; 3 is the default.",
                    at: reader.entry("hookDepth")?.value.place)
            }
        }
        configuration.administratorsGroup =
            fields.word(&reader, "administratorsGroup") ?? configuration.administratorsGroup
        if let devices = reader.list("devices") { configuration.devices = self.devices(devices, findings) }
        if let rules = reader.list("policy") {
            configuration.policy = SitePolicy(rules: SitePolicyReader(findings: findings).rules(rules))
            if rules.isEmpty {
                findings.error(
                    "spec.invalid-value", "`policy` has no rule.",
                    hint: "Write a rule, or leave `policy` out: then all may submit.",
                    at: reader.entry("policy")?.value.place)
            }
        }
        configuration.rules = SchedulingRulesReader(findings: findings).read(&reader)
        configuration.api = APISettingsReader().read(&reader)
        if let connections = reader.list("connections") {
            configuration.connections = ConnectionSettingsReader(findings: findings).connections(connections)
        }
        if let images = reader.take("images") {
            configuration.images = ImageMapReader(findings: findings).map(images, defaults: defaults.images)
        }
        reader.finish()
        guard !findings.hasErrors else { throw SpecError(findings.sorted) }
        return configuration
    }

    /// The configuration of the file at `path`, or the defaults when there is no file and none was asked for.
    /// - Throws: `SpecError` when the file is there and cannot be used.
    public static func load(path: String, defaults: AgentConfiguration) throws(SpecError) -> AgentConfiguration {
        try read(try FileText.read(path), path: path, defaults: defaults)
    }

    private static func devices(
        _ nodes: [YAMLNode], _ findings: Findings
    ) -> [AgentConfiguration.DeclaredDeviceSettings] {
        var devices: [AgentConfiguration.DeclaredDeviceSettings] = []
        for (index, node) in nodes.enumerated() {
            guard let device = device(node, "devices[\(index)]", findings) else { continue }
            if devices.contains(where: { $0.id == device.id }) {
                findings.error(
                    "config.duplicate-device", "The device '\(device.id)' is declared twice.",
                    hint: "Rename or remove one.",
                    at: node.place)
            }
            devices.append(device)
        }
        return devices
    }

    private static func device(
        _ node: YAMLNode, _ path: String, _ findings: Findings
    )
        -> AgentConfiguration.DeclaredDeviceSettings?
    {
        guard var reader = MappingReader(node, path: path, findings) else { return nil }
        let fields = SettingsReader(findings: findings)
        let id = fields.word(&reader, "id")
        let deviceClass = reader.text("class")
        let nodes = fields.paths(&reader, "nodes", optional: false)
        var environment: [String: String] = [:]
        if let mapping = reader.take("environment") {
            for entry in mapping.entries ?? [] {
                guard IOReader.isVariableName(entry.key), let text = entry.value.scalar?.text else {
                    findings.error(
                        "spec.invalid-value", "'\(entry.key)' of `\(path).environment` is no variable with a text.",
                        hint: "Such as {DEVICE: \"0\"}.", at: entry.keyPlace)
                    continue
                }
                environment[entry.key] = text
            }
            if mapping.entries == nil { findings.wrongType("\(path).environment", wanted: "a mapping", mapping) }
        }
        reader.finish()
        for node in nodes where !node.hasPrefix("/dev/") {
            findings.error(
                "spec.invalid-value", "The node '\(node)' is not below /dev.", hint: "Name character devices in /dev.",
                at: reader.entry("nodes")?.value.place)
        }
        guard let id, let deviceClass, !deviceClass.isEmpty, !nodes.isEmpty else {
            if !findings.hasErrors {
                findings.error(
                    "spec.missing-key", "`\(path)` needs id, class and nodes.",
                    hint: "Such as {id: dev0, class: example.org/device, nodes: [/dev/example0]}.", at: reader.place)
            }
            return nil
        }
        return .init(id: id, deviceClass: deviceClass, nodes: nodes, environment: environment)
    }
}
