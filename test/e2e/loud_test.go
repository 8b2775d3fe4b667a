package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// mostRSS is what the memory of an agent may come to, with the bus that is in it.
const mostRSS = 80 << 10 // KiB

// mostCall is how long a call may take on a machine that stops a process for seconds: one that waited for the loud ones would take longer.
const mostCall = 10 * time.Second

// Plugins that print without end and beat without pause cost the agent no memory and the others no time, and it says who they
// are.
func TestLoudPlugin(t *testing.T) {
	program, shout := foreign(t, "loud"), 100_000_000
	if long {
		shout *= 10
	}
	s := up(t, "collect: { quiet: { use: host, every: 50ms, only: [load] } }\npublish: { file: { use: lines, from: [quiet], path: points.lp } }\n")
	before := s.pace("quiet", "file")
	idle := s.peak()

	begin := time.Now()
	loud := s.write("loud.yaml", fmt.Sprintf("collect:\n  shouts: { run: [%s, shouts, '%d'] }\n  beats: { run: [%s, beats, '10000'] }\n  fat: { run: [%s, fat, '1000000'] }\n",
		program, shout, program, program))
	loaded := s.begin("", "plugin", "load", loud) // while it waits for all of them to work, one may be replaced already
	s.await(readyWithin, "they are loud", func() bool { return len(s.plugins()) == 5 })
	s.await(readyWithin, "the figures of the others begin anew", func() bool { // beside a flood the answer may not come in time
		return s.verb("plugin", "restart", "quiet", "file").code == 0
	})
	during := s.pace("quiet", "file")
	shown := func(name, reason string) {
		t.Helper()
		s.await(readyWithin, name+" is shown: "+reason, func() bool {
			return strings.Contains(s.verb("plugin", "info", name, "-o", "json").out, reason) || strings.Contains(s.verb("plugin", "logs", name).out, reason)
		})
	}
	shown("beats", "beats too often")
	shown("beats", "floods the bus with heartbeats")
	if r := loaded(); r.code != 0 {
		contains(t, "plugin load", r.err, "beats", "is loaded, but does not work", "floods the bus with heartbeats")
	}
	s.await(2*readyWithin, "all is shouted", func() bool { return strings.Contains(s.verb("plugin", "logs", "shouts").out, "all is said") })
	s.awaitLog(`"subject":"pw.hb.`, "body is too large")
	peak := s.peak()
	t.Logf("%d MB printed and %v of floods: the agent had %d KiB at most, %d before", shout/1_000_000, time.Since(begin).Round(time.Second), peak, idle)
	if peak > mostRSS && !raceEnabled {
		t.Errorf("the agent had %d KiB, want %d at most", peak, mostRSS)
	}
	for name, was := range before {
		is := during[name]
		t.Logf("99 of 100 calls of %s took %d us at most, %d before", name, is.CallP99US, was.CallP99US)
		if is.CallP99US > 10*was.CallP99US+uint64(mostCall.Microseconds()) {
			t.Errorf("calls of %s take longer", name)
		}
	}
	for _, name := range []string{"shouts", "fat"} {
		if p := s.now()[name]; p.Restarts > 0 {
			t.Errorf("%s was started again: %+v", name, p)
		}
	}
	s.drain()
}

// pace waits for a hundred calls of plugins, and returns how long they took.
func (s *system) pace(names ...string) map[string]telemetry.Stats {
	s.t.Helper()
	all := map[string]telemetry.Stats{}
	for _, name := range names {
		s.await(readyWithin, name+" works", func() bool {
			var info struct{ Stats *telemetry.Stats }
			r := s.verb("plugin", "info", name, "-o", "json") // which may find no answer in time beside a flood
			if r.code == 0 && json.Unmarshal([]byte(r.out), &info) == nil && info.Stats != nil {
				all[name] = *info.Stats
			}
			return all[name].Calls >= 100
		})
	}
	return all
}

// peak is the most memory that the agent has had, in KiB.
func (s *system) peak() (kib int) {
	s.t.Helper()
	return peakOf(s.t, s.cmd.Process.Pid)
}
