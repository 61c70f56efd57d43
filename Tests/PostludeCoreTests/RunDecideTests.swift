import Foundation
import Testing

@testable import PostludeCore

@Suite struct RunDecideTests {
    private let active = RunSamples.active
    private var last: Run.Active {
        Run.Active(attempt: 2, terms: RunSamples.terms, lease: RunSamples.lease)
    }

    private func outcome(_ state: Run.State, _ event: Run.Event) throws -> Run.Ending {
        guard case .accept(let transition) = Run.decide(state, event, at: RunSamples.time),
            case .processing(_, let ending) = transition.state
        else { throw UnexpectedDecision() }
        return ending
    }

    private struct UnexpectedDecision: Error {}

    private func end(
        _ exit: ProcessExit, _ reason: AttemptReport.AttemptEndReason, oom: Bool = false, refused: Int64 = 0,
        dropped: Int64 = 0
    ) -> Run.Event {
        .ended(
            attempt: 2,
            Run.End(
                exit: exit, reason: reason, oomKilled: oom, forksRefused: refused, logBytesDropped: dropped))
    }

    @Test func `each way to end has its status and reason`() throws {
        let rows: [(Run.Event, RunStatus, String)] = [
            (end(.code(0), .mainExited), .succeeded, "Completed"),
            (end(.code(3), .mainExited), .failed, "MainFailed"),
            (end(.signal(11, coreDumped: true), .mainExited), .failed, "MainFailed"),
            (end(.signal(9, coreDumped: false), .mainExited, oom: true), .failed, "OOMKilled"),
            (end(.unknown, .mainExited), .failed, "MainFailed"),
            (end(.code(1), .mainExited, refused: 3), .failed, "PidsLimit"),
            (end(.code(1), .mainExited, oom: true, refused: 3), .failed, "OOMKilled"),
            (end(.code(0), .mainExited, refused: 3), .succeeded, "Completed"),
            (end(.code(0), .mainExited, dropped: 1), .succeeded, "LogsTruncated"),
            (end(.code(3), .mainExited, dropped: 1), .failed, "MainFailed"),
            (end(.code(1), .initFailed(step: "init-0"), refused: 1), .failed, "PidsLimit"),
            (end(.code(1), .initFailed(step: "init-0")), .failed, "InitFailed"),
            (
                end(.setupFailed(stage: "mount", errno: 2, detail: ""), .setupFailed(step: "main")), .failed,
                "SandboxSetupFailed"
            ),
            (end(.signal(15, coreDumped: false), .timeout), .failed, "Timeout"),
            (end(.signal(15, coreDumped: false), .stopRequested), .stopped, "Stopped"),
            (.wardenLost(attempt: 2), .failed, "WardenLost"),
        ]
        for (event, status, reason) in rows {
            let ending = try outcome(.running(last), event)
            guard case .finish(let outcome) = ending.next else {
                Issue.record("\(event) retries")
                continue
            }
            #expect(outcome.status == status)
            #expect(outcome.reason == reason)
        }
    }

    @Test func `a main that ends well after some of its children were killed for memory has succeeded`() throws {
        let ending = try outcome(.running(last), end(.code(0), .mainExited, oom: true))
        #expect(ending.next == .finish(RunSamples.success))
    }

    @Test func `a lost warden leaves the exit unknown`() throws {
        guard case .finish(let outcome) = try outcome(.running(last), .wardenLost(attempt: 2)).next else {
            throw UnexpectedDecision()
        }
        #expect(outcome.exit == .unknown)
    }

    @Test func `a set-up failure names stage and errno`() throws {
        let exit = ProcessExit.setupFailed(stage: "mount", errno: 13, detail: "/data")
        guard case .finish(let outcome) = try outcome(.starting(last), end(exit, .setupFailed(step: "main"))).next
        else { throw UnexpectedDecision() }
        #expect(outcome.message == "The step 'main' could not be set up: stage mount, errno 13 (/data).")
    }

