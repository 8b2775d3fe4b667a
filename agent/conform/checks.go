package conform

import (
	"slices"
	"strings"
)

// A check is one promise of a plugin.
type check struct {
	name  string
	kinds string // that make it; empty: all
	about string
}

// of reports whether plugins of a kind make the promise.
func (c check) of(kind string) bool {
	return c.kinds == "" || slices.Contains(strings.Fields(c.kinds), kind)
}

// checks are all, in the order in which they are reported.
var checks = []check{
	{"hello", "", "The first heartbeat comes within 20 s and says all: who it is, a complete manifest, its inventory; again until it is answered."},
	{"describe", "", "--describe prints the manifest that the hello has."},
	{"refusal", "", "Refused by its agent it ends with exit code 78, and beats no more."},
	{"config", "", "The settings that its agent gives come into force, and the heartbeat says which."},
	{"beats", "", "It beats at the interval it is told: sequence without holes, one inst, true clocks, less than 1 KiB."},
	{"beat", "", "Asked for a beat it introduces itself again, at once."},
	{"ping", "", "It answers a ping."},
	{"refresh_cached", "", "Asked for what it knows it lists it, and sends what is wanted, with true digests."},
	{"refresh_collect", "", "Asked to find out anew it answers, and sends what is wanted, with true digests."},
	{"data", "collector", "Its batches are on its own subject, have ids that nobody else has, and can be read without loss."},
	{"catalog", "collector processor", "What it sends is what its catalog says: series, tags, fields and their types."},
	{"inputs", "processor publisher", "It reads its inputs, and acknowledges them."},
	{"derived_ids", "processor", "What it makes of a batch has an id that is derived from the batch's."},
	{"bad_batches", "processor publisher", "A batch that cannot be read goes to the dead letters with the reason, and stops nobody."},
	{"mutated_batches", "processor publisher", "Of a good batch with a few wrong bytes it makes what any reader makes: it works on it, or sets it aside with a reason."},
	{"config_change", "", "A new revision of its settings comes into force while it runs, and nothing is lost."},
	{"hostile_config", "", "Settings that make no sense are not taken: the old ones stay in force, the error is told, it beats on."},
	{"hostile_messages", "", "Requests and answers that are broken are not obeyed, and it beats on."},
	{"back_pressure", "collector processor", "While the stream takes nothing it beats on, holds what it has in bounded memory, and then loses nothing."},
	{"redelivery", "", "Killed with work in hand, its next process loses nothing and doubles nothing."},
	{"bus_restart", "", "A bus that goes and comes back finds it again: it beats, nothing is lost, and no beat comes late."},
	{"drain", "", "Asked to drain it finishes what it has begun, within 10 s, and leaves no process behind."},
	{"goodbye", "", "It says goodbye as its last word, and ends with exit code 0."},
	{"sigterm", "", "SIGTERM drains it as well."},
	{"stdin_eof", "", "The end of its standard input, which is that of its agent, drains it as well."},
	{"permissions", "", "It uses no subject to which it has no right."},
}

func checkOf(name string) (check, bool) {
	i := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
	if i < 0 {
		return check{name: name}, false
	}
	return checks[i], true
}

func names() []string {
	var all []string
	for _, c := range checks {
		all = append(all, c.name)
	}
	return all
}

// Check describes a check.
type Check struct {
	Name  string   `json:"check"`
	Kinds []string `json:"kinds,omitempty"` // of plugins; none: all
	About string   `json:"about"`
}

// Checks lists all checks.
func Checks() []Check {
	var all []Check
	for _, c := range checks {
		all = append(all, Check{c.name, strings.Fields(c.kinds), c.about})
	}
	return all
}
