package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/oracle"
	"github.com/pacewire/pacewire/telemetry"
)

// details are what plugin info tells of a plugin.
type details struct {
	State, Reason string
	PID           int
	Stats         telemetry.Stats
}

// info asks the agent for a plugin.
func (t *trial) info(name string) (d details) {
	out, err := t.place.Verb(t.ctx, "plugin", "info", name, "-o", "json")
	if err == nil {
		err = json.Unmarshal(out, &d)
	}
	if err != nil {
		t.errorf("plugin info %s: %v", name, err)
	}
	return d
}

// events are the messages of the events of a type that a plugin has raised.
func (t *trial) events(kind, plugin string) (messages []string) {
	out, err := t.place.Verb(t.ctx, "events", "--type", kind, "--plugin", plugin, "-o", "json")
	t.must(err, "ask for events")
	for line := range strings.Lines(string(out)) {
		var e struct{ Message string }
		t.must(json.Unmarshal([]byte(line), &e), "read an event")
		messages = append(messages, e.Message)
	}
	return messages
}

// add gives the agent a piece of config more, and does not wait for what it starts.
func (t *trial) add(name, yaml string) error {
	path, err := t.place.Write(name+".yaml", yaml)
	t.must(err, "write a piece of config")
	_, err = t.place.Verb(t.ctx, "plugin", "load", path, "--timeout", "15s")
	return err
}

// bury tells the oracle of the dead letters that a plugin has made since the one of a number, and returns them.
func (t *trial) bury(plugin string, after uint64) (letters []bus.Letter) {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	conn, _, err := t.place.Connect(ctx)
	t.must(err, "connect to the bus")
	defer conn.Close()
	t.must(conn.Letters(ctx, plugin, after+1, func(l bus.Letter) error {
		letters = append(letters, l)
		var b telemetry.Batch
		if b.Decode(l.ContentType, l.ContentEncoding, l.Body, l.Stored) == nil { // else bytes that are no batch
			t.oracle.Buried(b.AppendLines(nil))
		}
		return nil
	}), "read the dead letters")
	return letters
}

// reasons counts dead letters by their code.
func reasons(letters []bus.Letter) map[string]int {
	count := map[string]int{}
	for _, l := range letters {
		count[l.Reason]++
	}
	return count
}

// beside starts one more sink that is owed all that the first is. It is asked for before the load.
func (t *trial) beside() *sink {
	s, err := newSink(t.oracle.Twin())
	t.must(err, "start one more sink")
	t.cleanup(s.Close)
	return s
}

// settleBeside waits until one more sink has all, and judges what it has.
func (t *trial) settleBeside(s *sink, what string, doubles bool) {
	t.await(drainPatience, what+" has all", func() error { return yet(s.oracle.Settled(s.oracle.Obligations())) })
	c := s.oracle.Count()
	t.note("%s: %d points lost, %d came twice", what, c.Lost, c.Duplicated)
	if c.Lost+c.Invented+c.Altered > 0 || c.Duplicated > 0 && !doubles {
		t.errorf("%s: %v", what, c)
	}
}

// A pulse is how long points take through the pipeline, one after the other.
type pulse struct{ p50, p99, most time.Duration }

func (p pulse) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, longest %s", round(p.p50), round(p.p99), round(p.most))
}

// patience for one point: a pipeline that stands still is a measurement too.
const pulsePatience = 20 * time.Second

// pulse sends single points for so long, each when the one before has arrived at the first sink.
func (t *trial) pulse(d time.Duration) pulse {
	from := t.oracle.Source("pulse", t.nextBoot())
	var all []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		all = append(all, t.beat(from.Issue(1)))
		t.sleep(10 * time.Millisecond)
	}
	slices.Sort(all)
	return pulse{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}

// beat sends a batch and returns how long it was under way.
func (t *trial) beat(b oracle.Batch) time.Duration {
	begin := time.Now()
	if err := t.source.post(t.ctx, b); err != nil {
		t.errorf("a single point: %v", err)
		return time.Since(begin)
	}
	for !b.Settled() && time.Since(begin) < pulsePatience {
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

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

// A span of memory is the least and the most that a process has had, and the median of the first and of the last quarter of
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

// noteMemory publishes what was seen while something lasted, and fails the row where a process has grown.
func (t *trial) noteMemory(during string, l *ledger, grow int64) {
	seen := l.close()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		m := seen[name]
		all = append(all, fmt.Sprintf("%s %v", name, m))
		if m.end-m.begin > grow {
			t.errorf("%s has grown by %d MB %s", name, (m.end-m.begin)>>20, during)
		}
	}
	t.note("memory %s, MB at first, at last (least–most): %s", during, strings.Join(all, ", "))
}

// open counts the open files and connections of a process.
func open(pid int) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)) // one that has ended has none
	return len(list)
}

// A drain is how fast what has waited arrives, in points a second.
type drain struct{ out, in float64 }

func (d drain) String() string {
	return fmt.Sprintf("%.0f points/s while %.0f points/s come in: %.1f times as many", d.out, d.in, d.out/d.in)
}

// drained measures from the first point that arrives after now until nothing waits any more but what is on its way always.
func (t *trial) drained(limit, usual time.Duration) drain {
	before := t.oracle.Arrived()
	t.await(limit, "points arrive again", func() error { return yet(t.oracle.Arrived() > before) })
	begin, arrived, acked := time.Now(), t.oracle.Arrived(), t.oracle.Acked()
	rate := func(now, then int) float64 { return float64(now-then) / time.Since(begin).Seconds() }
	t.await(limit, "what has waited has arrived", func() error {
		waiting := t.oracle.Acked() - t.oracle.Arrived()
		if float64(waiting) > rate(t.oracle.Acked(), acked)*usual.Seconds() {
			return fmt.Errorf("%d points still wait", waiting)
		}
		return nil
	})
	return drain{rate(t.oracle.Arrived(), arrived), rate(t.oracle.Acked(), acked)}
}
