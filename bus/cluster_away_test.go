package bus_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/cluster"
	"github.com/pacewire/pacewire/internal/texttest"
)

// A server of a cluster that was killed is away to who asks for a stream, though its place is kept; once it is back it is not.
func TestClusterServerAway(t *testing.T) {
	t.Parallel()
	c := bustest.NewCluster(t, cluster.Options{})
	hub := c.Conn(t, bus.Hub)
	if err := hub.EnsureStreams(t.Context(), smallStreams()); err != nil {
		t.Fatal(err)
	}
	leader := c.Leader(t, hub, bus.StreamMetrics)
	follower := c.Nodes[slices.IndexFunc(c.Nodes, func(n *cluster.Node) bool { return n.Name != leader.Name })]
	away := func(want ...string) func() bool {
		return func() bool {
			s, err := hub.StreamInfo(t.Context(), bus.StreamMetrics)
			return err == nil && slices.Equal(s.Away, want) && slices.Equal(s.Behind, want)
		}
	}
	bustest.Wait(t, patience, "all three servers", away())
	follower.Kill()
	bustest.Wait(t, patience, follower.Name+" is away", away(follower.Name))
	start(t, follower)
	bustest.Wait(t, patience, follower.Name+" is back", away())
}

// Who waits for a cluster that has no leader says so soon, and not only when it gives up.
func TestEnsureStreamsTellsThatItWaits(t *testing.T) {
	t.Parallel()
	c := bustest.NewCluster(t, cluster.Options{})
	for _, n := range c.Nodes[1:] {
		n.Kill()
	}
	log := new(texttest.Buffer)
	conn := c.Dial(t, bus.Options{User: bus.Hub, URL: c.Nodes[0].URL(), Log: slog.New(slog.NewTextHandler(log, nil))})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- conn.EnsureStreams(ctx, smallStreams()) }()
	bustest.Wait(t, patience, "word in the log", func() bool { return strings.Contains(log.String(), "the bus does not answer yet") })
	select {
	case err := <-done:
		t.Errorf("INVALID: it has not waited: %v", err)
	default:
	}
	stop()
	if err := <-done; err == nil {
		t.Error("INVALID: streams were made without a leader")
	}
}
