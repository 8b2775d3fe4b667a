package host

import (
	"sync/atomic"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// While the disk of the bus is full publishers are told, and when it has room again the stream has both events.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	r := rigged(t, pair)
	a := newAlmanac(t, r.b)
	states := make(chan bus.PublisherState, 1024) // more than there will be
	p, err := bus.NewPublisher(r.b.Conn(t, "other"), bus.PublisherOptions{Host: "h2", Plugin: "cpu", Log: bustest.Log(t),
		OnState: func(s bus.PublisherState) {
			select {
			case states <- s:
			default:
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	told := func() bool {
		if err := p.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject("h2", "cpu"), Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-states:
			return s == bus.StateStorageFull
		default:
			return false
		}
	}
	if told() {
		t.Error("told before")
	}
	r.h.DiskFull(true)
	r.h.DiskFull(true)
	bustest.Wait(t, soon, "publishers to be told", told) // of a bus that works all the same: some answers come before ours
	r.h.DiskFull(false)
	bustest.Wait(t, soon, "both events", func() bool { return a.types(bus.Agent) == telemetry.FlagStorageFull+" "+telemetry.FlagStorageFull })
	if list := a.of(bus.Agent); list[0].Reason != "begun" || list[1].Reason != "ended" || list[0].Message == "" {
		t.Errorf("told were %+v", list)
	}
}

// A syncedBus counts how often it was brought to disk.
type syncedBus struct {
	InProcess
	synced atomic.Int64
}

func (b *syncedBus) Sync() error { b.synced.Add(1); return nil }

// Streams and consumers are brought to disk when they are made.
func TestSync(t *testing.T) {
	t.Parallel()
	b := new(syncedBus)
	r := rigged(t, "collect: { numbers: }\n", func(o *Options) {
		b.InProcess = o.InProcess
		o.InProcess = b
	})
	first := b.synced.Load()
	if first == 0 {
		t.Error("streams were made and not brought to disk")
	}
	r.reloaded(pair)
	r.state("sink", running)
	if b.synced.Load() == first {
		t.Error("a consumer was made and not brought to disk")
	}
}
