import PostludeCLI

await EntryPoint.main()
