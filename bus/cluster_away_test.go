package bus_test

import (
	"slices"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/cluster"
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
