extension SitePolicy.Rule {
    /// The operation within the rule's bounds, or why it is not let in.
    public struct Admission: Hashable, Sendable {
        /// As submitted, but that what it did not ask for is bounded, and that notes say so.
        public var operation: Operation
        /// Everything that the rule forbids; empty when the operation is let in.
        public var violations: [Diagnostic]
    }

    /// Holds the rule against an operation and its hooks. Asking for more than a bound is refused; where nothing was
    /// asked, the bound holds.
    ///
    /// - Parameter profiles: the sandbox profiles by name; one that is missing is somebody else's finding.
    public func admit(
        _ operation: Operation, workingDirectory: String?, profiles: [String: SandboxProfile]
    ) -> Admission {
        var check = AdmissionCheck(rule: self, profiles: profiles)
        var operation = operation
        check.operation(&operation, what: "The operation")
        if let workingDirectory { check.workingDirectory(workingDirectory) }
        operation.notes += check.notes
        return Admission(operation: operation, violations: check.violations)
    }
}

private struct AdmissionCheck {
    let rule: SitePolicy.Rule
    let profiles: [String: SandboxProfile]
    var violations: [Diagnostic] = []
    var notes: [Diagnostic] = []
    /// Where what is looked at is written.
    var place: SourcePlace?

    init(rule: SitePolicy.Rule, profiles: [String: SandboxProfile]) {
        self.rule = rule
        self.profiles = profiles
    }

    var says: String { "the site's rule '\(rule.name)' allows" }

    mutating func refuse(_ what: String, _ message: String, hint: String) {
        violations.append(Diagnostic(.error, "policy.\(what)", message, hint: hint, at: place))
    }

    /// The operation with its hooks and with all that it makes children of, each within the same bounds.
    mutating func operation(_ operation: inout Operation, what: String) {
        if operation.dag == nil { component(&operation.component, defaultProfile: "main", what: what) }
        var count = hooks(&operation.hooks)
        if var each = operation.eachHooks {
            count += hooks(&each)
            operation.eachHooks = each
        }
        if var matrix = operation.matrix {
            // With a matrix alone the parent's hooks are the operation's already.
            let added = hooks(&matrix.hooks)
            if operation.schedule != nil { count += added }
            operation.matrix = matrix
        }
        place = operation.component.job.container.place
        if let bound = rule.hooks, count > bound {
            refuse("hooks", "\(what) has \(count) hooks; \(says) at most \(bound).", hint: "Leave some out.")
        }
        guard var dag = operation.dag else { return }
        for index in dag.nodes.indices {
            place = dag.nodes[index].place
            self.operation(&dag.nodes[index].operation, what: "The operation '\(dag.nodes[index].name)'")
        }
        operation.dag = dag
    }

    /// Hooks and hooks of hooks; returns how many there are.
    mutating func hooks(_ hooks: inout [Hook]) -> Int {
        var count = hooks.count
        for index in hooks.indices {
            let hook = hooks[index]
            place = hook.place
            component(&hooks[index].component, defaultProfile: "hook", what: "The hook '\(hook.name)'")
            guard var nested = hook.hooks else { continue }
            count += self.hooks(&nested)
            hooks[index].hooks = nested
        }
        return count
    }

    mutating func component(_ component: inout Component, defaultProfile: String, what: String) {
        place = component.job.container.place ?? place
        profile(of: component.job, defaultProfile, what)
        resources(of: component.job, what)
        termination(&component.termination, what)
        component.job.bounds = JobBounds(
            rule: rule.name, memoryBytes: rule.memoryBytes, milliCPU: rule.milliCPU, storageBytes: rule.storageBytes,
            workingDirectories: rule.workingDirectories)
    }

