package influxdb

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// counter is a server that does nothing but count lines, so that a benchmark shows the publisher and not its sink.
func counter(b *testing.B) (url string, lines *atomic.Int64) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	lines = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go count(conn, lines)
		}
	}()
	return "http://" + l.Addr().String(), lines
}

// count answers the requests of a connection until it ends.
func count(conn net.Conn, lines *atomic.Int64) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 256<<10)
	buf := make([]byte, 256<<10)
	for length := 0; ; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if text, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(text)))
		}
		if len(line) > 2 {
			continue
		}
		for length > 0 {
			n, err := r.Read(buf[:min(length, len(buf))])
			if err != nil {
				return
			}
			lines.Add(int64(bytes.Count(buf[:n], []byte{'\n'})))
			length -= n
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
			return
		}
	}
}

// load returns points of 4 tags and 5 fields, as they come from a message.
func load(b *testing.B, points int) *telemetry.Batch {
	b.Helper()
	var made telemetry.Batch
	for i := range points {
		made.At(time.Unix(0, at+int64(i)*1e6))
		made.Add("cpu", telemetry.Fields{
			"usage_user": float64(i%10000) / 100, "usage_system": float64(i%777) / 10, "usage_idle": 99.5 - float64(i%100),
			"interrupts": i * 37, "switches": i % 1000,
		}, telemetry.Tags{
			"host": fmt.Sprintf("server-%03d", i%200), "region": fmt.Sprintf("eu-west-%d", i%3),
			"rack": fmt.Sprintf("r%02d", i%40), "cpu": fmt.Sprintf("cpu%d", i%16),
		})
	}
	in := new(telemetry.Batch)
	if err := in.DecodeMsgPack(made.AppendMsgPack(nil)); err != nil {
		b.Fatal(err)
	}
	return in
}

func BenchmarkPublish(b *testing.B) {
	run := func(name string, cfg Config, points int) {
		b.Run(name, func(b *testing.B) {
			url, lines := counter(b)
			cfg.URL, cfg.Version, cfg.Database = url, 1, "metrics"
			p, err := New(b.Context(), cfg, plugin.Env{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer p.(*sink).Close()
			in := load(b, points)
			b.SetBytes(int64(len(in.AppendLines(nil))))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Publish(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
			if cfg.Compression == none && lines.Load() < int64(b.N*points) {
				b.Fatalf("%d lines arrived of %d", lines.Load(), b.N*points)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*points), "ns/point")
		})
	}
	for _, points := range []int{4000, 8000} {
		run(fmt.Sprintf("plain/%d", points), Config{Compression: none}, points)
		run(fmt.Sprintf("gzip/%d", points), Config{Compression: gzipped}, points)
	}
}

func BenchmarkText(b *testing.B) {
	in := load(b, 8000)
	text := in.AppendLines(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		text = in.AppendLines(text[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*8000), "ns/point")
}

func BenchmarkLineEnds(b *testing.B) {
	text := load(b, 8000).AppendLines(nil)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if n := len(lineEnds(text)); n != 8000 {
			b.Fatalf("%d lines", n)
		}
	}
}
