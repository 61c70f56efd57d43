import FoundationEssentials
import Glibc
import PostludeAPI
import PostludeCore
import PostludeDevices
import PostludeEngine
import PostludeSandbox
import PostludeServer
import PostludeSpec

/// Everything the agent is made of, read and checked before it takes hold of anything.
struct AgentSetup {
    var configuration: AgentConfiguration
    var engine: EngineConfiguration
    var sandbox: SandboxConfiguration
    var devices: [Device]

    init(_ command: AgentCommand) throws {
        configuration = try Self.configuration(command)
        let installation = Installation.current()
        guard let profiles = configuration.profilesDirectory ?? installation?.profiles else {
            throw AgentFailure(
                "agent.no-profiles", "The directory `profiles` of the installation is missing.",
                hint: "Install Postlude again, or set `profilesDirectory` in the configuration.")
        }
        let sandboxProfiles = try ProfileCatalog.load(directory: "\(profiles)/sandbox")
        let users = UserDirectory(agentUID: geteuid(), administratorsGroup: configuration.administratorsGroup)
        let presets = try configuration.presetsDirectory.map(PresetCatalog.init(directory:)) ?? .empty
        engine = EngineConfiguration(
            stateDirectory: configuration.stateDirectory,
            hub: try Hub(directory: configuration.hubDirectory ?? "\(profiles)/hub"),
            profiles: sandboxProfiles,
            memoryBytes: try configuration.memoryBytes ?? HostSize.memoryBytes(),
            milliCPU: configuration.milliCPU ?? HostSize.milliCPU(),
            policy: try configuration.policy.checked(profiles: Set(sandboxProfiles.keys)),
            tools: try Self.tools(installation, profiles: profiles), hookDepth: configuration.hookDepth ?? 3,
            disk: DiskWatch.Settings(reserve: DiskReserve(configuredBytes: configuration.diskReserveBytes)),
            connections: try configuration.connections.map { try $0.checked() },
            groupNames: { users.groupNames(ofUser: $0.uid) }, presets: presets,
            defaults: try presets.checked(configuration.defaults), images: configuration.images,
            rules: configuration.rules)
        sandbox = SandboxConfiguration(
            wardenPath: try Self.warden(configuration, installation), seccompDirectory: "\(profiles)/seccomp",
            cgroupName: Installation.cgroupName(stateDirectory: configuration.stateDirectory),
            hiddenPaths: [configuration.socket], slotDirectory: "\(configuration.stateDirectory)/slots")
        devices = try Inventory.discover(declared: try configuration.devices.map(DeclaredDevice.init))
    }

    /// What the configuration file and the command line say.
    static func configuration(_ command: AgentCommand) throws -> AgentConfiguration {
        let environment = ProcessInfo.processInfo.environment
        let home = home(environment)
        let defaults = AgentConfiguration.defaults(uid: geteuid(), environment: environment, home: home)
        // A user's own agent is set up by that user's file, where the commands look for it too.
        let base = environment["XDG_CONFIG_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "\(home)/.config"
        let standard = geteuid() == 0 ? "/etc/postlude/postlude.yaml" : "\(base)/postlude/postlude.yaml"
        let named = command.config ?? environment["POSTLUDE_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let file = named ?? (access(standard, F_OK) == 0 ? standard : nil)
        var configuration = try file.map { try AgentConfigurationReader.load(path: $0, defaults: defaults) } ?? defaults
        if let file { try configuration.connections.check(configurationFile: file) }
        if let socket = command.socket { configuration.socket = socket }
        if let directory = command.stateDirectory { configuration.stateDirectory = directory }
        if command.onDemand, configuration.idleExitSeconds == nil {
            configuration.idleExitSeconds = AgentConfiguration.defaultIdleExitSeconds
        }
        // An agent that was started as a service stays, unless the command line says otherwise.
        if !command.onDemand { configuration.idleExitSeconds = nil }
        if let idleExit = command.idleExit { configuration.idleExitSeconds = idleExit > 0 ? idleExit : nil }
        return configuration
    }

    private static func home(_ environment: [String: String]) -> String {
        guard geteuid() != 0 else { return "/root" }
        if let home = environment["HOME"], home.hasPrefix("/") { return home }
        return getpwuid(geteuid()).map { String(cString: $0.pointee.pw_dir) } ?? "/"
    }

    /// What every step finds of Postlude's own.
    private static func tools(_ installation: Installation?, profiles: String) throws -> [String: String] {
        guard let output = installation?.outputCommand else {
            throw AgentFailure(
                "agent.no-output-command", "There is no `postlude-output` beside the agent.",
                hint: "Build or install all of Postlude's executables.")
        }
        var tools = [output: InsidePaths.outputCommand]
        if let python = installation?.python { tools[python] = InsidePaths.python }
        return tools
    }

    private static func warden(_ configuration: AgentConfiguration, _ installation: Installation?) throws -> String {
        if let path = configuration.wardenPath {
            guard access(path, X_OK) == 0 else {
                throw AgentFailure(
                    "agent.no-warden", "The warden '\(path)' cannot be executed: \(String(cString: strerror(errno))).",
                    hint: "Correct `wardenPath` in the configuration.")
            }
            return path
        }
        guard let path = installation?.warden else {
            throw AgentFailure(
                "agent.no-warden", "There is no `postlude-warden` beside the agent.",
                hint: "Build or install all of Postlude's executables, or set `wardenPath` in the configuration.")
        }
        return path
    }
}

extension DeclaredDevice {
    init(_ settings: AgentConfiguration.DeclaredDeviceSettings) throws {
        guard settings.environment.count <= 1 else {
            throw AgentFailure(
                "agent.device-environment", "The device '\(settings.id)' has \(settings.environment.count) variables.",
                hint: "Leave one under `environment`: programs are told their devices by one variable.")
        }
        let variable = settings.environment.first
        self.init(
            id: settings.id, deviceClass: settings.deviceClass, nodes: settings.nodes, environmentName: variable?.key,
            environmentValue: variable?.value)
    }
}

/// What this host has, when the configuration does not say what runs may use of it.
enum HostSize {
    /// All memory but 1 GiB, which the host keeps for itself; half of it on a small host.
    static func memoryBytes() throws -> Int64 {
        let pages = Int64(sysconf(Int32(_SC_PHYS_PAGES)))
        let size = Int64(sysconf(Int32(_SC_PAGESIZE)))
        guard pages > 0, size > 0 else {
            throw AgentFailure(
                "agent.unknown-memory", "The host's memory size cannot be read.",
                hint: "Set `memory` in the configuration.")
        }
        let total = pages * size
        return max(total - (1 << 30), total / 2)
    }

    static func milliCPU() -> Int64 { Int64(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))) * 1000 }
}
