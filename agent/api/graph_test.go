package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestGraph(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	c := b.Conn(t, "hub")
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "tidy", Filters: []string{bus.MetricsFilter("cpu")}, Start: "all"}
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.values("web1", "cpu", func(b *telemetry.Batch) { b.Add("cpu", telemetry.Fields{"v": 1}, nil) })
	}
	bustest.Wait(t, soon, "the consumer to count them", func() bool {
		is, err := c.ConsumerInfo(t.Context(), bus.StreamMetrics, "tidy")
		return err == nil && is.Pending == 3
	})
	now := time.Now()
	for i, n := range []int{100, 400} { // 300 points more in 30 s
		var batch telemetry.Batch
		at := now.Add(time.Duration(i-1) * 30 * time.Second)
		batch.At(at)
		batch.Add("plugin", telemetry.Fields{"points_out": n}, telemetry.Tags{"plugin": "cpu", "kind": "collector"})
		r.store.Add(&batch, "web1", bus.Agent, at)
	}
	var g Graph
	r.get("/api/v1/graph", &g)
	got := ""
	for _, n := range g.Nodes {
		got += fmt.Sprintf("%s %s %d %v; ", n.Plugin, n.Kind, n.Hosts, n.States)
	}
	if want := "cpu collector 2 map[failed:1 running:1]; tidy processor 1 map[running:1]; "; got != want {
		t.Errorf("nodes %s", got)
	}
	if len(g.Edges) != 1 || g.Edges[0].From != "cpu" || g.Edges[0].To != "tidy" || g.Edges[0].Rate == nil || *g.Edges[0].Rate != 10 ||
		g.Edges[0].Backlog == nil || *g.Edges[0].Backlog != 3 {
		t.Errorf("edges %+v", g.Edges)
	}
	f := func(query string, want ...string) {
		t.Helper()
		text := r.ask("GET", "/api/v1/graph?"+query, "").text
		for _, one := range want {
			if !strings.Contains(text, one) {
				t.Errorf("%s: no %s in %s", query, one, text)
			}
		}
	}
	f("format=dot", "digraph pacewire {", `"cpu" [label="cpu\ncollector, 1 of 2 running"];`, `"cpu" -> "tidy" [label="10.0/s, 3 waiting"];`)
	f("format=mermaid", "flowchart LR\n", `n0["cpu collector, 1 of 2 running"]`, `n0 -->|"10.0/s, 3 waiting"| n1`)
	f("format=mermaid&host=web2", "flowchart LR\n", `n0["cpu collector, 0 of 1 running"]`)
}

// TestGraphIsDrawnOnce has many ask for the graph at once.
func TestGraphIsDrawnOnce(t *testing.T) {
	r := start(t, bustest.New(t), nil)
	begun := time.Now()
	var all sync.WaitGroup
	for _, format := range []string{"json", "dot", "mermaid", "json", "dot", "mermaid", "json", "dot", "mermaid", "json"} {
		all.Go(func() {
			if a := r.ask("GET", "/api/v1/graph?format="+format, ""); a.StatusCode != 200 {
				t.Errorf("%s: %s %s", format, a.Status, a.text)
			}
		})
	}
	all.Wait()
	if n, most := r.fleet.lists.Load(), 1+int64(time.Since(begun)/drawnFresh); n > most {
		t.Errorf("the fleet was listed %d times, want %d", n, most)
	}
}

// TestBacklogs has more consumers than would be asked one by one.
func TestBacklogs(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	c := b.Conn(t, "hub")
	newSource(t, b).values("web1", "cpu", func(b *telemetry.Batch) { b.Add("cpu", telemetry.Fields{"v": 1}, nil) })
	const many = 300
	r.fleet.plugins = nil
	for i := range many {
		in := bus.Input{Stream: bus.StreamMetrics, Durable: fmt.Sprintf("tidy %03d", i), Filters: []string{bus.MetricsFilter("cpu")}, Start: "all"}
		if err := c.EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		r.fleet.plugins = append(r.fleet.plugins, telemetry.PluginStatus{
			Name: "tidy", Kind: "processor", Host: fmt.Sprintf("web%03d", i), State: "running",
			Inputs: []telemetry.Input{{Stream: in.Stream, Durable: in.Durable, Filters: in.Filters}},
		})
	}
	var g Graph
	bustest.Wait(t, soon, "all of them to be counted", func() bool {
		r.get("/api/v1/graph", &g)
		return len(g.Nodes) == 1 && g.Nodes[0].Backlog != nil && *g.Nodes[0].Backlog == many
	})
}

func TestSourceOf(t *testing.T) {
	f := func(filter, want string) {
		t.Helper()
		if got := sourceOf(filter); got != want {
			t.Errorf("sourceOf(%s) = %q, want %q", filter, got, want)
		}
	}
	f(bus.MetricsFilter("cpu"), "cpu")
	f("pw.metrics.*.*", "*")
	f("pw.metrics.>", "*")
	f(bus.EventFilter("down"), "event:down")
	f(bus.EventFilter("a b"), "event:a b")
	f("pw.dead.cpu", "")
	f("other.metrics.cpu", "")
	f("pw.metrics.*.%", "")
	f("", "")
}

// TestGraphTexts has names that could become markup.
func TestGraphTexts(t *testing.T) {
	name := "\"]; click <img src=x>\n#"
	g := Graph{Nodes: []Node{{Plugin: name, Kind: "collector"}}, Edges: []Edge{{From: name, To: name}}}
	if text := g.mermaid(); strings.Count(text, "\n") != 3 || strings.Count(text, `"`) != 2 || strings.Contains(text, "<") {
		t.Error(text)
	}
	if text := g.dot(); strings.Count(text, "\n") != 6 || strings.Contains(text, ` "];`) {
		t.Error(text)
	}
}
