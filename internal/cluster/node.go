package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// A Node is one server, a process of its own.
type Node struct {
	Name string
	Dir  string // its store, config and log

	port, route, web int

	child *process.Process // nil: it does not run
}

// config is what a server reads. The machine is shared with its rivals, so it gets little memory.
const config = `
server_name: %s
listen: "127.0.0.1:%d"
max_payload: 1MB
log_file: %q
jetstream { store_dir: %q, max_memory_store: 64MB, max_file_store: %d, sync_interval: %s }
%s
`

func (n *Node) configure(o Options, routes []string) error {
	if o.Sync == "" {
		o.Sync = "2m"
	}
	if o.MaxStore == 0 {
		o.MaxStore = 8 << 30 // more than streams and buckets may take, and not taken before they do
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return err
	}
	more := o.More
	if o.Servers > 1 {
		more += fmt.Sprintf("\ncluster { name: \"test\", listen: \"127.0.0.1:%d\", routes: [%s] }", n.route, strings.Join(routes, ","))
	}
	if o.WebSocket != "" {
		more += fmt.Sprintf("\nwebsocket { listen: \"127.0.0.1:%d\", %s }", n.web, o.WebSocket)
	}
	text := fmt.Sprintf(config, n.Name, n.port, n.log(), filepath.Join(n.Dir, "store"), o.MaxStore, o.Sync, more)
	return os.WriteFile(n.file(), []byte(text), 0o600)
}

func (n *Node) file() string { return filepath.Join(n.Dir, "nats.conf") }
func (n *Node) log() string  { return filepath.Join(n.Dir, "nats.log") }

// URL is where clients of this server connect.
func (n *Node) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.port) }

// WebSocket is the address where it takes WebSocket connections.
func (n *Node) WebSocket() string { return fmt.Sprintf("127.0.0.1:%d", n.web) }

// Start starts a server that was killed, and returns when it takes connections.
func (n *Node) Start(ctx context.Context) error {
	if err := n.launch(); err != nil {
		return err
	}
	return n.await(ctx)
}

func (n *Node) launch() error {
	if n.child != nil {
		return fmt.Errorf("server %s runs already", n.Name)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	n.child, err = process.Start(process.Command{
		Args: []string{exe}, Env: append(os.Environ(), confVariable+"="+n.file()), OnParentDeath: syscall.SIGKILL,
	})
	return err
}

// await returns when the server listens.
func (n *Node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	const poll = 10 * time.Millisecond
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(n.URL(), "nats://"))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-n.child.Done():
			return fmt.Errorf("server %s has ended: %v: %s", n.Name, n.child.Exit(), logOf(n.log()))
		case <-ctx.Done():
			return fmt.Errorf("server %s does not listen: %w: %s", n.Name, err, logOf(n.log()))
		case <-time.After(poll):
		}
	}
}

// PID is that of the running server, 0 if it does not run.
func (n *Node) PID() int {
	if n.child == nil {
		return 0
	}
	return n.child.PID()
}

// Kill ends the server by SIGKILL, and returns when it is gone.
func (n *Node) Kill() {
	if n.child == nil {
		return
	}
	_ = n.child.Signal(syscall.SIGKILL) // the only error is that it has ended
	<-n.child.Done()
	n.child = nil
}

// Stop stops the server as a machine that hangs does: it keeps its connections and says nothing, until Continue.
func (n *Node) Stop() error { return n.signal(syscall.SIGSTOP) }

// Continue lets a stopped server go on.
func (n *Node) Continue() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(sig syscall.Signal) error {
	if n.child == nil {
		return fmt.Errorf("server %s does not run", n.Name)
	}
	return n.child.Signal(sig)
}
