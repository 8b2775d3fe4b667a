package api

import (
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
	list, more := c.s.o.Hub.Plugins(f, hub.Page{After: c.query.Get("after"), Most: most})
	p := pluginPage{Plugins: append([]telemetry.PluginStatus{}, list...)}
	if more && len(list) > 0 {
		p.Next = place(list[len(list)-1])
	}
	steady := p
	steady.Plugins = slices.Clone(p.Plugins)
	for i := range steady.Plugins {
		s := &steady.Plugins[i]
		s.RSS, s.CPUMS, s.Beat, s.Due, s.Stats = 0, 0, 0, 0, nil
	}
	return c.tagged(steady, p)
}

func (c *call) hostPlugins() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	p := pluginPage{Source: "agent"}
	if p.Plugins, err = c.s.live(c.r.Context(), h.Host); err != nil {
		p.Source, p.Why = "hub", c.s.told(err, "request", c.w.id).Detail
		p.Plugins, _ = c.s.o.Hub.Plugins(hub.Filter{Host: h.Host}, hub.Page{Most: mostList})
	}
	p.Plugins = append([]telemetry.PluginStatus{}, p.Plugins...)
	return c.json(http.StatusOK, p)
}

// mostPages bounds how long a list an agent may tell.
const mostPages = 100

// live asks the agent of a host for its plugins, in the order of its config. An agent may lie: none may come twice, so the pages come
// to an end, and all of it is about that host.
func (s *Server) live(ctx context.Context, host string) (all []telemetry.PluginStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Times.Ask)
	defer cancel()
	args, seen := map[string]any{}, map[string]bool{}
	for range mostPages {
		payload, err := s.ask(ctx, host, "list", args)
		if err != nil {
			return nil, err
		}
		list, _, err := telemetry.DecodePluginList(payload)
		if err != nil {
			return nil, badAnswer(host, "%v", err)
		}
		for _, p := range list.Plugins {
			if !processName(p.Name) || seen[p.Name] {
				return nil, badAnswer(host, "its list has %.80q, which is no name or was there already", p.Name)
			}
			p.Host, seen[p.Name], args["after"] = host, true, p.Name
			all = append(all, p)
		}
		switch {
		case !list.More:
			return all, nil
		case len(list.Plugins) == 0, len(all) > mostList:
			return nil, badAnswer(host, "its list of plugins has no end")
		}
	}
	return nil, badAnswer(host, "its list of plugins has more than %d pages", mostPages)
}

// badAnswer tells of an agent that does not keep to what is agreed.
func badAnswer(host, format string, args ...any) *Problem {
	return problem(http.StatusBadGateway, "bad_answer", "the agent of %s: "+format, append([]any{host}, args...)...).
		hint("which version of pacewire runs there? pacewire host info tells")
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
	if err != nil || len(list.Plugins) != 1 || list.Plugins[0].Name != strings.TrimSuffix(name, ".1") {
		return c.heldPlugin(h.Host, name, badAnswer(h.Host, "it does not tell of plugin %s", name))
	}
	list.Plugins[0].Host = h.Host
	return c.json(http.StatusOK, pluginPage{Plugins: list.Plugins, Source: "agent"})
}

// heldPlugin answers with what the hub has of a plugin whose agent does not answer, for the reason why.
func (c *call) heldPlugin(host, name string, why error) error {
	if p, told := errors.AsType[*Problem](why); told && strings.HasPrefix(p.Code, "agent_") {
		return why // the agent has answered
	}
	held, _ := c.s.o.Hub.Plugins(hub.Filter{Host: host}, hub.Page{Most: mostList})
	for _, p := range held {
		if p.Name == name {
			page := pluginPage{Plugins: []telemetry.PluginStatus{p}, Source: "hub", Why: c.s.told(why, "request", c.w.id).Detail}
			return c.json(http.StatusOK, page)
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
