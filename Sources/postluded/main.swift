await AgentCommand.start()
