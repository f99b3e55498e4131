// Command lookup prints the addresses of a name, sorted, as Go's own resolver finds them: built
// without cgo, it reads resolv.conf itself.
package main

import (
	"fmt"
	"net"
	"os"
	"sort"
)

func main() {
	addresses, err := net.LookupHost(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sort.Strings(addresses)
	for _, address := range addresses {
		fmt.Println(address)
	}
}
