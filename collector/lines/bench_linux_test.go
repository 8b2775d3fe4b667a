package lines

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

const (
	senderEnv = "LINES_TEST_SEND_TO" // an address: the process sends to it and does nothing else
	perPiece  = 4000
)

// TestMain makes the test a sender when it is told to: a process of its own, so that what it costs is not counted.
func TestMain(m *testing.M) {
	if to := os.Getenv(senderEnv); to != "" {
		if err := sendUntilClosed(to); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sendUntilClosed sends points as fast as they are taken, until the connection is closed.
func sendUntilClosed(to string) error {
	network, address, _ := strings.Cut(to, "://")
	c, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer c.Close()
	piece := benchText(perPiece)
	for {
		if _, err := c.Write(piece); err != nil {
			return nil
		}
	}
}

// benchText returns n lines of 4 tags and 5 fields.
func benchText(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "cpu,cpu=cpu%d,host=web-%02d,keep=yes,rack=r%d usage_idle=%.2f,usage_system=%.2f,usage_user=%.2f,ctx=%di,irq=%di %d\n",
			i%16, i%20, i%4, 90-float64(i%700)/10, float64(i%300)/10, float64(i%977)/10, 100000+i*31, i%200, 1_763_559_525_000_000_000+i*1000)
	}
	return b.Bytes()
}

// A counter encodes what is posted, at once, and counts it.
type counter struct {
	msg    []byte
	free   []*telemetry.Batch
	points int
	bytes  int
	frames int
	limit  int
	full   chan struct{}
}

func (c *counter) Post(b *telemetry.Batch, _ time.Duration) error {
	before := c.points
	for f := range b.Frames(telemetry.TargetFrame, func() []byte { return c.msg[:0] }) {
		c.msg = f.Body
		c.points += f.Points
		c.bytes += len(f.Body)
		c.frames++
	}
	b.Reset()
	c.free = append(c.free, b)
	if before < c.limit && c.points >= c.limit {
		close(c.full)
	}
	return nil
}

func (c *counter) Batch() *telemetry.Batch {
	if n := len(c.free); n > 0 {
		b := c.free[n-1]
		c.free = c.free[:n-1]
		return b
	}
	return &telemetry.Batch{}
}

func (c *counter) Emit(*telemetry.Batch) error { return nil }
func (c *counter) Drop(string, int)            {}

// BenchmarkTCP takes points from a process of its own over one connection, and encodes them.
func BenchmarkTCP(b *testing.B) { benchmarkStream(b, "tcp://127.0.0.1:0") }

// BenchmarkUnix is the same over a Unix socket.
func BenchmarkUnix(b *testing.B) { benchmarkStream(b, "unix://"+b.TempDir()+"/s") }

func benchmarkStream(b *testing.B, listen string) {
	e := env(b)
	e.Log = slog.New(slog.DiscardHandler)
	s, err := New(b.Context(), config(listen), e)
	if err != nil {
		b.Fatal(err)
	}
	l := s.(*listener)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	warm := 20 * perPiece
	c := &counter{limit: warm + b.N, full: make(chan struct{})}
	r := &rig{l: l}
	a := r.address()
	sender := exec.Command(os.Args[0], "-test.run=^$")
	sender.Env = append(os.Environ(), senderEnv+"="+a.Network()+"://"+a.String(), "GOMAXPROCS=1")
	sender.Stderr = os.Stderr
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.Stream(ctx, c)
	}()
	b.ReportAllocs()
	b.ResetTimer()
	before, begin := usage(b), time.Now()
	if err := sender.Start(); err != nil {
		b.Fatal(err)
	}
	<-c.full
	took, used := time.Since(begin), usage(b)-before
	b.StopTimer()
	n := float64(c.limit)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Nanoseconds())/n, "ns/point")
	b.ReportMetric(float64(used.Nanoseconds())/n, "cpu-ns/point")
	b.ReportMetric(float64(c.bytes)/float64(c.frames), "B/message")
	b.ReportMetric(float64(runtime.GOMAXPROCS(0)), "procs")
	cancel()
	<-done
	if err := sender.Wait(); err != nil {
		b.Error(err)
	}
}

// usage returns the CPU time of this process.
func usage(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
