import CLinux
import Glibc

/// Packets with descriptors over a unix socket pair.
public enum PacketSocket {
    /// The most descriptors that one message carries (SCM_MAX_FD is 253).
    public static let maximumDescriptors = 251

    /// A SOCK_SEQPACKET pair, both ends close-on-exec.
    public static func pair() throws(LinuxError) -> Pipe {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &ends) { raw -> Int32 in
            linux_socketpair(
                LINUX_SOCK_SEQPACKET | LINUX_SOCK_CLOEXEC, raw.baseAddress?.assumingMemoryBound(to: Int32.self))
        }
        guard result == 0 else { throw LinuxError(last: "socketpair") }
        return Pipe(reader: OwnedDescriptor(adopting: ends.0), writer: OwnedDescriptor(adopting: ends.1))
    }

    /// Sends one packet; the descriptors stay the caller's.
    public static func send(
        _ bytes: [UInt8], descriptors: [Int32] = [], to socket: Int32, flags: Int32 = 0
    ) throws(LinuxError) {
        guard descriptors.count <= maximumDescriptors else { throw LinuxError("sendmsg", errno: E2BIG) }
        let payload = descriptors.count * MemoryLayout<Int32>.size
        let control = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, linux_cmsg_space(payload)), alignment: MemoryLayout<cmsghdr>.alignment)
        defer { control.deallocate() }
        var body = bytes
        let count = bytes.count
        _ = try retrying("sendmsg") { () -> Int in
            body.withUnsafeMutableBytes { raw in
                var vector = iovec(iov_base: raw.baseAddress, iov_len: count)
                return withUnsafeMutablePointer(to: &vector) { vectorPointer in
                    var message = msghdr()
                    message.msg_iov = vectorPointer
                    message.msg_iovlen = 1
                    if !descriptors.isEmpty {
                        message.msg_control = control.baseAddress
                        message.msg_controllen = linux_cmsg_space(payload)
                        if let header = linux_cmsg_first(&message) {
                            header.pointee.cmsg_level = SOL_SOCKET
                            header.pointee.cmsg_type = LINUX_SCM_RIGHTS
                            header.pointee.cmsg_len = linux_cmsg_len(payload)
                            descriptors.withUnsafeBytes { list in
                                if let base = list.baseAddress {
                                    linux_cmsg_data(header)?.copyMemory(from: base, byteCount: payload)
                                }
                            }
                        }
                    }
                    return sendmsg(socket, &message, flags | LINUX_MSG_NOSIGNAL)
                }
            }
        }
    }

    /// Receives one packet of at most `limit` bytes; nil when the other side closed. The descriptors are the caller's.
    /// - Throws: EMSGSIZE when the packet or its descriptors were cut short (what was received is closed).
    public static func receive(
        from socket: Int32, limit: Int = 65536, flags: Int32 = 0
    ) throws(LinuxError) -> (bytes: [UInt8], descriptors: [Int32])? {
        let space = linux_cmsg_space(256 * MemoryLayout<Int32>.size)
        let control = UnsafeMutableRawBufferPointer.allocate(
            byteCount: space, alignment: MemoryLayout<cmsghdr>.alignment)
        defer { control.deallocate() }
        var buffer = [UInt8](repeating: 0, count: limit)
        var descriptors: [Int32] = []
        var wasCut = false
        let received = try retrying("recvmsg") { () -> Int in
            buffer.withUnsafeMutableBytes { raw in
                var vector = iovec(iov_base: raw.baseAddress, iov_len: limit)
                return withUnsafeMutablePointer(to: &vector) { vectorPointer in
                    var message = msghdr()
                    message.msg_iov = vectorPointer
                    message.msg_iovlen = 1
                    message.msg_control = control.baseAddress
                    message.msg_controllen = space
                    let result = recvmsg(socket, &message, flags | LINUX_MSG_CMSG_CLOEXEC)
                    if result >= 0 {
                        collect(&message, into: &descriptors)
                        wasCut = message.msg_flags & (LINUX_MSG_TRUNC | LINUX_MSG_CTRUNC) != 0
                    }
                    return result
                }
            }
        }
        if wasCut {
            for descriptor in descriptors { _ = close(descriptor) }
            throw LinuxError("recvmsg", errno: EMSGSIZE)
        }
        if received == 0 && descriptors.isEmpty { return nil }
        return (Array(buffer.prefix(received)), descriptors)
    }

    private static func collect(_ message: inout msghdr, into descriptors: inout [Int32]) {
        var next = linux_cmsg_first(&message)
        while let header = next {
            if header.pointee.cmsg_level == SOL_SOCKET, header.pointee.cmsg_type == LINUX_SCM_RIGHTS,
                let data = linux_cmsg_data(header)
            {
                let count = (Int(header.pointee.cmsg_len) - Int(linux_cmsg_len(0))) / MemoryLayout<Int32>.size
                for index in 0..<max(0, count) {
                    descriptors.append(data.loadUnaligned(fromByteOffset: index * 4, as: Int32.self))
                }
            }
            next = linux_cmsg_next(&message, header)
        }
    }
}

/// Anonymous files in memory.
public enum MemoryFile {
    /// A memfd with this content, sealed against every later change.
    public static func sealed(_ name: String, _ content: [UInt8]) throws(LinuxError) -> OwnedDescriptor {
        let file = try create(name)
        try file.write(content)
        try seal(file)
        return file
    }

    /// An empty memfd that can still be written and sealed.
    public static func create(_ name: String) throws(LinuxError) -> OwnedDescriptor {
        OwnedDescriptor(
            adopting: try retrying("memfd_create", name) {
                linux_memfd_create(name, LINUX_MFD_CLOEXEC | LINUX_MFD_ALLOW_SEALING)
            })
    }

    private static let allSeals = LINUX_F_SEAL_SEAL | LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW | LINUX_F_SEAL_WRITE

    public static func seal(_ file: borrowing OwnedDescriptor) throws(LinuxError) {
        let raw = file.rawValue
        _ = try retrying("fcntl", "F_ADD_SEALS") { linux_fcntl(raw, LINUX_F_ADD_SEALS, Int(allSeals)) }
    }

    /// Whether nobody can change it any more.
    public static func isSealed(_ descriptor: Int32) -> Bool {
        linux_fcntl(descriptor, LINUX_F_GET_SEALS, 0) & allSeals == allSeals
    }

    /// Its whole content, read at offset 0 whatever the position is.
    /// - Throws: EFBIG when it is larger than `limit` bytes.
    public static func content(of descriptor: Int32, limit: Int = 1 << 24) throws(LinuxError) -> [UInt8] {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw LinuxError(last: "fstat") }
        let size = Int(status.st_size)
        guard size >= 0, size <= limit else { throw LinuxError("memfd", errno: EFBIG) }
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = pread(descriptor, buffer.baseAddress.map { $0 + count }, size - count, off_t(count))
                if got < 0 && errno == EINTR { continue }
                if got <= 0 {
                    failure = got < 0 ? errno : EIO
                    break
                }
                count += got
            }
        }
        guard failure == 0 else { throw LinuxError("pread", errno: failure) }
        return bytes
    }
}
