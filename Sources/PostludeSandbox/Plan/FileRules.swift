import PostludeLinux
import PostludePlan

/// What a step may do with files, as rules for Landlock: a second line behind mounts that are read-only, and the first one
/// where a mount is not what it should be; pure.
///
/// Everything that is visible may be read and executed. It may be changed where a file system is the step's own, or the
/// run's artifacts; a device may be written to where its node was put there on purpose, and take ioctl(2) where it was
/// granted, or is a terminal.
enum FileRules {
    /// - Parameters:
    ///   - shared: the mounts of every step, in order.
    ///   - own: those that follow of this one: its granted devices, its files.
    ///   - closing: those that come last.
    static func planned(shared: [PlannedMount], own: [PlannedMount], closing: [PlannedMount]) -> [FileRule] {
        var places: [(path: String, access: Landlock.FileAccess)] = [("/", .look)]
        for mount in shared { apply(mount, isGranted: false, to: &places) }
        for mount in own { apply(mount, isGranted: true, to: &places) }
        for mount in closing { apply(mount, isGranted: false, to: &places) }
        return places.map { FileRule(path: $0.path, access: $0.access.rawValue) }
    }

    private typealias Places = [(path: String, access: Landlock.FileAccess)]

    private static func apply(_ mount: PlannedMount, isGranted: Bool, to places: inout Places) {
        func set(_ path: String, _ access: Landlock.FileAccess) {
            places.removeAll { $0.path == path }
            places.append((path, access))
        }
        /// What covers a place takes it away.
        func remove(_ path: String) {
            places.removeAll { $0.path != "/" && InsideView.contains(path, $0.path) }
        }
        switch mount {
        case .image(_, let target), .host(_, let target, _), .working(let target), .run(_, let target, readOnly: true):
            remove(InsideView.normalise(target))
        case .run(_, let target, readOnly: false), .shared(_, let target):
            set(InsideView.normalise(target), .change)
        case .device(let node):
            let takesCommands = isGranted || node.path == "/dev/tty"
            set(node.path, takesCommands ? [.writeFile, .deviceCommand] : [.writeFile])
        case .operation(let operation):
            let target = InsideView.normalise(operation.target)
            switch operation {
            case .bind(_, _, let readOnly, _, _):
                remove(target)
                if !readOnly { set(target, .change) }
            case .tmpfs:
                remove(target)
                set(target, .change)
            case .mqueue:
                // With reading, for mq_open(3) finds a queue by a mount of the kernel's own of the same file system, which lies
                // beneath no root.
                set(target, .change.union(.readFile))
            case .proc:
                // A process's own name and its like; the kernel takes nothing else there, and settings are mounted read-only.
                // With truncation, for a shell's `>` asks for it.
                set(target, [.writeFile, .truncate])
            case .devpts:
                set(target, [.writeFile, .deviceCommand])
            case .mask:
                remove(target)
            case .readOnly:
                places.removeAll { $0.path == target }
            case .directory, .symlink, .file:
                break
            }
        }
    }
}
