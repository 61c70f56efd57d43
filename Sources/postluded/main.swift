AgentCommand.start()
