package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/telemetry"
)

// pluginPage is a list of plugins.
type pluginPage struct {
	Plugins []telemetry.PluginStatus `json:"plugins"`
	Total   int                      `json:"total"`
	Next    string                   `json:"next,omitzero"`   // there are more: ask with it as after
	Source  string                   `json:"source,omitzero"` // agent, or hub: what the agent has told last
	Why     string                   `json:"why,omitzero"`    // it is the hub's
}

// place is where a plugin stands in the list of the fleet: behind all of hosts before, and of its host by name.
func place(p telemetry.PluginStatus) string { return p.Host + "/" + p.Name }

func (c *call) fleetPlugins() error {
	f, err := c.filter()
	if err != nil {
		return err
	}
	most, err := c.limit(usualList, mostList)
	if err != nil {
		return err
	}
	all, _ := c.s.o.Hub.Plugins(f, hub.Page{})
	slices.SortStableFunc(all, func(a, b telemetry.PluginStatus) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Name, b.Name))
	})
	p := pluginPage{Plugins: []telemetry.PluginStatus{}, Total: len(all)}
	host, name := splitPlace(c.query.Get("after"))
	for _, one := range all {
		if cmp.Or(cmp.Compare(one.Host, host), cmp.Compare(one.Name, name)) <= 0 {
			continue
		}
		if len(p.Plugins) == most {
			p.Next = place(p.Plugins[most-1])
			break
		}
		p.Plugins = append(p.Plugins, one)
	}
	steady := p
	steady.Plugins = slices.Clone(p.Plugins)
	for i := range steady.Plugins {
		s := &steady.Plugins[i]
		s.RSS, s.CPUMS, s.Beat, s.Due, s.Stats = 0, 0, 0, 0, nil
	}
	return c.tagged(steady, p)
}

// splitPlace undoes place: a plugin's name has no slash, a host's may.
func splitPlace(text string) (host, name string) {
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		return text[:i], text[i+1:]
	}
	return text, ""
}

func (c *call) hostPlugins() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	p := pluginPage{Source: "agent"}
	if p.Plugins, err = c.s.live(c.r.Context(), h.Host); err != nil {
		p.Source, p.Why = "hub", err.Error()
		p.Plugins, _ = c.s.o.Hub.Plugins(hub.Filter{Host: h.Host}, hub.Page{})
	}
	if p.Plugins == nil {
		p.Plugins = []telemetry.PluginStatus{}
	}
	p.Total = len(p.Plugins)
	return c.json(http.StatusOK, p)
}

// mostPages bounds how long a list an agent may tell.
const mostPages = 100

// live asks the agent of a host for its plugins.
func (s *Server) live(ctx context.Context, host string) (all []telemetry.PluginStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Times.Ask)
	defer cancel()
	args := map[string]any{}
	for range mostPages {
		payload, err := s.ask(ctx, host, "list", args)
		if err != nil {
			return nil, err
		}
		list, _, err := telemetry.DecodePluginList(payload)
		if err != nil {
			return nil, err
		}
		all = append(all, list.Plugins...)
		if !list.More || len(list.Plugins) == 0 {
			return all, nil
		}
		args["after"] = list.Plugins[len(list.Plugins)-1].Name
	}
	return all, nil
}

func (c *call) onePlugin() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	name, err := c.plugin()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.s.o.Times.Ask)
	defer cancel()
	payload, err := c.s.ask(ctx, h.Host, "info", map[string]any{"plugin": name})
	if err != nil {
		return c.heldPlugin(h.Host, name, err)
	}
	list, _, err := telemetry.DecodePluginList(payload)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pluginPage{Plugins: list.Plugins, Total: len(list.Plugins), Source: "agent"})
}

// heldPlugin answers with what the hub has of a plugin whose agent does not answer, for the reason why.
func (c *call) heldPlugin(host, name string, why error) error {
	if p, told := errors.AsType[*Problem](why); told && strings.HasPrefix(p.Code, "agent_") {
		return why // the agent has answered
	}
	held, _ := c.s.o.Hub.Plugins(hub.Filter{Host: host}, hub.Page{})
	for _, p := range held {
		if p.Name == name {
			return c.json(http.StatusOK, pluginPage{Plugins: []telemetry.PluginStatus{p}, Total: 1, Source: "hub", Why: why.Error()})
		}
	}
	return why
}

func (c *call) logs() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	name, err := c.plugin()
	if err != nil {
		return err
	}
	tail, err := c.number("tail", 100, 1000)
	if err != nil {
		return err
	}
	args := map[string]any{"plugin": name, "tail": int64(tail)}
	if text := c.query.Get("after"); text != "" {
		after, err := strconv.ParseUint(text, 10, 62)
		if err != nil {
			return invalid("after", "after=%s: want the number of a line, as next of the page before", text)
		}
		args["after"] = int64(after)
		if !c.query.Has("tail") {
			args["tail"] = int64(0) // all since
		}
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.s.o.Times.Ask)
	defer cancel()
	payload, err := c.s.ask(ctx, h.Host, "logs", args)
	if err != nil {
		return err
	}
	page, _, err := telemetry.DecodeLogPage(payload)
	if err != nil {
		return err
	}
	if page.Lines == nil {
		page.Lines = []telemetry.LogLine{}
	}
	return c.json(http.StatusOK, page)
}
