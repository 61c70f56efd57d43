import Foundation
import Glibc
import PostludeAPI

/// The agent's cgroups as they are in the hierarchies.
struct Cgroups: Sendable {
    /// `<our cgroup>/<name>` in every hierarchy where there is one.
    private let places: [String]
    private let name: String

    init(stateDirectory: String) {
        let name = Installation.cgroupName(stateDirectory: stateDirectory)
        self.name = name
        let own = Set(
            (text(of: "/proc/self/cgroup") ?? "").split(separator: "\n").compactMap { $0.split(separator: ":").last })
        let mounts = ["/sys/fs/cgroup"] + names(in: "/sys/fs/cgroup").map { "/sys/fs/cgroup/\($0)" }
        places = mounts.flatMap { mount in own.map { "\(mount)\($0 == "/" ? "" : $0)/\(name)" } }
    }

    private var present: [String] { places.filter { access($0, F_OK) == 0 } }

    /// The wardens that live now, those in waiting too.
    var wardens: [pid_t] {
        let files = present.flatMap { place in
            names(in: "\(place)/runs").filter { $0.hasPrefix("w") }.map { "\(place)/runs/\($0)/warden/cgroup.procs" }
        }
        return Set(files.flatMap { (text(of: $0) ?? "").split(separator: "\n").compactMap { pid_t($0) } }).sorted()
    }

    /// Slots, and processes in them, that are there still.
    var remains: [String] {
        present.flatMap { place in
            names(in: "\(place)/runs").filter { $0.hasPrefix("w") }.map { slot in
                let processes = text(of: "\(place)/runs/\(slot)/cgroup.procs")?.split(separator: "\n") ?? []
                return "\(place)/runs/\(slot) (processes: \(processes.joined(separator: " ")))"
            }
        }
    }

    /// The names of the slots that are there, in any hierarchy.
    var slots: [String] { present.flatMap { place in names(in: "\(place)/runs").filter { $0.hasPrefix("w") } } }

    /// For the end of a round that went wrong: nothing of it is to disturb the next.
    func clear() {
        for place in present { _ = write("1", to: "\(place)/cgroup.kill") }
        for _ in 0..<50 {
            for place in present { Self.remove(place) }
            if present.isEmpty { return }
            usleep(20_000)
        }
    }

    private func write(_ text: String, to path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return Glibc.write(descriptor, text, text.utf8.count) > 0
    }

    private static func remove(_ path: String) {
        for name in names(in: path) {
            var status = stat()
            let child = "\(path)/\(name)"
            if lstat(child, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { remove(child) }
        }
        _ = rmdir(path)
    }
}
