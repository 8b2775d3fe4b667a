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
	send := func(from, to int) {
		t.Helper()
		for n := from; n <= to; n++ {
			for s := range sources {
				var b telemetry.Batch
				b.Add("feed", telemetry.Fields{"n": n}, nil)
				m := bus.Message{Subject: bus.MetricsSubject(fmt.Sprintf("s%d", s), "feed"), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
				if err := r.h.out.Publish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	bustest.Wait(t, soon, "one reads", func() bool { return r.reader() != "" })
	first := r.reader()
	send(1, 20)
	bustest.Wait(t, soon, "it has begun", func() bool { return len(r.lines()) > 0 })
	if err := syscall.Kill(int(r.pids()[first]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if n := len(r.lines()); n >= 20*sources {
		t.Fatalf("it was killed when it had done all %d", n)
	}
	send(21, 40)
	bustest.Wait(t, 2*soon, "another one reads", func() bool { now := r.reader(); return now != "" && now != first })
	r.reloaded(fmt.Sprintf(text, 5))
	send(41, each)
	bustest.Wait(t, 2*soon, "all is read", func() bool { return !r.h.behind(t.Context(), r.h.readBy("publisher")) })
	took := time.Now()
	r.reloaded(fmt.Sprintf(text, 1))
	if d := time.Since(took); d > 10*time.Second {
		t.Errorf("those that stand by took %v to end", d)
	}
	r.stop()
	numbers, again := arrivals(t, r.lines())
	for s := range sources {
		got := numbers[fmt.Sprintf("s%d", s)]
		if len(got) != each || !slices.IsSorted(got) {
			t.Errorf("source %d: %d of %d, %v", s, len(got), each, got)
		}
	}
	t.Logf("%d points came again", again)
}
