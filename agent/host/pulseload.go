package host

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// mostWorst is how many plugins a beat of the agent names.
const mostWorst = 8

// late is a plugin that says it works, but should have been heard by now, or should have collected.
const late = "late"

// counts sums up the plugins. Those that nobody wants to run, or that have not been started by who is to start them, do not count.
func (h *Host) counts(now time.Time) *telemetry.PluginCounts {
	c := &telemetry.PluginCounts{Worst: map[string]string{}}
	var slow []string
	for _, e := range h.entries() {
		switch state := e.tally(now); state {
		case stopped, awaited:
		case failed, refused, backingOff, lost:
			c.Fail++
			if len(c.Worst) < mostWorst {
				c.Worst[e.name] = state
			}
		case late:
			c.Late++
			slow = append(slow, e.name)
		default:
			c.OK++
		}
	}
	for _, name := range slow[:min(len(slow), mostWorst-len(c.Worst))] {
		c.Worst[name] = late
	}
	return c
}

// tally returns the state of the plugin, or late.
func (e *entry) tally(now time.Time) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.look()
	i := e.front()
	if e.shown.state == running && !i.arrived.IsZero() && (now.Sub(i.arrived) > i.patience() || i.stale(now)) {
		return late
	}
	return e.shown.state
}

// ticks notes whether a collector has collected since the heartbeat before b. The caller has the lock of the entry.
func (i *instance) ticks(b telemetry.Heartbeat, arrived time.Time) {
	before := i.last
	anew := before.Inst != b.Inst || before.ConfigRev != b.ConfigRev || before.State != running
	if anew || before.Stats == nil || b.Stats == nil || before.Stats.Ticks != b.Stats.Ticks {
		i.ticked = arrived
	}
}

// stale reports whether a collector that has collected at each interval does so no more. It is seen a heartbeat later. The caller
// has the lock of the entry.
func (i *instance) stale(now time.Time) bool {
	w, s := i.plan.work, i.last.Stats
	if w.EveryMS == 0 || w.Schedule != nil || s == nil || s.Ticks == 0 {
		return false // there is nothing to expect
	}
	every, beat := time.Duration(w.EveryMS)*time.Millisecond, time.Duration(i.last.IntervalMS)*time.Millisecond
	return now.Sub(i.ticked) > every*5/2+beat
}

// loads tell a slow host from a dead one.
func (h *Host) loads() map[string]float64 {
	s := h.out.Stats()
	m := map[string]float64{"queue": float64(s.InFlight)}
	if n := s.Refused + s.ForeignDuplicate; n > 0 {
		m["refused"] = float64(n)
	}
	if n := h.letters.count.Load(); n > 0 {
		m[telemetry.LostLetters] = float64(n)
	}
	if u := h.uplink(); u != nil {
		m["uplink_backlog"], m["uplink_backlog_bytes"], m["uplink_filled"], m["lost_spool"] = float64(u.Messages), float64(u.Bytes), u.Filled, float64(u.Lost)
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		maps.Copy(m, parseLoads(string(text)))
		m["cpus"] = float64(runtime.NumCPU()) // without them a load says little
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		m["rss"] = parseRSS(string(text), os.Getpagesize())
	}
	return m
}

// parseLoads reads /proc/loadavg.
func parseLoads(text string) map[string]float64 {
	m := map[string]float64{}
	fields := strings.Fields(text)
	for i, name := range []string{"load1", "load5", "load15"} {
		if i < len(fields) {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				m[name] = v
			}
		}
	}
	return m
}

// parseRSS reads the resident bytes from /proc/PID/statm.
func parseRSS(text string, page int) float64 {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 48)
	if err != nil {
		return 0
	}
	return float64(pages) * float64(page)
}

// manifest is what the agent is.
func (h *Host) manifest() *telemetry.Manifest {
	s := h.inForce()
	m := &telemetry.Manifest{Kind: "agent", Program: "pacewire", Version: h.o.Version, API: 1, OS: runtime.GOOS, Arch: runtime.GOARCH, Labels: map[string]string{}}
	maps.Copy(m.Labels, s.Tags)
	if s.Site != "" {
		m.Labels["site"] = s.Site
	}
	return m
}

// revised is the revision of a config.
type revised struct {
	settings *config.Settings
	rev      uint64
}

// revision returns a number for the config in force, which is the same for an equal one.
func (h *Host) revision() uint64 {
	s := h.inForce()
	if known := h.revised.Load(); known != nil && known.settings == s {
		return known.rev
	}
	text, err := json.Marshal(s)
	if err != nil {
		return 0 // no revision is known
	}
	sum := sha256.Sum256(text)
	rev := binary.BigEndian.Uint64(sum[:8])>>1 | 1
	h.revised.Store(&revised{s, rev})
	return rev
}

func flagged(flags []string, flag string) bool { return slices.Contains(flags, flag) }
