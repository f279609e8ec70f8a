// Prints its arguments, a line each, as hello.c does.
package main

import (
	"fmt"
	"os"
)

func main() {
	for _, arg := range os.Args {
		fmt.Println(arg)
	}
	os.Exit(len(os.Args))
}
