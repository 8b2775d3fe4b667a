package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// A ledger is what processes have taken over a time: memory by name, a value each second.
type ledger struct {
	stop, done chan struct{}
	memory     map[string][]int64
}

// watchMemory notes what the agent and its plugins have, until what it returns is asked for the figures.
func (t *trial) watchMemory() *ledger {
	plugins, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	pids := map[string]int{"agent": t.system.agent.PID()}
	for name, p := range plugins {
		pids[name] = p.PID
	}
	l := &ledger{stop: make(chan struct{}), done: make(chan struct{}), memory: map[string][]int64{}}
	go func() {
		defer close(l.done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			for name, pid := range pids {
				l.memory[name] = append(l.memory[name], lab.Memory(pid, "status", "VmRSS:"))
			}
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
		}
	}()
	return l
}

// A spanOfMemory is the least and the most that a process has had, and the median of the first and of the last quarter of
// the time: a leak shows there, a collection of garbage does not.
type spanOfMemory struct{ least, most, begin, end int64 }

func (s spanOfMemory) String() string {
	return fmt.Sprintf("%d, %d (%d–%d)", s.begin>>20, s.end>>20, s.least>>20, s.most>>20)
}

// close ends the watch and returns what was seen.
func (l *ledger) close() map[string]spanOfMemory {
	close(l.stop)
	<-l.done
	all := map[string]spanOfMemory{}
	for name, values := range l.memory {
		quarter := max(1, len(values)/4)
		all[name] = spanOfMemory{slices.Min(values), slices.Max(values), median(values[:quarter]), median(values[len(values)-quarter:])}
	}
	return all
}

func median(values []int64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// A plugin may grow by so much while a fault lasts.
const growth = 20 << 20

// noteMemory publishes what was seen while something lasted, and fails the row where a process has grown by more: a plugin by
// more than growth, the agent with the bus in it by more than bus.
func (t *trial) noteMemory(during string, l *ledger, bus int64) {
	seen := l.close()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		m := seen[name]
		all = append(all, fmt.Sprintf("%s %v", name, m))
		most := int64(growth)
		if name == "agent" {
			most = bus
		}
		if m.end-m.begin > most {
			t.errorf("%s has grown by %d MB %s", name, (m.end-m.begin)>>20, during)
		}
	}
	t.note("memory %s, MB at first, at last (least–most): %s", during, strings.Join(all, ", "))
}

// openFiles counts the open files and connections of a process.
func openFiles(pid int) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)) // one that has ended has none
	return len(list)
}
