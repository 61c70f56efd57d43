import Foundation
import Logging
import NIOCore
import PostludeCore
import Testing

@testable import PostludeAPI
@testable import PostludeServer

/// The API's description against what the agent has and answers.
@Suite struct OpenAPITests {
    private static let scalars: Set<String> = ["RunID", "Timestamp", "Value", "RunStatus", "StepRole", "Trigger"]

    private static let types: [String: any (Codable & Sendable).Type] = [
        "Submission": Submission.self, "RunSummary": RunSummary.self, "RunList": RunList.self,
        "RunDetail": RunDetail.self, "RunCondition": RunCondition.self, "RunEvent": RunEvent.self,
        "HookRecord": HookRecord.self, "Rerun": HookRecord.Rerun.self, "HookExplanation": HookExplanation.self,
        "HookCondition": HookExplanation.Condition.self, "HookOperand": HookExplanation.Operand.self,
        "WaitAnswer": WaitAnswer.self, "WaitReport": WaitReport.self, "Needs": Scheduler.Needs.self,
        "Holder": WaitReport.Holder.self, "AttemptRecord": AttemptRecord.self, "StepRecord": StepRecord.self,
        "ProcessExit": ProcessExit.self, "StepUsage": StepUsage.self, "Receipt": Receipt.self,
        "RootSource": RootSource.self, "LeaseRecord": LeaseRecord.self, "Device": Device.self,
        "DeviceNode": DeviceNode.self, "DeviceHolder": DeviceHolder.self, "DeviceStatus": DeviceStatus.self,
        "UsageRecord": UsageRecord.self, "DeviceList": DeviceList.self, "ImageList": ImageList.self,
        "ImageRecord": ImageRecord.self, "MaintenanceList": MaintenanceList.self,
        "MaintenanceWindow": MaintenanceWindow.self, "BackupAnswer": BackupAnswer.self, "UsageList": UsageList.self,
        "DoctorReport": DoctorReport.self, "HostCheck": HostCheck.self, "AgentInfo": AgentInfo.self,
        "Health": Health.self, "SourcePlace": SourcePlace.self, "Diagnostic": Diagnostic.self,
        "ErrorEnvelope": ErrorEnvelope.self, "JoinRecord": JoinRecord.self,
    ]

    @Test func `every schema is of a wire type, and every wire type has one`() {
        #expect(Set(OpenAPI.schemas.keys) == Set(Self.types.keys).union(Self.scalars))
    }

    /// The type keeps all that the schema says may be there, needs no more than it says must be, and has nothing else.
    @Test(arguments: types.keys.sorted()) func `a schema says just what its type says`(name: String) throws {
        func check<T: Codable & Sendable>(_ type: T.Type) throws {
            for isComplete in [true, false] {
                let sample = SchemaCheck.sample(Schema.named(name), complete: isComplete)
                #expect(SchemaCheck.problems(sample, Schema.named(name)).isEmpty)
                let value = try Wire.decode(type, from: try Wire.encode(sample))
                #expect(try Wire.decode(Value.self, from: try Wire.encode(value)) == sample)
                guard name != "ProcessExit" else { continue }
                #expect(Set(Mirror(reflecting: value).children.compactMap(\.label)) == OpenAPI.keys(of: name))
            }
        }
        guard let type = Self.types[name] else { return }
        try check(type)
    }

    @Test(arguments: [
        ProcessExit.code(3), .signal(9, coreDumped: false), .setupFailed(stage: "exec", errno: 2, detail: ""), .unknown,
    ])
    func `each way to end is described, and no mixture of them`(exit: ProcessExit) throws {
        let value = try Wire.decode(Value.self, from: try Wire.encode(exit))
        #expect(SchemaCheck.problems(value, Schema.named("ProcessExit")).isEmpty)
        guard case .dict(var entries) = value else { return }
        entries["other"] = .int(1)
        #expect(!SchemaCheck.problems(.dict(entries), Schema.named("ProcessExit")).isEmpty)
    }

    @Test func `the check finds what is missing, unknown, or of another type`() {
        func problems(_ value: Value) -> Int { SchemaCheck.problems(value, Schema.named("HookOperand")).count }
        #expect(problems(["expression": "a"]) == 0 && problems(["expression": "a", "value": "1"]) == 0)
        #expect(problems([:]) == 1 && problems(["expression": 1]) == 1 && problems(["expression": "a", "x": 1]) == 1)
        #expect(problems([]) == 1)
    }

