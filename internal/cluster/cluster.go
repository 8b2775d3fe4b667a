// Package cluster runs the servers of a NATS cluster as processes of this machine, for tests that kill and stop them.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options say what a cluster is like.
type Options struct {
	Dir      string // below it each server has a folder
	Servers  int    // 0: 3; 1: a server that is in no cluster
	Sync     string // "always", or the duration between two syncs; empty: 2m
	MaxStore int64  // bytes of each server; 0: 8 GiB

	WebSocket string // settings of a listener for WebSocket connections, beside its address: see Node.WebSocket; empty: there is none
	More      string // settings of each server besides
}

// A Cluster is some servers that know each other.
type Cluster struct {
	Nodes []*Node
}

const startTime = 2 * time.Minute // of a machine that is busy with other tests

// Start starts a cluster and returns when all of its servers take connections; that it has agreed on a leader is for the first
// request to find out. The calling program has to begin with Serve.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Servers == 0 {
		o.Servers = 3
	}
	ports, err := freePorts(3 * o.Servers)
	if err != nil {
		return nil, fmt.Errorf("start cluster: %w", err)
	}
	c := new(Cluster)
	var routes []string
	for i := range o.Servers {
		n := &Node{Name: fmt.Sprint("n", i+1), port: ports[3*i], route: ports[3*i+1], web: ports[3*i+2]}
		n.Dir = filepath.Join(o.Dir, n.Name)
		c.Nodes = append(c.Nodes, n)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", n.route))
	}
	for _, n := range c.Nodes {
		err = errors.Join(err, n.configure(o, routes))
	}
	for _, n := range c.Nodes {
		if err == nil {
			err = n.launch()
		}
	}
	for _, n := range c.Nodes {
		if err == nil {
			err = n.await(ctx)
		}
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("start cluster: %w", err)
	}
	return c, nil
}

// URL names all servers, as a client takes them.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		urls[i] = n.URL()
	}
	return strings.Join(urls, ",")
}

// Node returns the server of a name, nil if there is none: bus.StreamState says who leads a stream.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Close kills all servers and waits for their ends.
func (c *Cluster) Close() {
	for _, n := range c.Nodes {
		n.Kill()
	}
}

// freePorts returns ports that nobody listens on now. A server has to come back on the one it had, so none can be left to the kernel.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after the last one was found: else one is found twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// logOf is what a server has logged last, for who has to say why it does not run.
func logOf(path string) string {
	const last = 2000
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-last):])
}
