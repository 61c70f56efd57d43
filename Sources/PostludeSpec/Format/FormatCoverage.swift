/// Notes which keys the readers ask for, so that a test can hold them against the description of the format.
final class FormatCoverage {
    private(set) var keys: [String: Set<String>] = [:]

    func add(_ names: Set<String>, at path: String) { keys[path, default: []].formUnion(names) }
}
