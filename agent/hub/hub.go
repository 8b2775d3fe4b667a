package hub

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say which bus a hub watches, and by which rules.
type Options struct {
	URL       string // of the bus
	Creds     string // file with the hub's credentials; "": none
	TLS       bus.TLS
	InProcess InProcess // an embedded bus of this process; nil: by URL

	ID      string // of this hub; "": random
	Version string // of the program
	Listen  string // address of the API, for its status
	Rules   liveness.Rules
	Most    float64 // beats a second that it takes; above, hosts are asked to beat more slowly: 2,000
	Streams bus.StreamSettings
	Log     *slog.Logger
	Times   Times
}

// InProcess is a bus in this process, reached without a socket.
type InProcess interface{ InProcessConn() (net.Conn, error) }

// Times are those of a hub that only tests change; 0 is the default of each.
type Times struct {
	Sweep time.Duration // between two looks at everybody: 1 s
	Renew time.Duration // of the voice: 3 s; it lapses after 10/3 of that
}

// A Hub is the fleet's part of an agent.
type Hub struct{ o Options }

// New prepares a hub.
func New(o Options) *Hub { return &Hub{o: o} }

// Run watches until ctx ends.
func (h *Hub) Run(ctx context.Context) error { return nil }

// A Filter selects hosts or plugins; its zero value all.
type Filter struct {
	Host  string // only this one
	State string
	Owner string
	Site  string
	Label map[string]string
}

// Hosts returns the hosts that f selects, by id.
func (h *Hub) Hosts(f Filter) []telemetry.HostStatus { return nil }

// Host returns one host by its id, or by its name or an alias where that is clear. Errors: ErrNoHost.
func (h *Hub) Host(id string) (telemetry.HostStatus, error) { return telemetry.HostStatus{}, nil }

// Plugins returns the plugins of the hosts that f selects (State is the plugin's), as their agents have last told: "stale" while
// the host is not UP.
func (h *Hub) Plugins(f Filter) []telemetry.PluginStatus { return nil }

// Inventory returns what there is of a host, without the facts.
func (h *Hub) Inventory(host string) ([]telemetry.RefreshItem, error) { return nil, nil }

// Facts returns one entry of the inventory. Errors: ErrNoHost, ErrNoEntry.
func (h *Hub) Facts(ctx context.Context, host, plugin, typ string) (telemetry.PluginData, error) {
	return telemetry.PluginData{}, nil
}

// Refresh begins a refresh of hosts, of all when none is named, and returns at once. mode is telemetry.ModeCached or ModeCollect.
func (h *Hub) Refresh(hosts []string, mode string) (telemetry.RefreshJob, error) {
	return telemetry.RefreshJob{}, nil
}

// Job returns how far a refresh is. Errors: ErrNoJob.
func (h *Hub) Job(id string) (telemetry.RefreshJob, error) { return telemetry.RefreshJob{}, nil }

// Forget drops a host and its inventory. Its next beat makes it a new one.
func (h *Hub) Forget(ctx context.Context, host string) error { return nil }

// Silence begins maintenance of a host until a time; the zero time ends it.
func (h *Hub) Silence(ctx context.Context, host string, until time.Time) error { return nil }

// Ask sends a verb to the agent of a host, and returns its reply. Errors: ErrNoHost, ErrNotConnected, and those of bus.Request.
func (h *Hub) Ask(ctx context.Context, host, verb string, args map[string]any) (telemetry.CtlReply, error) {
	return telemetry.CtlReply{}, nil
}

// Status returns how the hub itself is. Counts hold its counters by the names that /metrics gives them.
func (h *Hub) Status() telemetry.HubStatus { return telemetry.HubStatus{} }

// Data returns the hub's connection for data, by which streams can be read; nil before Run has connected.
func (h *Hub) Data() *bus.Conn { return nil }
