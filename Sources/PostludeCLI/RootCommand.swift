import ArgumentParser
import PostludeAPI

/// `postlude`: what people and scripts use.
public struct RootCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "postlude",
        abstract: "Run operations in sandboxes on this machine, hand the accelerators back, then run their hooks.",
        discussion: """
            Exit status:
              0    the run succeeded, or the command did its work
              1    the run failed, or the file is not valid
              2    the command line, or a file named on it, is wrong
              3    the agent refused, or failed itself
              4    no agent can be reached or started
              5    the run was stopped or skipped
              130  interrupted by Ctrl-C

            Environment: POSTLUDE_SOCKET and POSTLUDE_CONFIG as --socket and --config; NO_COLOR turns colour off.
            """,
        version: "postlude \(Version.current)",
        subcommands: [
            RunCommand.self, SubmitCommand.self, PSCommand.self, LogsCommand.self, InspectCommand.self,
            ExplainCommand.self, RerunCommand.self, StopCommand.self, ApproveCommand.self, HoldCommand.self,
            ReleaseCommand.self, DrainCommand.self, BackupCommand.self, ReportCommand.self, ValidateCommand.self,
            SchemaCommand.self,
            HubCommand.self, DoctorCommand.self, DevicesCommand.self, ImagesCommand.self,
            VersionCommand.self,
        ])

    public init() {}
}