    @Test(.enabled(if: isRoot)) func `every route is in the description, and it has no other`() async throws {
        try await LiveAgent.run { agent in
            let configuration = APIServer.Configuration(
                socketPath: agent.socket, info: AgentInfo(version: "", pid: 0, uid: 0, stateDirectory: ""),
                users: UserDirectory(agentUID: 0), runs: RunCgroups(path: "/x"))
            let server = APIServer(configuration: configuration, engine: agent.engine, logger: Logger(label: "test"))
            let routes = try server.router().routes.map { "\($0.method.rawValue) \($0.path)" }
            #expect(Set(routes) == Set(OpenAPI.endpoints.map { "\($0.method) \($0.path)" }))
            #expect(Set(OpenAPI.endpoints.map(\.id)).count == OpenAPI.endpoints.count, "an id is there twice")
        }
    }

    @Test(.enabled(if: isRoot)) func `what a real agent answers is what is described`() async throws {
        let hooks = """
            hooks:
              - trigger: succeeded
                component: {name: after, run: {kind: job, container: {command: [/bin/true]}}}
              - trigger: failed
                conditions: "{{ 1 == 2 }}"
                component: {name: never, run: {kind: job, container: {command: [/bin/true]}}}
            """
        try await LiveAgent.run { agent in
            let run = try await agent.client.submit(agent.submission("echo out", hooks: hooks)).summary.id
            _ = try await agent.settled(run)
            var held = agent.submission("true")
            held.hold = true
            let waiting = try await agent.client.submit(held).summary.id
            let bad = Submission(path: "b.yaml", text: "version: 1.1\nkind: job\nrun: 1\n", workingDirectory: "/")
            let (id, other) = (run.description, waiting.description)
            let requests: [(String, String, [UInt8]?, Int)] = [
                ("GET", "runs", nil, 200), ("GET", "runs?limit=1", nil, 200), ("GET", "runs/\(id)", nil, 200),
                ("HEAD", "runs/\(id)", nil, 200), ("HEAD", "runs/00000000000000000000000000000000", nil, 404),
                ("GET", "runs/\(id)/wait", nil, 200),
                ("GET", "runs/\(other)/wait", nil, 200), ("GET", "runs/\(id)/logs", nil, 200),
                ("GET", "runs/\(id)/events", nil, 200), ("HEAD", "runs/\(id)/events", nil, 200),
                ("POST", "runs/\(id)/rerun?hook=0", nil, 201), ("POST", "runs/\(id)/rerun?hook=no", nil, 400),
                ("POST", "runs/\(id)/stop", nil, 409), ("POST", "runs/\(id)/hold", nil, 409),
                ("POST", "runs/\(id)/approve", nil, 409), ("POST", "runs/\(other)/release", nil, 200),
                ("POST", "runs", try Wire.encode(agent.submission("true")), 201), ("POST", "runs", [], 400),
                ("POST", "runs", try Wire.encode(bad), 400), ("GET", "devices", nil, 200),
                ("POST", "devices/recheck", nil, 200), ("GET", "images", nil, 200), ("POST", "images/prune", nil, 200),
                ("POST", "maintenance?reason=test", nil, 201), ("GET", "maintenance", nil, 200),
                ("DELETE", "maintenance", nil, 200), ("DELETE", "maintenance?id=9", nil, 404),
                ("POST", "backup", nil, 201), ("GET", "doctor", nil, 200), ("GET", "usage", nil, 200),
                ("GET", "version", nil, 200), ("GET", "health", nil, 200), ("GET", "openapi.json", nil, 200),
                ("GET", "nothing", nil, 404), ("PATCH", "runs", nil, 405),
            ]
            var seen: Set<String> = []
            for (method, target, body, status) in requests {
                let path = "/api/v1/\(target.prefix { $0 != "?" })"
                let answer = try await agent.raw(method, "/api/v1/\(target)", body: body)
                #expect(answer.status == status, "\(method) \(target): \(answer)")
                let problems = SchemaCheck.problems(
                    method, path, status: answer.status, type: answer.fields["content-type"], body: answer.body)
                #expect(problems.isEmpty, "\(problems)")
                if status < 400, let endpoint = OpenAPI.endpoints(at: path).first(where: { $0.method == method }) {
                    seen.insert(endpoint.id)
                }
            }
            // These need a run that waits for approval, or that still runs.
            #expect(seen == Set(OpenAPI.endpoints.map(\.id)).subtracting(["stopRun", "holdRun", "approveRun"]))
            let document = try await agent.raw("GET", "/api/v1/openapi.json").body
            #expect(try Wire.decode(Value.self, from: document) == OpenAPI.document(version: "test"))
            for run in try await agent.client.runs() where !run.status.isFinal {
                _ = try await agent.settled(run.id)
            }
        }
    }
}
