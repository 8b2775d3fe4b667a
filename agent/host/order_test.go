package host

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// reader returns which of the processes of hot reads, "" when none does.
func (r *rig) reader() (name string) {
	for _, e := range r.h.crew("hot") {
		if s := e.status(); s.State == running && !strings.Contains(s.Reason, "stands by") {
			if name != "" {
				return "" // one has not been heard yet
			}
			name = e.name
		}
	}
	return name
}

// arrivals returns the numbers of each source as they came, each the first time, and how many came again.
func arrivals(t *testing.T, lines []string) (numbers map[string][]int, again int) {
	t.Helper()
	numbers = map[string][]int{}
	for _, line := range lines {
		part := strings.Split(line, "_") // hot_h3_17_0
		if len(part) != 4 {
			continue
		}
		n, err := strconv.Atoi(part[2])
		if err != nil {
			t.Fatal(line)
		}
		if slices.Contains(numbers[part[1]], n) {
			again++
			continue
		}
		numbers[part[1]] = append(numbers[part[1]], n)
	}
	return numbers, again
}

// Of four processes that keep the order one reads. When it is killed another one goes on: with what that one had in hand, and
// then with the rest. Nothing is lost, and of each source nothing comes before what was before it.
func TestOrderKilled(t *testing.T) {
	const sources, each = 8, 60
	text := "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed, journal: $J, mode: tells, order: source, parallel: 2, replicas: %d } }\n"
	r := rigged(t, fmt.Sprintf(text, 4))
	bustest.Wait(t, soon, "one reads", func() bool { return r.reader() != "" })
	first := r.reader()
	r.feed(sources, 1, 20)
	bustest.Wait(t, soon, "it has begun", func() bool { return len(r.lines()) > 0 })
	if err := syscall.Kill(int(r.pids()[first]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if n := len(r.lines()); n >= 20*sources {
		t.Fatalf("it was killed when it had done all %d", n)
	}
	r.feed(sources, 21, 40)
	bustest.Wait(t, 2*soon, "another one reads", func() bool { now := r.reader(); return now != "" && now != first })
	r.reloaded(fmt.Sprintf(text, 5))
	r.feed(sources, 41, each)
	bustest.Wait(t, 2*soon, "all is read", func() bool { return !r.h.behind(t.Context(), r.h.readBy("publisher")) })
	took := time.Now()
	r.reloaded(fmt.Sprintf(text, 1))
	if d := time.Since(took); d > 10*time.Second {
		t.Errorf("those that stand by took %v to end", d)
	}
	r.stop()
	t.Logf("%d points came again", r.inOrder(sources, each))
}

// New versions take over while there is work: who reads changes with each, and the order is kept.
func TestOrderUpgrade(t *testing.T) {
	const sources, each = 4, 60
	r := rigged(t, "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed, journal: $J, mode: tells, order: source, replicas: 2 } }\n")
	before := r.pids()
	r.feed(sources, 1, 20)
	if _, err := r.h.Upgrade(t.Context(), "hot"); err != nil {
		t.Fatal(err)
	}
	r.feed(sources, 21, 40)
	if _, err := r.h.Restart(t.Context(), "hot"); err != nil {
		t.Fatal(err)
	}
	r.feed(sources, 41, each)
	for _, name := range []string{"hot", "hot.2"} {
		if pid := r.state(name, running).PID; pid == before[name] {
			t.Errorf("%s is the process of before", name)
		}
	}
	bustest.Wait(t, 2*soon, "all is read", func() bool { return !r.h.behind(t.Context(), r.h.readBy("publisher")) })
	r.stop()
	if again := r.inOrder(sources, each); again > 0 {
		t.Errorf("%d points came again, and nobody was killed", again)
	}
}

// standing tells who of hot stands by.
func (r *rig) standing() (names []string) {
	for _, e := range r.h.crew("hot") {
		if strings.Contains(e.status().Reason, "stands by") {
			names = append(names, e.name)
		}
	}
	return names
}

// trickle feeds a number of each source now and then, until it is told to stop; it returns the last one.
func (r *rig) trickle(sources int) (stop func() int) {
	end, last := make(chan struct{}), make(chan int)
	go func() {
		for n := 1; ; n++ {
			r.feed(sources, n, n)
			select {
			case <-end:
				last <- n
				return
			case <-time.After(500 * time.Millisecond): // so that what a reader has asked for lasts for long
			}
		}
	}()
	return func() int { close(end); return <-last }
}

// pointsOf returns how many points of a source were told.
func (r *rig) pointsOf(source string) int {
	r.Helper()
	numbers, _ := arrivals(r.T, r.lines())
	return len(numbers[source])
}

// The one that reads and one that stands by are suspended. What comes now and then is given to them still, for a while. A third one
// reads on as if they were gone; when they wake up they have no say, and nothing is lost or out of order.
func TestOrderSuspended(t *testing.T) {
	const sources = 1
	r := rigged(t, "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed, journal: $J, mode: tells, order: source, parallel: 2, replicas: 3 } }\n",
		func(o *Options) { o.Beat = time.Minute }) // so that nobody takes them for dead
	bustest.Wait(t, soon, "one reads", func() bool { return r.reader() != "" && len(r.standing()) == 2 })
	before := r.pids()
	reader, standby := r.reader(), r.standing()
	signal := func(sig syscall.Signal) {
		for _, name := range []string{reader, standby[0]} {
			_ = syscall.Kill(int(before[name]), sig)
		}
	}
	t.Cleanup(func() { signal(syscall.SIGCONT) })
	stop := r.trickle(sources)
	bustest.Wait(t, soon, "it has begun", func() bool { return r.pointsOf("s0") > 2 })
	signal(syscall.SIGSTOP)
	then := r.pointsOf("s0")
	bustest.Wait(t, 3*soon, "the third one reads", func() bool { return !slices.Contains(r.standing(), standby[1]) })
	bustest.Wait(t, 3*soon, "all goes on", func() bool { return r.pointsOf("s0") > then+30 })
	signal(syscall.SIGCONT)
	bustest.Wait(t, 3*soon, "those that were suspended stand by", func() bool {
		now := r.standing()
		return slices.Contains(now, reader) && slices.Contains(now, standby[0])
	})
	each := stop()
	bustest.Wait(t, 3*soon, "all is read", func() bool { return !r.h.behind(t.Context(), r.h.readBy("publisher")) })
	if after := r.pids(); after[reader] != before[reader] || after[standby[0]] != before[standby[0]] {
		t.Errorf("INVALID: processes %v, were %v", after, before)
	}
	r.stop()
	t.Logf("%d points of %d came again", r.inOrder(sources, each), sources*each)
}

// ordering is a config with somebody who keeps the order, by what else it says.
func ordering(how string) string {
	return "collect: { feed: { use: facts } }\npublish: { stays: { use: sink, from: feed, journal: $J }" + how + " }\n"
}

// leases waits until only these plugins have a lease.
func (r *rig) leases(want ...string) {
	r.Helper()
	bustest.Wait(r, soon, fmt.Sprintf("only %q have a lease", want), func() bool {
		names, err := r.h.conn.Leases(r.Context())
		if err != nil {
			r.Fatal(err)
		}
		slices.Sort(names)
		return slices.Equal(names, want)
	})
}

// A lease outlives a plugin as its place in the stream does: unload takes both, the next start of the agent what nobody names.
func TestLeasesGo(t *testing.T) {
	const hot = ", hot: { use: sink, from: feed, journal: $J, order: source%s }"
	r := rigged(t, ordering(""))
	r.leases()
	if _, err := r.h.Load(t.Context(), "publish: { hot: { use: sink, from: feed, on: monitoring, journal: "+r.journal+", order: source } }", false); err != nil {
		t.Fatal(err)
	}
	r.leases("hot")
	if _, err := r.h.Unload(t.Context(), "hot"); err != nil {
		t.Fatal(err)
	}
	r.leases()

	r.reloaded(ordering(fmt.Sprintf(hot, ", on: monitoring") + ", off: { use: sink, from: feed, journal: $J, order: source }"))
	r.leases("hot", "off")
	r.reloaded(ordering(fmt.Sprintf(hot, "") + ", off: { use: sink, from: feed, journal: $J, order: source, enabled: false }"))
	r.forgets("hot", "off") // who does not read events any more has a lease still
	bustest.Wait(t, soon, "hot reads", func() bool { return r.reader() == "hot" })
	r.reloaded(ordering(", hot: { use: sink, from: feed, journal: $J }"))
	r.leases("hot", "off")
	r.forgets()
}

// forgets does what an agent does with what it finds when it starts, and checks whose leases are left then.
func (r *rig) forgets(left ...string) {
	r.Helper()
	if err := r.h.forgetGone(r.Context()); err != nil {
		r.Fatal(err)
	}
	r.leases(left...)
}

// feed publishes the points of some sources, from a number to another, in turn.
func (r *rig) feed(sources, from, to int) {
	r.Helper()
	for n := from; n <= to; n++ {
		for s := range sources {
			var b telemetry.Batch
			b.Add("feed", telemetry.Fields{"n": n}, nil)
			m := bus.Message{Subject: bus.MetricsSubject(fmt.Sprintf("s%d", s), "feed"), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
			if err := r.h.out.Publish(r.Context(), m); err != nil {
				r.Fatal(err)
			}
		}
	}
}

// inOrder checks that of each source all points came, in their order, and returns how many came again.
func (r *rig) inOrder(sources, each int) (again int) {
	r.Helper()
	numbers, again := arrivals(r.T, r.lines())
	for s := range sources {
		got := numbers[fmt.Sprintf("s%d", s)]
		if len(got) != each || !slices.IsSorted(got) {
			r.Errorf("source %d: %d of %d, %v", s, len(got), each, got)
		}
	}
	return again
}
