extension JobCompiler.StepBuilder {
    /// Arguments: pairs of source and target.
    static let copyScript = """
        set -eu
        while [ "$#" -gt 0 ]; do
            mkdir -p -- "$(dirname -- "$2")"
            cp -dR --preserve=mode,timestamps,links -- "$1" "$2"
            shift 2
        done
        """

    /// Arguments: address, target, revision or empty, flags. A clone that a former attempt left is made anew.
    static let cloneScript = """
        set -eu
        address=$1 target=$2 revision=$3
        shift 3
        mkdir -p -- "$(dirname -- "$target")"
        if [ -d "$target/.git" ]; then rm -rf -- "$target"; fi
        git clone "$@" -- "$address" "$target"
        cd -- "$target"
        if [ -n "$revision" ]; then
            if git rev-parse -q --verify "origin/$revision^{commit}" > /dev/null; then
                git checkout -q --detach "origin/$revision"
            elif git rev-parse -q --verify "$revision^{commit}" > /dev/null; then
                git checkout -q --detach "$revision"
            else
                git fetch -q --depth 1 origin "$revision"
                git checkout -q --detach FETCH_HEAD
            fi
        fi
        git log -1 --format='%H %s'
        """

    /// The step has the host's network, so a flag that could run a program of the job's choice is not passed on.
    static let gitFlags: Set<String> = [
        "--single-branch", "--no-single-branch", "--no-tags", "--recurse-submodules", "--recursive",
        "--shallow-submodules", "--no-checkout", "--quiet", "--sparse",
    ]

    static func isAllowed(gitFlag flag: String) -> Bool {
        if gitFlags.contains(flag) { return true }
        if flag.hasPrefix("--depth=") { return Int(flag.dropFirst(8)).map { $0 > 0 } ?? false }
        if flag.hasPrefix("--filter=") {
            return flag.dropFirst(9).utf8.allSatisfy {
                ($0 >= 0x61 && $0 <= 0x7a) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x3a || $0 == 0x3d
            }
        }
        return false
    }

    /// Addresses of git's own transports; `ext::` and other remote helpers run programs.
    static func isCloneable(_ address: String) -> Bool {
        guard !address.isEmpty, !address.hasPrefix("-"), !address.contains("::"),
            !address.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f })
        else { return false }
        if ["https://", "http://", "ssh://", "git://", "file:///"].contains(where: address.hasPrefix) { return true }
        guard let colon = address.firstIndex(of: ":") else { return address.hasPrefix("/") }
        return address[..<colon].contains("@") && !address[..<colon].contains("/")
    }

    /// `https://host/a/b.git` is cloned to `b`.
    static func repositoryName(_ address: String) -> String {
        let name = lastPart(address)
        return name.hasSuffix(".git") ? String(name.dropLast(4)) : name
    }

    static func lastPart(_ path: String) -> String {
        let separators: Set<Character> = ["/", ":"]
        return path.split(whereSeparator: separators.contains).last.map(String.init) ?? "content"
    }

    func absolute(_ path: String, below directory: String) -> String {
        path.hasPrefix("/") ? path : path.isEmpty ? directory : "\(directory)/\(path)"
    }

    /// A name for a cgroup and a log file: letters, digits, `-`, `_`, `.`; nil when nothing is left.
    static func word(_ name: String?) -> String? {
        guard let name else { return nil }
        let kept = name.utf8.prefix(48).map { byte -> UInt8 in
            let isKept =
                (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
                || byte == 0x2d || byte == 0x5f || byte == 0x2e
            return isKept ? byte : 0x2d
        }
        return kept.isEmpty ? nil : String(decoding: kept, as: UTF8.self)
    }

    static func unique(_ name: String, _ taken: inout Set<String>) -> String {
        var candidate = name
        var number = 2
        while !taken.insert(candidate).inserted {
            candidate = "\(name)-\(number)"
            number += 1
        }
        return candidate
    }
}
