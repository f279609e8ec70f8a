// Goroutines, channels, timers, files and garbage collection under load.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func channels() int {
	jobs, results := make(chan int, 10), make(chan int, 10)
	var wg sync.WaitGroup
	for w := 0; w < 50; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range jobs {
				results <- j * 2
			}
		}()
	}
	go func() {
		for i := 0; i < 10000; i++ {
			jobs <- i
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	sum := 0
	for r := range results {
		sum += r
	}
	return sum
}

func manyGoroutines() int64 {
	var n int64
	var wg sync.WaitGroup
	for i := 0; i < 10000; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.Gosched()
			atomic.AddInt64(&n, 1)
		}()
	}
	wg.Wait()
	return n
}

type node struct {
	left, right *node
	data        [4]int
}

func build(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: build(depth - 1), right: build(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

func garbage() (int, bool) {
	keep, total := build(14), 0
	for i := 0; i < 40; i++ {
		total += build(12).count()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return total + keep.count(), stats.NumGC > 0
}

func spinPreempted() string {
	var stop int32
	done := make(chan bool)
	go func() {
		for atomic.LoadInt32(&stop) == 0 {
		}
		done <- true
	}()
	time.Sleep(30 * time.Millisecond)
	atomic.StoreInt32(&stop, 1)
	<-done
	return "stopped"
}

func timers() []int {
	var mu sync.Mutex
	var order []int
	var wg sync.WaitGroup
	for _, n := range []int{3, 1, 2} {
		n := n
		wg.Add(1)
		time.AfterFunc(time.Duration(n)*30*time.Millisecond, func() {
			mu.Lock()
			order = append(order, n)
			mu.Unlock()
			wg.Done()
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		order = append(order, 99)
	}
	return order
}

func files() string {
	var names []string
	hash := sha256.New()
	filepath.WalkDir("/tree", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, path)
		}
		return nil
	})
	sort.Strings(names)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		hash.Write(data)
	}
	if err := os.MkdirAll("/tmp/a/b/c", 0755); err != nil {
		return err.Error()
	}
	os.WriteFile("/tmp/a/b/c/f", []byte("x"), 0600)
	os.RemoveAll("/tmp/a")
	_, err := os.Stat("/tmp/a")
	return fmt.Sprintf("%d %x %v", len(names), hash.Sum(nil), errors.Is(err, fs.ErrNotExist))
}

func nilFault() (result string) {
	defer func() { result = fmt.Sprint(recover()) }()
	var p *node
	return fmt.Sprint(p.data[1])
}

func signals() string {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(syscall.Getpid(), syscall.SIGUSR1)
	return (<-c).String()
}

func pipes() string {
	r, w, err := os.Pipe()
	if err != nil {
		return err.Error()
	}
	go func() {
		for i := 0; i < 1000; i++ {
			fmt.Fprintf(w, "line %d\n", i)
		}
		w.Close()
	}()
	n, buf := 0, make([]byte, 512)
	for {
		k, err := r.Read(buf)
		n += k
		if err != nil {
			break
		}
	}
	return fmt.Sprint(n)
}

func main() {
	text, _ := json.Marshal(map[string]any{"b": []int{1, 2}, "a": "x"})
	fmt.Println("json", string(text))
	fmt.Println("channels", channels())
	fmt.Println("goroutines", manyGoroutines())
	fmt.Println(garbage())
	fmt.Println("spin", spinPreempted())
	fmt.Println("timers", timers())
	fmt.Println("files", files())
	fmt.Println("nil", nilFault())
	fmt.Println("signal", signals())
	fmt.Println("pipe", pipes())
	fmt.Println("args", os.Args[1:])
	if len(os.Args) > 1 {
		os.Exit(7)
	}
}
