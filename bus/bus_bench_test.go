package bus_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// meter reports the CPU time of client and server together, which other load on
// the machine moves less than the wall's.
type meter struct {
	b    *testing.B
	used time.Duration
	from time.Duration
}

func (m *meter) start() { m.b.StartTimer(); m.from = cpuTime(m.b) }
func (m *meter) stop()  { m.b.StopTimer(); m.used += cpuTime(m.b) - m.from }

func (m *meter) report() {
	m.stop()
	m.b.ReportMetric(float64(m.used)/float64(m.b.N), "cpu-ns/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Each benchmark of ours stands beside the same work done with the jetstream
// package of the client, under the same window.

var sizes = []int{1 << 10, 128 << 10}

func sized(b *testing.B, f func(*testing.B, int)) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			f(b, size)
		})
	}
}

func BenchmarkPublish(b *testing.B) {
	sized(b, func(b *testing.B, size int) {
		c := bustest.New(b).Conn(b, "h1_cpu")
		p := publisher(b, c, bus.PublisherOptions{MaxBytes: 32 << 20})
		m := metric(strings.Repeat("x", size))
		done := func(err error) {
			if err != nil {
				b.Error(err)
			}
		}
		cpu := meter{b: b}
		cpu.start()
		for b.Loop() {
			if err := p.Send(b.Context(), m, done); err != nil {
				b.Fatal(err)
			}
		}
		if err := p.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		cpu.report()
	})
}

func reference(b *testing.B, url string) jetstream.JetStream {
	b.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(256))
	if err != nil {
		b.Fatal(err)
	}
	return js
}

func BenchmarkPublishReference(b *testing.B) {
	sized(b, func(b *testing.B, size int) {
		js := reference(b, bustest.New(b).URL)
		body := []byte(strings.Repeat("x", size))
		n := 0
		cpu := meter{b: b}
		cpu.start()
		for b.Loop() {
			n++
			m := nats.NewMsg("pw.metrics.h1.cpu")
			m.Header.Set("Nats-Msg-Id", fmt.Sprintf("h1/cpu/9f3c1a7e5b2d4c60/%d", n))
			m.Data = body
			if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(1e10)); err != nil {
				b.Fatal(err)
			}
		}
		<-js.PublishAsyncComplete()
		cpu.report()
	})
}

// filled is a bus with count messages in METRICS.
func filled(b *testing.B, size int) (*bustest.Bus, *bus.Conn, int) {
	b.Helper()
	server := bustest.Bare(b, embedded.Options{MaxStore: 1 << 30})
	c := server.Conn(b, "h1_out")
	if err := c.EnsureStreams(b.Context(), bus.DefaultStreams()); err != nil {
		b.Fatal(err)
	}
	p := publisher(b, c, bus.PublisherOptions{})
	count := min(100_000, 256<<20/size)
	for range count {
		if err := p.Send(b.Context(), metric(strings.Repeat("x", size)), func(error) {}); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	return server, c, count
}

func BenchmarkConsume(b *testing.B) {
	sized(b, func(b *testing.B, size int) {
		_, c, count := filled(b, size)
		var k *bus.Consumer
		cpu := meter{b: b}
		cpu.start()
		for round, left := 0, 0; b.Loop(); left-- {
			if left == 0 {
				cpu.stop()
				round, left = round+1, count
				if k != nil {
					k.Stop()
				}
				k = consumer(b, c, input(fmt.Sprint("bench", round)), bus.ConsumeOptions{})
				cpu.start()
			}
			d, err := k.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if err := d.Ack(); err != nil {
				b.Fatal(err)
			}
		}
		if err := k.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		cpu.report()
	})
}

// The reference acknowledges without confirmation, which ours has.
func BenchmarkConsumeReference(b *testing.B) {
	sized(b, func(b *testing.B, size int) {
		server, c, count := filled(b, size)
		js := reference(b, server.URL)
		var messages jetstream.MessagesContext
		cpu := meter{b: b}
		cpu.start()
		for round, left := 0, 0; b.Loop(); left-- {
			if left == 0 {
				cpu.stop()
				round, left = round+1, count
				if messages != nil {
					messages.Stop()
				}
				in := input(fmt.Sprint("bench", round))
				if err := c.EnsureConsumer(b.Context(), in); err != nil {
					b.Fatal(err)
				}
				cons, err := js.Consumer(b.Context(), in.Stream, in.Durable)
				if err != nil {
					b.Fatal(err)
				}
				if messages, err = cons.Messages(jetstream.PullMaxMessages(64)); err != nil {
					b.Fatal(err)
				}
				cpu.start()
			}
			m, err := messages.Next()
			for errors.Is(err, jetstream.ErrNoHeartbeat) { // it gives up its pull where ours asks anew
				m, err = messages.Next()
			}
			if err != nil {
				b.Fatal(err)
			}
			if _, err := m.Metadata(); err != nil {
				b.Fatal(err)
			}
			if err := m.Ack(); err != nil {
				b.Fatal(err)
			}
		}
		cpu.report()
	})
}

func BenchmarkToken(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = bus.Token("web-1")
	}
}