    private mutating func profile(of job: JobSpec, _ fallback: String, _ what: String) {
        let name = job.profile ?? fallback
        if let allowed = rule.profiles, !allowed.contains(name) {
            refuse(
                "profile", "\(what) takes the sandbox profile '\(name)'; \(says) \(Self.list(allowed)).",
                hint: "Name an allowed one in `run.profile`.")
        }
        guard let allowed = rule.networks else { return }
        let names = Self.list(allowed.map(\.rawValue))
        if let network = profiles[name]?.network, !allowed.contains(network) {
            refuse(
                "network",
                "\(what) takes the sandbox profile '\(name)', whose network is '\(network.rawValue)'; \(says) \(names).",
                hint: "Name a profile with an allowed network in `run.profile`.")
        }
        if !allowed.contains(.host), job.initSteps.contains(where: \.isGit) {
            refuse(
                "network", "\(what) has a git step, which uses the host's network; \(says) \(names).",
                hint: "Clone the repository before you submit.")
        }
    }

    private mutating func resources(of job: JobSpec, _ what: String) {
        let asked = Scheduler.Needs(of: job, defaultMemoryBytes: 0, defaultMilliCPU: 0)
        if let bound = rule.memoryBytes, asked.memoryBytes > bound {
            refuse(
                "memory", "\(what) asks for \(Self.bytes(asked.memoryBytes)) of memory; \(says) \(Self.bytes(bound)).",
                hint: "Ask for less in `resources`.")
        }
        if let bound = rule.milliCPU, asked.milliCPU > bound {
            refuse(
                "cpu", "\(what) asks for \(Self.cores(asked.milliCPU)) cores; \(says) \(Self.cores(bound)).",
                hint: "Ask for less in `resources`.")
        }
        if let bound = rule.storageBytes, let asked = job.askedStorageBytes, asked > bound {
            refuse(
                "storage", "\(what) asks for \(Self.bytes(asked)) of storage; \(says) \(Self.bytes(bound)).",
                hint: "Ask for less `ephemeral-storage` in `resources`.")
        }
        let devices = asked.devices.values.reduce(0, +)
        if let bound = rule.devices, devices > bound {
            refuse(
                "devices", "\(what) asks for \(devices) devices; \(says) \(bound).",
                hint: "Ask for fewer in `resources`.")
        }
    }

    private mutating func termination(_ termination: inout Termination, _ what: String) {
        if let bound = rule.retries, termination.maxRetries > bound {
            refuse(
                "retries", "\(what) may be tried again \(termination.maxRetries) times; \(says) \(bound).",
                hint: "Lower `termination.maxRetries`.")
        }
        guard let bound = rule.timeoutSeconds else { return }
        guard let asked = termination.timeoutSeconds else {
            termination.timeoutSeconds = bound
            notes.append(
                Diagnostic(
                    .note, "policy.timeout",
                    "\(what) has no timeout of its own; the site's rule '\(rule.name)' gives it \(Self.seconds(bound)) s.",
                    at: place))
            return
        }
        if asked > bound {
            refuse(
                "timeout", "\(what) has a timeout of \(Self.seconds(asked)) s; \(says) \(Self.seconds(bound)) s.",
                hint: "Lower `termination.timeout`.")
        }
    }

    /// By its text; that no link leads out of it is checked when it is opened.
    mutating func workingDirectory(_ path: String) {
        guard let allowed = rule.workingDirectories else { return }
        let parts = path.split(separator: "/")
        guard !parts.contains(".."), allowed.contains(where: { Self.contains($0, "/" + parts.joined(separator: "/")) })
        else {
            return refuse(
                "working-directory", "The working directory is '\(path)'; \(says) \(Self.list(allowed)) and below.",
                hint: "Submit from a directory there.")
        }
    }

    private static func contains(_ directory: String, _ path: String) -> Bool {
        directory == "/" || path == directory || path.hasPrefix(directory + "/")
    }

    private static func list(_ names: [String]) -> String { names.isEmpty ? "none" : names.joined(separator: ", ") }

    private static func bytes(_ count: Int64) -> String {
        count % (1 << 20) == 0 ? "\(count >> 20) MiB" : "\(count) bytes"
    }

    private static func cores(_ milliCPU: Int64) -> String {
        milliCPU % 1000 == 0 ? String(milliCPU / 1000) : String(Double(milliCPU) / 1000)
    }

    private static func seconds(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}

extension InitSpec {
    var isGit: Bool {
        if case .git = self { true } else { false }
    }
}
