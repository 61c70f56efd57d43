import PostludeCore

/// The programs of the host's that make root file systems of images.
public enum ImageTools {
    /// What is there of those that these rules need.
    public static func checks(for map: ImageMap) -> [HostCheck] {
        let layouts = map.rules.compactMap { rule -> ImageMap.Layout? in
            if case .layout(let layout) = rule.source { layout } else { nil }
        }
        var checks: [HostCheck] = []
        if !layouts.isEmpty { checks.append(check("umoci", "unpacks OCI images")) }
        if layouts.contains(where: { $0.fetch != nil }) { checks.append(check("skopeo", "fetches OCI images")) }
        return checks
    }

    private static func check(_ program: String, _ purpose: String) -> HostCheck {
        guard let path = ChildProcess.find(program) else {
            return HostCheck(
                program, .missing, "\(program), which \(purpose), is not installed.",
                hint: "apt-get install \(program)")
        }
        return HostCheck(program, .ok, path)
    }
}
