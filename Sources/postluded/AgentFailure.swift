import PostludeAPI
import PostludeCore
import PostludeDevices
import PostludeEngine
import PostludeSandbox
import PostludeServer
import PostludeSpec
import PostludeStore

/// Why the agent cannot start or go on, whatever module says so.
struct AgentFailure: Error {
    var envelope: ErrorEnvelope

    init(_ code: String, _ message: String, hint: String) {
        envelope = ErrorEnvelope(code: code, message: message, hint: hint)
    }

    init(_ error: any Error) {
        switch error {
        case let error as AgentFailure: envelope = error.envelope
        case let error as SpecError:
            envelope = ErrorEnvelope(
                code: error.code,
                message: error.diagnostics.first.map { $0.place.map { "\($0): " } ?? "" }.map { $0 + error.message }
                    ?? error.message,
                hint: error.hint, details: error.diagnostics)
        case let error as StoreError:
            envelope = ErrorEnvelope(code: error.code, message: error.message, hint: error.hint)
        case let error as SandboxError:
            envelope = ErrorEnvelope(code: error.code, message: error.message, hint: error.hint)
        case let error as DeviceError:
            envelope = ErrorEnvelope(code: error.code, message: error.message, hint: error.hint)
        case let error as EngineError:
            envelope = ErrorEnvelope(
                code: error.code, message: error.message, hint: error.hint, details: error.diagnostics)
        case let error as ServerError:
            envelope = ErrorEnvelope(code: error.code, message: error.message, hint: error.hint)
        default:
            envelope = ErrorEnvelope(
                code: "agent.internal", message: "The agent failed: \(error).", hint: "This is a fault of Postlude.")
        }
    }
}
