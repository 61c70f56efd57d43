/// What an agent that was started on demand tells whoever started it, once, as a line of JSON on the descriptor that
/// `--ready-fd` names: that it takes requests, or why it will not.
public enum Readiness: Hashable, Sendable, Codable {
    case ready(AgentInfo)
    case failed(ErrorEnvelope)
}
