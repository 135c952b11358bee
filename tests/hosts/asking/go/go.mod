module asker

go 1.24

require kubeshark.dev/plugin v0.0.0
