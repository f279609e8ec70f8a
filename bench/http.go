// A server of net/http, and what loads it: connections that are all open from the start, asked in turn by a few at once.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
}

func serve(address string) {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
	listener, err := net.Listen("tcp", address)
	check(err)
	fmt.Println("serving")
	check(http.Serve(listener, nil))
}

type connection struct {
	net.Conn
	reader *bufio.Reader
}

func ask(c connection, request []byte) {
	_, err := c.Write(request)
	check(err)
	response, err := http.ReadResponse(c.reader, nil)
	check(err)
	check(response.Body.Close())
}

// Prints requests per second and the median time of one in microseconds.
func load(address string, open, atOnce, milliseconds int) {
	request := []byte("GET / HTTP/1.1\r\nHost: " + address + "\r\n\r\n")
	connections := make([]connection, open)
	for i := range connections {
		c, err := net.Dial("tcp", address)
		check(err)
		// Ended by a reset: the next round wants the ports.
		check(c.(*net.TCPConn).SetLinger(0))
		connections[i] = connection{c, bufio.NewReaderSize(c, 512)}
	}
	for _, c := range connections {
		ask(c, request)
	}
	start := time.Now()
	end := start.Add(time.Duration(milliseconds) * time.Millisecond)
	times := make([][]float64, atOnce)
	var workers sync.WaitGroup
	for w := 0; w < atOnce; w++ {
		workers.Add(1)
		go func(w int) {
			defer workers.Done()
			for i := w; ; i += atOnce {
				before := time.Now()
				if before.After(end) {
					return
				}
				if i >= open {
					i = w
				}
				ask(connections[i], request)
				times[w] = append(times[w], float64(time.Since(before).Nanoseconds())/1000)
			}
		}(w)
	}
	workers.Wait()
	seconds := time.Since(start).Seconds()
	var all []float64
	for _, some := range times {
		all = append(all, some...)
	}
	sort.Float64s(all)
	fmt.Printf("%.1f %.1f\n", float64(len(all))/seconds, all[len(all)/2])
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	if len(os.Args) != 6 || os.Args[1] != "load" {
		check(fmt.Errorf("usage: http serve ADDRESS | http load ADDRESS OPEN AT-ONCE MILLISECONDS"))
	}
	var numbers [3]int
	for i := range numbers {
		number, err := strconv.Atoi(os.Args[3+i])
		check(err)
		numbers[i] = number
	}
	load(os.Args[2], numbers[0], numbers[1], numbers[2])
}
