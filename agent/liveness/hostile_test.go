package liveness

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pacewire/pacewire/telemetry"
)

func TestSequenceJumps(t *testing.T) {
	r := newRig(t)
	f := func(seq uint64, want Order) {
		t.Helper()
		if h := r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.Seq = seq })); h.Order != want || h.Peer.Lost > 2*mostLost {
			t.Errorf("%d: %s, %d lost", seq, h.Order, h.Peer.Lost)
		}
	}
	f(1, Fresh)
	f(math.MaxUint64-1, Fresh)
	f(1, Late)
	f(math.MaxUint64, Fresh)
	f(math.MaxUint64, Duplicate)
	f(0, Refused)
	r.hear(r.beat("a", 2)) // a restart begins anew
	r.wants("a up", "a restarted")
}

func TestIntervalsOfAnySize(t *testing.T) {
	r := newRig(t)
	for _, ms := range []int64{math.MinInt64, -1, 0, 1, telemetry.MaxIntervalMS + 1, math.MaxInt64} {
		h := r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.IntervalMS = ms }))
		if p := r.w.index["a"]; h.Order != Fresh || p.interval < time.Millisecond || p.interval > time.Hour {
			t.Errorf("%d: %v", ms, p.interval)
		}
		r.run(time.Second)
	}
	r.run(4*time.Hour + time.Minute)
	if got := r.state("a"); got != telemetry.HostDown {
		t.Errorf("a beat that says it comes late is waited for: %s", got)
	}
}

func TestIdsThatAreNone(t *testing.T) {
	r := newRig(t)
	f := func(change func(*telemetry.Heartbeat)) {
		t.Helper()
		if h := r.hear(r.beat("a", 1, change)); h.Order != Refused || h.Reason != ReasonNotAllowed {
			t.Errorf("%s %s", h.Order, h.Reason)
		}
	}
	f(func(b *telemetry.Heartbeat) { b.Host = "" })
	f(func(b *telemetry.Heartbeat) { b.Host = strings.Repeat("x", 5000) })
	f(func(b *telemetry.Heartbeat) { b.Inst = "" })
	f(func(b *telemetry.Heartbeat) { b.Inst = strings.Repeat("x", 5000) })
	if r.w.Len() != 0 || r.w.Counts()["refused_not_allowed"] != 4 {
		t.Errorf("%d watched, %v", r.w.Len(), r.w.Counts())
	}
}

// huge is as large as a beat can be.
func huge(b *telemetry.Heartbeat) {
	long := strings.Repeat("ä", 2500)
	b.Name, b.Boot, b.Owner, b.State = long, long, long, ""
	b.Flags = append(slices.Repeat([]string{long}, 5000), FlagEphemeral)
	b.Load, b.Error = map[string]float64{}, &telemetry.Fault{Code: long, Message: long}
	b.Plugins = &telemetry.PluginCounts{OK: 1, Worst: map[string]string{}}
	b.Stats = &telemetry.Stats{Errors: map[string]uint64{}}
	for n := range 5000 {
		b.Load[fmt.Sprint(n)], b.Plugins.Worst[fmt.Sprint(n)], b.Stats.Errors[fmt.Sprint(n)] = 1, long, 1
	}
	b.Manifest = &telemetry.Manifest{Summary: long}
	b.Inventory = make([]telemetry.InventoryItem, 1000)
}

func TestHugeBeatIsCut(t *testing.T) {
	r := newRig(t)
	p := r.hear(r.beat("a", 1, huge)).Peer
	l := p.Last
	if len(p.Name) > longestID || !utf8.ValidString(p.Name) || len(l.Boot) > longestID || len(l.Owner) > longestID {
		t.Errorf("name of %d bytes, boot of %d", len(p.Name), len(l.Boot))
	}
	if len(l.Flags) > mostFlags || cap(l.Flags) > mostFlags || len(l.Flags[0]) > longestID || p.Flags[0] != FlagEphemeral {
		t.Errorf("%d flags, %v", len(l.Flags), p.Flags)
	}
	if l.Load != nil || l.Stats != nil || l.Plugins.Worst != nil || l.Plugins.OK != 1 || len(l.Error.Code)+len(l.Error.Message) > longestText {
		t.Errorf("%d load, %v, %d of fault", len(l.Load), l.Stats, len(l.Error.Message))
	}
	if l.Manifest != nil || l.Inventory != nil {
		t.Error("manifest and inventory are kept")
	}
}

