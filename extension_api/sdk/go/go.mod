module kubeshark.dev/plugin

go 1.24
