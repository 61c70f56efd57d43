import Glibc
import PostludeCore

/// NVIDIA devices, by their nodes and by what the kernel driver says under /proc/driver/nvidia.
enum NVIDIADevices {
    static let deviceClass = "nvidia.com/gpu"
    /// Every holder needs these; that somebody has them open says nothing about one GPU. Drivers from 570 on take a
    /// refused nvidia-uvm-tools for fatal.
    private static let sharedNames = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"]

    /// One device for each /dev/nvidia<N>; empty when there is none. A control node that is missing is left out: the
    /// driver's own tool makes it when the module is loaded.
    static func find(_ places: HostPlaces) -> [Device] {
        let minors = names(in: places.dev).compactMap(minor).sorted()
        guard !minors.isEmpty else { return [] }
        let shared = sharedNames.compactMap { node("\(places.dev)/\($0)", isShared: true) }
        let descriptions = describe(places)
        return minors.compactMap { minor in
            guard let own = node("\(places.dev)/nvidia\(minor)", isShared: false) else { return nil }
            let known = descriptions[minor]
            // CUDA counts only the GPUs it may open, so an index would mean another GPU inside: only the UUID is sure.
            return Device(
                id: "nvidia\(minor)", deviceClass: deviceClass, nodes: [own] + shared,
                environmentName: known?.uuid == nil ? nil : "CUDA_VISIBLE_DEVICES", environmentValue: known?.uuid,
                model: known?.model, uuid: known?.uuid)
        }
    }

    struct Description: Hashable {
        var minor: UInt32
        var model: String?
        var uuid: String?
    }

    /// Reads one `information` file: `Key: <tabs> value` lines. nil when it names no device minor.
    static func parse(_ information: String) -> Description? {
        var fields: [Substring: String] = [:]
        for line in information.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = trim(line[line.index(after: colon)...])
        }
        guard let text = fields["Device Minor"], let minor = UInt32(text) else { return nil }
        // A GPU that nobody has opened yet shows question marks in place of its digits.
        let uuid = fields["GPU UUID"].flatMap { $0.contains("?") || $0.isEmpty ? nil : $0 }
        return Description(minor: minor, model: fields["Model"].flatMap { $0.isEmpty ? nil : $0 }, uuid: uuid)
    }

    private static func describe(_ places: HostPlaces) -> [UInt32: Description] {
        var found: [UInt32: Description] = [:]
        for name in names(in: "\(places.nvidia)/gpus") {
            guard let text = SmallFile.read("\(places.nvidia)/gpus/\(name)/information"),
                let description = parse(text)
            else { continue }
            found[description.minor] = description
        }
        return found
    }

    private static func minor(_ name: String) -> UInt32? {
        guard name.hasPrefix("nvidia"), name.utf8.count > 6 else { return nil }
        let digits = name.dropFirst(6)
        return digits.utf8.allSatisfy { (48...57).contains($0) } ? UInt32(digits) : nil
    }

    private static func node(_ path: String, isShared: Bool) -> DeviceNode? {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return nil }
        return DeviceNode(
            path: path, major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev), isShared: isShared)
    }

    private static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                    tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    private static func trim(_ text: Substring) -> String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        guard let first = text.firstIndex(where: { !isBlank($0) }),
            let last = text.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(text[first...last])
    }
}

/// Reads of small kernel files.
enum SmallFile {
    /// The file's text, at most 64 KiB; nil when it cannot be read.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count < 65536 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
