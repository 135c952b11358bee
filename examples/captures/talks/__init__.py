"""The clients of the recording: one module a protocol, whose `talk` says everything there is to say, in order."""
