// The workloads of channels, select and the mutex.
package main

import "sync"

// n round trips by two rendezvous channels; an operation is one round trip.
func rendezvous(n int) int {
	there, back := make(chan int), make(chan int)
	go func() {
		for v := range there {
			back <- v
		}
		close(back)
	}()
	sum := 0
	for i := 0; i < n; i++ {
		there <- i
		sum += <-back
	}
	close(there)
	check(sum, n)
	return n
}

// n messages, split among as many producers as consumers, through one channel; an operation is one message.
func messages(pairs, n, capacity int) int {
	c := make(chan int, capacity)
	var producers, consumers sync.WaitGroup
	producers.Add(pairs)
	consumers.Add(pairs)
	sums := make([]int, pairs)
	for p := 0; p < pairs; p++ {
		go func(first, end int) {
			for i := first; i < end; i++ {
				c <- i
			}
			producers.Done()
		}(share(n, p, pairs), share(n, p+1, pairs))
		go func(sum *int) {
			own := 0
			for v := range c {
				own += v
			}
			*sum = own
			consumers.Done()
		}(&sums[p])
	}
	producers.Wait()
	close(c)
	consumers.Wait()
	check(total(sums), n)
	return n
}

// One goroutine locks and unlocks; nobody else does. An operation is both.
func mutex(n int) int {
	var mu sync.Mutex
	for i := 0; i < n; i++ {
		mu.Lock()
		mu.Unlock()
	}
	return n
}

// One goroutine selects over four channels that always hold something: it sends back what it got. An operation is one
// select and that send.
func selectReady(n, capacity int) int {
	var c [4]chan int
	for i := range c {
		c[i] = make(chan int, capacity)
		for len(c[i]) < capacity {
			c[i] <- 1
		}
	}
	sum := 0
	for i := 0; i < n; i++ {
		select {
		case v := <-c[0]:
			sum += v
			c[0] <- v
		case v := <-c[1]:
			sum += v
			c[1] <- v
		case v := <-c[2]:
			sum += v
			c[2] <- v
		case v := <-c[3]:
			sum += v
			c[3] <- v
		}
	}
	if sum != n {
		fail("wrong sum")
	}
	return n
}

// Receives from three channels until all of them are closed.
func drain(a, b, c <-chan int) (sum int) {
	for a != nil || b != nil || c != nil {
		select {
		case v, ok := <-a:
			if !ok {
				a = nil
			}
			sum += v
		case v, ok := <-b:
			if !ok {
				b = nil
			}
			sum += v
		case v, ok := <-c:
			if !ok {
				c = nil
			}
			sum += v
		}
	}
	return sum
}

// Eight goroutines select over the same three channels, each of which has a producer: the load of golang/go#20351. An
// operation is one element received.
func selectShared(n, capacity int) int {
	const receivers = 8
	var c [3]chan int
	var sums [receivers]int
	var wg sync.WaitGroup
	for i := range c {
		c[i] = make(chan int, capacity)
		go func(out chan<- int, first, end int) {
			for i := first; i < end; i++ {
				out <- i
			}
			close(out)
		}(c[i], share(n, i, len(c)), share(n, i+1, len(c)))
	}
	wg.Add(receivers)
	for i := range sums {
		go func(sum *int) {
			*sum = drain(c[0], c[1], c[2])
			wg.Done()
		}(&sums[i])
	}
	wg.Wait()
	check(total(sums[:]), n)
	return n
}

// Where the share of the one at index begins, when n are split.
func share(n, index, count int) int {
	return n * index / count
}

func total(sums []int) (sum int) {
	for _, s := range sums {
		sum += s
	}
	return sum
}

// What was received is 0 .. n-1, each once.
func check(sum, n int) {
	if sum != n*(n-1)/2 {
		fail("wrong sum")
	}
}
