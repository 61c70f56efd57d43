/// Text that may hold `{{ expressions }}`, as the file has it, with the place it came from.
public struct Template: Hashable, Sendable, Codable, ExpressibleByStringLiteral {
    public var source: String
    /// Where the text starts in its file, for diagnostics at render time; nil for text that Postlude made.
    public var place: SourcePlace?

    public init(_ source: String, at place: SourcePlace? = nil) {
        self.source = source
        self.place = place
    }

    public init(stringLiteral value: String) { self.init(value) }
}

/// A place in a file the user wrote; line and column count from 1.
public struct SourcePlace: Hashable, Sendable, Codable, CustomStringConvertible {
    public var file: String
    public var line: Int
    public var column: Int

    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    public var description: String { "\(file):\(line):\(column)" }
}

/// One finding about an operation file. `error` refuses the file; `note` says what is accepted but has no effect here.
public struct Diagnostic: Hashable, Sendable, Codable {
    public enum Severity: String, Sendable, Codable { case error, warning, note }

    public var severity: Severity
    /// Stable and grep-able, such as `spec.unknown-key`.
    public var code: String
    public var message: String
    /// What the reader can do about it.
    public var hint: String?
    public var place: SourcePlace?

    public init(
        _ severity: Severity, _ code: String, _ message: String, hint: String? = nil, at place: SourcePlace? = nil
    ) {
        self.severity = severity
        self.code = code
        self.message = message
        self.hint = hint
        self.place = place
    }
}

/// A validated operation: a component with the params, hooks and settings one run of it uses. References
/// (`hubRef`, `pathRef`) are resolved and copied in, so that editing a file later changes nothing that was submitted.
public struct Operation: Hashable, Sendable, Codable {
    public var name: String?
    public var description: String?
    public var tags: [String]
    public var component: Component
    /// Params as given, by input name; validated against the component's inputs.
    public var params: [String: Param]
    public var hooks: [Hook]
    /// When present and false, the run is skipped.
    public var conditions: Template?
    public var queue: String?
    /// What was accepted without effect, or deserves attention.
    public var notes: [Diagnostic]
    /// False holds the run until somebody approves it; nil is as true.
    public var isApproved: Bool?
    /// When this operation runs again and again; its runs are children of a parent that follows the schedule.
    public var schedule: Schedule?
    /// The points that this operation runs with, one child each.
    public var matrix: Matrix?
    /// The operations of a graph, one child each; the component itself runs nothing then.
    public var dag: Dag?
    /// With a schedule or a matrix: the hooks of each child. `hooks` are the parent's own.
    public var eachHooks: [Hook]?
    /// When the outputs of an earlier run may stand for this one's.
    public var cache: CachePolicy?
    /// Runs whose artifacts the steps may read: in a graph, those that this one depends on. Never from a file.
    public var reads: [RunID]?
    /// Runs to search for, and the params that come from them.
    public var joins: [Join]?

    public init(
        name: String? = nil, description: String? = nil, tags: [String] = [], component: Component,
        params: [String: Param] = [:], hooks: [Hook] = [], conditions: Template? = nil, queue: String? = nil,
        notes: [Diagnostic] = [], isApproved: Bool? = nil, schedule: Schedule? = nil, matrix: Matrix? = nil,
        dag: Dag? = nil, cache: CachePolicy? = nil, joins: [Join]? = nil
    ) {
        self.name = name
        self.description = description
        self.tags = tags
        self.component = component
        self.params = params
        self.hooks = hooks
        self.conditions = conditions
        self.queue = queue
        self.notes = notes
        self.isApproved = isApproved
        self.schedule = schedule
        self.matrix = matrix
        self.dag = dag
        self.cache = cache
        self.joins = joins
    }
}

/// The reusable part: what is declared and what runs.
public struct Component: Hashable, Sendable, Codable {
    public var name: String?
    public var inputs: [IODeclaration]
    public var outputs: [IODeclaration]
    public var termination: Termination
    public var job: JobSpec
    /// Kinds of connections that it can use; nil for any.
    public var connectionKinds: [String]?

    public init(
        name: String? = nil, inputs: [IODeclaration] = [], outputs: [IODeclaration] = [],
        termination: Termination = Termination(), job: JobSpec, connectionKinds: [String]? = nil
    ) {
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.termination = termination
        self.job = job
        self.connectionKinds = connectionKinds
    }
}

/// How a run may end other than by itself.
public struct Termination: Hashable, Sendable, Codable {
    /// How often a failed run is tried again.
    public var maxRetries: Int
    /// Seconds an attempt may take from its first step's start; nil for no bound.
    public var timeoutSeconds: Double?
    /// Seconds between the polite signal (SIGTERM) and SIGKILL.
    public var graceSeconds: Double

