package lines

import (
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
	b.ReportMetric(float64(c.bytes)/float64(c.batches), "B/batch")
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
