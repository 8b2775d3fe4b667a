package config

import (
	"fmt"
	"net"
	"slices"

	"go.yaml.in/yaml/v3"
)

// What a config may say but this version does not do is told here, and nowhere else: a key that is taken and has no effect
// would be a lie. What only makes less to be seen is a warning, what would change the points a fault.

const notYet = "is not carried out by this version"

// idle warns of a top-level key that nothing comes of yet.
func (at setting) idle(way string) {
	at.warn(at.entry.key, way, "%s: %s", at.entry.name, notYet)
}

const (
	webWay   = "remove it: pacewire up shows what goes on, and pacewire plugin list asks for it"
	ownerWay = "write it as a tag of its points: tags: { owner: ops }"
	siteWay  = "write it as a tag of all points: tags: { site: lab }"
)

// notYet tells what of e is not carried out.
func (d *definition) notYet(e entry) {
	switch {
	case e.name == "replicas" && d.Replicas > 1:
		way := "use parallel: for several workers in one process"
		if d.Kind == Collector {
			way = "remove it, or make a plugin of another name"
		}
		d.fault(e.val, way, "replicas: more than one process of a plugin %s", notYet)
	case e.name == "owner":
		d.warn(e.key, ownerWay, "owner: %s", notYet)
	}
}

// misplaced refuses the keys that a kind has no use for.
func (d *definition) misplaced(e entry) {
	switch d.Kind {
	case Collector:
		if slices.Contains([]string{"from", "on", "start", "parallel"}, e.name) {
			d.fault(e.key, "remove it, or move the plugin to process: or publish:", "a collector reads from no plugin: it has no %s", e.name)
		}
	case Publisher:
		if e.name == "tags" {
			d.fault(e.key, "give them to who makes the points, or put a processor before it: use: tag", "a publisher makes no points: it has no tags")
		}
		fallthrough
	default:
		switch e.name {
		case "every":
			d.fault(e.key, "remove it: it works when points come", "only a collector has an interval: a %s has no every", d.Kind)
		case "cron", "schedule":
			d.fault(e.key, "remove it: it works when points come", "only a collector has a schedule: a %s has no %s", d.Kind, e.name)
		}
	}
}

// local refuses an address of the embedded bus that others could reach.
func (s *source) local(n *yaml.Node, address string) string {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host == "localhost" || ip != nil && ip.IsLoopback() {
		return address
	}
	_, port, _ := net.SplitHostPort(address)
	s.fault(n, fmt.Sprintf("use 127.0.0.1:%s, or run a NATS server with users and TLS and name it: bus: { urls: tls://bus.example:4222 }", port),
		"bus.listen: to let other machines reach the embedded bus %s: it has no encryption", notYet)
	return ""
}
