// swift-tools-version: 6.1
import PackageDescription

/// Warnings are errors in every target of ours; dependencies keep their own settings.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .unsafeFlags(["-warnings-as-errors"]),
]

/// Targets compiled for the warden leave nothing to the dynamic linker: it starts as fast as a static C program.
let staticWarden: [SwiftSetting] = house + [.unsafeFlags(["-static-executable"])]

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")

func test(_ name: String, _ dependencies: [Target.Dependency], excluding: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: excluding, swiftSettings: house)
}

let tests: [Target] = [
    test("ArchitectureTests", []),
    test("PostludeCoreTests", ["PostludeCore"]),
    // Walks through some hundred thousand states, which takes minutes when it is not optimised.
    .testTarget(
        name: "PostludeModelTests", dependencies: ["PostludeCore"], swiftSettings: house + [.unsafeFlags(["-O"])]),
    test("PostludeSpecTests", ["PostludeSpec", "PostludeCore"], excluding: ["Corpus", "Fixtures", "Oracle"]),
    test("PostludePlanTests", ["PostludePlan"]),
    test("PostludeFailpointsTests", ["PostludeFailpoints"]),
    test("PostludeLinuxTests", ["PostludeLinux", "CLinux"]),
    test("PostludeWardenTests", ["PostludePlan", "PostludeLinux", "CLinux"]),
    test(
        "PostludeSandboxTests",
        ["PostludeSandbox", "PostludeDevices", "PostludeCore", "PostludePlan", "PostludeLinux"]),
    test("PostludeDevicesTests", ["PostludeDevices", "PostludeCore", "CLinux"]),
    test("PostludeStoreTests", ["PostludeStore", "PostludeCore", grdb], excluding: ["Fixtures"]),
    test(
        "PostludeEngineTests",
        [
            "PostludeEngine", "PostludeCore", "PostludeStore", "PostludeSandbox", "PostludeDevices", "PostludeSpec",
            logging, grdb,
        ]),
    test("PostludeThreadsTests", ["PostludeThreads"]),
    test("PostludeImagesTests", ["PostludeImages", "PostludeCore"]),
    test("PostludeReportsTests", ["PostludeReports", "PostludeCore"]),
    test(
        "PostludeServerTests",
        ["PostludeServer", "PostludeEngine", "PostludeAPI", "PostludeCore", "CLinux", logging, grdb],
        excluding: ["Receivers"]),
    test("PostludeRootlessTests", ["PostludeAPI", "PostludeCore", "PostludeLinux", "PostludeReports"]),
    .testTarget(
        name: "PostludeAttackTests",
        dependencies: [
            "PostludeSandbox", "PostludeSpec", "PostludeCore", "PostludePlan", "PostludeLinux", "PostludeAPI",
        ],
        resources: [.copy("attacks.tsv"), .copy("knockout.tsv")], swiftSettings: house),
    test("PostludeCLITests", ["PostludeCLI", "PostludeAPI", "PostludeCore"], excluding: ["Snapshots"]),
]

/// Only for Tests/fuzz/run.sh, whose compiler options every module must be built with.
let fuzzing: [Target] =
    Context.environment["POSTLUDE_FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "postlude-fuzz",
            dependencies: ["PostludeCore", "PostludeSpec", "PostludePlan", "PostludeSandbox"],
            path: "Tests/fuzz/Sources", swiftSettings: house)
    ]

