package bus

import (
	"fmt"
	"strings"
)

// Areas of the bus: the second token of a subject.
const (
	AreaMetrics = "metrics" // pw.metrics.<host>.<plugin>
	AreaEvents  = "events"  // pw.events.<host>.<plugin>.<kind>
	AreaDead    = "dead"    // pw.dead.<plugin>, and pw.dead.<host>.<plugin> of what is a copy
	AreaAgain   = "again"   // pw.again.<plugin>
	AreaLease   = "lease"   // pw.lease.<plugin>
	AreaBeat    = "hb"      // pw.hb.<host>.<plugin>.htb and .plg
	AreaCtl     = "ctl"     // pw.ctl.<host>.<plugin>.<verb>
	AreaLog     = "log"     // pw.log.<host>.<plugin>
	AreaHub     = "hub"     // pw.hub.<verb>
	AreaHTTP    = "http"    // pw.http.<host>.<plugin>, and .<exchange>.up, .down
)

// Kinds of heartbeat subjects.
const (
	HTB = "htb" // heartbeat, a request; the ACK is its reply
	PLG = "plg" // plugin data
)

// Agent is the reserved name under which an agent stands among its plugins.
const Agent = "agent"

// Hub is the user that a hub connects as.
const Hub = "hub"

// Part is one token of a pattern: Any, Name(x), or a fixed word such as HTB.
type Part string

// Any stands for every host, plugin or verb in a pattern.
const Any Part = "*"

const (
	maxSubject = 255
	prefix     = "pw."
)

// Subject is a parsed subject. Host, Plugin and Verb are names, not tokens; a
// name whose token is hashed cannot be known and is the token itself.
type Subject struct {
	Area     string
	Host     string
	Plugin   string
	Verb     string // verb of ctl and hub, kind of an event, htb or plg, up or down
	Exchange string // of a relayed HTTP exchange

	Hashed bool   // Host or Plugin is a token, the true name is in the manifest
	Raw    string // the subject as it stands on the bus
}

// Name is the part of a pattern that stands for this one name.
func Name(name string) Part { return Part(Token(name)) }

// Pattern is what to subscribe in an area, for example
// Pattern(AreaBeat, Name(host), Any, HTB).
func Pattern(area string, parts ...Part) string {
	var b strings.Builder
	b.WriteString(prefix + area)
	for _, p := range parts {
		b.WriteByte('.')
		b.WriteString(string(p))
	}
	return b.String()
}

// MetricsSubject is where plugin of host publishes its batches.
func MetricsSubject(host, plugin string) string {
	return prefix + AreaMetrics + "." + Token(host) + "." + Token(plugin)
}

// MetricsFilter selects the batches of plugin from all hosts.
func MetricsFilter(plugin string) string { return Pattern(AreaMetrics, Any, Name(plugin)) }

// EventSubject is where plugin of host publishes events of a kind.
func EventSubject(host, plugin, kind string) string {
	return prefix + AreaEvents + "." + Token(host) + "." + Token(plugin) + "." + Token(kind)
}

// EventFilter selects the events of a kind from all plugins of all hosts.
func EventFilter(kind string) string { return Pattern(AreaEvents, Any, Any, Name(kind)) }

// DeadSubject is where plugin puts batches that it can never deliver.
func DeadSubject(plugin string) string { return prefix + AreaDead + "." + Token(plugin) }

// CopySubject is where the uplink of host puts a copy of what lies on the subject of a dead letter there: no host can say something
// of the plugins of others.
func CopySubject(host, dead string) string {
	const area = prefix + AreaDead + "."
	return area + Token(host) + "." + strings.TrimPrefix(dead, area)
}

// AgainSubject is where dead letters are put that plugin is to be given again.
func AgainSubject(plugin string) string { return prefix + AreaAgain + "." + Token(plugin) }

// HeartbeatSubject carries the beats (HTB) or the plugin data (PLG) of a plugin.
func HeartbeatSubject(host, plugin, kind string) string {
	return prefix + AreaBeat + "." + Token(host) + "." + Token(plugin) + "." + Token(kind)
}

// CtlSubject carries the requests of agent and hub to a plugin.
func CtlSubject(host, plugin, verb string) string {
	return prefix + AreaCtl + "." + Token(host) + "." + Token(plugin) + "." + Token(verb)
}

