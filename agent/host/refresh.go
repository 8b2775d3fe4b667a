package host

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	refreshers   = 4                // refreshes under way at a time; more are refused
	surveyors    = 4                // collectors that survey at a time
	surveyApart  = 10 * time.Second // between two surveys of one collector
	refreshLimit = 25 * time.Second // until a refresh is answered: the bus lets an answer pass for 30 s
)

// A gathering is the surveys of this host that somebody has asked for.
type gathering struct {
	asked chan struct{} // holds one for each refresh under way
	room  chan struct{} // and one for each survey

	mu      sync.Mutex
	surveys map[string]*survey // the last of each plugin
	under   int
}

// A survey is one collection of facts by one plugin. Who comes while it is under way joins it.
type survey struct {
	done  chan struct{} // closed at its end
	ended time.Time
}

func newGathering() *gathering {
	return &gathering{asked: make(chan struct{}, refreshers), room: make(chan struct{}, surveyors), surveys: map[string]*survey{}}
}

// refreshing reports whether facts of this host are being collected anew.
func (h *Host) refreshing() bool {
	g := h.gathering
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.under > 0
}

// refresh answers with the list of what the inventory has, and has the wanted entries published. With args.after it only goes on
// with the list.
func (h *Host) refresh(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	if after := r.Text("after"); after != "" {
		return h.page(after, nil), nil
	}
	select {
	case h.gathering.asked <- struct{}{}:
	default:
		return nil, refuse(telemetry.FaultTimeout, "busy: %d refreshes are under way: try again when they are through", refreshers)
	}
	late := h.collect(ctx, h.toSurvey(r))
	h.children.Go(func() {
		defer func() { <-h.gathering.asked }()
		h.publish(h.life, h.inventory.wanted(r.Want))
	})
	return h.page("", late), nil
}

// page returns the part of the list that comes after one of its entries, as far as a reply has room. Surveys that are late are
// told as faults.
func (h *Host) page(after string, late map[string]bool) telemetry.RefreshManifest {
	list := h.inventory.refreshItems(time.Now())
	i := 0
	for i < len(list) && after != "" && (slot{list[i].Plugin, list[i].Type}).String() <= after {
		i++
	}
	var page telemetry.RefreshManifest
	room := mostPayload
	for _, it := range list[i:] {
		if late[it.Plugin] && it.Type == telemetry.DataInfo {
			it.Error = &telemetry.Fault{Code: telemetry.FaultTimeout, Message: "it is still being collected"}
		}
		if room -= itemSize(it); room < 0 || len(page.Items) == mostItems {
			page.More = true
			break
		}
		page.Items = append(page.Items, it)
	}
	return page
}

// mostItems is how many items of a list a reply may have: each has a dozen values with its fault, of which 4,096 are taken.
const mostItems = 300

// itemSize is what an item needs in a list, at most.
func itemSize(it telemetry.RefreshItem) int {
	n := 100 + len(it.Plugin) + len(it.Type) + len(it.Version)
	if it.Error != nil {
		n += 40 + len(it.Error.Code) + len(it.Error.Message)
	}
	return n
}

// wanted returns the entries that want names: "*" or plugin/type each. What does not exist is not in the list either.
func (v *inventory) wanted(want []string) []slot {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := v.slots()
	if !slices.Contains(want, "*") {
		list = slices.DeleteFunc(list, func(s slot) bool { return !slices.Contains(want, s.String()) })
	}
	for _, s := range list { // the latest of it is under way
		delete(v.unsent, s)
		v.sent[s] = time.Now()
	}
	return list
}

// toSurvey returns the plugins whose facts r wants anew: all in a collection that wants no entry in particular, and those whose
// facts are older than it takes. Those of a moment ago are new.
func (h *Host) toSurvey(r telemetry.CtlRequest) []string {
	var names []string
	for _, e := range h.entries() {
		s := slot{e.name, telemetry.DataInfo}
		all := slices.Contains(r.Want, "*") || r.Mode == telemetry.ModeCollect && len(r.Want) == 0
		if !all && !slices.Contains(r.Want, s.String()) || !h.surveys(e) {
			continue
		}
		age := h.inventory.age(s)
		if age >= 0 && age < surveyApart { // the plugin itself would wait
			continue
		}
		if r.Mode == telemetry.ModeCollect || r.MaxAgeMS > 0 && age > time.Duration(r.MaxAgeMS)*time.Millisecond {
			names = append(names, e.name)
		}
	}
	return names
}

// surveys reports whether a plugin says that it works, and keeps facts.
func (h *Host) surveys(e *entry) bool {
	p := e.plan()
	if p.conf.Kind != config.Collector {
		return false
	}
	e.mu.Lock()
	state, _ := e.front().told() // whoever is gone since is asked all the same, and found to be gone
	e.mu.Unlock()
	if state != running && state != idle {
		return false
	}
	return h.inventory.at(slot{e.name, telemetry.DataInfo}) != nil || h.o.Inventory(p.conf.Program)
}

// age is how old the facts at s are; for ever when there are none.
func (v *inventory) age(s slot) time.Duration {
	r := v.at(s)
	if r == nil || r.data == nil {
		return 1<<63 - 1
	}
	return time.Since(r.at)
}

// collect has plugins survey anew, and returns those that are not through when the answer is due: what they find is published
// when they are.
func (h *Host) collect(ctx context.Context, names []string) (late map[string]bool) {
	under := map[string]*survey{}
	for _, name := range names {
		if e := h.find(name); e != nil {
			under[name] = h.survey(e)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, refreshLimit)
	defer cancel()
	late = map[string]bool{}
	for name, s := range under {
		select {
		case <-s.done:
			continue
		default:
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			late[name] = true
		}
	}
	return late
}

// survey returns the survey of a plugin that is under way, or was until a moment ago; else it begins one.
func (h *Host) survey(e *entry) *survey {
	g := h.gathering
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.surveys[e.name]; s != nil && (s.ended.IsZero() || time.Since(s.ended) < surveyApart) {
		return s
	}
	maps.DeleteFunc(g.surveys, func(_ string, s *survey) bool { return !s.ended.IsZero() && time.Since(s.ended) >= surveyApart })
	s := &survey{done: make(chan struct{})}
	g.surveys[e.name] = s
	g.under++
	h.children.Go(func() {
		defer g.end(s)
		select {
		case g.room <- struct{}{}:
			defer func() { <-g.room }()
			h.surveyAnew(h.life, e)
		case <-h.life.Done():
		}
	})
	return s
}

func (g *gathering) end(s *survey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.under--
	s.ended = time.Now()
	close(s.done)
}

// surveyAnew has a plugin survey anew, and waits for what it finds. One that does not tell has an entry that says so.
func (h *Host) surveyAnew(ctx context.Context, e *entry) {
	s := slot{e.name, telemetry.DataInfo}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, h.o.Times.Survey)
	defer cancel()
	_, err := e.askRefresh(ctx, telemetry.CtlRequest{Want: []string{s.String()}, Mode: telemetry.ModeCollect}, h.o.Times.Survey)
	if err == nil {
		err = h.inventory.arrival(ctx, s, begun)
	}
	if err != nil {
		h.inventory.fail(s, faultOfAsking(err), false)
	}
}

// arrival waits until something has come for s since a time.
func (v *inventory) arrival(ctx context.Context, s slot, since time.Time) error {
	for {
		v.mu.Lock()
		news, r := v.news, v.records[s]
		v.mu.Unlock()
		if r != nil && !r.heard.Before(since) {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