    @Test func `a failed main is retried while attempts are left, and never after a timeout or a failed set-up`() throws
    {
        func retries(_ exit: ProcessExit, _ reason: AttemptReport.AttemptEndReason) throws -> Bool {
            let event = Run.Event.ended(attempt: 1, Run.End(exit: exit, reason: reason))
            if case .retry = try outcome(.running(active), event).next { return true }
            return false
        }
        #expect(try retries(.code(1), .mainExited))
        #expect(try retries(.code(1), .initFailed(step: "init-0")))
        #expect(try !retries(.code(0), .mainExited))
        #expect(try !retries(.signal(15, coreDumped: false), .timeout))
        #expect(try !retries(.setupFailed(stage: "exec", errno: 2, detail: ""), .setupFailed(step: "main")))
        #expect(try !retries(.code(0), .stopRequested))
        let exhausted = try outcome(.running(last), end(.code(1), .mainExited))
        #expect(
            exhausted.next
                == .finish(
                    Run.Outcome(
                        .failed, reason: "MainFailed", message: "Main ended with code 1.", exit: .code(1))))
    }

    @Test func `a main that ends by itself while it is being stopped keeps its own outcome`() throws {
        let ending = try outcome(.stopping(last, Run.Stop(by: "ada")), end(.code(0), .mainExited))
        #expect(ending == Run.Ending(.finish(RunSamples.success), isStopping: true))
    }

    @Test func `what is evicted has failed for that reason, and is not tried again`() throws {
        let evicted = Run.State.stopping(active, Run.Stop(for: RunSamples.eviction))
        func outcome(_ exit: ProcessExit, _ reason: AttemptReport.AttemptEndReason) throws -> Run.Outcome {
            let ending = try self.outcome(evicted, .ended(attempt: 1, Run.End(exit: exit, reason: reason)))
            guard case .finish(let outcome) = ending.next else { throw UnexpectedDecision() }
            return outcome
        }
        let killed = ProcessExit.signal(9, coreDumped: false)
        let rows: [(ProcessExit, AttemptReport.AttemptEndReason)] = [
            (killed, .stopRequested), (killed, .mainExited), (killed, .initFailed(step: "init-0")),
            (.setupFailed(stage: "clone", errno: 10, detail: ""), .setupFailed(step: "main")), (.code(1), .mainExited),
        ]
        for (exit, reason) in rows {
            #expect(
                try outcome(exit, reason) == Run.Outcome(.failed, reason: "DiskLimit", message: "Too much.", exit: exit)
            )
        }
        // It was over before anybody killed it.
        #expect(try outcome(.code(0), .mainExited) == RunSamples.success)
        #expect(try outcome(killed, .timeout).reason == "Timeout")
        guard case .finish(let lost) = try self.outcome(evicted, .wardenLost(attempt: 1)).next else {
            throw UnexpectedDecision()
        }
        #expect(lost == Run.Outcome(.failed, reason: "DiskLimit", message: "Too much.", exit: .unknown))
    }

    @Test func `a stop stays one when its grace period is cut short`() throws {
        let stopping = Run.State.stopping(active, Run.Stop(by: "ada"))
        guard case .accept(let transition) = Run.decide(stopping, .evicted(attempt: 1, RunSamples.eviction), at: .zero)
        else { throw UnexpectedDecision() }
        #expect(transition.conditions.isEmpty && transition.effects == [Run.Effect(.evict, attempt: 1)])
        let end = Run.End(exit: .signal(9, coreDumped: false), reason: .stopRequested)
        guard case .finish(let outcome) = try outcome(transition.state, .ended(attempt: 1, end)).next else {
            throw UnexpectedDecision()
        }
        #expect(outcome.status == .stopped && outcome.message == "Stopped by ada, and killed at once: Too much.")
    }

    @Test func `the condition of an eviction says why`() {
        guard
            case .accept(let transition) = Run.decide(
                .running(active), .evicted(attempt: 1, RunSamples.eviction), at: RunSamples.time)
        else {
            Issue.record("not taken")
            return
        }
        #expect(transition.conditions.map(\.reason) == ["DiskLimit"])
        #expect(transition.conditions.map(\.message) == ["Too much."])
    }

    @Test func `a stop takes the retry away`() throws {
        let state = Run.State.stopping(active, Run.Stop(by: "ada"))
        let event = Run.Event.ended(attempt: 1, Run.End(exit: .code(1), reason: .mainExited))
        guard case .finish = try outcome(state, event).next else { throw UnexpectedDecision() }
    }

    @Test func `a warden that dies before it took the plan is replaced twice, then the launch has failed`() throws {
        var state = Run.State.launching(Run.Active(attempt: 2, terms: RunSamples.terms, lease: RunSamples.lease))
        for _ in 0..<2 {
            guard case .accept(let transition) = Run.decide(state, .neverAccepted(attempt: 2), at: .zero) else {
                throw UnexpectedDecision()
            }
            #expect(transition.effects == [Run.Effect(.launch, attempt: 2)])
            state = transition.state
        }
        guard case .finish(let outcome) = try outcome(state, .neverAccepted(attempt: 2)).next else {
            throw UnexpectedDecision()
        }
        #expect(outcome.reason == "LaunchFailed")
    }

    /// Else three restarts of the agent at a bad moment would fail a run that has done nothing.
    @Test func `an agent that ends while it launches takes no launch away, but ten have tried enough`() throws {
        var state = Run.State.launching(Run.Active(attempt: 2, terms: RunSamples.terms, lease: RunSamples.lease))
        for number in 1..<10 {
            let event = Run.Event.neverAccepted(attempt: 2, agentEnded: true)
            guard case .accept(let transition) = Run.decide(state, event, at: .zero) else { throw UnexpectedDecision() }
            #expect(transition.effects == [Run.Effect(.launch, attempt: 2)])
            state = transition.state
            guard case .launching(let active) = state else { throw UnexpectedDecision() }
            #expect(active.launches == 1 && active.cutOffs == number)
        }
        guard case .finish(let outcome) = try outcome(state, .neverAccepted(attempt: 2, agentEnded: true)).next else {
            throw UnexpectedDecision()
        }
        #expect(outcome.reason == "LaunchFailed" && outcome.message == "10 agents ended while they launched it.")
        guard case .accept = Run.decide(state, .neverAccepted(attempt: 2), at: .zero) else {
            throw UnexpectedDecision()
        }
    }

    @Test func `an attempt that an earlier agent wrote down has no cut offs`() throws {
        let active = Run.Active(attempt: 2, terms: RunSamples.terms, lease: RunSamples.lease, cutOffs: 3)
        #expect(try JSONDecoder().decode(Run.Active.self, from: JSONEncoder().encode(active)) == active)
        var object = try #require(
            JSONSerialization.jsonObject(with: JSONEncoder().encode(active)) as? [String: Any])
        object["cutOffs"] = nil
        let old = try JSONDecoder().decode(Run.Active.self, from: JSONSerialization.data(withJSONObject: object))
        #expect(old == Run.Active(attempt: 2, terms: RunSamples.terms, lease: RunSamples.lease))
    }

    @Test func `a device that is still held is quarantined, and the run finishes regardless`() {
        let state = Run.State.processing(active, Run.Ending(.finish(RunSamples.success)))
        let verdicts = [
            Run.DeviceVerdict("gpu0", .held([RunSamples.holder])), Run.DeviceVerdict("gpu1", .free),
        ]
        let decision = Run.decide(state, .handedBack(attempt: 1, Run.HandBack(verdicts)), at: .zero)
        #expect(decision.line == "finished [succeeded] resolve-hooks@1 clean-up@1 quarantine:gpu0 free:gpu1")
    }

    @Test func `a hand-back that forgets a device is refused`() {
        let state = Run.State.processing(active, Run.Ending(.finish(RunSamples.success)))
        let event = Run.Event.handedBack(attempt: 1, Run.HandBack([Run.DeviceVerdict("gpu0", .free)]))
        #expect(Run.decide(state, event, at: .zero) == .refuse(.verdictMissing(device: "gpu1")))
    }

    @Test func `the scheduler's reason is told once`() {
        let event = Run.Event.waiting(reason: "waits for 1 gpu", canEver: true)
        guard
            case .accept(let transition) = Run.decide(
                .queued(Run.Waiting(attempt: 1, terms: RunSamples.terms)), event, at: .zero)
        else {
            Issue.record("not taken")
            return
        }
        #expect(Run.decide(transition.state, event, at: .zero) == .ignore(.alreadyWaiting))
    }

    @Test func `the same status again replaces the last condition and keeps when it began`() {
        let first = RunCondition(status: .queued, reason: "Queued", at: Timestamp(microseconds: 1))
        let second = RunCondition(status: .queued, reason: "Waiting", message: "m", at: Timestamp(microseconds: 2))
        let history = Run.append(second, to: Run.append(first, to: []))
        #expect(history.count == 1)
        #expect(history.last?.reason == "Waiting")
        #expect(history.last?.lastTransition == Timestamp(microseconds: 1))
        #expect(history.last?.lastUpdate == Timestamp(microseconds: 2))
    }
}
