// Command kube-apiserver is the API server of Kubernetes itself, for the tests of tests/cluster.
//
// No registry of Go modules holds it as a program: k8s.io/kubernetes replaces its staging modules by folders of its own
// tree, which `go install` refuses. go.mod replaces them by the published ones of the same release.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
