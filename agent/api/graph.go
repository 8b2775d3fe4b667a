package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/agent/recent"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A Graph is who reads whom. A plugin of the same name on several hosts is one node.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// A Node is a plugin, on how many hosts it may be.
type Node struct {
	Plugin  string            `json:"plugin"`
	Kind    string            `json:"kind"`
	Program string            `json:"program,omitzero"`
	Hosts   uint64            `json:"hosts"`
	States  map[string]uint64 `json:"states"`           // hosts by state of the plugin
	Rate    *float64          `json:"rate,omitzero"`    // points a second that it puts out; not there: not known yet
	Backlog *uint64           `json:"backlog,omitzero"` // batches that wait for it, over all its consumers
}

// An Edge leads from a plugin, or from the events of a type, to who reads them.
type Edge struct {
	From    string   `json:"from"` // a plugin; "*": all; "event:<type>": events
	To      string   `json:"to"`
	Rate    *float64 `json:"rate,omitzero"`    // points a second that From puts out
	Backlog *uint64  `json:"backlog,omitzero"` // of To
}

// eventNode begins the From of an edge of events.
const eventNode = "event:"

func (c *call) graph() error {
	format := cmp.Or(c.query.Get("format"), "json")
	if format != "json" && format != "dot" && format != "mermaid" {
		return invalid("format", "format=%s: want json, dot or mermaid", format)
	}
	var f hub.Filter
	if id := c.query.Get("host"); id != "" {
		h, err := c.hostCalled(id)
		if err != nil {
			return err
		}
		f.Host = h.Host
	}
	g, err := c.s.graphFor(c.r.Context(), f)
	if err != nil {
		return err
	}
	switch format {
	case "dot":
		return c.text(g.dot())
	case "mermaid":
		return c.text(g.mermaid())
	}
	return c.json(http.StatusOK, g)
}

// drawnFresh is for how long a graph, and what consumers said, is told again.
const drawnFresh = 2 * time.Second

// graphFor returns the graph of the plugins that f selects. That of the fleet is drawn once for all who ask within a while.
func (s *Server) graphFor(ctx context.Context, f hub.Filter) (Graph, error) {
	if f.Host != "" {
		return s.graphOf(ctx, f), nil
	}
	return s.drawn.get(ctx, drawnFresh, func(ctx context.Context) Graph { return s.graphOf(ctx, f) })
}

// graphOf draws a graph.
func (s *Server) graphOf(ctx context.Context, f hub.Filter) Graph {
	d := drawing{nodes: map[string]*Node{}, edges: map[[2]string]bool{}, readers: map[string]map[durable]bool{}}
	for page := (hub.Page{Most: usualList}); ; {
		list, more := s.o.Hub.Plugins(f, page)
		for _, p := range list {
			d.add(p)
		}
		if !more || len(list) == 0 {
			break
		}
		page.After = place(list[len(list)-1])
	}
	s.addRates(d.nodes, f.Host)
	s.addBacklogs(ctx, d)
	g := Graph{Nodes: []Node{}, Edges: []Edge{}}
	for _, name := range slices.Sorted(maps.Keys(d.nodes)) {
		g.Nodes = append(g.Nodes, *d.nodes[name])
	}
	for ends := range d.edges {
		e := Edge{From: ends[0], To: ends[1], Backlog: d.nodes[ends[1]].Backlog}
		if from := d.nodes[e.From]; from != nil {
			e.Rate = from.Rate
		}
		g.Edges = append(g.Edges, e)
	}
	slices.SortFunc(g.Edges, func(a, b Edge) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return g
}

// A drawing is a graph that is being made.
type drawing struct {
	nodes   map[string]*Node
	edges   map[[2]string]bool
	readers map[string]map[durable]bool // by plugin
}

// A durable is a consumer of a stream.
type durable struct{ stream, name string }

func (d *drawing) add(p telemetry.PluginStatus) {
	n := d.nodes[p.Name]
	if n == nil {
		n = &Node{Plugin: p.Name, Kind: p.Kind, Program: p.Program, States: map[string]uint64{}}
		d.nodes[p.Name] = n
	}
	n.Hosts++
	n.States[p.State]++
	for _, in := range p.Inputs {
		if d.readers[p.Name] == nil {
			d.readers[p.Name] = map[durable]bool{}
		}
		d.readers[p.Name][durable{in.Stream, bus.Token(in.Durable)}] = true
		for _, filter := range in.Filters {
			if from := sourceOf(filter); from != "" {
				d.edges[[2]string{from, p.Name}] = true
			}
		}
	}
}

// sourceOf returns from what a filter of a consumer reads: a plugin, "*" for all, or "event:" and a type; "" when it is none of ours.
func sourceOf(filter string) string {
	tokens := strings.Split(filter, ".")
	if len(tokens) < 3 || tokens[0] != "pw" {
		return ""
	}
	last := tokens[len(tokens)-1]
	name := "*"
	if last != "*" && last != ">" {
		var err error
		if name, _, err = bus.Untoken(last); err != nil {
			return ""
		}
	}
	switch tokens[1] {
	case bus.AreaMetrics:
		return name
	case bus.AreaEvents:
		return eventNode + name
	}
	return ""
}

// rateSpan is over how long a rate is told.
const rateSpan = time.Minute

// addRates tells how many points each plugin puts out, by what the agents publish as series plugin.
func (s *Server) addRates(nodes map[string]*Node, host string) {
	const most = 20_000
	now := time.Now()
	q := recent.Query{Host: host, Plugin: bus.Agent, Series: "plugin", Field: "points_out"}
	all, _ := s.store.History(q, now.Add(-rateSpan), now, most)
	for _, h := range all {
		n := nodes[h.Tags["plugin"]]
		rate, ok := h.Rate()
		if n == nil || !ok {
			continue
		}
		if n.Rate == nil {
			n.Rate = new(float64)
		}
		*n.Rate += rate
	}
}

// backlogTime is how long the bus may take to list its consumers.
const backlogTime = 2 * time.Second

// addBacklogs tells how many batches wait for each reader. Where the bus does not answer soon, there is none.
func (s *Server) addBacklogs(ctx context.Context, d drawing) {
	waiting, err := s.backlogs.get(ctx, drawnFresh, s.askBacklogs)
	if err != nil {
		return // who asked is gone
	}
	for name, inputs := range d.readers {
		for in := range inputs {
			n, known := waiting[in]
			if !known {
				continue
			}
			if d.nodes[name].Backlog == nil {
				d.nodes[name].Backlog = new(uint64)
			}
			*d.nodes[name].Backlog += n
		}
	}
}

// askBacklogs asks the bus how many batches wait for each consumer.
func (s *Server) askBacklogs(ctx context.Context) map[durable]uint64 {
	conn := s.o.Conn()
	if conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, backlogTime)
	defer cancel()
	waiting := map[durable]uint64{}
	for _, stream := range []string{bus.StreamMetrics, bus.StreamEvents} {
		states, err := conn.ConsumerStates(ctx, stream)
		if err != nil {
			s.log.Debug("backlogs are not known", "stream", stream, "error", err)
			continue
		}
		for name, is := range states {
			waiting[durable{stream, name}] = is.Pending + uint64(is.AckPending)
		}
	}
	return waiting
}
