import Glibc
import PostludeCore
import Testing

@testable import PostludeDevices

@Suite struct InventoryTests {
    private func declared(_ id: String, _ nodes: [String]) -> DeclaredDevice {
        DeclaredDevice(id: id, deviceClass: "example.com/thing", nodes: nodes)
    }

    @Test func `a declared device gets its nodes' numbers`() throws {
        let entry = DeclaredDevice(
            id: "dice", deviceClass: "example.com/dice", nodes: ["/dev/full", "/dev/urandom"],
            environmentName: "DICE", environmentValue: "7")
        let device = try #require(try Inventory.discover(declared: [entry], places: HostPlaces(dev: "/nowhere")).first)
        #expect(
            device.nodes == [
                DeviceNode(path: "/dev/full", major: 1, minor: 7), DeviceNode(path: "/dev/urandom", major: 1, minor: 9),
            ])
        #expect(device.deviceClass == "example.com/dice")
        #expect(device.environmentName == "DICE")
        #expect(device.environmentValue == "7")
    }

    @Test func `what is no character device is refused by what it is`() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.file("plain", "")
        let link = "\(directory.path)/link"
        #expect(symlink("/dev/null", link) == 0)
        for (path, what) in [(file, "a regular file"), (directory.path, "a directory"), (link, "a symbolic link")] {
            let error = #expect(throws: DeviceError.self) { try Inventory.discover(declared: [declared("x", [path])]) }
            #expect(error?.code == "devices.not-a-character-device")
            #expect(error?.message.contains(what) == true)
        }
    }

    @Test(.enabled(if: isRoot)) func `a block device is refused`() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.node("disk", S_IFBLK, major: 7, minor: 250)
        let error = #expect(throws: DeviceError.self) { try Inventory.discover(declared: [declared("x", [path])]) }
        #expect(error?.code == "devices.not-a-character-device")
        #expect(error?.message.contains("a block device") == true)
    }

    @Test func `each mistake has its code`() throws {
        let cases: [([DeclaredDevice], String)] = [
            ([declared("x", ["/dev/no-such-node"])], "devices.node-missing"),
            ([declared("a", ["/dev/full"]), declared("a", ["/dev/zero"])], "devices.duplicate-id"),
            ([declared("a", ["/dev/full"]), declared("b", ["/dev/full"])], "devices.duplicate-node"),
            ([declared("a b", ["/dev/full"])], "devices.invalid"),
            ([declared("", ["/dev/full"])], "devices.invalid"),
            ([declared("a", [])], "devices.invalid"),
            ([declared("a", ["dev/full"])], "devices.invalid"),
            ([declared("a", ["/dev/../dev/full"])], "devices.invalid"),
            ([DeclaredDevice(id: "a", deviceClass: "", nodes: ["/dev/full"])], "devices.invalid"),
            (
                [DeclaredDevice(id: "a", deviceClass: "c", nodes: ["/dev/full"], environmentName: "A=B")],
                "devices.invalid"
            ),
        ]
        for (entries, code) in cases {
            let error = #expect(throws: DeviceError.self) { try Inventory.discover(declared: entries) }
            #expect(error?.code == code)
        }
    }

    @Test(.enabled(if: isRoot)) func `one device under two paths is found out`() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.node("same", S_IFCHR, major: 1, minor: 7)
        let entries = [declared("a", ["/dev/full"]), declared("b", [path])]
        let error = #expect(throws: DeviceError.self) { try Inventory.discover(declared: entries) }
        #expect(error?.code == "devices.duplicate-node")
    }

    @Test(.enabled(if: isRoot)) func `NVIDIA devices come with their control nodes, model and uuid`() throws {
        let directory = try TemporaryDirectory()
        for (name, minor) in [("nvidia0", 0), ("nvidia10", 10), ("nvidiactl", 255)] as [(String, UInt32)] {
            _ = try directory.node(name, S_IFCHR, major: 195, minor: minor)
        }
        _ = try directory.node("nvidia-uvm", S_IFCHR, major: 510, minor: 0)
        _ = try directory.node("nvidia-modeset", S_IFCHR, major: 195, minor: 254)
        let uuid = "GPU-5c9a1d20-0d3c-4f1f-8a6f-0c7e3b1f9a11"
        _ = try directory.file(
            "proc/gpus/0000:3b:00.0/information",
            "Model: \t\t NVIDIA H200\nIRQ:   \t\t 150\nGPU UUID: \t \(uuid)\nDevice Minor: \t 10\nGPU Excluded:\t No\n")
        let found = try Inventory.discover(
            declared: [], places: HostPlaces(dev: directory.path, nvidia: "\(directory.path)/proc"))
        #expect(found.map(\.id) == ["nvidia0", "nvidia10"])
        let known = try #require(found.last)
        #expect(known.deviceClass == "nvidia.com/gpu")
        #expect(known.model == "NVIDIA H200")
        #expect(known.uuid == uuid)
        #expect(known.environmentName == "CUDA_VISIBLE_DEVICES")
        #expect(known.environmentValue == uuid)
        #expect(
            known.nodes.filter(\.isShared).map(\.path) == ["nvidiactl", "nvidia-uvm"].map { "\(directory.path)/\($0)" })
        #expect(known.nodes.first == DeviceNode(path: "\(directory.path)/nvidia10", major: 195, minor: 10))
        // Nothing is known of the other: null, not a guess.
        #expect(found.first?.model == nil)
        #expect(found.first?.environmentName == nil)
    }

    @Test func `a GPU that nobody has opened has no uuid yet`() {
        let text = "Model: \t Tesla\nGPU UUID: \t GPU-????????-????-????-????-????????????\nDevice Minor: 3\n"
        #expect(NVIDIADevices.parse(text) == .init(minor: 3, model: "Tesla", uuid: nil))
        #expect(NVIDIADevices.parse("Model: x\n") == nil)
    }
}
