import Foundation
import PostludeCore

/// One sort of operation of the load, and what has to become of it when nothing but agents are killed.
enum Load: String, CaseIterable {
    /// Init, main, a sidecar and four hooks of different triggers.
    case plain
    /// Main holds a device; so does whoever is next.
    case device
    /// Fails once with a device, then does well.
    case retry
    case fail
    /// Its init step fails, so main never starts.
    case initfail
    /// Never ends by itself: it is stopped.
    case stop
    /// Held back, and let go.
    case hold
    /// Waits for approval; stopped before that now and then.
    case approval
    /// Its condition is false.
    case skipped
    /// Two points, one after the other, each with a hook, and one hook of the whole.
    case matrix
    /// Made by the clock, twice.
    case schedule
    /// Takes more of the disk than it may.
    case evicted

    /// How often each is submitted, beside the others.
    var weight: Int {
        switch self {
        case .plain, .device, .retry: 4
        case .stop, .fail: 3
        case .initfail, .hold, .matrix: 2
        case .approval, .skipped: 1
        // They take seconds; asked for where they are needed.
        case .schedule, .evicted: 0
        }
    }

    /// The final status, with nobody killed but the agent.
    var status: RunStatus {
        switch self {
        case .plain, .device, .retry, .hold, .approval, .matrix, .schedule: .succeeded
        case .fail, .initfail, .evicted: .failed
        case .stop: .stopped
        case .skipped: .skipped
        }
    }

    var attempts: Int {
        switch self {
        case .retry: 2
        case .plain, .device, .fail, .initfail, .stop, .hold, .approval, .evicted: 1
        case .skipped, .matrix, .schedule: 0
        }
    }

    private static let marks = """
        m() { echo "$1 $POSTLUDE_RUN_ID $POSTLUDE_ATTEMPT $2 ${CRASH_DEVICE:--}" \
        >> $POSTLUDE_CONNECTION/directory/markers || exit 99; }
        """

    private static func container(_ script: String) -> String {
        "{command: [/bin/sh, -c], args: [\(quoted(marks + "\n" + script))]"
    }

    private static func main(_ script: String, more: String = "") -> String {
        container("m + main\n\(script)\nm - main") + "\(more)}"
    }

    private static func initial(_ script: String) -> String {
        "[{connection: shared, container: \(container("m + init\n\(script)\nm - init")), name: prep}}]"
    }

    private static func hook(_ name: String, _ trigger: String, more: String = "") -> String {
        let run = "{kind: job, connections: [shared], container: \(main("sleep 0.01"))}"
        return "{name: \(name), trigger: \(trigger)\(more), component: {run: \(run)}}"
    }

    private static let asking = ", resources: {limits: {\(Stage.deviceClass): 1}}"
    /// Holds the device and says so all the while.
    private static let holding = "exec 9<$CRASH_DEVICE\nsleep 0.02\nm . main\nsleep 0.02\nm . main"

    /// The operation as a user writes it.
    func operation() -> String {
        var more: [String] = []
        var hooks = [Self.hook("always", "done")]
        var run = "kind: job, connections: [shared]"
        var termination = "{}"
        switch self {
        case .plain:
            hooks += [Self.hook("good", "succeeded"), Self.hook("bad", "failed")]
            hooks.append(Self.hook("never", "done", more: ", conditions: \"{{ 1 > 2 }}\""))
            run += ", init: \(Self.initial("sleep 0.01"))"
            run += ", sidecars: [{name: side, command: [/bin/sh, -c], args: [\"trap 'exit 0' TERM; sleep 30 & wait\"]}]"
            run += ", container: \(Self.main("sleep 0.03\necho '{\\\"a\\\": 1}' > $POSTLUDE_OUTPUTS"))"
        case .device:
            hooks.append(Self.hook("good", "succeeded"))
            run += ", container: \(Self.main(Self.holding, more: Self.asking))"
        case .retry:
            hooks = [Self.hook("good", "succeeded"), Self.hook("bad", "failed")]
            termination = "{maxRetries: 1}"
            let script = "\(Self.holding)\nif [ $POSTLUDE_ATTEMPT -lt 2 ]; then m - main; exit 7; fi"
            run += ", container: \(Self.main(script, more: Self.asking))"
        case .fail:
            hooks += [Self.hook("good", "succeeded"), Self.hook("bad", "failed")]
            run += ", container: \(Self.main("sleep 0.02\nm - main\nexit 3"))"
        case .initfail:
            hooks.append(Self.hook("bad", "failed"))
            run += ", init: \(Self.initial("m - init\nexit 4")), container: \(Self.main("true"))"
        case .stop:
            hooks.append(Self.hook("ended", "stopped"))
            run += ", container: \(Self.main("trap 'm - main; exit 0' TERM\nwhile :; do sleep 0.02; done"))"
        case .hold:
            run += ", container: \(Self.main("true"))"
        case .approval:
            more.append("isApproved: false")
            run += ", container: \(Self.main("true"))"
        case .skipped:
            more.append("conditions: \"{{ 1 > 2 }}\"")
            hooks.append(Self.hook("left", "skipped"))
            run += ", container: \(Self.main("true"))"
        case .matrix:
            let all = Self.hook("all", "succeeded")
            more.append(
                "matrix: {kind: grid, concurrency: 1, params: {p: {kind: choice, value: [1, 2]}}, hooks: [\(all)]}")
            run += ", container: \(Self.main("sleep 0.01"))"
        case .schedule:
            more.append("schedule: {kind: interval, frequency: 1, maxRuns: 2}")
            run += ", container: \(Self.main("true"))"
        case .evicted:
            hooks.append(Self.hook("bad", "failed"))
            let script = "head -c 4000000 /dev/zero > $POSTLUDE_ARTIFACTS/big\nexec sleep 600"
            run += ", container: \(Self.main(script, more: ", resources: {limits: {ephemeral-storage: 1Mi}}"))"
        }
        let inputs = self == .matrix ? "inputs: [{name: p, type: int}], " : ""
        return """
            version: 1.1
            kind: operation
            \(more.joined(separator: "\n"))
            hooks: [\(hooks.joined(separator: ", "))]
            component: {\(inputs)termination: \(termination), run: {\(run)}}

            """
    }

    /// A text as YAML takes it, on one line.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for character in text {
            switch character {
            case "\n": quoted += "\\n"
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case let character: quoted.append(character)
            }
        }
        return quoted + "\""
    }

    func submission(_ number: Int, in directory: String) -> Submission {
        Submission(
            path: "\(rawValue).yaml", text: operation(), workingDirectory: directory, name: "\(rawValue)-\(number)",
            idempotencyKey: "\(rawValue)-\(number)", hold: self == .hold ? true : nil)
    }

    /// Of a run's name, as it was submitted.
    init?(ofRun name: String) {
        guard let word = name.split(separator: "-").first else { return nil }
        self.init(rawValue: String(word))
    }

    static func draw(_ random: inout Seeded) -> Load {
        var left = Int.random(in: 0..<allCases.reduce(0) { $0 + $1.weight }, using: &random)
        for load in allCases {
            left -= load.weight
            if left < 0 { return load }
        }
        return .plain
    }
}
