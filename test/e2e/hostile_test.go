package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Of what a TCP client sends, lines that are none and lines of 10 MB are left out; the others pass, also on the same connection,
// and no process ends.
func TestGarbageLines(t *testing.T) {
	t.Parallel()
	s := up(t, "collect: { in: { use: lines, listen: 'tcp://127.0.0.1:0', flush: 10ms } }\npublish: { file: { use: lines, from: in, path: points.lp } }\n")
	before := s.pidsOf()
	conn, err := net.Dial("tcp", s.listening("in"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var want []string
	n := 0
	good := func() string {
		n++
		line := fmt.Sprintf("good,host=h n=%di 17000000000000000%02d", n, n)
		want = append(want, line)
		return line + "\n"
	}
	bad := []string{
		"garbage", "cpu v=", "cpu,=x v=1", "cpu v=1 notatime", "\x00\xff\xfe\x01", "cpu v=NaN", "=====", "cpu v=1i2", strings.Repeat("a,", 1000),
		"huge v=\"" + strings.Repeat("x", 10<<20) + "\"", strings.Repeat("y", 10<<20),
	}
	text := good()
	for _, line := range bad {
		text += line + "\n" + good()
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	s.await(readyWithin, "the good lines are in the file", func() bool { return len(lines(t, s.path("points.lp"))) >= len(want) })
	if got := lines(t, s.path("points.lp")); !slices.Equal(got, want) {
		t.Errorf("the file has\n%s\nwant\n%s", tail(strings.Join(got, "\n")), strings.Join(want, "\n"))
	}
	if after := s.pidsOf(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("processes %v, before %v", after, before)
	}
	log := s.text()
	contains(t, "the log", log, "line refused", `no space and fields after the series and its tags in \"garbage\"`)
	if len(log) > 64<<10 {
		t.Errorf("the log has %d bytes: it repeats what was sent", len(log))
	}
	dropped := func() string {
		var info struct{ Stats *telemetry.Stats }
		if err := json.Unmarshal([]byte(s.do("plugin", "info", "in", "-o", "json")), &info); err != nil || info.Stats == nil {
			return ""
		}
		return fmt.Sprint(info.Stats.Dropped)
	}
	// The point whose only field is no number counts as one without fields too.
	s.await(readyWithin, "a heartbeat counts what was left out", func() bool { return dropped() == "map[line:8 nan:1 no_fields:1 too_long:2]" })
	s.drain()
}

// Two plugins on one address: the second says who is in its way and waits, its neighbours go on, and it works when the
// address is free.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := up(t, fmt.Sprintf(`
collect: { in: { use: lines, listen: "tcp://%s" } }
publish:
  file: { use: lines, from: [in, send], path: points.lp }
  nowhere: { use: lines, from: [in, send], path: missing/points.lp }
`, l.Addr()), "in", "nowhere")
	says := func(name string, parts ...string) {
		t.Helper()
		p := s.awaitPlugin(name, readyWithin, "has failed", func(p plugin) bool { return p.State != "running" && p.Reason != "" })
		contains(t, name, p.Reason, parts...)
	}
	says("in", l.Addr().String(), "in use")
	says("nowhere", "missing", "does not exist", "make it or change path")
	s.send("a,host=h v=1 1700000000000000001\n")
	s.await(readyWithin, "the neighbour works", func() bool { return len(lines(t, s.path("points.lp"))) == 1 })

	l.Close()
	s.awaitPlugin("in", readyWithin, "works when its address is free", func(p plugin) bool { return p.State == "running" })
	s.drain()
}

// Bytes that are no batch go to the dead letters with the reason. The reader lives on, and the next good batch passes.
func TestHostileBatches(t *testing.T) {
	t.Parallel()
	s := up(t, "collect: { host: { every: 1h, only: [load] } }\nprocess: { tidy: { use: filter, from: host, keep: fields.v > 0 } }\npublish: { file: { use: lines, from: [tidy, host], path: points.lp } }\n")
	before := s.pidsOf()
	conn, host := s.connect()
	out, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: host, Plugin: "host"})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	publish := func(body []byte) {
		t.Helper()
		m := bus.Message{Subject: bus.MetricsSubject(host, "host"), ContentType: string(telemetry.ContentMsgPack), Body: body}
		if err := out.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	var b telemetry.Batch
	if err := b.DecodeLines([]byte("good,host=h v=1 1700000000000000001\n"), b.Time()); err != nil {
		t.Fatal(err)
	}
	good := b.AppendMsgPack(nil)
	hostile := [][]byte{
		{},
		[]byte("\xdd\xff\xff\xff\xff"), // a list of four thousand million
		[]byte("\xdf\xff\xff\xff\xff"), // a map as large
		[]byte("\xc6\xff\xff\xff\xff"), // bytes as many
		[]byte(strings.Repeat("\x91", 200_000) + "\xc0"), // lists in lists
		[]byte(strings.Repeat("\x81\xa1a", 50_000)),      // maps in maps
		slices.Concat(good, []byte{0xc0}),                // more behind it
		good[:len(good)-1],
		[]byte("\x83\xa1v\x01\xa1v\x01\xa1v\x01"), // one key three times
		[]byte("\xc1\xc1\xc1"),
		[]byte("\xd4\x05\x00"),
	}
	for _, body := range hostile {
		publish(body)
	}
	publish(good)

	want := "good,host=h v=1 1700000000000000001"
	count := func() (n int) {
		for _, line := range lines(t, s.path("points.lp")) {
			if line == want {
				n++
			}
		}
		return n
	}
	s.await(readyWithin, "the good batch is in the file, by itself and by tidy", func() bool { return count() == 2 })
	var codes []string
	s.await(readyWithin, "the others are dead letters", func() bool {
		codes = append(codes, s.dead("tidy")...)
		return len(codes) >= len(hostile)
	})
	if len(codes) != len(hostile) {
		t.Errorf("%d of %d are dead letters: %v", len(codes), len(hostile), codes)
	}
	known := map[string]bool{}
	for _, code := range codes {
		known[code] = true
	}
	if len(known) < 3 || known[""] || known["decode"] {
		t.Errorf("codes %v", codes)
	}
	t.Logf("codes %v", codes)
	if after := s.pidsOf(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("processes %v, before %v", after, before)
	}
	s.drain()
}

// dead returns the reasons of a plugin's dead letters.
func (s *system) dead(plugin string) (codes []string) {
	s.t.Helper()
	conn, _ := s.connect()
	in := bus.Input{Stream: bus.StreamDead, Durable: "undertaker-" + plugin, Filters: []string{bus.DeadSubject(plugin)}, Start: "all"}
	if err := conn.EnsureConsumer(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
	state, err := conn.ConsumerInfo(s.t.Context(), in.Stream, in.Durable)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := conn.Consume(s.t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Stop()
	for range state.Pending {
		d, err := c.Next(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if d.Header(bus.HeaderSubject) == "" || d.Header(bus.HeaderError) == "" {
			s.t.Errorf("dead letter without %s or %s", bus.HeaderSubject, bus.HeaderError)
		}
		codes = append(codes, d.Header(bus.HeaderReason))
		_ = d.Ack() // nobody else reads by this consumer
	}
	return codes
}
