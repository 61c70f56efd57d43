import Foundation

/// The cgroups that an agent of a test's own made; whatever is left in them ends with the test.
enum OwnCgroups {
    static func remove(_ name: String) {
        // An agent that ends may just have started a warden for its pool, which ends a moment later.
        for _ in 0..<100 {
            let trees = places(name)
            guard !trees.isEmpty else { return }
            for tree in trees { end(tree) }
            for tree in trees { remove(directory: tree) }
        }
    }

    /// Where agents make them: below this process's own cgroup in each hierarchy.
    static func places(_ name: String) -> [String] {
        let own = Set(text("/proc/self/cgroup").split(separator: "\n").compactMap { $0.split(separator: ":").last })
        let mounts = ["/sys/fs/cgroup"] + directories("/sys/fs/cgroup")
        return mounts.flatMap { mount in own.map { "\(mount)\($0 == "/" ? "" : $0)/\(name)" } }
            .filter { access($0, F_OK) == 0 }
    }

    /// Kills what a failed test left there and waits for its end; only the unified hierarchy can.
    private static func end(_ tree: String) {
        let kill = open("\(tree)/cgroup.kill", O_WRONLY | O_CLOEXEC)
        guard kill >= 0 else { return }
        _ = write(kill, "1", 1)
        _ = close(kill)
        let events = open("\(tree)/cgroup.events", O_RDONLY | O_CLOEXEC)
        defer { _ = close(events) }
        var change = pollfd(fd: events, events: Int16(POLLPRI), revents: 0)
        for _ in 0..<100 where text("\(tree)/cgroup.events").contains("populated 1") { _ = poll(&change, 1, 100) }
    }

    private static func remove(directory: String) {
        for child in directories(directory) { remove(directory: child) }
        _ = rmdir(directory)
    }

    private static func directories(_ path: String) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).map { "\(path)/\($0)" }.filter {
                var status = stat()
                return lstat($0, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            }
        } catch {
            return []
        }
    }

    private static func text(_ path: String) -> String {
        do { return try String(contentsOfFile: path, encoding: .utf8) } catch { return "" }
    }
}