let package = Package(
    name: "postlude",
    products: [
        .executable(name: "postlude", targets: ["postlude"]),
        .executable(name: "postluded", targets: ["postluded"]),
        .executable(name: "postlude-warden", targets: ["PostludeWarden"]),
        .executable(name: "postlude-output", targets: ["PostludeOutput"]),
        // For the tests only, never installed.
        .library(name: "PostludeFaults", type: .dynamic, targets: ["PostludeFaults"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "CLinux"),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .target(name: "PostludeCore", swiftSettings: house),
        .target(name: "PostludeSpec", dependencies: ["PostludeCore", "Yams"], swiftSettings: house),
        .target(name: "PostludeThreads", dependencies: ["CLinux"], swiftSettings: house),
        .target(name: "PostludeFailpoints", swiftSettings: house),
        .target(name: "PostludePlan", swiftSettings: house),
        .target(name: "PostludeLinux", dependencies: ["CLinux"], swiftSettings: house),
        .executableTarget(
            name: "PostludeWarden", dependencies: ["PostludePlan", "PostludeLinux"], swiftSettings: staticWarden,
            linkerSettings: [.unsafeFlags(["-static-executable"])]),
        // Runs inside sandboxes, where nothing says which libraries there are.
        .executableTarget(
            name: "PostludeOutput", dependencies: ["PostludeCore"], swiftSettings: staticWarden,
            linkerSettings: [.unsafeFlags(["-static-executable"])]),
        .target(
            name: "PostludeSandbox",
            dependencies: [
                "PostludeCore", "PostludeFailpoints", "PostludePlan", "PostludeLinux", "CLinux", "CSeccomp",
            ],
            swiftSettings: house),
        .target(name: "PostludeDevices", dependencies: ["PostludeCore", "CLinux"], swiftSettings: house),
        .target(
            name: "PostludeStore", dependencies: ["PostludeCore", "PostludeFailpoints", "PostludeThreads", grdb],
            swiftSettings: house),
        .target(
            name: "PostludeImages", dependencies: ["PostludeCore", "PostludeLinux", "PostludeThreads"],
            swiftSettings: house),
        .target(
            name: "PostludeEngine",
            dependencies: [
                "PostludeCore", "PostludeFailpoints", "PostludeSpec", "PostludeSandbox", "PostludeImages",
                "PostludeDevices", "PostludeStore", "PostludeThreads", logging, lifecycle,
            ], swiftSettings: house),
        .target(name: "PostludeReports", dependencies: ["PostludeCore"], swiftSettings: house),
        .target(
            name: "PostludeAPI", dependencies: ["PostludeCore", nioCore, nioPosix, nioHTTP1], swiftSettings: house),
        .target(
            name: "PostludeServer",
            dependencies: [
                "PostludeCore", "PostludeEngine", "PostludeAPI", "PostludeReports", "PostludeThreads", hummingbird,
                httpTypes, logging, lifecycle, nioCore, nioHTTP1, nioPosix,
            ],
            swiftSettings: house),
        .target(
            name: "PostludeCLI",
            dependencies: ["PostludeCore", "PostludeAPI", "PostludeSpec", "PostludeReports", argumentParser, nioCore],
            swiftSettings: house),
        .executableTarget(name: "postlude", dependencies: ["PostludeCLI"], swiftSettings: house),
        .executableTarget(
            name: "postluded",
            dependencies: [
                "PostludeCore", "PostludeSpec", "PostludeAPI", "PostludeServer", "PostludeEngine", "PostludeSandbox",
                "PostludeDevices", "PostludeStore", "PostludeThreads", "PostludeFailpoints", argumentParser, logging,
                lifecycle,
            ], swiftSettings: house),
        .executableTarget(
            name: "postlude-bench",
            dependencies: ["PostludeCore", "PostludeDevices", "PostludeSandbox", "PostludeSpec", "PostludeAPI"],
            path: "Benchmarks", exclude: ["run.sh"], swiftSettings: house),
        // Kills real agents and wardens under load, and holds what is left against what the design promises.
        .executableTarget(
            name: "postlude-crash",
            dependencies: ["PostludeAPI", "PostludeCore", "PostludeFailpoints", "PostludeSandbox", "CLinux", grdb],
            path: "Tests/crash/Sources", swiftSettings: house),
        // The warden with one layer of the isolation left out, to learn what each is needed for; for the tests only.
        .executableTarget(
            name: "postlude-knockout", dependencies: ["PostludePlan", "PostludeLinux"], path: "Tests/KnockoutWarden",
            swiftSettings: staticWarden + [.define("POSTLUDE_KNOCKOUT")],
            linkerSettings: [.unsafeFlags(["-static-executable"])]),
        // Calls that fail in an agent, loaded before it; for the tests only, never installed.
        .target(
            name: "PostludeFaults", path: "Tests/Faults",
            cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
        // Tries to get out of the sandboxes it is run in; for the tests only, never installed.
        .executableTarget(
            name: "postlude-attacker", path: "Tests/Attacker",
            cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
    ] + tests + fuzzing
)
