/// What a file system has, as statvfs(3) tells it.
public struct DiskSpace: Hashable, Sendable {
    /// Bytes that users other than root can still have.
    public var availableBytes: Int64
    public var totalBytes: Int64
    /// Files that can still be made; 0 with a total of 0 where the file system has no number of them.
    public var availableFiles: Int64
    public var totalFiles: Int64

    public init(availableBytes: Int64, totalBytes: Int64, availableFiles: Int64 = 0, totalFiles: Int64 = 0) {
        self.availableBytes = availableBytes
        self.totalBytes = totalBytes
        self.availableFiles = availableFiles
        self.totalFiles = totalFiles
    }
}

/// What runs leave of the file system on which the agent keeps its state, so that it can go on writing down what happens.
public struct DiskReserve: Hashable, Sendable {
    /// As configured, in bytes; 0 for none; nil for the smaller of 1 GiB and 2 %.
    public var configuredBytes: Int64?

    public init(configuredBytes: Int64? = nil) { self.configuredBytes = configuredBytes }

    public func bytes(of space: DiskSpace) -> Int64 { configuredBytes ?? min(1 << 30, space.totalBytes / 50) }

    /// As large a part of the file system's files as of its bytes, where it has a number of files at all.
    public func files(of space: DiskSpace) -> Int64 {
        guard space.totalBytes > 0, space.totalFiles > 0 else { return 0 }
        let part = min(1, max(0, Double(bytes(of: space)) / Double(space.totalBytes)))
        return Int64(part * Double(space.totalFiles))
    }

    /// What of the reserve is gone; nil while it is whole.
    public func shortage(in space: DiskSpace) -> Shortage? {
        if space.availableBytes < bytes(of: space) { return .bytes(space.availableBytes, reserve: bytes(of: space)) }
        if space.availableFiles < files(of: space) { return .files(space.availableFiles, reserve: files(of: space)) }
        return nil
    }

    public enum Shortage: Hashable, Sendable {
        /// Available, and what there should be.
        case bytes(Int64, reserve: Int64)
        case files(Int64, reserve: Int64)

        /// `12345 bytes available, less than the reserve of 67890`.
        public var words: String {
            switch self {
            case .bytes(let available, let reserve): "\(available) bytes available, less than the reserve of \(reserve)"
            case .files(let available, let reserve): "\(available) files available, less than the reserve of \(reserve)"
            }
        }
    }
}

/// What a directory tree takes of its file system.
public struct DiskUse: Hashable, Sendable {
    /// Allocated, which for a sparse file is less than its length.
    public var bytes: Int64
    /// Files, directories and all else that has an inode.
    public var files: Int64
    /// Whether everything was looked at; the numbers are too small otherwise.
    public var isComplete: Bool
    /// Whether directories lie too deep in each other to be looked at.
    public var isTooDeep: Bool

    public init(bytes: Int64 = 0, files: Int64 = 0, isComplete: Bool = true, isTooDeep: Bool = false) {
        self.bytes = bytes
        self.files = files
        self.isComplete = isComplete
        self.isTooDeep = isTooDeep
    }
}
