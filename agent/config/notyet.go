package config

import "slices"

// What a config may say but this version does not do is told here, and nowhere else: a key that is taken and has no effect
// would be a lie. What only makes less to be seen is a warning, what would change the points a fault.

const notYet = "is not carried out by this version"

// An exposure is what must not be reached from other machines, and the way out, with a place for the port.
type exposure struct{ what, out string }

var (
	busWay = exposure{"the embedded bus", "use 127.0.0.1:%s, or run a NATS server with users and TLS and name it: bus: { urls: tls://bus.example:4222 }"}
	webWay = exposure{"the API", "use 127.0.0.1:%s, and let a reverse proxy with TLS and accounts stand before it"}
)

// alone refuses several processes of what can only have one.
func (d *definition) alone(e entry) {
	if e.name == "replicas" && d.Replicas > 1 && d.Kind == Collector {
		d.fault(e.val, "remove it, or make a plugin of another name", "replicas: a collector has one process: two would send each point twice")
	}
}

// shareable refuses several processes of a built-in whose settings only one can have.
func (d *definition) shareable() {
	if d.Replicas < 2 || d.builtin == nil || d.builtin.Alone == nil {
		return
	}
	if err := d.builtin.Alone(d.Config); err != nil {
		d.fault(d.replicas, "remove it, or write 1", "replicas: %v", err)
	}
}

// timed refuses an interval and the like for a built-in that has times of its own.
func (d *definition) timed() {
	if d.builtin == nil || d.builtin.Times == "" {
		return
	}
	for _, e := range entries(d.val) {
		if slices.Contains([]string{"every", "cron", "schedule", "timeout"}, e.name) {
			d.fault(e.key, "write it "+d.builtin.Times, "%s: %s has times of its own", e.name, d.Program)
		}
	}
}

// useless are the keys that a kind has no use for, besides several replicas of a collector.
func useless(kind string) []string {
	switch kind {
	case Collector:
		return []string{"from", "on", "start", "parallel", "order"}
	case Publisher:
		return []string{"tags", "max_rate", "max_series", "queue", "overflow", "every", "cron", "schedule"}
	}
	return []string{"queue", "overflow", "every", "cron", "schedule"}
}

// useful are the keys that a plugin of a kind may have.
func useful(kind string) []string {
	return slices.DeleteFunc(slices.Clone(commonKeys), func(key string) bool { return slices.Contains(useless(kind), key) })
}

// misplaced refuses the keys that a kind has no use for.
func (d *definition) misplaced(e entry) {
	if !slices.Contains(useless(d.Kind), e.name) {
		return
	}
	if d.Kind == Collector {
		d.fault(e.key, "remove it, or move the plugin to process: or publish:", "a collector reads from no plugin: it has no %s", e.name)
		return
	}
	switch e.name {
	case "tags":
		d.fault(e.key, "give them to who makes the points, or put a processor before it: use: tag", "a publisher makes no points: it has no tags")
	case "max_rate", "max_series":
		d.fault(e.key, "set it where the points are made", "a publisher makes no points: it has no %s", e.name)
	case "queue", "overflow":
		d.fault(e.key, "remove it: what it has not read waits in the stream", "only a collector has a queue: a %s has no %s", d.Kind, e.name)
	case "every":
		d.fault(e.key, "remove it: it works when points come", "only a collector has an interval: a %s has no every", d.Kind)
	default:
		d.fault(e.key, "remove it: it works when points come", "only a collector has a schedule: a %s has no %s", d.Kind, e.name)
	}
}
