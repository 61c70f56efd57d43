import Glibc

/// A root file system that the site keeps in a directory.
public enum ImageDirectory {
    /// The directory's path without links.
    /// - Throws: `image.no-directory` when there is none.
    public static func withoutLinks(_ path: String) throws(ImageError) -> String {
        var status = stat()
        guard let real = realpath(path, nil) else { throw none(path, String(cString: strerror(errno))) }
        defer { free(real) }
        guard stat(real, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw none(path, "It is no directory")
        }
        let found = String(cString: real)
        guard found != "/" else { throw none(path, "It is the host's own root, which `host: true` stands for") }
        return found
    }

    private static func none(_ path: String, _ why: String) -> ImageError {
        ImageError(
            "image.no-directory", "The root file system '\(path)' cannot be used: \(why).",
            hint: "Correct `images.map` in the agent's configuration.")
    }
}
