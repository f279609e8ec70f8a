// Prints its arguments, a line each, as hello.c does.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "hot" {
		for i := 0; i < 100000; i++ {
			os.Getppid()
		}
	}
	for _, arg := range os.Args {
		fmt.Println(arg)
	}
	os.Exit(len(os.Args))
}
