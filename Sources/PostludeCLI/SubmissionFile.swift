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

    /// The files that `pathRef`s and presets name, from the operation file's own directory.
    private func references(in text: String) throws(CommandFailure) -> [String: String] {
        var texts: [String: String] = [:]
        let directory = InputFile.directory(of: path)
        for reference in OperationReader.references(in: text, path: path) {
            let isAbsolute = reference.hasPrefix("/")
            do {
                texts[reference] = try InputFile.text(
                    at: isAbsolute ? reference : directory + "/" + reference)
            } catch {
                throw CommandFailure(
                    error.exit, error.code, "'\(path)' refers to '\(reference)': \(error.message)", hint: error.hint,
                    details: error.details)
            }
        }
        for source in [text] + texts.values {
            for files in OperationReader.presetFiles(in: source, path: path) {
                // A preset need not lie here: the site may have it.
                guard let file = files.first(where: { InputFile.exists(directory + "/" + $0) }) else { continue }
                texts[file] = try InputFile.text(at: directory + "/" + file)
            }
        }
        return texts
    }
}
