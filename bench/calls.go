// Nanoseconds of one getppid(2) as Go makes it.
package main

import (
	"fmt"
	"syscall"
	"time"
)

const (
	warmup = 100
	calls  = 2000000
)

func main() {
	for i := 0; i < warmup; i++ {
		syscall.Getppid()
	}
	start := time.Now()
	for i := 0; i < calls; i++ {
		syscall.Getppid()
	}
	fmt.Printf("%.2f\n", float64(time.Since(start).Nanoseconds())/calls)
}
