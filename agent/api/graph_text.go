package api

import (
	"fmt"
	"strconv"
	"strings"
)

// dot returns the graph for Graphviz.
func (g Graph) dot() string {
	var b strings.Builder
	b.WriteString("digraph pacewire {\n  rankdir=LR;\n  node [shape=box];\n")
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "  %s [label=%s];\n", strconv.Quote(n.Plugin), strconv.Quote(n.Plugin+"\n"+n.about()))
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s -> %s [label=%s];\n", strconv.Quote(e.From), strconv.Quote(e.To), strconv.Quote(e.about()))
	}
	b.WriteString("}\n")
	return b.String()
}

// mermaid returns the graph for Mermaid. Its nodes have numbers: names may be words that Mermaid knows.
func (g Graph) mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	ids := map[string]string{}
	id := func(name, about string) string {
		if ids[name] == "" {
			ids[name] = fmt.Sprintf("n%d", len(ids))
			fmt.Fprintf(&b, "  %s[\"%s\"]\n", ids[name], mermaidText(strings.TrimSpace(name+" "+about)))
		}
		return ids[name]
	}
	for _, n := range g.Nodes {
		id(n.Plugin, n.about())
	}
	for _, e := range g.Edges {
		from, to := id(e.From, ""), id(e.To, "")
		if about := e.about(); about != "" {
			fmt.Fprintf(&b, "  %s -->|\"%s\"| %s\n", from, mermaidText(about), to)
		} else {
			fmt.Fprintf(&b, "  %s --> %s\n", from, to)
		}
	}
	return b.String()
}

// mermaidText returns text as Mermaid takes it between quotes, without anything that it could read as markup.
func mermaidText(text string) string {
	return strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", " ", "\r", " ", "#", "#35;").Replace(text)
}

// about tells of a node in a few words.
func (n Node) about() string {
	if up := n.States["running"]; up != n.Hosts {
		return fmt.Sprintf("%s, %d of %d running", n.Kind, up, n.Hosts)
	}
	return n.Kind
}

// about tells of an edge in a few words.
func (e Edge) about() string {
	var words []string
	if e.Rate != nil {
		words = append(words, strconv.FormatFloat(*e.Rate, 'f', 1, 64)+"/s")
	}
	if e.Backlog != nil && *e.Backlog > 0 {
		words = append(words, fmt.Sprintf("%d waiting", *e.Backlog))
	}
	return strings.Join(words, ", ")
}
