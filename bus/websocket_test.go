package bus_test

import (
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/cluster"
)

// A bus may be reached by WebSocket, for data and control alike, whether its server compresses or not.
func TestWebSocket(t *testing.T) {
	f := func(compress, data bool, settings ...string) {
		t.Helper()
		fleet := bustest.NewCluster(t, cluster.Options{Servers: 1, WebSocket: strings.Join(append(settings, "no_tls: true"), ", ")})
		c := fleet.Dial(t, bus.Options{URL: "ws://" + fleet.Nodes[0].WebSocket(), User: "operator", Compress: compress, Data: data})
		if err := c.EnsureStreams(t.Context(), smallStreams()); err != nil {
			t.Fatal(err)
		}
		k := consumer(t, c, input("out"), bus.ConsumeOptions{})
		storedBatches(t, c, "h1", "cpu", 20)
		for range 20 {
			if err := next(t, k).Ack(); err != nil {
				t.Error(err)
			}
		}
		fleet.Nodes[0].Kill()
		if err := fleet.Nodes[0].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		storedBatches(t, c, "h1", "mem", 1)
	}
	f(false, false)
	f(false, true, "compression: true")
	f(true, false, "compression: true")
	f(true, true, "compression: true")
	f(true, true) // the server does not
}
