package process

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What copies of the test binary play, that are more than children.

// wild starts one of each kind that leaves its parent, and says "ready" and their pids.
const wild = `
	sleep 60 & a=$!
	setsid sleep 60 & b=$!
	(setsid sh -c 'sleep 60 & echo $$ $! >twice; exec sleep 60' &)
	(trap "" TERM HUP; exec setsid sleep 60) & c=$!
	until [ -s twice ]; do sleep 0.01; done
	echo ready $a $b $c $(cat twice) $$
	exec sleep 60`

// owner is a process as an agent is one: with a mark, a guard and a child that started others. It says what the child
// says, and ends when its stdin does.
func owner() {
	done := fatal(own(os.Getenv("ID")))
	p := fatal(Start(Command{
		Args: []string{"sh", "-c", wild}, Env: []string{"PATH=" + os.Getenv("PATH")},
		Stdout: os.Stdout, Stderr: os.Stderr, OnParentDeath: syscall.SIGKILL,
	}))
	_, _ = io.Copy(io.Discard, os.Stdin)
	p.Terminate(0)
	<-p.Done()
	done()
}

func own(id string) (done func(), err error) {
	mark, _, err := Own(id, time.Second)
	if err != nil {
		return nil, err
	}
	g, err := StartGuard([]string{os.Args[0], "guard", mark}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return g.Stop, nil
}

// guard is what the guard of an owner becomes.
func guard(mark string) {
	if AwaitParent(os.Stdin) {
		fatal(0, CleanUp(mark, 200*time.Millisecond))
	}
}

func fatal[T any](v T, err error) T {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	return v
}

// adopter has children that leave others behind, many at once, and says how many of its own ended as they should. One that
// is left has neither mark nor group, and its pid in the file hidden. Then it waits for its stdin to end.
func adopter() {
	release := fatal(Adopt())
	var good atomic.Int32
	run := func(script string) {
		p := fatal(Start(Command{Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}}))
		if p.Exit().Code == 7 {
			good.Add(1)
		}
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 5 {
				run(`(setsid sh -c 'sleep 0.1; :' &); exit 7`)
			}
		})
	}
	run(`(env -i setsid sh -c 'echo $$ ready >hidden; exec sleep 60' &); until [ -s hidden ]; do sleep 0.01; done; exit 7`)
	all.Wait()
	fmt.Println("good", good.Load())
	_, _ = io.Copy(io.Discard, os.Stdin)
	release()
}
