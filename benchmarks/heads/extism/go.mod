module heads

go 1.24
