package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// execds are a program of the execd protocol as each kind, programs that hold to nothing, and two plugins beside them.
const execds = `
host: here
collect:
  calm:    { use: host, every: 50ms, only: [load] }
  beat:    { use: execd, every: 100ms, trigger: newline, silence: 3s, restart_delay: 50ms, command: [COUNT, input] }
  flood:   { use: execd, restart_delay: 50ms, command: [sh, -c, "head -c 1000000000 /dev/zero; echo; yes fast\\ v=1 | head -n 200000; echo flooded n=1; exec cat"] }
  long:    { use: execd, command: [sh, -c, "head -c 2097152 /dev/zero; echo; echo behind n=1; exec cat"] }
  deaf:    { use: execd, every: 100ms, trigger: newline, command: [sh, -c, "while :; do echo deaf n=1; sleep 0.1; done"] }
  mortal:  { use: execd, restart_delay: 1s, command: [sh, -c, "sleep 0.1; echo E! no disk >&2; exit 3"] }
process:
  twice:   { use: execd, from: [beat, send], timeout: 3s, restart_delay: 50ms, command: [COUNT, processor] }
publish:
  out:     { use: execd, from: twice, timeout: 3s, restart_delay: 50ms, command: [COUNT, output, PLACE/points.lp] }
  file:    { use: lines, from: [calm, flood, long, deaf], path: others.lp }
`

func upExecds(t *testing.T) *shelled {
	t.Helper()
	p := newPlace(t)
	count, err := filepath.Abs("testdata/execd/count.sh")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("COUNT", count, "PLACE", p.dir).Replace(execds)
	d := &delivery{system: p.start("up", "--plain", p.write("pacewire.yaml", config))}
	d.awaitRunning("deaf", "mortal")
	conn, host := d.connect()
	if d.in, err = bus.NewPublisher(conn, bus.PublisherOptions{Host: host, Plugin: "send"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.in.Close)
	return &shelled{d, d.now()}
}

// carried are the numbers of a series that the output has written, in their order there.
func (s *shelled) carried(series string) (list []int) {
	s.t.Helper()
	for _, line := range lines(s.t, s.path("points.lp")) {
		_, rest, ok := strings.Cut(line, " n=")
		digits, _, whole := strings.Cut(rest, "i ")
		if n, err := strconv.Atoi(digits); ok && whole && err == nil && hasSeries(series)(line) {
			list = append(list, n)
		}
	}
	return list
}

// hit has a fault bite programs. New ones take their place, and carry what comes then; nobody else notices.
func (s *shelled) hit(what string, sig syscall.Signal, names ...string) {
	s.t.Helper()
	old := map[string]int{}
	for _, name := range names {
		old[name] = s.program(name)
		if err := syscall.Kill(old[name], sig); err != nil {
			s.t.Fatal(err)
		}
	}
	s.await(readyWithin, what+": other programs run", func() bool {
		for name, pid := range old {
			if alive(pid) || s.program(name) == pid {
				return false
			}
		}
		return true
	})
	before := s.sent
	s.await(readyWithin, what+": numbers come again", func() bool { // those that a program has in hand as it ends are lost
		s.send(1, nil)
		return slices.Max(append(s.carried("p_job"), -1)) >= before
	})
	beats := len(s.carried("p_beat"))
	s.await(readyWithin, what+": it beats again", func() bool { return len(s.carried("p_beat")) > beats })
}

// Execd programs of each kind work under an agent, at most once: what becomes of one, or of others, costs what it has in hand.
func TestExecd(t *testing.T) {
	t.Parallel()
	s := upExecds(t)
	mark, _, _ := strings.Cut(markOf(s.before["file"].PID), ".")

	s.send(messages, nil)
	s.await(readyWithin, "all numbers come", func() bool { return len(s.carried("p_job")) == s.sent })
	if got := s.carried("p_job"); !slices.IsSorted(got) || slices.Max(got) != s.sent-1 {
		t.Errorf("the numbers are %v", got)
	}
	s.hit("killed", syscall.SIGKILL, "beat", "twice", "out")
	s.hit("hung", syscall.SIGSTOP, "beat", "twice", "out")

	s.awaitPlugin("deaf", readyWithin, "tells of the trigger", func(p plugin) bool { return strings.Contains(p.Reason, "trigger") })
	s.awaitPlugin("mortal", readyWithin, "tells why it ends, and backs off", func(p plugin) bool {
		return strings.Contains(p.Reason, "exit code 3: E! no disk (it is started again in ") && !strings.Contains(p.Reason, "in 1s)")
	})
	if out := s.verb("status").out; !strings.Contains(out, "mortal: the program has ended: exit code 3: E! no disk") {
		t.Errorf("status does not tell of a program that ends again and again:\n%s", out)
	}
	s.overran("long", "behind", 1)
	s.overran("flood", "flooded", 1)
	if peak := peakOf(t, s.now()["flood"].PID); peak > mostOfPlugin && !raceEnabled {
		t.Errorf("the one that is flooded had %d KiB, want %d at most", peak, mostOfPlugin)
	}
	after := s.now()
	for name, was := range s.before {
		if is := after[name]; is.PID != was.PID || is.Restarts > 0 {
			t.Errorf("%s was %+v, is %+v", name, was, is)
		}
	}
	s.drain()
	await(t, readyWithin, "no process is left", func() bool { return len(marked(t, mark)) == 0 })
}

// overran waits for the point behind lines that are too long, of which there are so many.
func (s *shelled) overran(name, series string, longLines int) {
	s.t.Helper()
	s.await(readyWithin, fmt.Sprintf("what %s says behind its long line", name), func() bool {
		return slices.ContainsFunc(lines(s.t, s.path("others.lp")), hasSeries(series))
	})
	s.counted(name, func(c telemetry.Stats) bool { return c.Dropped["line"] == uint64(longLines) })
}
