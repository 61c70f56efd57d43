import Glibc
import PostludeCore
import PostludeEngine

/// Who the host's users are, and what they may do here.
public struct UserDirectory: Sendable {
    /// The agent's own user: 0 for the system's agent.
    public var agentUID: UInt32
    /// Members see and stop everybody's runs.
    public var administratorsGroup: String?

    public init(agentUID: UInt32, administratorsGroup: String? = nil) {
        self.agentUID = agentUID
        self.administratorsGroup = administratorsGroup
    }

    /// Groups that amount to root, or to reading what only root should: jobs never have them, unless root submits them.
    static let privilegedGroups: Set<String> = [
        "root", "docker", "disk", "kvm", "shadow", "sudo", "adm", "lxd", "wheel", "incus", "incus-admin", "libvirt",
        "podman", "kmem", "tty", "systemd-journal", "admin", "staff",
    ]

    /// A user's own agent serves that user (and root, who could take it over anyway); the system's agent serves all.
    func admit(_ uid: UInt32) throws {
        guard agentUID == 0 || uid == agentUID || uid == 0 else { throw ServerError.otherUser(uid, agent: agentUID) }
    }

    func caller(_ peer: Peer) -> Caller {
        Caller(uid: peer.uid, isAdministrator: peer.uid == 0 || peer.uid == agentUID || isAdministrator(peer))
    }

    private func isAdministrator(_ peer: Peer) -> Bool {
        guard let administratorsGroup, let gid = Self.gid(ofGroup: administratorsGroup) else { return false }
        let account = Self.account(peer.uid)
        return Self.groups(of: account?.name, primary: account?.gid ?? peer.gid).contains(gid)
    }

    /// Whom a run of this peer's runs as. A user without an account entry has a number for a name, and no groups.
    func identity(_ peer: Peer) throws -> UserIdentity {
        // A user's own agent can start processes as nobody else; root asking it gets a run of that user's.
        let uid = agentUID == 0 ? peer.uid : agentUID
        if agentUID != 0, agentUID == geteuid() { return Self.ownIdentity() }
        guard let account = Self.account(uid) else {
            return UserIdentity(name: "uid-\(uid)", uid: uid, gid: peer.gid, groups: [], home: "/")
        }
        let all = Self.groups(of: account.name, primary: account.gid)
        let granted = uid == 0 ? all : all.filter { !Self.isPrivileged($0) }
        return UserIdentity(
            name: account.name, uid: uid, gid: account.gid, groups: granted.filter { $0 != account.gid }.sorted(),
            home: account.home)
    }

    /// Names of all groups that a run of this peer's is judged by; a group without a name is its number.
    func groupNames(of peer: Peer) -> Set<String> {
        groupNames(ofUser: agentUID == 0 ? peer.uid : agentUID)
    }

    /// Names of all the groups of an account; none without an account.
    public func groupNames(ofUser uid: UInt32) -> Set<String> {
        let account = Self.account(uid)
        // Without an account, the group that the caller has for the moment proves nothing about the user.
        guard let account else { return [] }
        return Set(Self.groups(of: account.name, primary: account.gid).map { Self.name(ofGroup: $0) ?? String($0) })
    }

    /// Whether the host has an account with this name, or could have one with this number.
    public static func isUser(_ text: String) -> Bool {
        if UInt32(text) != nil { return true }
        return withGrowingBuffer { buffer, size in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let code = getpwnam_r(text, &entry, buffer, size, &found)
            return code == ERANGE ? .tooSmall : .done(code == 0 && found != nil ? true : nil)
        } ?? false
    }

    /// Whether the host has a group with this name.
    public static func isGroup(_ text: String) -> Bool { gid(ofGroup: text) != nil }

    /// This process's own ids and groups: without root nobody can have others, or leave one.
    private static func ownIdentity() -> UserIdentity {
        let (uid, gid) = (geteuid(), getegid())
        let count = max(0, getgroups(0, nil))
        let groups = [gid_t](unsafeUninitializedCapacity: Int(count)) { buffer, filled in
            filled = max(0, Int(getgroups(count, buffer.baseAddress)))
        }
        let account = account(uid)
        return UserIdentity(
            name: account?.name ?? "uid-\(uid)", uid: uid, gid: gid, groups: groups.sorted(),
            home: account?.home ?? "/")
    }

    // MARK: - The host's account database

    struct Account: Hashable, Sendable {
        var name: String
        var gid: UInt32
        var home: String
    }

    static func account(_ uid: UInt32) -> Account? {
        withGrowingBuffer { buffer, size in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let code = getpwuid_r(uid, &entry, buffer, size, &found)
            guard code != ERANGE else { return .tooSmall }
            guard code == 0, found != nil, let name = text(entry.pw_name) else { return .done(nil) }
            let home = text(entry.pw_dir) ?? ""
            return .done(Account(name: name, gid: entry.pw_gid, home: home.isEmpty ? "/" : home))
        }
    }

    static func gid(ofGroup name: String) -> UInt32? {
        withGrowingBuffer { buffer, size in
            var entry = group()
            var found: UnsafeMutablePointer<group>?
            let code = getgrnam_r(name, &entry, buffer, size, &found)
            guard code != ERANGE else { return .tooSmall }
            return .done(code == 0 && found != nil ? entry.gr_gid : nil)
        }
    }

    /// Supplementary groups of an account, with its primary one.
    static func groups(of name: String?, primary: UInt32) -> [UInt32] {
        guard let name else { return [primary] }
        var count: Int32 = 64
        while true {
            var groups = [gid_t](repeating: 0, count: Int(count))
            if getgrouplist(name, primary, &groups, &count) >= 0 { return Array(groups.prefix(Int(count))) }
            // -1 says that there are more, and `count` how many; 65536 is the kernel's own bound.
            guard Int(count) > groups.count, count <= 65_536 else { return [primary] }
        }
    }

    private static func isPrivileged(_ gid: UInt32) -> Bool {
        guard gid != 0 else { return true }
        return name(ofGroup: gid).map(privilegedGroups.contains) ?? false
    }

    static func name(ofGroup gid: UInt32) -> String? {
        withGrowingBuffer { buffer, size in
            var entry = group()
            var found: UnsafeMutablePointer<group>?
            let code = getgrgid_r(gid, &entry, buffer, size, &found)
            guard code != ERANGE else { return .tooSmall }
            return .done(code == 0 && found != nil ? text(entry.gr_name) : nil)
        }
    }

    private static func text(_ pointer: UnsafeMutablePointer<CChar>?) -> String? {
        pointer.map { String(cString: $0) }
    }

    private enum Attempt<Value> {
        case done(Value?)
        case tooSmall
    }

    private static func withGrowingBuffer<Value>(
        _ body: (UnsafeMutablePointer<CChar>, Int) -> Attempt<Value>
    ) -> Value? {
        var size = 4096
        while size <= 1 << 20 {
            let attempt = withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { buffer in
                buffer.baseAddress.map { body($0, size) } ?? .done(nil)
            }
            if case .done(let value) = attempt { return value }
            size *= 4
        }
        return nil
    }
}
