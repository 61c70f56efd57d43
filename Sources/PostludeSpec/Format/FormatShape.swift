/// What stands at a place of an operation file: the one description that merges and the JSON Schema are made from.
///
/// A test holds it against the keys that the readers ask for, in both directions.
indirect enum FormatShape: Sendable {
    case text, flag, integer, number
    /// A text, a number or a flag.
    case scalar
    case anything
    case choice([String])
    case list(FormatShape)
    /// Keys are the writer's own.
    case dictionary(FormatShape)
    case object(FormatObject)
    case either([FormatShape])

    /// A single value stands for a list of one, as in Polyaxon.
    static func listOrOne(_ item: FormatShape) -> FormatShape { .either([.list(item), item]) }
    /// A value that may be given by a template.
    static func templated(_ shape: FormatShape) -> FormatShape { .either([shape, .text]) }

    /// The object that a mapping at this place is, if it is one.
    var object: FormatObject? {
        switch self {
        case .object(let object): object
        case .either(let shapes): shapes.lazy.compactMap(\.object).first
        case .text, .flag, .integer, .number, .scalar, .anything, .choice, .list, .dictionary: nil
        }
    }

    /// What the items of a list at this place are.
    var item: FormatShape? {
        switch self {
        case .list(let item): item
        case .either(let shapes): shapes.lazy.compactMap(\.item).first
        case .text, .flag, .integer, .number, .scalar, .anything, .choice, .dictionary, .object: nil
        }
    }

    /// What the values of a mapping with keys of the writer's own are.
    var element: FormatShape? {
        switch self {
        case .dictionary(let element): element
        case .either(let shapes): shapes.lazy.compactMap(\.element).first
        case .text, .flag, .integer, .number, .scalar, .anything, .choice, .list, .object: nil
        }
    }
}

/// A key of an object.
struct FormatKey: Sendable {
    enum Standing: Sendable {
        case read
        /// Accepted, and reported as without effect on a single node.
        case noEffect
    }

    var name: String
    var shape: FormatShape
    var about: String
    var standing: Standing

    init(_ name: String, _ shape: FormatShape, _ about: String = "") {
        self.init(name: name, shape: shape, about: about, standing: .read)
    }

    private init(name: String, shape: FormatShape, about: String, standing: Standing) {
        self.name = name
        self.shape = shape
        self.about = about
        self.standing = standing
    }

    static func noEffect(_ name: String) -> FormatKey {
        FormatKey(name: name, shape: .anything, about: "No effect on a single node.", standing: .noEffect)
    }
}

/// The mappings of the format whose keys are known.
enum FormatObject: String, CaseIterable, Sendable {
    case file, hook, param, io, validation, run, container, variable, resources, environment, initStep, git, initFile,
        termination, plugins, cache, node, matrix, axis, span, schedule, join, joinParam

    /// How two of them become one.
    enum Merging: Sendable {
        /// Key by key, each by its own shape.
        case fields
        /// One level of keys; what lies deeper is data.
        case kubernetes
    }

    var merging: Merging {
        switch self {
        case .container, .variable, .resources: .kubernetes
        case .file, .hook, .param, .io, .validation, .run, .environment, .initStep, .git, .initFile, .termination,
            .plugins, .cache, .node, .matrix, .axis, .span, .schedule, .join, .joinParam:
            .fields
        }
    }

    /// Whether two of different kinds have nothing in common.
    var hasKinds: Bool { self == .matrix || self == .schedule }

    func key(_ name: String) -> FormatKey? { keys.first { $0.name == name } }
}
