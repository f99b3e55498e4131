// Command coredns is CoreDNS with its usual plugins, built here at the version that go.mod pins.
package main

import (
	_ "github.com/coredns/coredns/core/plugin"
	"github.com/coredns/coredns/coremain"
)

func main() {
	coremain.Run()
}
