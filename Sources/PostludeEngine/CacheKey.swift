import Foundation
import PostludeCore
import PostludeStore

/// What tells runs apart whose outputs may stand for each other's.
enum CacheKey {
    /// nil for an operation that is not cached, or has children.
    ///
    /// The submitter, the project and the working directory count always; of what runs and of the inputs, what the policy
    /// names. Files that the programs read do not.
    static func of(_ new: NewRun) throws -> String? {
        guard let policy = new.operation.cache, !new.operation.isParent else { return nil }
        let component = new.operation.component
        let named = policy.io.map(Set.init)
        var values = new.inputs.filter { named?.contains($0.key) ?? true }
        // What only templates see says what runs as well as the inputs do.
        for (name, param) in new.operation.params where param.contextOnly && named == nil { values[name] = param.value }
        let identity = Identity(
            uid: new.user.uid, project: new.project, workingDirectory: new.workingDirectory, kind: new.operation.kind,
            inputs: values, outputs: component.outputs.map { "\($0.name): \($0.type ?? "any")" })
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let job = try encoder.encode(Job(component.job, policy.sections))
        let placeless = try JSONSerialization.data(
            withJSONObject: withoutPlaces(try JSONSerialization.jsonObject(with: job)), options: .sortedKeys)
        return fingerprint(try encoder.encode(identity) + [0] + placeless)
    }

    private struct Identity: Encodable {
        var uid: UInt32
        var project: String
        var workingDirectory: String?
        var kind: String
        var inputs: [String: Value]
        var outputs: [String]
    }

    /// What of a job counts; all of it when no section is named.
    private struct Job: Encodable {
        var profile: String?
        var initSteps: [InitSpec]?
        var connections: [String]?
        var containers: [ContainerSpec]?

        init(_ job: JobSpec, _ sections: [CachePolicy.Section]?) {
            func counts(_ section: CachePolicy.Section) -> Bool { sections?.contains(section) ?? true }
            profile = job.profile
            if counts(.initialize) { initSteps = job.initSteps }
            let all = [job.container] + job.sidecars
            if counts(.connections) { connections = all.flatMap { $0.connections ?? [] }.map(\.name) }
            if counts(.containers) { containers = all }
        }
    }

    /// A file that is moved, or has a line more, says the same.
    private static func withoutPlaces(_ json: Any) -> Any {
        if let list = json as? [Any] { return list.map(withoutPlaces) }
        guard let keys = json as? [String: Any] else { return json }
        return keys.filter { $0.key != "place" }.mapValues(withoutPlaces)
    }

    /// FNV-1a of 128 bits: nobody gains by two of their own runs being taken for one, and chance does not bring it about.
    static func fingerprint(_ bytes: some Sequence<UInt8>) -> String {
        let prime: UInt128 = (1 << 88) + 0x13b
        let offset: UInt128 = (0x6c62_272e_07bb_0142 << 64) + 0x62b8_2175_6295_c58d
        return String(bytes.reduce(offset) { ($0 ^ UInt128($1)) &* prime }, radix: 16)
    }
}
