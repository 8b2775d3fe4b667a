package process

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
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

// tender has a program that runs and has lost a descendant with a mark, and one that ends and leaves one without. It says how that has
// ended, and waits for its stdin to end.
func tender() {
	release := fatal(Tend())
	run := func(script string) *Process {
		return fatal(Start(Command{Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}}))
	}
	runs := run(`(setsid sh -c 'echo $$ ready >marked; exec sleep 60' &); exec sleep 60`)
	ends := run(`(env -i setsid sh -c 'echo $$ ready >hidden; exec sleep 60' &); until [ -s hidden ] && [ -s marked ]; do sleep 0.01; done; exit 7`)
	fmt.Println("exit code", ends.Exit().Code)
	_, _ = io.Copy(io.Discard, os.Stdin)
	runs.Terminate(0)
	<-runs.Done()
	release()
}

// keeper is like an agent with one process that is kept in the folder keep, and one that is not. It says their pids, and
// ends in order when its stdin does.
func keeper() {
	done := fatal(own(os.Getenv("ID")))
	release := fatal(Adopt())
	env := []string{"PATH=" + os.Getenv("PATH")}
	stays := fatal(Start(Command{
		Args: []string{os.Args[0]}, Env: append(env, role+"=flooder"), KeepDir: "keep", Note: "a note",
	}))
	goes := fatal(Start(Command{Args: []string{"sh", "-c", "setsid sleep 60 & sleep 60"}, Env: env, OnParentDeath: syscall.SIGKILL}))
	fmt.Println("pids", stays.PID(), goes.PID())
	_, _ = io.Copy(io.Discard, os.Stdin)
	stays.Detach()
	goes.Terminate(0)
	<-goes.Done()
	release()
	done()
}

// flooder prints a MB of numbered lines a second to stderr, for ever, and says in the file flood how many, and how long the
// longest write has taken. A descendant of it has lost its parent.
func flooder() {
	fatal(0, exec.Command("sh", "-c", "(setsid sleep 60 >/dev/null 2>&1 &)").Run())
	const batch, length = 100, 100
	longest := time.Duration(0)
	for n := 0; ; {
		var text []byte
		for range batch {
			text = fmt.Appendf(text, "%0*d\n", length-1, n)
			n++
		}
		begin := time.Now()
		if _, err := os.Stderr.Write(text); err != nil {
			os.Exit(1)
		}
		longest = max(longest, time.Since(begin))
		fatal(0, os.WriteFile("flood.new", fmt.Append(nil, n, longest.Milliseconds()), 0o600))
		fatal(0, os.Rename("flood.new", "flood"))
		time.Sleep(10 * time.Millisecond)
	}
}
