package lines

import (
	"encoding/json"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// What a carbon sender and a client of collectd's socket send is read back from the bus; a notification is an event there, too.
func TestBus(t *testing.T) {
	b := bustest.New(t)
	agent := plugintest.NewAgent(t, b.URL, "h")
	f := func(name, settings, text string, want ...string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "s")
		agent.Give(name, telemetry.Work{Config: json.RawMessage(`{"listen": "unix://` + path + `", ` + settings + `}`)})
		agent.Start(t, Define(), name)
		var c net.Conn
		plugintest.Until(t, "the socket", func() (ok bool) {
			var err error
			c, err = net.Dial("unix", path)
			return err == nil
		})
		defer c.Close()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := linesOf(read(t, b, bus.StreamMetrics, bus.MetricsFilter(name), len(want))); !slices.Equal(got, want) {
			t.Errorf("%s: %s, want %s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f("carbon", `"format": "graphite", "templates": ["servers.* .host.series.field*"]`, graphiteText, strings.Split(graphitePoints, "\n")...)
	f("collectd", `"format": "collectd"`,
		"PUTVAL web-1/load/load 1700000000:0.5\nPUTNOTIF severity=failure time=1700000001 host=web-1 plugin=df message=it is full\n",
		`check_state,check=df,host=web-1 state=2i,text="it is full" 1700000001000000000`, "load_load,host=web-1 value=0.5 1700000000000000000")
	events := read(t, b, bus.StreamEvents, bus.EventFilter("notification"), 1)
	if message := events[0].Fields["message"]; message != "df is CRITICAL: it is full" {
		t.Errorf("the event says %q", message)
	}
}

// read waits for n points of a stream.
func read(t *testing.T, b *bustest.Bus, stream, filter string, n int) (points []telemetry.Point) {
	t.Helper()
	conn := b.Conn(t, "hub")
	in := bus.Input{Stream: stream, Durable: bus.Token("oracle-" + filter), Filters: []string{filter}, Start: "all"}
	if err := conn.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	c, err := conn.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	for len(points) < n {
		d, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got telemetry.Batch
		if err := got.Decode(d.ContentType, "", d.Body, d.Stored); err != nil {
			t.Fatal(err)
		}
		for p := range got.Points() {
			points = append(points, p)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	return points
}
