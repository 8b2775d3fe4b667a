package host

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A stalled way passes on the first connection, and of the others nothing between full and free.
func stalled(t *testing.T, b *bustest.Bus) (url string, full, free func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stall, end := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	pass := func(to, from net.Conn, stall chan struct{}) {
		defer to.Close()
		buf := make([]byte, 16<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			select {
			case <-stall:
				<-end
			default:
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	all.Go(func() {
		for i := 0; ; i++ {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(b.URL, "nats://"))
			if err != nil {
				in.Close()
				continue
			}
			never := stall
			if i == 0 {
				never = nil
			}
			context.AfterFunc(t.Context(), func() { in.Close(); out.Close() })
			all.Go(func() { pass(out, in, never) })
			all.Go(func() { pass(in, out, never) })
		}
	})
	free = sync.OnceFunc(func() { close(end) })
	t.Cleanup(func() {
		l.Close()
		free()
		all.Wait()
	})
	return "nats://" + l.Addr().String(), func() { close(stall) }, free
}

// The agent beats on while its connection for data takes nothing any more.
func TestFullPipe(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	url, full, _ := stalled(t, b)
	h, _, _ := hearted(t, b, func(o *Options) { o.URL = url })
	pulseIs(t, h, "the hub watches", watched)
	full()
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	flood.Go(func() {
		for ctx.Err() == nil {
			if h.data.Tell(bus.MetricsSubject("h1", bus.Agent), make([]byte, 100<<10)) != nil { // else it blocks
				time.Sleep(time.Millisecond) // given up by the client: no reason to spin
			}
		}
	})
	// A busy machine may lose one or the other; behind the flood all would be.
	u.next(1)
	begun := h.Pulse()
	pulseIs(t, h, "40 beats with their ACKs", func(p telemetry.PulseStatus) bool { return p.Seq-begun.Seq >= 40+2*(p.AckLost-begun.AckLost) })
	flush, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	defer stop()
	if h.data.Flush(flush) == nil {
		t.Error("the pipe is not full")
	}
	cancel()
	flood.Wait()
	pulseIs(t, h, "the hub watches still", watched)
}

// So does a plugin, however much it collects.
func TestFullPipeOfPlugin(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, "collect: { numbers: { attached: true, every: 10ms } }\npublish: { sink: { from: numbers } }\n")
	url, full, free := stalled(t, b)
	def := collector.Define(collector.Spec[struct{}]{
		Program: "numbers", Summary: "Collects much.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) { return plenty{}, nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- plugin.Serve(ctx, def, plugin.Options{Bus: url, Host: "h1", Plugin: "numbers", Dir: t.TempDir(), LeastBeat: 50 * time.Millisecond, Log: bustest.Log(t)})
	}()
	e := h.find("numbers")
	var beat telemetry.Heartbeat
	var track liveness.Track
	look := func() {
		e.set(func() { beat, track = e.now.last, e.now.track })
	}
	bustest.Wait(t, soon, "points", func() bool { look(); return beat.Stats != nil && beat.Stats.PointsOut > 10_000 })
	full()
	begun, lost, out := track.Received, beat.AckLost, uint64(0)
	bustest.Wait(t, soon, "twenty beats without a point", func() bool {
		if look(); beat.Stats.PointsOut != out {
			begun, out = track.Received, beat.Stats.PointsOut
		}
		return track.Received >= begun+20
	})
	// A busy machine may take its time for an answer; behind the flood all would be lost.
	if track.Lost+track.Late+track.Duplicate != 0 || beat.AckLost-lost > (track.Received-begun)/2 {
		t.Errorf("%+v, %d acks lost", track, beat.AckLost-lost)
	}
	free()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// plenty collects 2,000 points at a time.
type plenty struct{}

func (plenty) Collect(_ context.Context, out *telemetry.Batch) error {
	for i := range 2000 {
		out.Add("plenty", telemetry.Fields{"n": i}, telemetry.Tags{"which": fmt.Sprint(i)})
	}
	return nil
}
