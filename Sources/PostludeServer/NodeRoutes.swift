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
        routes.get("devices") { _, context in try await devices(context) }
        routes.post("devices/recheck") { _, context in try await recheck(context) }
        routes.get("images") { _, _ in try Response.json(ImageList(images: try await engine.storedImages())) }
        routes.post("images/prune") { _, context in try await prune(context) }
        routes.get("maintenance") { _, _ in try Response.json(MaintenanceList(windows: try await engine.maintenance()))
        }
        routes.post("maintenance") { request, context in try await drain(request, context) }
        routes.delete("maintenance") { request, context in try await endMaintenance(request, context) }
        routes.post("backup") { _, context in
            let caller = users.caller(try context.requirePeer())
            return try Response.json(BackupAnswer(path: try await engine.backUp(for: caller)), status: .created)
        }
        routes.get("doctor") { _, _ in try Response.json(DoctorReport(checks: engine.hostChecks)) }
        routes.get("usage") { request, context in try await usage(request, context) }
        routes.get("version") { _, _ in try Response.json(info) }
        routes.get("health") { _, _ in try Response.json(Health()) }
        routes.get("openapi.json") { _, _ in try Response.json(OpenAPI.document(version: info.version)) }
    }

    private func devices(_ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        var devices = try await engine.deviceStatuses()
        guard !caller.isAdministrator else { return try Response.json(DeviceList(devices: devices)) }
        for index in devices.indices where !(try await isVisible(devices[index].run, to: caller)) {
            // That a device is taken everybody may know, for that is what they wait for; by whom is not theirs to know.
            devices[index].run = nil
            devices[index].evidence = []
        }
        return try Response.json(DeviceList(devices: devices))
    }

    private func isVisible(_ run: RunID?, to caller: Caller) async throws -> Bool {
        guard let run else { return false }
        do {
            _ = try await engine.detail(run, for: caller)
            return true
        } catch let error as EngineError where error.kind == .notFound || error.kind == .forbidden {
            return false
        }
    }

    /// Looks at quarantined devices at once, and answers with all devices as they are then.
    private func recheck(_ context: APIContext) async throws -> Response {
        guard users.caller(try context.requirePeer()).isAdministrator else { throw ServerError.onlyAdministrators }
        try await engine.recheckDevices()
        return try Response.json(DeviceList(devices: try await engine.deviceStatuses()))
    }

    /// Removes images that no run uses, and answers with what is left.
    private func prune(_ context: APIContext) async throws -> Response {
        guard users.caller(try context.requirePeer()).isAdministrator else { throw ServerError.onlyAdministrators }
        try await engine.pruneImages()
        return try Response.json(ImageList(images: try await engine.storedImages()))
    }

    private func drain(_ request: Request, _ context: APIContext) async throws -> Response {
        let peer = try context.requirePeer()
        let query = Query(request)
        func time(_ key: String) throws -> Timestamp? {
            try query.integer(key, in: 0...Int64.max).map { Timestamp(microseconds: $0) }
        }
        let window = try await engine.drain(
            from: try time("from"), until: try time("until"), reason: query.text("reason") ?? "",
            by: try users.identity(peer), for: users.caller(peer))
        return try Response.json(MaintenanceList(windows: [window]), status: .created)
    }

    private func endMaintenance(_ request: Request, _ context: APIContext) async throws -> Response {
        let id = try Query(request).integer("id", in: 1...Int64.max)
        let ended = try await engine.endMaintenance(id, for: users.caller(try context.requirePeer()))
        return try Response.json(MaintenanceList(windows: ended))
    }

    private func usage(_ request: Request, _ context: APIContext) async throws -> Response {
        let since = try Query(request).integer("since", in: 0...Int64.max).map { Timestamp(microseconds: $0) }
        let records = try await engine.usage(for: users.caller(try context.requirePeer()), since: since)
        return try Response.json(UsageList(records: records))
    }
}
