import PostludeCore
import PostludeSpec

/// An operation file with the files it refers to, read with the user's rights: the agent opens none of them.
struct SubmissionFile {
    let path: String

    func submission(
        params: [String] = [], name: String? = nil, project: String? = nil, idempotencyKey: String? = nil
    ) throws(CommandFailure) -> Submission {
        let params = try ParamText.parse(params)
        let text = try InputFile.text(at: path)
        return Submission(
            path: path, text: text, references: try references(in: text),
            workingDirectory: try InputFile.workingDirectory(), name: name, project: project, params: params,
            idempotencyKey: idempotencyKey)
    }

    /// The files that `pathRef`s name, from the operation file's own directory.
    private func references(in text: String) throws(CommandFailure) -> [String: String] {
        var texts: [String: String] = [:]
        for reference in OperationReader.references(in: text, path: path) {
            let isAbsolute = reference.hasPrefix("/")
            do {
                texts[reference] = try InputFile.text(
                    at: isAbsolute ? reference : InputFile.directory(of: path) + "/" + reference)
            } catch {
                throw CommandFailure(
                    error.exit, error.code, "'\(path)' refers to '\(reference)': \(error.message)", hint: error.hint,
                    details: error.details)
            }
        }
        return texts
    }
}
