import CLinux
import Glibc

/// epoll(7): one place to wait for many descriptors.
public struct Epoll: ~Copyable, Sendable {
    public struct Interest: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let readable = Interest(rawValue: LINUX_EPOLLIN)
        /// What cgroup.events and pressure files raise when they change.
        public static let priority = Interest(rawValue: LINUX_EPOLLPRI)
        public static let hangUp = Interest(rawValue: LINUX_EPOLLHUP)
        public static let error = Interest(rawValue: LINUX_EPOLLERR)
        public static let oneShot = Interest(rawValue: LINUX_EPOLLONESHOT)
        public static let edge = Interest(rawValue: LINUX_EPOLLET)
    }

    public struct Event: Hashable, Sendable {
        public var token: UInt64
        public var ready: Interest.RawValue
        public func has(_ interest: Interest) -> Bool { ready & interest.rawValue != 0 }
    }

    public let descriptor: OwnedDescriptor

    public init() throws(LinuxError) {
        descriptor = OwnedDescriptor(adopting: try retrying("epoll_create1") { linux_epoll_create() })
    }

    public borrowing func add(_ raw: Int32, _ interest: Interest, token: UInt64) throws(LinuxError) {
        _ = try retrying("epoll_ctl") {
            linux_epoll_control(descriptor.rawValue, EPOLL_CTL_ADD, raw, interest.rawValue, token)
        }
    }

    public borrowing func modify(_ raw: Int32, _ interest: Interest, token: UInt64) throws(LinuxError) {
        _ = try retrying("epoll_ctl") {
            linux_epoll_control(descriptor.rawValue, EPOLL_CTL_MOD, raw, interest.rawValue, token)
        }
    }

    public borrowing func remove(_ raw: Int32) throws(LinuxError) {
        _ = try retrying("epoll_ctl") { linux_epoll_control(descriptor.rawValue, EPOLL_CTL_DEL, raw, 0, 0) }
    }

    /// Waits for events; -1 waits for ever. Returns none on time-out or when a signal interrupted.
    public borrowing func wait(milliseconds: Int32 = -1, maximum: Int = 16) throws(LinuxError) -> [Event] {
        let raw = descriptor.rawValue
        var events = [epoll_event](repeating: epoll_event(), count: maximum)
        let count = linux_epoll_wait(raw, &events, Int32(maximum), milliseconds)
        guard count >= 0 else {
            if errno == EINTR { return [] }
            throw LinuxError(last: "epoll_wait")
        }
        return (0..<Int(count)).map { index in
            Event(token: linux_epoll_data(&events[index]), ready: linux_epoll_events(&events[index]))
        }
    }
}

/// A counter that wakes whoever waits for it.
public struct EventCounter: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    public init() throws(LinuxError) {
        descriptor = OwnedDescriptor(adopting: try retrying("eventfd") { linux_eventfd(0) })
    }

    /// Wakes the waiter. Cannot fail in a way that matters: a full counter is already readable.
    public borrowing func signal() {
        var one: UInt64 = 1
        _ = Glibc.write(descriptor.rawValue, &one, 8)
    }

    /// Takes the count and makes it 0.
    @discardableResult
    public borrowing func drain() -> UInt64 {
        var count: UInt64 = 0
        return Glibc.read(descriptor.rawValue, &count, 8) == 8 ? count : 0
    }
}

/// inotify(7).
public struct FileWatch: ~Copyable, Sendable {
    public struct Change: Hashable, Sendable {
        public var watch: Int32
        public var mask: UInt32
        /// The entry below a watched directory; empty for the watched file itself.
        public var name: String
    }

    public let descriptor: OwnedDescriptor

    public init() throws(LinuxError) {
        descriptor = OwnedDescriptor(adopting: try retrying("inotify_init1") { linux_inotify_create() })
    }

    /// Watches `path` for IN_* events; returns the watch.
    @discardableResult
    public borrowing func add(_ path: String, mask: UInt32) throws(LinuxError) -> Int32 {
        let raw = descriptor.rawValue
        return try retrying("inotify_add_watch", path) { inotify_add_watch(raw, path, mask) }
    }

    public borrowing func remove(_ watch: Int32) throws(LinuxError) {
        let raw = descriptor.rawValue
        _ = try retrying("inotify_rm_watch") { inotify_rm_watch(raw, watch) }
    }

    /// What happened since the last call; never blocks.
    public borrowing func changes() throws(LinuxError) -> [Change] {
        var changes: [Change] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor.rawValue, &buffer, buffer.count)
        guard count >= 0 else {
            if errno == EAGAIN || errno == EINTR { return [] }
            throw LinuxError(last: "read", "inotify")
        }
        buffer.withUnsafeBytes { raw in
            var offset = 0
            while offset + 16 <= count {
                let watch = raw.loadUnaligned(fromByteOffset: offset, as: Int32.self)
                let mask = raw.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                let length = Int(raw.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
                let end = min(count, offset + 16 + length)
                let name = raw[(offset + 16)..<end].prefix { $0 != 0 }
                changes.append(Change(watch: watch, mask: mask, name: String(decoding: name, as: UTF8.self)))
                offset = end
            }
        }
        return changes
    }
}

/// A timer on CLOCK_MONOTONIC that epoll can wait for.
public struct Timer: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    public init() throws(LinuxError) {
        descriptor = OwnedDescriptor(adopting: try retrying("timerfd_create") { linux_timerfd_create() })
    }

    /// Fires once after this long; 0 disarms.
    public borrowing func arm(afterMilliseconds: UInt64) throws(LinuxError) {
        var value = itimerspec()
        value.it_value.tv_sec = Int(clamping: afterMilliseconds / 1000)
        value.it_value.tv_nsec = Int(afterMilliseconds % 1000) * 1_000_000
        let raw = descriptor.rawValue
        _ = try retrying("timerfd_settime") { linux_timerfd_set(raw, &value) }
    }

    public borrowing func drain() {
        var count: UInt64 = 0
        _ = Glibc.read(descriptor.rawValue, &count, 8)
    }
}

/// poll(2) of one descriptor for reading; true when it is readable or was hung up.
public func waitReadable(_ descriptor: Int32, milliseconds: Int32) throws(LinuxError) -> Bool {
    try waitFor(descriptor, events: Int16(POLLIN), milliseconds: milliseconds)
}

/// poll(2) of several descriptors for reading, until one of them is readable or was hung up.
public func waitReadable(anyOf descriptors: [Int32]) throws(LinuxError) {
    var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    _ = try retrying("poll") { poll(&entries, nfds_t(entries.count), -1) }
}

/// poll(2) of one descriptor for POLLPRI, which cgroup.events raises when it changes after it was read.
public func waitPriority(_ descriptor: Int32, milliseconds: Int32) throws(LinuxError) -> Bool {
    try waitFor(descriptor, events: Int16(POLLPRI), milliseconds: milliseconds)
}

private func waitFor(_ descriptor: Int32, events: Int16, milliseconds: Int32) throws(LinuxError) -> Bool {
    var entry = pollfd(fd: descriptor, events: events, revents: 0)
    return try retrying("poll") { poll(&entry, 1, milliseconds) } > 0
}
