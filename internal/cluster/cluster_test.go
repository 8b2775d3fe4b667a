package cluster

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
)

func TestMain(m *testing.M) {
	Serve()
	os.Exit(m.Run())
}

// leads waits until the streams are there, and returns who leads METRICS.
func leads(t *testing.T, c *Cluster) string {
	t.Helper()
	conn, err := bus.Dial(t.Context(), bus.Options{URL: c.URL(), User: bus.Hub, Log: slog.New(slog.DiscardHandler), Wait: startTime})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.EnsureStreams(t.Context(), bus.DefaultStreams()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(startTime); ; time.Sleep(50 * time.Millisecond) {
		s, err := conn.StreamInfo(t.Context(), bus.StreamMetrics)
		if err == nil && s.Replicas == 3 && s.Leader != "" {
			return s.Leader
		}
		if time.Now().After(end) {
			t.Fatalf("METRICS %+v, %v", s, err)
		}
	}
}

func TestNodes(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := c.Node(leads(t, c))
	if n == nil || c.Node("other") != nil || n.PID() == 0 {
		t.Fatalf("leader %+v", n)
	}
	if err := n.Start(t.Context()); err == nil {
		t.Error("a server that runs was started again")
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	n.Kill() // a stopped one too
	n.Kill()
	if n.PID() != 0 || n.Continue() == nil || n.Stop() == nil {
		t.Error("a server that was killed goes on")
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	leads(t, c)
}

func TestStartFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Dir: file}); err == nil {
		t.Error("started below a file")
	}
	if _, err := Start(t.Context(), Options{Dir: t.TempDir(), Servers: 1, Sync: "soon"}); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("with a config that is none: %v", err)
	}
}

// The config that operators are given makes a cluster.
func TestDeployedConfig(t *testing.T) {
	const port, route, routes = "port: 4222", "port: 6222", "nats://n1:6222, nats://n2:6222, nats://n3:6222"
	text, err := os.ReadFile("../../deploy/nats/cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{port, route, routes} {
		if strings.Count(string(text), part) != 1 {
			t.Fatalf("the config does not have %q once", part)
		}
	}
	ports, err := freePorts(6)
	if err != nil {
		t.Fatal(err)
	}
	here := fmt.Sprintf("nats://127.0.0.1:%d, nats://127.0.0.1:%d, nats://127.0.0.1:%d", ports[3], ports[4], ports[5])
	c := new(Cluster)
	defer c.Close()
	for i := range 3 {
		n := &Node{Name: fmt.Sprint("n", i+1), Dir: t.TempDir(), port: ports[i], route: ports[3+i]}
		c.Nodes = append(c.Nodes, n)
		own := strings.NewReplacer(port, fmt.Sprintf("listen: \"127.0.0.1:%d\"\nlog_file: %q", n.port, n.log()),
			route, fmt.Sprintf("listen: \"127.0.0.1:%d\"", n.route), routes, here).Replace(string(text))
		if err := os.WriteFile(n.file(), []byte(own), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("NATS_NAME", n.Name)
		t.Setenv("NATS_STORE", filepath.Join(n.Dir, "store"))
		if err := n.launch(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.Nodes {
		if err := n.await(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if leader := leads(t, c); c.Node(leader) == nil {
		t.Errorf("%q leads METRICS", leader)
	}
}