    public init(maxRetries: Int = 0, timeoutSeconds: Double? = nil, graceSeconds: Double = 30) {
        self.maxRetries = maxRetries
        self.timeoutSeconds = timeoutSeconds
        self.graceSeconds = graceSeconds
    }
}

/// A declared input or output.
public struct IODeclaration: Hashable, Sendable, Codable {
    public var name: String
    /// The type as written (`int`, `List[str]`, ...); nil accepts anything.
    public var type: String?
    public var value: Value?
    public var isOptional: Bool
    public var isList: Bool
    public var isFlag: Bool
    /// A template for `params.X.as_arg`; nil means `--name=value`, or `--name` for a flag.
    public var argFormat: String?
    /// The environment variable that receives the value.
    public var toEnv: String?
    public var validation: [IOConstraint]
    public var place: SourcePlace?

    public init(
        name: String, type: String? = nil, value: Value? = nil, isOptional: Bool = false, isList: Bool = false,
        isFlag: Bool = false, argFormat: String? = nil, toEnv: String? = nil, validation: [IOConstraint] = [],
        place: SourcePlace? = nil
    ) {
        self.name = name
        self.type = type
        self.value = value
        self.isOptional = isOptional
        self.isList = isList
        self.isFlag = isFlag
        self.argFormat = argFormat
        self.toEnv = toEnv
        self.validation = validation
        self.place = place
    }
}

/// One rule of an input's or output's `validation`; the operand's type was checked when the file was read.
public struct IOConstraint: Hashable, Sendable, Codable {
    public enum Rule: String, Sendable, Codable, CaseIterable {
        case gt, ge, lt, le, multipleOf, minDigits, maxDigits, decimalPlaces, regex, minLength, maxLength, contains,
            excludes, options, minItems, maxItems, keys, containsKeys, excludesKeys
    }

    public var rule: Rule
    public var operand: Value

    public init(_ rule: Rule, _ operand: Value) {
        self.rule = rule
        self.operand = operand
    }
}

/// A param of an operation or of a hook.
public struct Param: Hashable, Sendable, Codable {
    /// The literal value; a string in it that holds `{{ }}` *in the file* is a template (see `templates`).
    public var value: Value
    /// Whether strings of `value` are templates: true for what a file says, false for data.
    public var isTemplate: Bool
    /// Seen by templates only; never becomes an input.
    public var contextOnly: Bool
    public var toEnv: String?
    /// Another run that the value is taken from; `value` says then what of it, as in `outputs.loss`.
    public var reference: ParamReference?
    public var place: SourcePlace?

    public init(
        value: Value, isTemplate: Bool, contextOnly: Bool = false, toEnv: String? = nil,
        reference: ParamReference? = nil, place: SourcePlace? = nil
    ) {
        self.value = value
        self.isTemplate = isTemplate
        self.contextOnly = contextOnly
        self.toEnv = toEnv
        self.reference = reference
        self.place = place
    }
}

/// Where a param's value comes from when it is not in the file.
public enum ParamReference: Hashable, Sendable, Codable {
    /// An operation of the same graph.
    case operation(String)
    /// The graph's own run.
    case dag
}

/// A hook: a component that runs after its main, when the trigger matches and the condition holds.
public struct Hook: Hashable, Sendable, Codable {
    public enum Trigger: String, Sendable, Codable, CaseIterable {
        case succeeded, failed, stopped, skipped
        case upstreamFailed = "upstream_failed"
        case done
    }

    /// What people call it: the given `name`, else the hubRef, pathRef's file name or component's name.
    public var name: String
    /// `hub:webhook`, `path:x.yaml` or `inline`: where the component came from.
    public var origin: String
    public var component: Component
    public var trigger: Trigger
    public var conditions: Template?
    public var params: [String: Param]
    public var connection: String?
    public var queue: String?
    public var disableDefaults: Bool
    /// Hooks of its component, which run when the hook run itself has ended; nil for none.
    public var hooks: [Hook]?
    public var place: SourcePlace?

    public init(
        name: String, origin: String, component: Component, trigger: Trigger = .done, conditions: Template? = nil,
        params: [String: Param] = [:], connection: String? = nil, queue: String? = nil, disableDefaults: Bool = false,
        hooks: [Hook]? = nil, place: SourcePlace? = nil
    ) {
        self.name = name
        self.origin = origin
        self.component = component
        self.trigger = trigger
        self.conditions = conditions
        self.params = params
        self.connection = connection
        self.queue = queue
        self.disableDefaults = disableDefaults
        self.hooks = hooks
        self.place = place
    }
}
