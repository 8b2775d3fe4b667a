package config

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// WebListen is where the API is served unless the config says otherwise.
const WebListen = "127.0.0.1:8470"

// Limits of the hub where the config has none, as multiples of an agent's interval.
const (
	defaultOverdue = 2.5
	defaultDown    = 4
)

var hubKeys = []string{"interval", "overdue", "down", "spread", "warmup", "forget", "forget_left", "max_hosts", "max_beats"}

// hub reads by which limits the hub judges hosts.
func (s *source) hub(n *yaml.Node) (h Hub) {
	if !s.isMap("hub", n, "{ interval: 10s, down: 4 }") {
		return h
	}
	var late, down *yaml.Node
	s.fields("hub", n, map[string]func(*yaml.Node){
		"interval":    func(n *yaml.Node) { h.Interval = s.within("hub.interval", n, time.Second, time.Hour) },
		"overdue":     func(n *yaml.Node) { late, h.Overdue = n, s.number("hub.overdue", n, 1.5, 100) },
		"down":        func(n *yaml.Node) { down, h.Down = n, s.number("hub.down", n, 1.5, 1000) },
		"spread":      func(n *yaml.Node) { h.Spread = s.orNone("hub.spread", n, time.Millisecond, 5*time.Minute) },
		"warmup":      func(n *yaml.Node) { h.WarmUp = s.orNone("hub.warmup", n, time.Millisecond, time.Hour) },
		"forget":      func(n *yaml.Node) { h.Forget = s.orNone("hub.forget", n, time.Minute, decades) },
		"forget_left": func(n *yaml.Node) { h.ForgetLeft = s.within("hub.forget_left", n, time.Minute, decades) },
		"max_hosts":   func(n *yaml.Node) { h.MaxHosts = s.count("hub.max_hosts", n, 1_000_000) },
		"max_beats":   func(n *yaml.Node) { h.MaxBeats = s.count("hub.max_beats", n, 1_000_000) },
	}, hubKeys)
	s.ordered(h, late, down)
	return h
}

// decades bounds what is as good as for ever.
const decades = 36500 * 24 * time.Hour

// ordered refuses limits by which a host would be DOWN before it is OVERDUE.
func (s *source) ordered(h Hub, late, down *yaml.Node) {
	at := down
	if down == nil {
		at = late
	}
	h.Overdue, h.Down = multiple(late, h.Overdue, defaultOverdue), multiple(down, h.Down, defaultDown)
	if at != nil && h.Down < h.Overdue {
		s.fault(at, fmt.Sprintf("the defaults are overdue: %v, down: %v", defaultOverdue, defaultDown),
			"hub: down (%v) is less than overdue (%v): a host would be DOWN before it is OVERDUE", h.Down, h.Overdue)
	}
}

// multiple returns a limit as it was read from n, or meant there if it was refused: NaN when that is no number.
func multiple(n *yaml.Node, read, otherwise float64) float64 {
	switch {
	case n == nil:
		return otherwise
	case read != 0:
		return read
	}
	if v, err := strconv.ParseFloat(n.Value, 64); err == nil {
		return v
	}
	return math.NaN()
}

// within reads a duration from least to most.
func (s *source) within(key string, n *yaml.Node, least, most time.Duration) time.Duration {
	d := s.duration(key, n, least)
	if d > most {
		s.fault(n, "", "%s: want %s to %s, got %s", key, brief(least), brief(most), s.got(n))
		return 0
	}
	return d
}

// brief leaves out of a duration what is 0: 5m, not 5m0s.
func brief(d time.Duration) string {
	text := d.String()
	if whole, ok := strings.CutSuffix(text, "m0s"); ok {
		text = whole + "m"
	}
	if whole, ok := strings.CutSuffix(text, "h0m"); ok {
		text = whole + "h"
	}
	return text
}

// orNone reads a duration from least to most, or 0, which it gives as None.
func (s *source) orNone(key string, n *yaml.Node, least, most time.Duration) time.Duration {
	if d, ok := parseDuration(n.Value); n.Value == "0" || ok && d == 0 {
		return None
	}
	return s.within(key, n, least, most)
}

// number reads a number from least to most.
func (s *source) number(key string, n *yaml.Node, least, most float64) float64 {
	text := s.text(key, n)
	if text == "" {
		return 0
	}
	v, _ := strconv.ParseFloat(text, 64)
	hint := ""
	switch {
	case !isNumber(text):
		hint = numberHint(text, "number")
	case v >= least && v <= most:
		return v
	}
	s.fault(n, hint, "%s: want a number from %v to %v, got %s", key, least, most, s.got(n))
	return 0
}

// web reads where the API is served; off: nowhere.
func (s *source) web(n *yaml.Node) Web {
	w := Web{Listen: WebListen}
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "off":
		return Web{Off: true}
	case n.Kind == yaml.ScalarNode && slices.Contains([]string{"false", "no", "none"}, n.Value):
		s.fault(n, "did you mean off?", "web: want off, or a map such as { listen: %s }, got %s", WebListen, s.got(n))
	case n.Kind == yaml.ScalarNode && !empty(n):
		s.fault(n, "write { listen: "+s.raw(n)+" }", "web: want off, or a map such as { listen: %s }, got %s", WebListen, s.got(n))
	case s.isMap("web", n, "{ listen: "+WebListen+" }"):
		s.fields("web", n, map[string]func(*yaml.Node){
			"listen": func(n *yaml.Node) { w.Listen = s.webListen(n) },
		}, []string{"listen"})
	}
	return w
}

// webListen reads where the API is served. Who does not want one may write it here.
func (s *source) webListen(n *yaml.Node) string {
	if n.Value == "off" {
		s.fault(n, "write web: off", "web.listen: want an address such as %s, got off", WebListen)
		return ""
	}
	return s.loopback("web.listen", n, s.address("web.listen", n), webWay)
}

// loopback refuses an address that other machines could reach; way says how they can be let in, given the port.
func (s *source) loopback(key string, n *yaml.Node, address string, way exposure) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host == "localhost" || ip != nil && ip.IsLoopback() {
		return address
	}
	s.fault(n, fmt.Sprintf(way.out, port), "%s: to let other machines reach %s %s: it has no encryption", key, way.what, notYet)
	return ""
}
