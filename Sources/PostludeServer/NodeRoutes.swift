import Hummingbird
import PostludeAPI
import PostludeCore
import PostludeEngine

/// What concerns the node as a whole: devices, checks, accounting, and the agent itself.
struct NodeRoutes: Sendable {
    let engine: Engine
    let users: UserDirectory
    let info: AgentInfo

    func add(to routes: RouterGroup<APIContext>) {
        routes.get("devices") { _, _ in
            try Response.json(DeviceList(devices: try await engine.deviceStatuses()))
        }
        routes.get("doctor") { _, _ in try Response.json(DoctorReport(checks: engine.hostChecks)) }
        routes.get("usage") { request, context in try await usage(request, context) }
        routes.get("version") { _, _ in try Response.json(info) }
        routes.get("health") { _, _ in try Response.json(Health()) }
    }

    private func usage(_ request: Request, _ context: APIContext) async throws -> Response {
        let since = try Query(request).integer("since", in: 0...Int64.max).map { Timestamp(microseconds: $0) }
        let records = try await engine.usage(for: users.caller(try context.requirePeer()), since: since)
        return try Response.json(UsageList(records: records))
    }
}
