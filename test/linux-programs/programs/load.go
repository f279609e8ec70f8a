// Goroutines, channels, timers and the garbage collector under load; what it prints does not depend on their order.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

type node struct {
	next *node
	data [64]byte
}

func produce(out chan<- int, from, count int) {
	for i := from; i < from+count; i++ {
		out <- i
	}
}

func garbage(rounds int) int {
	kept := 0
	for i := 0; i < rounds; i++ {
		var list *node
		for j := 0; j < 1000; j++ {
			list = &node{next: list}
		}
		for n := list; n != nil; n = n.next {
			kept++
		}
	}
	return kept
}

func main() {
	numbers := make(chan int)
	var producers, workers sync.WaitGroup
	for p := 0; p < 100; p++ {
		producers.Add(1)
		go func(p int) {
			defer producers.Done()
			produce(numbers, p*1000, 1000)
		}(p)
	}
	var mutex sync.Mutex
	sum, allocated := 0, 0
	for w := 0; w < 8; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for n := range numbers {
				mutex.Lock()
				sum += n
				mutex.Unlock()
			}
		}()
		workers.Add(1)
		go func() {
			defer workers.Done()
			n := garbage(100)
			mutex.Lock()
			allocated += n
			mutex.Unlock()
		}()
	}
	// Has to be preempted: it never gives way by itself.
	spinning, stop := make(chan struct{}), false
	go func() {
		for x := 0; !stop; x++ {
		}
		close(spinning)
	}()
	ticks := 0
	ticker := time.NewTicker(time.Millisecond)
	for ticks < 20 {
		<-ticker.C
		ticks++
	}
	select {
	case <-time.After(time.Hour):
		fmt.Println("an hour has passed")
	case <-time.After(5 * time.Millisecond):
	}
	producers.Wait()
	close(numbers)
	workers.Wait()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("sum", sum, "allocated", allocated, "ticks", ticks, "collected", stats.NumGC > 0)
	_ = spinning
}
