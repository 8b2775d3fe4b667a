package liveness

import (
	"fmt"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// million seconds: what rates are counted in, as integers, so that sums stay exact.
const million = int64(1_000_000)

// pace takes over the interval of a beat. The shortest that an instance has had is its own: longer ones it may have been asked
// for. Another config may say otherwise.
func (w *Watch) pace(p *peer, b *telemetry.Heartbeat) {
	interval := intervalOf(b.IntervalMS, p.interval)
	own := interval
	if p.least != 0 && b.ConfigRev == p.last.ConfigRev {
		own = min(p.least, interval)
	}
	if interval == p.interval && own == p.least {
		return
	}
	p.interval, p.least = interval, own
	w.weigh(p)
}

// Asked notes that a host was asked to beat at an interval: until its next beat says what it does, it is judged by the longer one.
func (w *Watch) Asked(host string, interval time.Duration) {
	if p := w.index[host]; p != nil && interval > p.interval {
		p.interval = min(interval, telemetry.MaxIntervalMS*time.Millisecond)
		w.due[p.slot] = w.next(p)
	}
}

// weigh counts what p is good for.
func (w *Watch) weigh(p *peer) {
	rate := int64(0)
	if p.alive() && p.least > 0 {
		rate = million * int64(time.Second) / int64(p.least)
	}
	w.rate += rate - p.rate
	p.rate = rate
}

// Interval returns the interval that the watched should beat at so that no more than most beats come in a second: the present one
// of b while that holds. It is never shorter than the host's own, and that again when there are fewer.
func (w *Watch) Interval(b telemetry.Heartbeat, most float64) time.Duration {
	own := intervalOf(b.IntervalMS, 0)
	if p := w.index[b.Host]; p != nil && p.least > 0 {
		own = p.least
	}
	if most <= 0 || float64(w.rate)/float64(million) <= most {
		return own
	}
	hosts := float64(w.states[telemetry.HostUp] + w.states[telemetry.HostOverdue])
	wanted := hosts / most * (1 + phase(b.Host)/4)
	return min(max(own, time.Duration(wanted*float64(time.Second))), telemetry.MaxIntervalMS*time.Millisecond)
}

// bucket admits unknown ones: some at once, then a few a second.
type bucket struct {
	tokens  float64
	at      time.Duration
	refused uint64        // since the last alarm
	alarmed time.Duration // 0: never
}

func (k *bucket) take(r Rules, now time.Duration) bool {
	k.tokens = min(k.tokens+max(0, now-k.at).Seconds()*r.NewRate, float64(r.NewBurst))
	k.at = now
	if k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}

// alarm tells of refused unknown hosts, once a minute at most.
func (w *Watch) alarm(now Instant) {
	k := &w.admits
	if k.refused == 0 || k.alarmed != 0 && now.Mono-k.alarmed < alarmEvery {
		return
	}
	w.tellAll(Change{
		Type: TypeUnknown, Reason: ReasonBusy, Count: k.refused,
		Message: fmt.Sprintf("%s refused: there are too many new ones at once, or too many in all (%d)",
			amount.Of(k.refused, "beat of an unknown host was", "beats of unknown hosts were"), w.Len()),
	}, now)
	k.refused, k.alarmed = 0, now.Mono
}
