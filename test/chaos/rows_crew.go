package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// rowsOfCrews are the faults of plugins that have several processes.
func rowsOfCrews() []row {
	return []row{
		{name: "P1", title: "the processor from 1 to 4 processes and back", run: scaled, promise: "each reload starts and drains only those, and each of them works"},
		{name: "P2", title: "4 processes of the processor with `order: source`: the one that reads is killed, stopped and halted", run: leaseMoves,
			promise: "another one reads then, just one at any time; nothing is out of order, and nothing comes twice"},
	}
}

// crewOf is a pipeline whose processor has n processes.
func crewOf(n int, order string) pipeline {
	return pipeline{process: fmt.Sprintf("mid: { use: filter, from: in, replicas: %d, %s }", n, order)}
}

// P1
func scaled(t *trial) {
	t.up(crewOf(1, ""))
	t.load(t.standard())
	for _, n := range []int{4, 1, 4, 1}[:t.times(2, 4)] {
		t.hold(2 * time.Second)
		t.scale(n, "")
		if n > 1 {
			t.allWork()
		}
	}
	t.hold(2 * time.Second)
	t.settle()
}

// scale gives the processor n processes, and waits until what was acknowledged before has arrived.
func (t *trial) scale(n int, order string) {
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	t.config(crewOf(n, order))
	_, err = t.place.Verb(t.ctx, "reload")
	t.must(err, "reload")
	reloaded := time.Now()
	var now map[string]lab.Plugin
	t.await(readyWithin, fmt.Sprintf("the processor has %d processes", n), func() (err error) {
		now, err = t.place.Plugins(t.ctx)
		if err := lab.AllRunning(now, err); err != nil {
			return err
		}
		return yet(len(now) == n+2)
	})
	t.bite("%d processes of the processor", n)
	for _, name := range []string{"in", "mid", "out"} {
		if now[name].PID != before[name].PID {
			t.errorf("%s is process %d, and was %d", name, now[name].PID, before[name].PID)
		}
	}
	t.healed(reloaded, time.Minute)
}

// crew returns the processes of the processor, by name.
func (t *trial) crew() map[string]lab.Plugin {
	all, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	for name := range all {
		if name != "mid" && !strings.HasPrefix(name, "mid.") {
			delete(all, name)
		}
	}
	return all
}

// one is the name by which verbs take one process of a crew: without a number it is all of them.
func one(name string) string {
	if name == "mid" {
		return "mid.1"
	}
	return name
}

// batches returns how many batches a process of the processor has taken.
func (t *trial) batches(name string) uint64 { return t.info(one(name)).Stats.BatchesIn }

// allWork checks that each process of the processor has work.
func (t *trial) allWork() {
	shares := map[string]uint64{}
	t.await(readyWithin, "each process of the processor has had batches", func() error {
		for name := range t.crew() {
			if shares[name] = t.batches(name); shares[name] == 0 {
				return fmt.Errorf("%s has had none: %v", name, shares)
			}
		}
		return nil
	})
	t.note("batches of each process: %v", shares)
}

// P2
func leaseMoves(t *trial) {
	t.up(crewOf(1, inOrder))
	t.load(t.standard())
	t.hold(2 * time.Second)
	t.scale(4, inOrder)
	holder := t.reader(nobody)
	for range t.times(1, 2) {
		holder = t.moves("killed", holder, func(pid int) { t.signal(pid, syscall.SIGKILL) }, func(int) {})
		holder = t.moves("stopped", holder, func(int) { t.verb("plugin", "stop", one(holder)) }, func(int) { t.verb("plugin", "start", one(holder)) })
		holder = t.moves("halted", holder, func(pid int) { t.signal(pid, syscall.SIGSTOP) }, func(pid int) { t.signal(pid, syscall.SIGCONT) })
	}
	t.scale(1, inOrder)
	t.hold(2 * time.Second)
	t.settle()
	t.note("the output paused for %s at most", round(t.result.gap))
	t.inOrder()
}

const inOrder = "order: source"

// verb runs a verb that must succeed.
func (t *trial) verb(args ...string) {
	_, err := t.place.Verb(t.ctx, args...)
	t.must(err, strings.Join(args, " "))
}

// nobody is the number of no process.
const nobody = -1

func (t *trial) signal(pid int, sig syscall.Signal) {
	t.must(syscall.Kill(pid, sig), "signal a process")
}

// inOrder checks that nothing came out of order.
func (t *trial) inOrder() {
	if n := t.oracle.Count().Reordered; n > 0 {
		t.errorf("%d points are out of order", n)
	}
}

// reader waits until one process of the processor reads and all others stand by, but for one that is not looked at, and returns its
// name.
func (t *trial) reader(but int) (name string) {
	t.await(readyWithin, "one process reads, and the others stand by", func() error {
		name = ""
		crew := t.crew()
		for n, p := range crew {
			switch {
			case p.PID == but || p.State == "stopped" || strings.Contains(p.Reason, "stands by"):
			case p.State != "running" || name != "":
				return fmt.Errorf("several read: %v", crew)
			default:
				name = n
			}
		}
		if name == "" {
			return fmt.Errorf("nobody reads: %v", crew)
		}
		return nil
	})
	had := t.batches(name)
	t.await(readyWithin, name+" reads", func() error { return yet(t.batches(name) > had) })
	return name
}

// moves harms the process that reads: another one has to read then. When that was healed there are four again, one of which reads. It
// returns which.
func (t *trial) moves(how, holder string, harm, heal func(pid int)) string {
	t.hold(2 * time.Second)
	pid := t.crew()[holder].PID
	begin := time.Now()
	harm(pid)
	next := t.reader(pid)
	t.bite("%s reads, process %d, instead of %s, process %d, which was %s", next, t.crew()[next].PID, holder, pid, how)
	t.note("%s: all that was acknowledged until another one read had arrived after %s", how, round(t.healed(begin, time.Minute)))
	heal(pid)
	t.awaitRunning()
	return t.reader(nobody)
}
