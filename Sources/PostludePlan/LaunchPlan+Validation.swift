extension LaunchPlan {
    /// Refuses what is well-formed but would make the warden do something nobody meant: a name that leaves the
    /// attempt's cgroup, a descriptor that was not sent, a plan without main.
    public func validate(descriptors: Int = Self.maximumDescriptors) throws(PlanError) {
        func check(_ holds: Bool, _ why: @autoclosure () -> String) throws(PlanError) {
            if !holds { throw PlanError(.invalid(why())) }
        }
        let known = min(descriptors, Self.maximumDescriptors)
        try check(!attempt.isEmpty, "The attempt has no name.")
        try check(journal < known, "The journal's descriptor \(journal) was not sent.")
        try check(limits.allSatisfy(\.isWellFormed), "A limit's file is not a plain name.")
        let roles = steps.map(\.role)
        try check(roles.last == .main, "The last step is not main.")
        try check(roles.count(where: { $0 == .main }) == 1, "A plan has exactly one main step.")
        let firstSidecar = roles.firstIndex(of: .sidecar) ?? roles.count
        try check(!roles[firstSidecar...].contains(.initialize), "An init step comes after a sidecar.")
        try check(Set(steps.map(\.name)).count == steps.count, "Two steps have the same name.")
        for step in steps {
            try check(StepPlan.isWellFormed(name: step.name), "'\(step.name)' cannot name a step.")
            try check(step.program.hasPrefix("/"), "The program of '\(step.name)' is not an absolute path.")
            try check(step.workingDirectory.hasPrefix("/"), "The working directory of '\(step.name)' is not absolute.")
            try check(!step.arguments.isEmpty, "'\(step.name)' has no argv[0].")
            try check(
                step.environment.allSatisfy { $0.contains("=") && !$0.hasPrefix("=") },
                "A variable of '\(step.name)' is not NAME=value.")
            try check(step.limits.allSatisfy(\.isWellFormed), "A limit's file of '\(step.name)' is not a plain name.")
            try check(step.uid != .max && step.gid != .max, "'\(step.name)' has no user.")
            try check(!step.groups.contains(.max), "'\(step.name)' has an invalid group.")
            let used = [step.standardOutput, step.standardError] + [step.seccomp, step.deviceFilter].compactMap { $0 }
            try check(used.allSatisfy { $0 < known }, "A descriptor of '\(step.name)' was not sent.")
            for mount in step.mounts { try mount.validate(descriptors: known) }
            try check(
                step.fileRules.allSatisfy(\.isWellFormed), "A rule for files of '\(step.name)' names no absolute path.")
        }
    }
}

extension StepPlan {
    /// The name becomes a directory of the cgroup tree, where `warden` and kernel files already are.
    static func isWellFormed(name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= 64, first != UInt8(ascii: ".") else { return false }
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            case _: false
            }
        }
        // Kernel files are `<controller>.<word>`; `cgroup`, `memory` and so on without a dot are free names.
        let isKernelFile = [
            "cgroup.", "memory.", "cpu.", "pids.", "io.", "cpuset.", "cpuacct.", "hugetlb.", "notify_on_release",
            "release_agent", "tasks",
        ]
        .contains { name.hasPrefix($0) }
        return allowed && name != "warden" && !isKernelFile
    }
}

extension CgroupWrite {
    var isWellFormed: Bool {
        !file.isEmpty && !file.utf8.contains(UInt8(ascii: "/")) && file != "." && file != ".."
            && !file.hasPrefix("cgroup.")
    }
}

extension FileRule {
    /// The root itself may be named.
    var isWellFormed: Bool {
        path.hasPrefix("/") && !path.utf8.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) }
    }
}

extension MountOperation {
    /// Refuses a target that is relative, goes up or is the root itself, and a source that was not sent.
    func validate(descriptors: Int) throws(PlanError) {
        let parts = target.utf8.split(separator: UInt8(ascii: "/"))
        guard target.hasPrefix("/") else { throw PlanError(.invalid("The target '\(target)' is not absolute.")) }
        guard !parts.isEmpty else { throw PlanError(.invalid("The root itself cannot be a target.")) }
        guard !parts.contains(where: { $0.elementsEqual("..".utf8) }) else {
            throw PlanError(.invalid("The target '\(target)' goes up."))
        }
        if case .bind(let source, _, _, _, _) = self, source >= min(descriptors, LaunchPlan.maximumDescriptors) {
            throw PlanError(.invalid("The source of '\(target)' was not sent."))
        }
    }

    /// The path inside the new root that the operation is about.
    public var target: String {
        switch self {
        case .bind(_, let target, _, _, _), .tmpfs(let target, _, _, _, _), .proc(let target), .devpts(let target),
            .mqueue(let target), .directory(let target, _, _, _), .symlink(let target, _),
            .file(let target, _, _, _, _), .mask(let target), .readOnly(let target):
            target
        }
    }
}
