module heads

go 1.24

require kubeshark.dev/plugin v0.0.0

// For editors; `kubeshark plugin build` brings the SDK itself.
replace kubeshark.dev/plugin => ../../../extension_api/sdk/go
