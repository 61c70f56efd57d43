import Glibc
import PostludeLinux
import PostludePlan

/// A warden of an agent that is an ordinary user's: it works in a user namespace of its own, which it enters and then
/// executes itself in.
///
/// Executed there, its memory belongs to that namespace: so it may look into its steps, which nobody of their user else
/// may, and so may the agent, whose user owns the namespace.
enum Rootless {
    /// The first argument of a warden that is to enter one.
    private static let enters = "user-namespace"
    /// The first argument of a warden that is in it; what it knew before follows.
    private static let isInside = "inside"

    /// Whether this process, or the one it was cloned from, has entered a user namespace.
    static let isInForce = CommandLine.arguments.count > 1 && CommandLine.arguments[1] == isInside

    /// The user's supplementary groups. Nobody can leave them in there, and from inside they cannot be told apart.
    static let groups: [UInt32] = known("groups").split(separator: ",").compactMap { UInt32($0) }

    /// The host's namespaces, as they were before.
    static let hostNamespaces: [String: UInt64] = {
        guard isInForce else { return Namespace.inodes(of: "self") }
        let pairs = known("namespaces").split(separator: ",").compactMap { pair -> (String, UInt64)? in
            let parts = pair.split(separator: ":")
            guard parts.count == 2, let inode = UInt64(parts[1]) else { return nil }
            return (String(parts[0]), inode)
        }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }()

    private static func known(_ key: String) -> Substring {
        for argument in CommandLine.arguments where argument.hasPrefix(key + "=") {
            return argument.dropFirst(key.count + 1)
        }
        return ""
    }

    /// Enters one when the agent asks for it. Returns only where nothing is to be entered.
    static func enterIfAsked(control: Int32) {
        // Executed by way of /proc it would be called `exe`.
        if isInForce { ProcessControl.setName("postlude-warden") }
        guard CommandLine.arguments.count > 1, CommandLine.arguments[1] == enters else { return }
        let cause: LinuxError
        do throws(LinuxError) {
            let groups = try UserNamespace.groups().map { "\($0)" }.joined(separator: ",")
            let namespaces = Namespace.inodes(of: "self").map { "\($0.key):\($0.value)" }.joined(separator: ",")
            try UserNamespace.enter(with: [.mnt])
            // Or what is mounted on the host later would appear in here, with other rights than what was there before.
            try Mounts.makeAllPrivate()
            try UserNamespace.keepCapabilitiesAcrossExec()
            let arguments = CStrings([
                "postlude-warden", isInside, "groups=" + groups, "namespaces=" + namespaces,
            ])
            let environment = CStrings([])
            _ = execve("/proc/self/exe", arguments.pointers, environment.pointers)
            throw LinuxError(last: "execve")
        } catch {
            cause = error
        }
        do throws(LinuxError) {
            // The agent's request first: a channel that is closed with it unread would look like a crash.
            _ = try PacketSocket.receive(from: control)
            try PacketSocket.send(ControlMessage.failure(.userNamespace, errno: cause.errno), to: control)
        } catch {
            // The agent is gone.
        }
        _exit(Warden.Status.refused)
    }

    /// The sources of these binds, found again in the mount namespace that belongs to the user namespace; others stay as
    /// they are.
    static func reopen(_ operations: [MountOperation], in sources: inout [Int32]) throws(LinuxError) {
        guard isInForce else { return }
        var done: Set<Int> = []
        for case .bind(let source, _, _, _, _) in operations where done.insert(Int(source)).inserted {
            let found = try MountSource.reopen(sources[Int(source)])
            _ = close(sources[Int(source)])
            sources[Int(source)] = found.release()
        }
    }
}