func TestBeatOfTheSenderIsNotChanged(t *testing.T) {
	r := newRig(t)
	b := r.beat("a", 1, huge)
	flags, load := slices.Clone(b.Flags), maps.Clone(b.Load)
	r.hear(b)
	if !slices.Equal(b.Flags, flags) || !maps.Equal(b.Load, load) || b.Manifest == nil || b.Plugins.Worst == nil {
		t.Error("the caller's beat was changed")
	}
}

func TestNameThatNeverRests(t *testing.T) {
	r := newRig(t)
	for n := range 600 {
		r.now += time.Second
		r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.Name = fmt.Sprint("name", n) }))
		r.sweep()
	}
	told, _ := count(r.take(), TypeRenamed)
	if p, _ := r.w.Peer("a"); told != 10 || len(p.Aliases) != mostAliases {
		t.Errorf("%d told in ten minutes, %d aliases", told, len(p.Aliases))
	}
}

func TestAliasesEnd(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.Name = "new" }))
	f := func(after time.Duration, want ...string) {
		t.Helper()
		r.now += after
		r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.Name = "new" }))
		r.sweep()
		if p, _ := r.w.Peer("a"); !slices.Equal(p.Aliases, want) {
			t.Errorf("at %v %v, want %v", r.now, p.Aliases, want)
		}
	}
	f(0, "a")
	f(30*24*time.Hour-time.Second, "a")
	f(time.Second)
}

func TestSlow(t *testing.T) {
	f := func(want bool, change func(*telemetry.Heartbeat)) {
		t.Helper()
		r := newRig(t)
		r.hear(r.beat("a", 1))
		if p := r.hear(r.beat("a", 1, change)).Peer; slices.Contains(p.Flags, FlagSlow) != want {
			t.Errorf("%v, want %v", p.Flags, want)
		}
	}
	f(false, func(*telemetry.Heartbeat) {})
	f(true, func(b *telemetry.Heartbeat) { b.AckLost = 1 })
	f(true, func(b *telemetry.Heartbeat) { b.RTTUS = 1_000_000 })
	f(false, func(b *telemetry.Heartbeat) { b.RTTUS = 900_000 })
	f(true, func(b *telemetry.Heartbeat) { b.Load = map[string]float64{"load1": 17, "cpus": 4} })
	f(false, func(b *telemetry.Heartbeat) { b.Load = map[string]float64{"load1": 15, "cpus": 4} })
	f(false, func(b *telemetry.Heartbeat) { b.Load = map[string]float64{"load1": 15} })
}

// FuzzHear has any beat heard that passes the decoder, among ordinary ones.
func FuzzHear(f *testing.F) {
	r := newRig(f)
	for _, change := range []func(*telemetry.Heartbeat){func(*telemetry.Heartbeat) {}, bye("shutdown"), as("clone", 1), as("new", 2), measured(time.Hour)} {
		for _, enc := range []telemetry.Encoding{telemetry.JSON, telemetry.MsgPack} {
			if body, err := telemetry.EncodeControl(r.beat("a", 1, change), enc); err == nil {
				f.Add(body, uint16(30))
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, seconds uint16) {
		b, _, err := telemetry.DecodeHeartbeat(body)
		if err != nil {
			return
		}
		r := newRig(t)
		r.hear(r.beat("a", 1))
		for range 2 {
			h := r.hear(b)
			if h.Order == Fresh && h.Peer.State != telemetry.HostUp && h.Peer.State != telemetry.HostLeft {
				t.Fatalf("a fresh beat makes it %s", h.Peer.State)
			}
			r.w.Interval(b, 1)
			r.run(time.Duration(seconds%600) * time.Second)
			for _, rec := range r.records() {
				if _, err := telemetry.EncodeControl(rec, telemetry.MsgPack); err != nil {
					t.Fatalf("record cannot be written: %v", err)
				}
			}
		}
	})
}
