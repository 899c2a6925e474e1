// gopeer WORKLOAD [PROCS [N [CAPACITY]]] - the small workloads of bench/peers on Go: yield, spawn, spawn_yield, fib,
// skynet, parked; by channels rendezvous, chan_1p1c, chan_4p4c, select4, select8; mutex.
// One line of JSON, as report.h prints it.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

const outstanding = 1000

// Two goroutines yield to each other n times each; an operation is one yield.
func yield(n int) int {
	var wg sync.WaitGroup
	wg.Add(2)
	for g := 0; g < 2; g++ {
		go func() {
			for i := 0; i < n; i++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return 2 * n
}

func empty(wg *sync.WaitGroup) {
	wg.Done()
}

func yielding(wg *sync.WaitGroup) {
	runtime.Gosched()
	wg.Done()
}

// n rounds of 1000 goroutines that are spawned, then waited for.
func spawn(n int, child func(*sync.WaitGroup)) int {
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Add(outstanding)
		for j := 0; j < outstanding; j++ {
			go child(&wg)
		}
		wg.Wait()
	}
	return n * outstanding
}

func fibInto(n int, out *int, wg *sync.WaitGroup) {
	*out = fib(n)
	wg.Done()
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	var wg sync.WaitGroup
	var a int
	wg.Add(1)
	go fibInto(n-1, &a, &wg)
	b := fib(n - 2)
	wg.Wait()
	return a + b
}

func plainFib(n int) int {
	if n < 2 {
		return n
	}
	return plainFib(n-1) + plainFib(n-2)
}

func skynetInto(first, size int, out *int, wg *sync.WaitGroup) {
	*out = skynet(first, size)
	wg.Done()
}

func skynet(first, size int) int {
	if size == 1 {
		return first
	}
	var wg sync.WaitGroup
	var results [10]int
	wg.Add(10)
	for i := 0; i < 10; i++ {
		go skynetInto(first+i*(size/10), size/10, &results[i], &wg)
	}
	wg.Wait()
	sum := 0
	for _, r := range results {
		sum += r
	}
	return sum
}

func memory() (bytes int) {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		fail(err.Error())
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if words[0] == "VmRSS:" || words[0] == "VmPTE:" {
			kib, _ := strconv.Atoi(words[1])
			bytes += kib * 1024
		}
	}
	return bytes
}

func parked(n int) {
	event := make(chan struct{})
	var started, ended sync.WaitGroup
	before := memory()
	started.Add(n)
	ended.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			started.Done()
			<-event
			ended.Done()
		}()
	}
	started.Wait()
	time.Sleep(100 * time.Millisecond)
	bytes := float64(memory()-before) / float64(n)
	close(event)
	ended.Wait()
	fmt.Printf("{\"impl\": \"go\", \"name\": \"parked\", \"workers\": %d, \"coroutines\": %d, \"bytes\": %.1f}\n",
		runtime.GOMAXPROCS(0), n, bytes)
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "gopeer:", why)
	os.Exit(2)
}

func argument(index, otherwise int) int {
	if len(os.Args) <= index {
		return otherwise
	}
	value, err := strconv.Atoi(os.Args[index])
	if err != nil || value < 1 {
		fail("'" + os.Args[index] + "' is not a positive number")
	}
	return value
}

func main() {
	if len(os.Args) < 2 {
		fail("usage: gopeer WORKLOAD [PROCS [N [CAPACITY]]]; workloads: yield, spawn, spawn_yield, fib, skynet, " +
			"parked, rendezvous, chan_1p1c, chan_4p4c, mutex, select4, select8")
	}
	procs := argument(2, 1)
	runtime.GOMAXPROCS(procs)
	var ops int
	var took time.Duration
	// By n operations, after a tenth of them that is not timed.
	warmed := func(n int, workload func(n int) int) {
		workload(n / 10)
		begin := time.Now()
		ops = workload(n)
		took = time.Since(begin)
	}
	capacity := argument(4, 128)
	begin := time.Now()
	switch os.Args[1] {
	case "yield":
		ops = yield(argument(3, 10000000))
	case "spawn":
		ops = spawn(argument(3, 5000), empty)
	case "spawn_yield":
		ops = spawn(argument(3, 5000), yielding)
	case "fib":
		n := argument(3, 30)
		sum := fib(n)
		took = time.Since(begin)
		if sum != plainFib(n) {
			fail("wrong sum")
		}
		ops = plainFib(n+1) - 1 // a goroutine per addition
	case "skynet":
		if skynet(0, 1000000) != 499999500000 {
			fail("wrong sum")
		}
		ops = 1111111
	case "parked":
		parked(argument(3, 1000000))
		return
	case "rendezvous":
		warmed(argument(3, 5000000), rendezvous)
	case "chan_1p1c":
		warmed(argument(3, 40000000), func(n int) int { return messages(1, n, capacity) })
	case "chan_4p4c":
		warmed(argument(3, 40000000), func(n int) int { return messages(4, n, capacity) })
	case "mutex":
		warmed(argument(3, 100000000), mutex)
	case "select4":
		warmed(argument(3, 10000000), func(n int) int { return selectReady(n, capacity) })
	case "select8":
		warmed(argument(3, 6000000), func(n int) int { return selectShared(n, capacity) })
	default:
		fail("no workload '" + os.Args[1] + "'")
	}
	if took == 0 {
		took = time.Since(begin)
	}
	ns := float64(took.Nanoseconds()) / float64(ops)
	fmt.Printf("{\"impl\": \"go\", \"name\": \"%s\", \"workers\": %d, \"ops\": %d, \"ns\": %.3f}\n",
		os.Args[1], procs, ops, ns)
}
