import PostludeAPI
import PostludeCore

/// How a command ends; the numbers are documented in `postlude --help` and stay as they are.
public enum ExitStatus: Int32, Sendable {
    case succeeded = 0
    /// The run failed, or the file is not valid.
    case failed = 1
    /// The command line or a file named on it is wrong.
    case usage = 2
    /// The agent refused, or failed itself.
    case refused = 3
    /// No agent can be reached or started.
    case unreachable = 4
    /// The run was stopped or skipped.
    case stopped = 5
    /// Ctrl-C.
    case interrupted = 130
    /// Nobody reads the output any more (128 + SIGPIPE).
    case brokenPipe = 141

    /// What a run's final status means for `postlude run`.
    init(_ status: RunStatus) {
        switch status {
        case .succeeded: self = .succeeded
        case .stopped, .skipped: self = .stopped
        case .failed, .upstreamFailed, .created, .onSchedule, .resuming, .compiled, .queued, .scheduled, .starting,
            .running, .processing, .stopping, .warning, .unschedulable, .retrying, .unknown:
            self = .failed
        }
    }
}

/// Why a command could not do its work, in the words people see.
public struct CommandFailure: Error, Hashable, Sendable {
    public var exit: ExitStatus
    /// Stable and grep-able, such as `cli.file-missing`.
    public var code: String
    public var message: String
    public var hint: String?
    public var details: [Diagnostic]

    init(
        _ exit: ExitStatus, _ code: String, _ message: String, hint: String? = nil, details: [Diagnostic] = []
    ) {
        self.exit = exit
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details
    }

    init(_ error: ClientError) {
        let exit: ExitStatus =
            switch error.kind {
            case .notRunning, .unreachable, .lost, .unintelligible: .unreachable
            // What the caller asked for is wrong, and asking again is of no use.
            case .refused(400), .refused(404), .refused(413): .usage
            case .refused: .refused
            }
        self.init(exit, error.code, error.message, hint: error.hint, details: error.details)
    }

    var envelope: ErrorEnvelope { ErrorEnvelope(code: code, message: message, hint: hint, details: details) }
}

/// The document that `--json` prints instead of a result.
struct FailureDocument: Encodable {
    var error: ErrorEnvelope
}
