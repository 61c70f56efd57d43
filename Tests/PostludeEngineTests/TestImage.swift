import Foundation
import Glibc
import Testing

/// A small root file system with a shell, made of this host's, and OCI layouts of it.
struct TestImage {
    static let hasUmoci = FileManager.default.isExecutableFile(atPath: "/usr/bin/umoci")
    static let hasSkopeo = FileManager.default.isExecutableFile(atPath: "/usr/bin/skopeo")

    /// Where it lies.
    let root: String

    /// - Parameter id: what its /etc/os-release says, as no host's does.
    init(_ root: String, id: String) throws {
        self.root = root
        for directory in ["usr/bin", "usr/lib", "usr/lib64", "etc", "var/tmp"] { try make(directory) }
        for (name, text) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            try FileManager.default.createSymbolicLink(atPath: "\(root)/\(name)", withDestinationPath: text)
        }
        try copy("/bin/sh", to: "usr/bin/sh")
        try copy("/bin/cat", to: "usr/bin/cat")
        for library in Self.libraries {
            try copy(library, to: "usr/lib/\(Self.name(library))")
            // Where the programs name their loader.
            if Self.name(library).hasPrefix("ld-") { try copy(library, to: "usr/lib64/\(Self.name(library))") }
        }
        try write("etc/os-release", "ID=\(id)\n")
    }

    /// The loader, where programs name it, and the C library beside it.
    private static let libraries: [String] = {
        let loaders = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].map {
            URL(filePath: $0).resolvingSymlinksInPath().path
        }
        return loaders.filter { FileManager.default.fileExists(atPath: $0) }.flatMap { loader in
            [loader, URL(filePath: loader).deletingLastPathComponent().appending(path: "libc.so.6").path]
        }
    }()

    private static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    func make(_ directory: String) throws {
        try FileManager.default.createDirectory(atPath: "\(root)/\(directory)", withIntermediateDirectories: true)
    }

    func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(filePath: "\(root)/\(name)"))
    }

    private func copy(_ source: String, to name: String) throws {
        let data = try Data(contentsOf: URL(filePath: source))
        try data.write(to: URL(filePath: "\(root)/\(name)"))
        try #require(chmod("\(root)/\(name)", 0o755) == 0)
    }

    /// Adds a program of the host's.
    func add(_ program: String) throws {
        try copy("/usr/bin/\(program)", to: "usr/bin/\(program)")
        try addLibraries(of: "/usr/bin/\(program)")
    }

    /// Adds the libraries that a program of the host's needs, as the loader lists them.
    func addLibraries(of program: String) throws {
        let loader = try #require(Self.libraries.first)
        let (process, pipe) = (Process(), Pipe())
        process.executableURL = URL(filePath: loader)
        process.arguments = ["--list", program]
        process.standardOutput = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        for line in text.split(separator: "\n") {
            guard let path = line.split(separator: " ").first(where: { $0.hasPrefix("/") }) else { continue }
            try copy(String(path), to: "usr/lib/\(Self.name(String(path)))")
        }
    }

    /// Adds it to an OCI layout as a layer of an image, which is made when it is not there yet.
    func pack(into layout: String, tag: String) async throws {
        if access(layout, F_OK) != 0 { try await Self.umoci("init", "--layout", layout) }
        try await Self.umoci("new", "--image", "\(layout):\(tag)")
        try await Self.umoci("insert", "--image", "\(layout):\(tag)", root, "/")
    }

    /// Holds no thread meanwhile: agents of other tests run on the same few.
    static func umoci(_ arguments: String...) async throws {
        let status = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Int32, any Error>) in
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/umoci")
            process.arguments = arguments
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        try #require(status == 0, "umoci \(arguments)")
    }
}