// LogSubject carries the log records of a plugin.
func LogSubject(host, plugin string) string {
	return prefix + AreaLog + "." + Token(host) + "." + Token(plugin)
}

// HubSubject carries requests to the hub.
func HubSubject(verb string) string { return prefix + AreaHub + "." + Token(verb) }

// HTTPSubject carries the opening of HTTP exchanges relayed to a plugin.
func HTTPSubject(host, plugin string) string {
	return prefix + AreaHTTP + "." + Token(host) + "." + Token(plugin)
}

// HTTPExchangeSubject carries one direction ("up" to the plugin, "down" from it)
// of a relayed HTTP exchange.
func HTTPExchangeSubject(host, plugin, exchange, direction string) string {
	return HTTPSubject(host, plugin) + "." + Token(exchange) + "." + Token(direction)
}

// User is the identity of a plugin on the bus: the user it connects as, and what
// its inboxes begin with. No two plugins have the same: underscores of the host
// are "=5F", which no token has, so the first underscore ends the host.
func User(host, plugin string) string { return userOf(Token(host), Token(plugin)) }

func userOf(host, plugin string) string {
	return strings.ReplaceAll(host, "_", "=5F") + "_" + plugin
}

// shapes name the tokens after the area, for each area and number of tokens.
var shapes = map[string][]string{
	AreaMetrics: {"hp"},
	AreaEvents:  {"hpv"},
	AreaDead:    {"p", "hp"},
	AreaAgain:   {"p"},
	AreaBeat:    {"hpv"},
	AreaCtl:     {"hpv"},
	AreaLog:     {"hp"},
	AreaHub:     {"v"},
	AreaHTTP:    {"hp", "hpxv"},
}

// ParseSubject takes a subject apart. It accepts exactly what the builders make
// for names, so patterns and foreign subjects are errors.
func ParseSubject(raw string) (Subject, error) {
	s := Subject{Raw: raw}
	rest, ours := strings.CutPrefix(raw, prefix)
	if !ours || len(raw) > maxSubject {
		return s, fmt.Errorf("%w: subject %.80q is not one of ours", ErrBadToken, raw)
	}
	var tail string
	s.Area, tail, _ = strings.Cut(rest, ".")
	for _, shape := range shapes[s.Area] {
		if strings.Count(tail, ".")+1 == len(shape) {
			return s, s.fill(shape, tail)
		}
	}
	return s, fmt.Errorf("%w: subject %.80q is not one of ours", ErrBadToken, raw)
}

func (s *Subject) fill(shape, tail string) error {
	for i := range len(shape) {
		var tok string
		tok, tail, _ = strings.Cut(tail, ".")
		name, hashed, err := Untoken(tok)
		if err != nil {
			return fmt.Errorf("subject %.80q: %w", s.Raw, err)
		}
		s.Hashed = s.Hashed || hashed
		*s.part(shape[i]) = name
	}
	return nil
}

func (s *Subject) part(letter byte) *string {
	switch letter {
	case 'h':
		return &s.Host
	case 'p':
		return &s.Plugin
	case 'x':
		return &s.Exchange
	default:
		return &s.Verb
	}
}

// users are the users who may rightly ask on s, and so be answered: what a rule
// without Responders allows. nil means every user.
func (s *Subject) users() []string {
	tokens := strings.Split(s.Raw, ".")
	switch s.Area {
	case AreaHub:
		return nil
	case AreaCtl, AreaHTTP:
		return []string{userOf(tokens[2], Agent), Hub}
	case AreaDead, AreaAgain:
		return []string{Hub}
	default:
		return []string{userOf(tokens[2], tokens[3])}
	}
}

// matches tells whether subject fits pattern, which may hold "*" tokens and end
// in ">".
func matches(pattern, subject string) bool {
	for pattern != "" && subject != "" {
		if pattern == ">" {
			return true
		}
		var want, is string
		want, pattern, _ = strings.Cut(pattern, ".")
		is, subject, _ = strings.Cut(subject, ".")
		if want != string(Any) && want != is {
			return false
		}
	}
	return pattern == "" && subject == ""
}
