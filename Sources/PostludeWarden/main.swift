Warden.run()
