// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours: Swift 6 language mode (strict concurrency) and no warnings.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let strictC: [CSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
    name: "MoEScope",
    products: [
        .executable(name: "moescope", targets: ["moescope"]),
        // For `make fuzz`; nothing installs it.
        .executable(name: "moescope-fuzz", targets: ["Fuzzing"]),
        .library(name: "_moescope", type: .dynamic, targets: ["PythonModule"]),
        .library(
            name: "MoEScopeKit", targets: ["MoEModel", "Traces", "RoutingMetrics", "ReportGenerator", "Experiments"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.0"),
    ],
    targets: [
        .target(name: "CKernels", cSettings: strictC),
        .target(name: "CMappedFiles", cSettings: strictC),
        .target(name: "CReportTemplates", cSettings: strictC),
        .target(name: "RouterPolicies", swiftSettings: strict),
        .target(name: "Tensors", dependencies: ["CKernels"], swiftSettings: strict),
        .target(
            name: "FileFormats",
            dependencies: ["CMappedFiles", "Tensors", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: strict),
        .target(
            name: "Checkpoints",
            dependencies: [
                "FileFormats", "RouterPolicies", "Tensors", .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(
            name: "Tokenizers",
            dependencies: [
                "FileFormats",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            exclude: ["SentencePiece/sentencepiece_model.proto"],
            swiftSettings: strict),
        .target(
            name: "Quantization", dependencies: ["CKernels", "Checkpoints", "FileFormats", "Tensors", "Tokenizers"],
            swiftSettings: strict),
        .target(name: "Hooks", dependencies: ["Tensors"], swiftSettings: strict),
        .target(
            name: "MoEModel",
            dependencies: ["Checkpoints", "Hooks", "RouterPolicies", "Tensors", "Tokenizers", "CKernels"],
            swiftSettings: strict),
        .target(
            name: "Traces",
            dependencies: [
                "FileFormats", "Hooks", "RouterPolicies", "Tensors", .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(
            name: "RoutingMetrics", dependencies: ["FileFormats", "Hooks", "RouterPolicies", "Tensors", "Traces"],
            swiftSettings: strict),
        .target(
            name: "Calibration", dependencies: ["RoutingMetrics", "Tensors", "Traces"], swiftSettings: strict),
        .target(
            name: "ReportGenerator",
            dependencies: [
                "CReportTemplates", "CZlib", "FileFormats", "RoutingMetrics", "Traces",
                .product(name: "Mustache", package: "swift-mustache"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(
            name: "Tracing",
            dependencies: [
                "CZlib", "Checkpoints", "FileFormats", "Hooks", "MoEModel", "Tensors", "Tokenizers", "Traces",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(
            name: "Experiments",
            dependencies: [
                "Checkpoints", "FileFormats", "Hooks", "MoEModel", "RoutingMetrics", "Tokenizers", "Traces", "Tracing",
            ],
            swiftSettings: strict),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        // Headers only: the extension module must not link libpython. The executable does, through CPythonEmbed.
        .systemLibrary(name: "CPython", providers: [.apt(["libpython3-dev"])]),
        .systemLibrary(name: "CPythonEmbed", pkgConfig: "python3-embed", providers: [.apt(["libpython3-dev"])]),
        .target(
            name: "PythonModule",
            dependencies: [
                "CPython", "CommandLineTool", "Experiments", "MoEModel", "Quantization", "ReportGenerator",
                "RoutingMetrics", "Traces", "Tracing",
                "Tokenizers", "Checkpoints", "Hooks", "Tensors",
            ],
            swiftSettings: strict),
        // The commands, as a library: of the program, and of the module that pip installs.
        .target(
            name: "CommandLineTool",
            dependencies: [
                "Calibration", "Checkpoints", "Experiments", "FileFormats", "Hooks", "MoEModel", "Quantization",
                "ReportGenerator", "RoutingMetrics", "Tensors", "Tokenizers", "Traces", "Tracing",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "moescope",
            dependencies: [
                "CPython", "CPythonEmbed", "CommandLineTool", "FileFormats", "PythonModule",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "Fuzzing",
            dependencies: [
                "Checkpoints", "Experiments", "FileFormats", "MoEModel", "Quantization", "ReportGenerator",
                "RoutingMetrics", "Tensors", "Tokenizers", "Traces", "Tracing",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(name: "CAllocationCount", path: "Tests/CAllocationCount", cSettings: strictC),
        .target(
            name: "CTileEmulation", dependencies: ["CKernels"], path: "Tests/CTileEmulation", cSettings: strictC),
        .target(name: "CThreadSanitizer", path: "Tests/CThreadSanitizer", cSettings: strictC),
        .target(
            name: "TestSupport", dependencies: ["CThreadSanitizer", "Tensors"], path: "Tests/TestSupport",
            swiftSettings: strict),
        .testTarget(
            name: "FileFormatsTests", dependencies: ["FileFormats", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: strict),
        .testTarget(name: "RouterPoliciesTests", dependencies: ["RouterPolicies"], swiftSettings: strict),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "CKernelsTests", dependencies: ["CKernels", "CTileEmulation", "Tensors", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointsTests",
            dependencies: ["Checkpoints", "TestSupport", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: strict),
        .testTarget(
            name: "QuantizationTests",
            dependencies: ["CKernels", "Quantization", "Checkpoints", "MoEModel", "Tokenizers", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "TokenizersTests",
            dependencies: [
                "FileFormats", "Tokenizers", "TestSupport", .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .testTarget(name: "HooksTests", dependencies: ["Hooks", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "MoEModelTests",
            dependencies: [
                "CKernels", "MoEModel", "Checkpoints", "Hooks", "Tokenizers", "CAllocationCount", "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "TracesTests",
            dependencies: ["FileFormats", "Hooks", "RouterPolicies", "Tensors", "Traces", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "RoutingMetricsTests", dependencies: ["Calibration", "RoutingMetrics", "Tensors", "TestSupport"],
            swiftSettings: strict),
        .testTarget(name: "CalibrationTests", dependencies: ["Calibration", "RoutingMetrics"], swiftSettings: strict),
        .testTarget(
            name: "ReportGeneratorTests",
            dependencies: [
                "FileFormats", "ReportGenerator", "RoutingMetrics", "Traces", "TestSupport",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "TracingTests",
            dependencies: [
                "Tracing", "MoEModel", "Checkpoints", "Hooks", "RoutingMetrics", "Traces", "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ExperimentsTests",
            dependencies: [
                "Experiments", "Tracing", "MoEModel", "Checkpoints", "Hooks", "RoutingMetrics", "Traces", "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CommandLineTests", dependencies: ["moescope", "Checkpoints", "TestSupport"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c17
)
