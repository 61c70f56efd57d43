import Glibc

exit(OutputCommand(arguments: Array(CommandLine.arguments.dropFirst())).run())
