package bustest

import (
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/cluster"
)

// Cluster is a bus of several servers, processes that can be killed and stopped.
type Cluster struct {
	*cluster.Cluster
}

// NewCluster starts a cluster without streams, which ends with the test. TestMain of the package has to begin with cluster.Serve.
func NewCluster(t testing.TB, o cluster.Options) *Cluster {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
	t.Cleanup(c.Close)
	return &Cluster{c}
}

// Conn connects to any of the servers as user, and is closed with the test.
func (c *Cluster) Conn(t testing.TB, user string) *bus.Conn {
	t.Helper()
	return c.Dial(t, bus.Options{User: user})
}

// Dial connects with o, whose URL, Log and Wait may be left empty.
func (c *Cluster) Dial(t testing.TB, o bus.Options) *bus.Conn {
	t.Helper()
	if o.URL == "" {
		o.URL = c.URL()
	}
	return dial(t, o)
}

// Leader waits until a stream has one.
func (c *Cluster) Leader(t testing.TB, conn *bus.Conn, stream string) (leader *cluster.Node) {
	t.Helper()
	Wait(t, electWait, "a leader of "+stream, func() bool {
		state, err := conn.StreamInfo(t.Context(), stream)
		if err == nil {
			leader = c.Node(state.Leader)
		}
		return leader != nil
	})
	return leader
}
