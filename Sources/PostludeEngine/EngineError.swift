import PostludeCore
import PostludeStore

/// What the engine answers instead of a result.
public struct EngineError: Error, Hashable, Sendable {
    /// What kind of answer it is; a server turns it into its protocol's status.
    public enum Kind: String, Hashable, Sendable {
        case badRequest, notFound, forbidden, conflict, exhausted, unavailable, internalFault
    }

    public var kind: Kind
    /// Stable, such as `engine.never-fits`.
    public var code: String
    public var message: String
    public var hint: String?
    /// Every finding about the operation file, when that is what is wrong.
    public var diagnostics: [Diagnostic]

    public init(
        _ kind: Kind, _ code: String, _ message: String, hint: String? = nil, diagnostics: [Diagnostic] = []
    ) {
        self.kind = kind
        self.code = code
        self.message = message
        self.hint = hint
        self.diagnostics = diagnostics
    }
}

extension EngineError {
    static func invalidOperation(_ path: String, _ diagnostics: [Diagnostic]) -> EngineError {
        let errors = diagnostics.filter { $0.severity == .error }
        let first = errors.first.map { "\($0.place.map { "\($0): " } ?? "")\($0.message)" } ?? "It cannot be used."
        let more = errors.count > 1 ? " (and \(errors.count - 1) more)" : ""
        return EngineError(
            .badRequest, "engine.invalid-operation", "'\(path)' is not a valid operation: \(first)\(more)",
            hint: errors.first?.hint ?? "postlude validate shows every problem with its place.",
            diagnostics: diagnostics)
    }

    static func policyRefused(_ path: String, _ violations: [Diagnostic]) -> EngineError {
        let first = violations.first.map { "\($0.place.map { "\($0): " } ?? "")\($0.message)" } ?? ""
        let more = violations.count > 1 ? " (and \(violations.count - 1) more)" : ""
        return EngineError(
            .forbidden, "engine.policy-refused", "'\(path)' asks for more than the site allows: \(first)\(more)",
            hint: violations.first?.hint, diagnostics: violations)
    }

    static func noRule(_ user: String) -> EngineError {
        EngineError(
            .forbidden, "engine.no-rule", "The site's policy has no rule for '\(user)', so nothing may be submitted.",
            hint: "Ask the administrator for a rule under `policy` in /etc/postlude/postlude.yaml.")
    }

    static func neverFits(_ shortages: [Scheduler.Shortage]) -> EngineError {
        let words = shortages.map { "\($0.neededWords) (\($0.availableWords))" }.joined(separator: ", ")
        return EngineError(
            .badRequest, "engine.never-fits", "The run asks for more than this node can ever give: \(words).",
            hint: "Ask for less, or see postlude devices for what there is.")
    }

    static func notFinished(_ id: RunID, _ status: RunStatus) -> EngineError {
        EngineError(
            .conflict, "engine.not-finished", "Run \(id.short) is \(status.rawValue): its hooks are still to come.",
            hint: "Wait until it has ended.")
    }

    static func unknownHook(_ name: String, known: [String], isAmbiguous: Bool) -> EngineError {
        let numbered = known.enumerated().map { "\($0.offset) \($0.element)" }.joined(separator: ", ")
        return EngineError(
            .badRequest, "engine.unknown-hook",
            isAmbiguous ? "The run has several hooks '\(name)'." : "The run has no hook '\(name)'.",
            hint: known.isEmpty ? "It has no hooks at all." : "Name one of these, or its number: \(numbered).")
    }

    static func hookDepth(_ limit: Int) -> EngineError {
        EngineError(
            .badRequest, "engine.hook-depth", "The hook would be \(limit + 1) deep; hooks may be \(limit) deep here.",
            hint: "An administrator can raise `hookDepth` in the configuration.")
    }

    static func profileWithoutDevices(_ profile: String, _ classes: [String]) -> EngineError {
        EngineError(
            .badRequest, "engine.profile-without-devices",
            "The sandbox profile '\(profile)' grants no device, and \(classes.sorted().joined(separator: ", ")) is asked for.",
            hint: "Name a profile that does in `run.profile`, such as main, or leave the device out.")
    }

    static func unknownProfile(_ name: String, known: [String]) -> EngineError {
        EngineError(
            .badRequest, "engine.unknown-profile", "There is no sandbox profile '\(name)'.",
            hint: "Known profiles: \(known.sorted().joined(separator: ", ")).")
    }

    static func diskPressure(_ directory: String, _ shortage: DiskReserve.Shortage) -> EngineError {
        EngineError(
            .unavailable, "engine.disk-pressure",
            "The disk of '\(directory)' has \(shortage.words); until that changes no run is taken.",
            hint: "Free some space there, or lower `diskReserve` in the configuration.")
    }

    static func unmetRequirements(_ profile: String, _ checks: [HostCheck]) -> EngineError {
        let words = checks.map { "\($0.name) (\($0.detail))" }.joined(separator: ", ")
        return EngineError(
            .unavailable, "engine.unmet-requirements",
            "The sandbox profile '\(profile)' requires what this host lacks: \(words).",
            hint: checks.compactMap(\.hint).first ?? "postlude doctor shows what this host can enforce.")
    }

    static func unknownRun(_ what: String) -> EngineError {
        EngineError(
            .notFound, "engine.unknown-run", "There is no run '\(what)'.", hint: "postlude ps lists the runs you have.")
    }

    static func ambiguousRun(_ prefix: String, _ matches: [RunID]) -> EngineError {
        EngineError(
            .badRequest, "engine.ambiguous-run", "'\(prefix)' is the beginning of several runs' ids.",
            hint: "Give more digits: \(matches.prefix(5).map(\.description).joined(separator: ", ")).")
    }

    static func noLog(_ run: RunID, step: String) -> EngineError {
        EngineError(
            .notFound, "engine.unknown-step", "Run \(run.short) has no step '\(step)'.",
            hint: "postlude inspect \(run.short) lists the steps.")
    }

    static func keyReused(_ key: String) -> EngineError {
        EngineError(
            .conflict, "engine.idempotency-key-reused", "The idempotency key '\(key)' was used for another submission.",
            hint: "Use a new key for a new submission.")
    }

    /// A failure of the store, in the engine's words.
    static func store(_ error: StoreError) -> EngineError {
        EngineError(
            error.isTemporary ? .unavailable : .internalFault, error.code, error.message, hint: error.hint)
    }
}
